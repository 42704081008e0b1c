//! `oprc-crm policy test`: runs the tests of a bundle, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::origin::Refused;
use crate::cli::complain;
use crate::decision::{CaseReport, Coverage, TestRun, run_tests};
use crate::policy::Bundle;

/// Arguments of `policy test`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    bundle: super::BundleArgs,
    /// Form of the answer.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Report which rules and which outcomes of their conditions no case has seen.
    #[arg(long)]
    coverage: bool,
    /// Exit 1 below this share of rules or outcomes, percent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Test again whenever a file of the directory changes; Ctrl-C ends.
    #[arg(long)]
    watch: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JUnit's XML, as CI services read it.
    Junit,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args.watch {
        return super::watch::watch(&args.bundle.bundle, args.format == Format::Text, |read| test(args, read));
    }
    test(args, args.bundle.bundle.read())
}

fn test(args: &Args, read: Result<Bundle, Refused>) -> ExitCode {
    let tested = read.and_then(|bundle| {
        // Tests that drop out are missed nowhere but here.
        bundle.warnings().iter().for_each(|warning| complain(format_args!("{warning}\n")));
        Ok(run_tests(&bundle)?)
    });
    let run = match tested {
        Ok(run) => run,
        Err(Refused::Unreadable(error)) => return Refused::Unreadable(error).exit(),
        Err(Refused::Wrong(diagnostics)) => {
            complain(format_args!("{diagnostics}\n"));
            let message = "the bundle does not load, so no test ran";
            if args.format == Format::Text {
                super::line(message);
            } else {
                complain(message);
            }
            return ExitCode::from(1);
        }
    };
    let wanted = args.min_coverage.map(usize::from);
    let low = wanted.filter(|wanted| run.coverage.percent() < *wanted);
    match args.format {
        Format::Text => super::print(&text(&run, args.coverage || low.is_some())),
        Format::Json => super::line(&format!("{:#}", document(&run))),
        Format::Junit => super::print(&junit(&run)),
    }
    if let Some(wanted) = low {
        let percent = run.coverage.percent();
        complain(format_args!("the tests cover {percent} % of rules and outcomes, {wanted} % are asked for"));
    }
    if run.cases.is_empty() {
        complain("nothing was tested: the bundle has no test; write a document of kind Test for what it decides");
    }
    if failed(&run.cases) > 0 || run.cases.is_empty() || low.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn failed(cases: &[CaseReport]) -> usize {
    cases.iter().filter(|case| !case.faults.is_empty()).count()
}

/// The counts of cases stand alone on the last line: scripts read them.
fn text(run: &TestRun, coverage: bool) -> String {
    let mut out = String::new();
    for CaseReport { suite, case, place, faults } in &run.cases {
        if faults.is_empty() {
            let _ = writeln!(out, "ok    {suite}: {case}");
            continue;
        }
        let _ = writeln!(out, "FAIL  {suite}: {case}\n      at {place}");
        for fault in faults {
            let _ = writeln!(out, "      {fault}");
        }
    }
    if coverage {
        out.push_str(&covered(&run.coverage));
    }
    let failed = failed(&run.cases);
    let _ = writeln!(out, "{} passed, {failed} failed", run.cases.len() - failed);
    out
}

fn covered(coverage: &Coverage) -> String {
    let mut out = String::new();
    for missing in coverage.missing() {
        let _ = writeln!(out, "--    {missing}");
    }
    let ((rules, of_rules), (outcomes, of_outcomes)) = (coverage.evaluated(), coverage.outcomes());
    let percent = coverage.percent();
    let _ = writeln!(
        out,
        "coverage {percent} %: {rules} of {of_rules} rules evaluated, {outcomes} of {of_outcomes} outcomes seen"
    );
    out
}

fn document(run: &TestRun) -> Value {
    let cases: Vec<Value> = run
        .cases
        .iter()
        .map(|CaseReport { suite, case, place, faults }| {
            json!({"suite": suite, "case": case, "place": place, "passed": faults.is_empty(), "faults": faults})
        })
        .collect();
    let rules: Vec<Value> = run
        .coverage
        .rules()
        .map(|(name, seen)| {
            json!({
                "rule": name, "evaluated": seen.evaluated, "held": seen.held, "failed": seen.failed,
                "always": seen.always,
            })
        })
        .collect();
    let failed = failed(&run.cases);
    json!({
        "passed": run.cases.len() - failed, "failed": failed, "cases": cases,
        "coverage": {"percent": run.coverage.percent(), "missing": run.coverage.missing(), "rules": rules},
    })
}

fn junit(run: &TestRun) -> String {
    let mut suites: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
    for case in &run.cases {
        suites.entry(&case.suite).or_default().push(case);
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures) = (run.cases.len(), failed(&run.cases));
    let _ = writeln!(out, "<testsuites name=\"oprc-crm policy test\" tests=\"{tests}\" failures=\"{failures}\">");
    for (suite, cases) in suites {
        let failures = cases.iter().filter(|case| !case.faults.is_empty()).count();
        let name = xml(suite);
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\">", cases.len());
        for CaseReport { case, place, faults, .. } in cases {
            let head = format!("    <testcase classname=\"{name}\" name=\"{}\"", xml(case));
            match faults.first() {
                None => {
                    let _ = writeln!(out, "{head}/>");
                }
                Some(first) => {
                    let all = xml(&format!("{}\nat {place}", faults.join("\n")));
                    let first = xml(first);
                    let _ = writeln!(out, "{head}><failure message=\"{first}\">{all}</failure></testcase>");
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text within XML, also within quotes; what XML 1.0 can't hold becomes a question mark.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> TestRun {
        let case = |name: &str, faults: &[&str]| CaseReport {
            suite: "s".to_owned(),
            case: name.to_owned(),
            place: "t.yaml:3:5".to_owned(),
            faults: faults.iter().map(ToString::to_string).collect(),
        };
        TestRun {
            cases: vec![case("right", &[]), case("a < \"b\"", &["one & two\u{1}", "three"])],
            ..TestRun::default()
        }
    }

    #[test]
    fn junit_is_xml_with_every_failure() {
        assert_eq!(
            junit(&run()),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"oprc-crm policy test\" tests=\"2\" \
             failures=\"1\">\n  <testsuite name=\"s\" tests=\"2\" failures=\"1\">\n    <testcase classname=\"s\" \
             name=\"right\"/>\n    <testcase classname=\"s\" name=\"a &lt; &quot;b&quot;\"><failure message=\"one \
             &amp; two?\">one &amp; two?\nthree\nat t.yaml:3:5</failure></testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }

    #[test]
    fn text_ends_with_the_counts() {
        let text = text(&run(), true);
        assert!(
            text.ends_with("coverage 100 %: 0 of 0 rules evaluated, 0 of 0 outcomes seen\n1 passed, 1 failed\n"),
            "{text}"
        );
        assert!(text.contains("FAIL  s: a < \"b\"\n      at t.yaml:3:5\n      one & two"), "{text}");
    }
}
