//! Wrong policies with exactly what the check says about them: `wrong.txt`, one case after the other.
//!
//! A case is a condition (`deny EXPRESSION`), parts of a spec (`Admission`, `Template` or `Bundle` on the first line)
//! or a whole file, then `----`, then the findings as an author sees them. After a change that is meant to change
//! messages, `OPRC_WRITE_CASES=1 cargo test --lib policy::tests::cases` writes the new ones: read the difference.

use std::fmt::Write as _;
use std::path::Path;

use super::{dev, document, file};
use crate::policy::{Bundle, Diagnostic, Diagnostics, Inputs, builtin};

const CASES: &str = include_str!("wrong.txt");
const END: &str = "====\n";
const RESULT: &str = "----\n";

/// The file that a case stands for.
fn text(case: &str) -> String {
    if let Some(condition) = case.strip_prefix("deny ") {
        let quoted = condition.trim_end().replace('\'', "''");
        return document("Admission", "a", &format!("rules:\n- id: r\n  deny: '{quoted}'\n  message: \"'m'\""));
    }
    match case.split_once('\n') {
        Some((kind @ ("Admission" | "Template" | "Bundle" | "Test"), spec)) => document(kind, "a", spec),
        _ => case.to_owned(),
    }
}

fn findings(case: &str) -> String {
    let files = [dev(), file("a.yaml", &text(case))];
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let found: Vec<Diagnostic> =
        match Bundle::read(&files, &builtin::files()).and_then(|bundle| bundle.compile(&inputs)) {
            Ok((_, warnings)) => warnings,
            Err(Diagnostics(found)) => found,
        };
    let mut out = String::new();
    for one in found {
        let _ = writeln!(out, "[{}] {one}", one.topic);
    }
    out
}

#[test]
fn every_wrong_policy_is_answered_exactly() {
    let cases: Vec<(&str, &str)> =
        CASES.split(END).filter(|case| !case.trim().is_empty()).map(|case| case.split_once(RESULT).unwrap()).collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    if std::env::var_os("OPRC_WRITE_CASES").is_some() {
        let written: Vec<String> = cases.iter().map(|(case, _)| [case, RESULT, &findings(case)].concat()).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/tests/wrong.txt");
        std::fs::write(path, written.join(END)).unwrap();
        return;
    }
    for (case, expected) in cases {
        assert!(!expected.is_empty(), "nothing is wrong with\n{case}");
        assert_eq!(findings(case), expected, "{case}");
    }
}
