//! `oprc-crm policy`: exit codes and output that scripts rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

mod audit;
mod backtest;
mod cluster;
mod diff;
#[path = "../support/lines.rs"]
mod lines;
mod pages;
mod schema;
mod show;
mod sizes;
mod watch;

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_oprc-crm")).arg("policy").args(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

const OVERLAY: &str =
    "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: mine}\nspec: {extends: builtin}\n";

#[test]
fn check_says_by_its_exit_code_whether_a_bundle_is_right() {
    assert_eq!(run(&["check"]).0, 0);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    assert_eq!(run(&["check", shipped.to_str().unwrap(), "--deny-warnings"]).0, 0);
    assert_eq!(run(&["check", "/nonexistent"]).0, 2);
    let broken = directory(&[("a.yaml", "kind: Admision\n")]);
    let (code, _, errors) = run(&["check", broken.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(errors.contains("a.yaml:1:7") && errors.contains("did you mean Admission?"), "{errors}");
}

#[test]
fn check_does_not_wait_for_a_file_that_nobody_writes() {
    let dir = directory(&[("bundle.yaml", OVERLAY)]);
    let fifo = dir.path().join("z.yaml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let check = ["30", env!("CARGO_BIN_EXE_oprc-crm"), "policy", "check", dir.path().to_str().unwrap()];
    let Output { status, stderr, .. } = Command::new("timeout").args(check).output().unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("z.yaml") && errors.contains("is no regular file"), "{errors}");
}

#[test]
fn check_answers_for_machines() {
    let rule = "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {name: a}\nspec:\n  rules:\n    - {id: r, \
                deny: nfr.max_latency_ms > 1.0, message: \"'m'\"}\n";
    let dir = directory(&[("bundle.yaml", OVERLAY), ("a.yaml", rule)]);
    let dir = dir.path().to_str().unwrap();
    let answer = |format: &str| {
        let (code, out, errors) = run(&["check", dir, "--format", format]);
        assert_eq!((code, errors.as_str()), (1, ""), "{format}");
        out
    };
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let document = parse(&answer("json"));
    let first = document.pointer("/diagnostics/0").unwrap();
    let field = |name: &str| first.get(name).cloned().unwrap();
    assert_eq!(document.get("errors"), Some(&1.into()));
    assert_eq!(field("message"), "`nfr.max_latency_ms` may be absent");
    assert_eq!((field("severity"), field("rule")), ("error".into(), "unguarded".into()));
    assert_eq!((field("line"), field("column"), field("width")), (6.into(), 21.into(), 18.into()));
    assert_eq!(field("help"), "guard it: has(nfr.max_latency_ms) && ...");
    let github = answer("github");
    assert!(github.starts_with("::error file=") && github.contains("a.yaml,line=6,col=21,"), "{github}");
    let sarif = parse(&answer("sarif"));
    let region = sarif.pointer("/runs/0/results/0/locations/0/physicalLocation/region/startLine");
    assert_eq!(region, Some(&6.into()));
    let (code, out, _) = run(&["check", "--format", "json"]);
    let right = parse(&out);
    assert_eq!((code, right.pointer("/errors"), right.pointer("/warnings")), (0, Some(&0.into()), Some(&0.into())));
    assert!(right.pointer("/bundle/revision").is_some_and(serde_json::Value::is_string), "{out}");
}

#[test]
fn test_ends_with_the_counts_alone_on_a_line() {
    let (code, out, _) = run(&["test"]);
    assert_eq!(code, 0);
    let last = out.lines().last().unwrap();
    assert!(last.ends_with(" passed, 0 failed"), "{last}");
    let suite = "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: mine}\nspec:\n  target: Template\n  \
                 cases:\n    - {name: wrong, given: {profile: edge}, expect: {template: full}}\n";
    let dir = directory(&[("bundle.yaml", OVERLAY), ("t.yaml", suite)]);
    let (code, out, _) = run(&["test", dir.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("expected template full, got edge (edge (score 100): profile)"), "{out}");
    assert!(out.lines().last().unwrap().ends_with(" passed, 1 failed"));
}

#[test]
fn test_reports_for_machines_and_gates_on_coverage() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let (code, out, _) = run(&["test", shipped.to_str().unwrap(), "--min-coverage", "100", "--coverage"]);
    assert_eq!(code, 0);
    assert!(out.lines().any(|line| line.starts_with("coverage 100 %: ")), "{out}");
    let rule = "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {name: extra}\nspec:\n  rules:\n    - {id: r, \
                deny: features.mtls, message: \"'m'\"}\n";
    let dir = directory(&[("bundle.yaml", OVERLAY), ("a.yaml", rule)]);
    let dir = dir.path().to_str().unwrap();
    assert_eq!(run(&["test", dir]).0, 0);
    let (code, out, errors) = run(&["test", dir, "--min-coverage", "100"]);
    assert_eq!(code, 1);
    assert!(out.contains("Admission/extra/r is never evaluated"), "{out}");
    assert!(errors.contains("100 % are asked for"), "{errors}");
    let (_, out, _) = run(&["test", dir, "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer.pointer("/failed"), Some(&0.into()));
    assert_eq!(answer.pointer("/coverage/missing/0"), Some(&"Admission/extra/r is never evaluated".into()));
    let (code, out, _) = run(&["test", dir, "--format", "junit"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("<?xml") && out.contains("<testsuite name=\"templates\""), "{out}");
}

#[test]
fn test_drops_the_shipped_suites_of_what_an_overlay_changes_and_no_others() {
    let tested = |params: &str, documents: &str| {
        let overlay = OVERLAY.replace("builtin}", &format!("builtin, params: {params}}}"));
        let dir = directory(&[("bundle.yaml", &overlay), ("own.yaml", documents)]);
        run(&["test", dir.path().to_str().unwrap()])
    };
    let (code, out, errors) = tested("{Template/edge: {rps: 500}}", "");
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains("ok    images: ") && !out.contains("  templates: "), "{out}");
    let dropped = "the shipped tests `templates` of Template drop out: this bundle overrides `rps` of Template/edge";
    assert!(errors.contains(dropped), "{errors}");
    assert_eq!(errors.matches("drop out").count(), 1, "{errors}");

    for params in ["{max_replicas: 40}", "{Bundle/shipped: {max_replicas: 40}}"] {
        let (code, out, errors) = tested(params, "");
        assert_eq!(code, 0, "{out}{errors}");
        assert!(out.contains("ok    images: ") && !out.contains("  scale: "), "{out}");
        for reader in ["Admission/scale", "Safeguard/replicas", "Template/edge"] {
            assert!(errors.contains(&format!("changes the param `max_replicas`, which {reader} reads")), "{errors}");
        }
        assert_eq!(errors.matches("drop out").count(), 3, "{errors}");
    }

    let own = "apiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {name: mine}\nspec: {workload: {kind: \
               Deployment, replicas: 1.0}}\n";
    let (_, _, errors) = tested("{}", own);
    assert!(errors.contains("`templates` of Template drop out: this bundle has its own Template/mine"), "{errors}");
}

#[test]
fn a_bundle_without_a_test_fails_its_tests() {
    let template = "apiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {name: dev}\nspec: {workload: {kind: \
                    Deployment, replicas: 1.0}}\n";
    let dir = directory(&[("dev.yaml", template)]);
    let (code, out, errors) = run(&["test", dir.path().to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (1, "0 passed, 0 failed\n"));
    assert!(errors.contains("nothing was tested: the bundle has no test"), "{errors}");
}

#[test]
fn a_reader_of_the_errors_that_went_away_changes_no_exit_code() {
    let broken = directory(&[("a.yaml", "kind: Admision\n")]);
    let broken = broken.path().to_str().unwrap();
    for (args, expected) in [
        (vec!["check", broken], 1),
        (vec!["test", broken], 1),
        (vec!["check", "/nonexistent"], 2),
        (vec!["explain", "--record", "/nonexistent"], 2),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
        let status = command.arg("policy").args(&args).stderr(writer).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{args:?}");
    }
}

#[test]
fn explain_answers_in_text_and_json() {
    let record = "apiVersion: oaas.io/v1alpha1\nkind: DeploymentRecord\nmetadata: {name: hello}\nspec:\n  function: \
                  {image: nginx}\n  nfr_requirements: {min_throughput_rps: 400}\n";
    let dir = directory(&[("r.yaml", record)]);
    let file = dir.path().join("r.yaml");
    let file = file.to_str().unwrap();
    let (code, out, _) = run(&["explain", "--record", file, "--profile", "edge"]);
    assert_eq!(code, 0);
    assert!(out.contains("edge (score 120): profile, throughput"), "{out}");
    assert!(out.contains("nfr.min_throughput_rps = 400, params.rps = 300"), "{out}");
    assert!(out.contains("nfr.min_throughput_rps >= params.rps: holds by 100"), "{out}");
    assert!(out.contains("nfr.min_throughput_rps >= params.full_rps: 1100 short"), "{out}");
    // What holds is marked alike in every kind: a rule that refuses nothing does not hold.
    let marks = |rule: &str| out.lines().find(|line| line.contains(rule)).and_then(|line| line.get(4..6));
    assert_eq!((marks("  throughput "), marks("  images/empty ")), (Some("ok"), Some("--")), "{out}");
    assert!(out.contains("class.odgm.replica_count = absent"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours where it is no terminal");
    let (code, out, _) = run(&["explain", "--record", file, "--profile", "edge", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, answer.pointer("/template/name").and_then(|name| name.as_str())), (0, Some("edge")));
    let margins: Vec<&serde_json::Value> = answer
        .pointer("/candidates")
        .and_then(|all| all.as_array())
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("rules")?.as_array())
        .flatten()
        .filter(|rule| rule.get("rule").is_some_and(|name| name == "Template/edge/throughput"))
        .filter_map(|rule| rule.pointer("/margins/0/distance"))
        .collect();
    assert_eq!(margins, [&serde_json::Value::from(100.0)]);
    assert_eq!(run(&["explain", "--record", "/nonexistent"]).0, 2);
}
