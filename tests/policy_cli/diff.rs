//! `policy diff`: what changed in meaning, between directories, the shipped bundle and git revisions.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{OVERLAY, directory, run};

/// A bundle of one template and one admission rule.
fn bundle(template: &str, admission: &str) -> tempfile::TempDir {
    let head = "apiVersion: policy.oaas.io/v1alpha1\nkind: ";
    let template = format!("{head}Template\nmetadata: {{name: dev}}\nspec:\n{template}");
    let admission = format!("{head}Admission\nmetadata: {{name: a}}\nspec:\n{admission}");
    directory(&[("dev.yaml", &template), ("a.yaml", &admission)])
}

const TEMPLATE: &str = "  params: {rps: {type: number, default: 300, min: 1}}\n  score:\n    - {id: rps, when: 'has(nfr.min_throughput_rps) \
                        && nfr.min_throughput_rps >= params.rps', add: 20}\n  workload: {kind: Deployment, replicas: 1.0, \
                        resources: {cpu_request: 1000m}}\n";
const ADMISSION: &str = "  rules:\n    - {id: mtls, deny: features.mtls, message: '\"no\"'}\n";

/// The text without the directories, and the code.
fn diff(before: &Path, after: &Path) -> (i32, String) {
    let (code, out, errors) = run(&["diff", before.to_str().unwrap(), after.to_str().unwrap()]);
    assert_eq!(errors, "");
    (code, out.replace(before.to_str().unwrap(), "A").replace(after.to_str().unwrap(), "B"))
}

#[test]
fn comments_form_and_order_change_nothing_in_meaning() {
    let before = bundle(TEMPLATE, ADMISSION);
    let template = "  # another hand\n  workload:\n    replicas: '1.0'   # one\n    kind: Deployment\n    resources: {cpu_request: 1}\n    \
                    probes: true\n  score:\n    - id: rps\n      mode: enforce\n      add: 20.0\n      when: >-\n        \
                    has(nfr.min_throughput_rps) &&\n        (nfr.min_throughput_rps>=params.rps)\n  params:\n    rps: {default: 300, \
                    type: number, min: 1.0, why: 'said now'}\n";
    let after = bundle(template, "  rules: [{id: mtls, message: '''no''', deny: 'features.mtls', mode: enforce}]\n");
    let (code, out) = diff(before.path(), after.path());
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains(" -> ") && out.ends_with("nothing changes in meaning\n"),
        "the revision is of the text: {out}"
    );
    assert_eq!(diff(before.path(), before.path()).1.lines().last(), Some("nothing changes in meaning"));
}

#[test]
fn params_rules_and_shapes_are_told_with_both_places() {
    let before = bundle(TEMPLATE, ADMISSION);
    let template = TEMPLATE
        .replace("default: 300, min: 1}}", "default: 500, min: 10, max: 900}}\n  profiles: {edge: {rps: 400}}")
        .replace("add: 20}", "add: 30}\n    - {id: more, mode: warn, when: features.hpa, add: 1}")
        .replace("replicas: 1.0", "replicas: 2.0, probes: false")
        .replace("1000m", "500m");
    let after = bundle(&template, &ADMISSION.replace("deny: features.mtls", "warn: '!features.mtls'"));
    let (code, out) = diff(before.path(), after.path());
    assert_eq!(code, 1);
    let (_, body) = out.split_once('\n').unwrap();
    assert_eq!(
        body,
        "\nAdmission/a\n  rule mtls: warn\n    + !features.mtls    B/a.yaml:6:12\n  rule mtls: deny\n    - features.mtls    \
         A/a.yaml:6:12\n\nTemplate/dev\n  param rps (profiles dev, full)\n    - 300 (default)    A/dev.yaml:5:12\n    + 500 \
         (default)    B/dev.yaml:5:12\n  param rps (profile edge)\n    - 300 (default)    A/dev.yaml:5:12\n    + 400 (profile edge)    \
         B/dev.yaml:6:26\n  param rps: min\n    - 1    A/dev.yaml:5:12\n    + 10    B/dev.yaml:5:12\n  param rps: max\n    + 900    \
         B/dev.yaml:5:12\n  rule rps: add\n    - 20    A/dev.yaml:7:12\n    + 30    B/dev.yaml:8:12\n  rule more\n    + mode: warn; when: \
         features.hpa; add: 1    B/dev.yaml:9:12\n  workload.replicas\n    - 1.0    A/dev.yaml:8:42\n    + 2.0    B/dev.yaml:10:42\n  \
         workload.resources.cpu_request\n    - 1000m    A/dev.yaml:8:72\n    + 500m    B/dev.yaml:10:87\n  workload.probes\n    - true \
         (default)    A/dev.yaml:8:13\n    + false    B/dev.yaml:10:55\n"
    );
}

