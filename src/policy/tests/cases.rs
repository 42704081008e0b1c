//! Wrong policies with exactly what the check says about them: `wrong.txt`, one case after the other.
//!
//! A case is an expression (`deny`, `target` or `hold` before it: a rule of an Admission, Recommendation or Safeguard),
//! parts of a spec (the kind on the first line) or a whole file, then `----`, then the findings as an author sees them. After a change that is meant to change
//! messages, `OPRC_WRITE_CASES=1 cargo test --lib policy::tests::cases` writes the new ones: read the difference.

use std::fmt::Write as _;
use std::path::Path;

use super::{dev, document, file};
use crate::policy::{Bundle, Diagnostic, Diagnostics, File, Inputs, builtin};

const CASES: &str = include_str!("wrong.txt");
const END: &str = "====\n";
const RESULT: &str = "----\n";

/// The file that a case stands for.
fn text(case: &str) -> String {
    if let Some(condition) = case.strip_prefix("deny ") {
        let quoted = condition.trim_end().replace('\'', "''");
        return document("Admission", "a", &format!("rules:\n- id: r\n  deny: '{quoted}'\n  message: \"'m'\""));
    }
    if let Some(target) = case.strip_prefix("target ") {
        let quoted = target.trim_end().replace('\'', "''");
        let rule = format!("- id: r\n  target: '{quoted}'\n  basis: \"'b'\"");
        return document("Recommendation", "a", &format!("component: function\ndimension: replicas\nrules:\n{rule}"));
    }
    if let Some(condition) = case.strip_prefix("hold ") {
        let quoted = condition.trim_end().replace('\'', "''");
        let stabilize = "stabilize: {up: 'duration(\"15s\")', down: 'duration(\"3m\")', dead_band: 10.0}";
        let rules = format!("rules:\n- id: r\n  hold: '{quoted}'");
        return document("Safeguard", "a", &format!("dimension: replicas\n{stabilize}\n{rules}"));
    }
    match case.split_once('\n') {
        Some((
            kind @ ("Admission" | "Template" | "Bundle" | "Test" | "Signal" | "Recommendation" | "Safeguard"),
            spec,
        )) => document(kind, "a", spec),
        _ => case.to_owned(),
    }
}

/// Signals that every case may read: `cpu` keeps ten minutes, `rps` does not say how much.
fn signals() -> File {
    let signal = |name: &str, window: &str| {
        let spec = format!("unit: cores\nquery: 'x{{$scope}}'\njoin: pod\ncombine: sum\nmax_age: 2m\n{window}");
        document("Signal", name, &spec)
    };
    file("builtin/signals.yaml", &[signal("cpu", "window: 10m"), signal("rps", "")].join("---\n"))
}

fn findings(case: &str) -> String {
    let mut files = vec![dev(), file("a.yaml", &text(case))];
    // The shipped bundle brings its own.
    if !case.contains("extends:") {
        files.push(signals());
    }
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
    assert!(cases.len() >= 130, "{} cases", cases.len());
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
