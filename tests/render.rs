//! `oprc-crm render` as people run it. The samples' manifests are in `tests/golden`; after a wanted change,
//! `OPRC_UPDATE_GOLDEN=1 cargo test --test render` writes them anew (never where `CI` is set): read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PROFILES: [&str; 3] = ["dev", "edge", "full"];
/// Name of the golden files of what samples become where they ask for Knative.
const KNATIVE: &str = "knative";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
    // What is set where the tests run must not show.
    command.current_dir(root()).env_clear().arg("render");
    command
}

fn render(args: &[&str]) -> Output {
    crm().args(args).output().unwrap()
}

fn render_text(text: &str, args: &[&str]) -> Output {
    let mut child = crm()
        .args(["-f", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A sample that asks for Knative, in a cluster that has it.
fn render_knative(sample: &str) -> Output {
    let text = fs::read_to_string(root().join(format!("k8s/samples/{sample}.yaml"))).unwrap();
    let asked = text.trim_end().to_owned() + "\n  selected_template: knative\n";
    render_text(&asked, &["--features", "odgm,knative", "--installed", "knative"])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn manifests(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    serde_saphyr::from_multiple(&stdout(output)).unwrap()
}

fn samples() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("k8s/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn record(name: &str, spec: &str) -> String {
    format!("apiVersion: oaas.io/v1alpha1\nkind: DeploymentRecord\nmetadata: {{name: {name}}}\nspec:\n{spec}\n")
}

#[test]
fn the_samples_render_to_what_is_committed() {
    let update = std::env::var_os("OPRC_UPDATE_GOLDEN").is_some();
    assert!(!(update && std::env::var_os("CI").is_some()), "CI compares, it never writes: unset OPRC_UPDATE_GOLDEN");
    let mut wrong = Vec::new();
    let samples = samples();
    assert!(samples.len() >= 4, "{samples:?}");
    for sample in &samples {
        for profile in PROFILES.into_iter().chain([KNATIVE]) {
            let output = match profile {
                KNATIVE => render_knative(sample),
                profile => render(&["-f", &format!("k8s/samples/{sample}.yaml"), "--profile", profile]),
            };
            assert!(output.status.success(), "{sample} in {profile}: {}", stderr(&output));
            let path = root().join(format!("tests/golden/{sample}.{profile}.yaml"));
            if update {
                fs::write(&path, stdout(&output)).unwrap();
            } else if fs::read_to_string(&path).ok() != Some(stdout(&output)) {
                wrong.push(path.display().to_string());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these are not what the samples render to now:\n  {}\nwhere the change is wanted: \
         OPRC_UPDATE_GOLDEN=1 cargo test --test render, then read the diff",
        wrong.join("\n  ")
    );
}

#[test]
fn no_golden_file_is_left_without_its_sample() {
    let samples = samples();
    for entry in fs::read_dir(root().join("tests/golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut profiles = PROFILES.into_iter().chain([KNATIVE]);
        let known = profiles.any(|profile| samples.iter().any(|sample| name == format!("{sample}.{profile}.yaml")));
        assert!(known, "tests/golden/{name} belongs to no sample");
    }
}

#[test]
fn replicas_are_filled_in_and_follow_the_profile() {
    for (profile, replicas) in [("dev", 1), ("edge", 2), ("production", 3)] {
        let manifests = manifests(&render(&["-f", "k8s/samples/minimal.yaml", "--profile", profile]));
        let deployment = manifests.iter().find(|one| one["kind"] == "Deployment").unwrap();
        assert_eq!(deployment["spec"]["replicas"], replicas, "{profile}");
    }
}

#[test]
fn requirements_lift_a_class_out_of_its_profile() {
    let output = render(&["-f", "k8s/samples/requirements.yaml", "--profile", "edge"]);
    assert!(stdout(&output).starts_with("# payments: template full (score "), "{}", stdout(&output));
}

#[test]
fn the_namespace_of_the_command_wins() {
    for manifest in manifests(&render(&["-f", "k8s/samples/odgm.yaml", "--namespace", "team"])) {
        assert_eq!(manifest["metadata"]["namespace"], "team");
    }
}

#[test]
fn the_shipped_bundle_gives_the_same_bytes_built_in_and_from_its_directory() {
    let built_in = render(&["-f", "k8s/samples/odgm.yaml", "-p", "edge"]);
    let directory = render(&["-f", "k8s/samples/odgm.yaml", "-p", "edge", "--bundle", "policies"]);
    assert!(built_in.status.success() && !built_in.stdout.is_empty());
    assert_eq!(stdout(&built_in), stdout(&directory), "{}", stderr(&directory));
}

#[test]
fn without_the_feature_no_data_grid_is_rendered_and_it_is_said() {
    let with = render(&["-f", "k8s/samples/odgm.yaml"]);
    assert_eq!(manifests(&with).len(), 4);
    let without = render(&["-f", "k8s/samples/odgm.yaml", "--features", "none"]);
    assert_eq!(manifests(&without).len(), 2);
    assert!(stderr(&without).contains("sessions: warning: "), "{}", stderr(&without));
}

#[test]
fn a_bad_record_is_told_with_its_line_and_the_good_ones_are_rendered() {
    let text = format!(
        "{}---\n{}---\n{}",
        record("good", "  function: {image: a}"),
        record("bad", "  function:\n    image: a\n    port: 70000"),
        record("lost", "  function: {image: a}\n  selected_template: nowhere"),
    );
    let output = render_text(&text, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("<stdin>:13: spec.function.port: 70000 is above 65535"), "{told}");
    assert!(told.contains("lost: spec.selected_template: there is no template \"nowhere\""), "{told}");
    assert!(stdout(&output).contains("name: good-svc") && !stdout(&output).contains("bad"), "{}", stdout(&output));
}

#[test]
fn what_is_no_record_and_what_is_no_yaml_is_an_error() {
    for (text, expected) in [
        ("kind: Namespace\n", "holds no DeploymentRecord"),
        ("", "holds no DeploymentRecord"),
        ("a: [1\n", "not valid YAML"),
        (&record("x", "  functions: []"), "<stdin>:5: spec.functions: a class needs a function"),
    ] {
        let output = render_text(text, &[]);
        assert_eq!(output.status.code(), Some(1), "{text:?}");
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{text:?}");
    }
}

#[test]
fn what_cannot_be_run_is_exit_2() {
    let missing = render(&["-f", "no-such-file.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).starts_with("no-such-file.yaml: cannot be read: "), "{}", stderr(&missing));
    let profile = render(&["-f", "k8s/samples/minimal.yaml", "--profile", "large"]);
    assert_eq!(profile.status.code(), Some(2));
    assert!(stderr(&profile).contains("choose one of dev, edge, full"), "{}", stderr(&profile));
}