#[test]
fn a_test_is_told_case_by_case() {
    let with = |cases: &str| {
        let dir = bundle(TEMPLATE, ADMISSION);
        let test = "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: t}\nspec:\n  target: Admission/a\n  cases:\n";
        fs::write(dir.path().join("t.yaml"), format!("{test}{cases}")).unwrap();
        dir
    };
    let before = with(
        "    - {name: on, given: {features: {mtls: true}}, expect: {deny: [mtls]}}\n    - {name: gone, expect: {deny: []}}\n",
    );
    let after = with("    - {name: new, expect: {deny: []}}\n    - {name: on, expect: {deny: []}}\n");
    let (code, out) = diff(before.path(), after.path());
    assert_eq!(code, 0, "tests decide nothing: {out}");
    let (_, tests) = out.split_once("tests, which decide nothing:\n").unwrap();
    assert_eq!(
        tests,
        "Test/t\n  case new\n    + expect: {deny: []}    B/t.yaml:7:14\n  case on: expect\n    - {deny: [mtls]}    A/t.yaml:7:14\n    \
         + {deny: []}    B/t.yaml:8:14\n  case on: given\n    - {features: {mtls: true}}    A/t.yaml:7:14\n  case gone\n    - expect: \
         {deny: []}    A/t.yaml:8:14\n"
    );
}

#[test]
fn machines_get_every_change_with_stable_keys() {
    let dir =
        directory(&[("bundle.yaml", &OVERLAY.replace("builtin}", "builtin, params: {Template/edge: {rps: 500}}}"))]);
    let path = dir.path().to_str().unwrap();
    let (code, out, _) = run(&["diff", "builtin", path, "--format", "json"]);
    assert_eq!(code, 1);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["same"], &answer["before"]["bundle"]), (&false.into(), &"builtin".into()));
    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{out}");
    let change = &changes[0];
    assert_eq!(
        (&change["document"], &change["part"], &change["name"]),
        (&"Template/edge".into(), &"param".into(), &"rps".into())
    );
    assert_eq!(change["before"]["text"], "300 (default)");
    assert_eq!(change["after"]["text"], "500 (bundle.yaml)");
    assert_eq!(
        answer["tests"][0]["document"], "Test/templates",
        "the shipped tests of what is changed drop out: {out}"
    );
}

#[test]
fn documents_that_come_and_go_are_told_and_what_is_wrong_is_not_compared() {
    let own = "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {name: own, description: Mine.}\nspec:\n  rules:\n    - {id: \
               r, deny: features.mtls, message: \"'m'\"}\n";
    let dir = directory(&[("bundle.yaml", OVERLAY), ("own.yaml", own)]);
    let path = dir.path().to_str().unwrap();
    let (code, out, _) = run(&["diff", "builtin", path]);
    assert_eq!(code, 1);
    assert!(out.ends_with(&format!("\n+ Admission/own    {path}/own.yaml:3:18\n")), "{out}");
    let (_, out, _) = run(&["diff", path, "builtin"]);
    assert!(out.contains(&format!("\n- Admission/own    {path}/own.yaml:3:18\n")), "{out}");
    let broken = directory(&[("a.yaml", "kind: Admision\n")]);
    let (code, out, errors) = run(&["diff", "builtin", broken.path().to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("did you mean Admission?"), "{errors}");
}

fn git(dir: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ]);
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_revision_of_git_is_compared_like_a_directory() {
    let repo = tempfile::tempdir().unwrap();
    let policies = repo.path().join("conf/policies");
    fs::create_dir_all(policies.join("sub")).unwrap();
    let with = |params: &str| OVERLAY.replace("builtin}", &format!("builtin, params: {{{params}}}}}"));
    let commit = |text: &str, message: &str| {
        fs::write(policies.join("sub/bundle.yaml"), text).unwrap();
        git(repo.path(), &["add", "."]);
        git(repo.path(), &["commit", "-q", "-m", message]);
    };
    git(repo.path(), &["init", "-q"]);
    fs::write(repo.path().join("conf/unrelated.yaml"), "not: a policy\n").unwrap();
    commit(&with("max_replicas: 30"), "first");
    git(repo.path(), &["tag", "v1"]);
    commit(&with("max_replicas: 40"), "second");
    let path = policies.to_str().unwrap();

    // Without a directory: that of the other.
    let (code, out, errors) = run(&["diff", "git:v1", path]);
    assert_eq!((code, errors.as_str()), (1, ""));
    assert!(out.contains("- 30 (bundle.yaml)    v1:") && out.contains("+ 40 (bundle.yaml)"), "{out}");
    assert_eq!(run(&["diff", "git:HEAD", path]).0, 0);
    assert_eq!(run(&["diff", &format!("git:v1:{path}"), "git:HEAD~1"]).0, 0);
    // Other commands take it too.
    let (code, out, _) = run(&["check", &format!("git:v1:{path}")]);
    assert_eq!(code, 0, "{out}");
    // Where the directory is gone since, the revision still has it.
    fs::remove_dir_all(&policies).unwrap();
    let (code, out, errors) = run(&["diff", &format!("git:v1:{path}"), "git:HEAD"]);
    assert_eq!(code, 1, "{out}{errors}");

    for (before, expected) in [
        (format!("git:v9:{path}"), "git knows no revision \"v9\""),
        (format!("git:v1:{path}/none"), "revision v1 has no *.yaml file in"),
        ("git:HEAD:/".to_owned(), "is in no git repository"),
    ] {
        let (code, out, errors) = run(&["diff", &before, "builtin"]);
        assert_eq!((code, out.as_str(), errors.lines().count()), (2, "", 1), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    let (code, _, errors) = run(&["diff", "git:", "builtin"]);
    assert_eq!(code, 2);
    assert!(errors.contains("write git:REVISION or git:REVISION:DIRECTORY"), "{errors}");
}
