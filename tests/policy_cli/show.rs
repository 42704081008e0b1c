//! `policy show`: what is in effect, and where each part of it comes from.

use std::process::Command;

use serde_json::Value;

use crate::{OVERLAY, directory, run};

const CHANGES: &str = "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: mine}\nspec:\n  extends: builtin\n  \
                       metadata: {commit: 3f2a91c04d7e}\n  params:\n    max_replicas: 30\n    Template/edge: {rps: 500}\n";

/// Runs `policy show` with these variables and no others of the controller.
fn show(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oprc-crm"));
    command.args(["policy", "show"]).args(args).env_clear().envs(variables.iter().copied());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn param<'a>(answer: &'a Value, document: Option<&str>, name: &str) -> &'a Value {
    let within = match document {
        None => &answer["params"],
        Some(document) => {
            let all = answer["documents"].as_array().unwrap();
            &all.iter().find(|one| one["name"] == document).unwrap()["params"]
        }
    };
    within.as_array().unwrap().iter().find(|param| param["name"] == name).unwrap()
}

#[test]
fn a_value_is_shown_with_its_origin_and_all_that_it_stands_in_place_of() {
    let dir = directory(&[("bundle.yaml", CHANGES)]);
    let path = dir.path().to_str().unwrap();
    let (code, out, errors) = show(&[path, "--format", "json"], &[("OPRC_CRM_LIMITS_MAX_REPLICAS", "12")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&out).unwrap();
    let limit = param(&answer, None, "max_replicas");
    assert_eq!((&limit["value"], &limit["origin"]), (&"12".into(), &"OPRC_CRM_LIMITS_MAX_REPLICAS".into()));
    assert_eq!((&limit["min"], &limit["max"]), (&"1".into(), &"10000".into()));
    let beneath: Vec<(&Value, &Value)> =
        limit["in_place_of"].as_array().unwrap().iter().map(|one| (&one["value"], &one["origin"])).collect();
    assert_eq!(beneath, [(&"30".into(), &"bundle.yaml".into()), (&"20".into(), &"default".into())]);
    assert_eq!(answer["environment"], serde_json::json!(["OPRC_CRM_LIMITS_MAX_REPLICAS"]));
    let rps = param(&answer, Some("Template/edge"), "rps");
    assert_eq!(rps["place"], format!("{path}/bundle.yaml:9:26"));
    assert_eq!(rps["declared"], "builtin/templates/edge.yaml:10:5");

    let (code, out, _) = show(&[path], &[]);
    assert_eq!(code, 0);
    assert!(out.contains(&format!("500 ({path}/bundle.yaml:9:26), in place of 300 (default); min 1")), "{out}");
    assert!(out.contains("environment sets no param"), "{out}");
    assert!(out.contains("\nTemplate/edge  builtin/templates/edge.yaml:"), "{out}");
}

#[test]
fn the_environment_counts_as_it_does_for_the_controller_and_can_be_left_out() {
    let dir = directory(&[("bundle.yaml", OVERLAY)]);
    let path = dir.path().to_str().unwrap();
    let variables = [
        ("OPRC_CRM_POLICY_DIR", path),
        ("OPRC_CRM_PROFILE", "edge"),
        ("OPRC_CRM_LIMITS_MAX_REPLICAS", "12"),
        ("OPRC_CRM_POLICY_COMMIT", "v1.4"),
    ];
    let (_, out, _) = show(&[], &variables);
    let head: Vec<&str> = out.lines().take(4).collect();
    assert_eq!(head[0], format!("bundle      {path}"));
    assert!(head[1].contains('+') && head[1].ends_with("@v1.4"), "{out}");
    assert_eq!(head[2..], ["profile     edge", "environment OPRC_CRM_LIMITS_MAX_REPLICAS"]);
    let (_, out, _) = show(&["--no-env"], &variables);
    let head: Vec<&str> = out.lines().take(4).collect();
    assert_eq!((head[0], head[2], head[3]), ("bundle      builtin", "profile     dev", "environment left out"));
    assert!(out.contains("max_replicas") && out.contains("20 (default)"), "{out}");
    let (code, _, errors) = show(&[], &[("OPRC_CRM_PROFILE", "moon")]);
    assert_eq!(code, 2);
    assert!(errors.contains("OPRC_CRM_PROFILE"), "{errors}");
}

#[test]
fn yaml_and_json_say_the_same_and_the_revision_is_that_of_the_check() {
    let (_, json, _) = show(&["--format", "json"], &[]);
    let (_, yaml, _) = show(&["--format", "yaml"], &[]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_saphyr::from_str::<Value>(&yaml).unwrap());
    let (_, checked, _) = run(&["check"]);
    assert!(checked.contains(&format!("revision {}", json["revision"].as_str().unwrap())), "{checked}");
    let edge = json["documents"].as_array().unwrap().iter().find(|one| one["name"] == "Template/edge").unwrap();
    let rule = edge["entries"].as_array().unwrap().iter().find(|entry| entry["id"] == "profile").unwrap();
    assert_eq!(rule["path"], "score");
    assert_eq!(rule["says"], serde_json::json!({"when": "profile == \"edge\"", "add": "100"}));
}

#[test]
fn what_cannot_be_shown_is_told() {
    let (code, out, errors) = show(&["/nonexistent"], &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("/nonexistent: ") && errors.lines().count() == 1, "{errors}");
    let broken = directory(&[("a.yaml", "kind: Admision\n")]);
    let (code, _, errors) = show(&[broken.path().to_str().unwrap()], &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("did you mean Admission?"), "{errors}");
}
