//! `oprc-crm policy explain` about what is done with the size of a component.

use serde_json::Value;

use super::{directory, run};

const SCENE: &str = "given: {profile: edge, features: {hpa: true}, component: {cpu_request: 0.5}, current: {replicas: 4}}\nstep: \
                     30s\nseries: [{signal: cpu, values: '1.5x40 6.0x6'}]\n";
const RECORD: &str = "apiVersion: oaas.io/v1alpha1\nkind: DeploymentRecord\nmetadata: {name: hello}\nspec:\n  functions: \
                      [{function_key: f, image: nginx, resources: {cpu_request: 250m}}]\n  nfr_requirements: \
                      {availability_pct: 99.95, min_throughput_rps: 10}\n";

fn explain(more: &[&str]) -> (i32, String, String) {
    let dir = directory(&[("scene.yaml", SCENE), ("record.yaml", RECORD)]);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (scene, record) = (path("scene.yaml"), path("record.yaml"));
    let more = more.iter().map(|word| if *word == "RECORD" { record.as_str() } else { word });
    run(&["explain", "--given", &scene].into_iter().chain(more).collect::<Vec<_>>())
}

#[test]
fn a_decision_is_explained_with_leaves_margins_window_bounds_and_limits() {
    let (code, out, errors) = explain(&["--target", "Safeguard/replicas", "--at", "20m30s"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    for line in [
        "decision   apply 8 by Safeguard/replicas/bounded-change",
        "bounded-change: 8 instead of 25",
        "signals.cpu.max_over(params.peak) = 6",
        "variables.request > 0.0: holds by 0.5",
        "Window up: 1 of 1 points, lowest 24.375",
        "signals.cpu.age() > params.freshness: 90s short",
        "bounded-change: at most 8, at least 3: binds",
        "25 -> 8 by Safeguard/replicas/bounded-change",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    // What is decided until then is done, so the next step starts from there.
    let (_, out, _) = explain(&["--target", "Safeguard/replicas", "--at", "21m"]);
    assert!(out.contains("field      8 replicas, set 30s ago"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours where it is no terminal");
}

#[test]
fn a_decision_is_explained_as_json_in_the_same_bytes_each_time() {
    let ask = || explain(&["--target", "Safeguard/replicas", "--at", "20m30s", "--format", "json"]);
    let (code, out, _) = ask();
    let answer: Value = serde_json::from_str(&out).unwrap();
    let at = |path: &str| answer.pointer(path).cloned().unwrap_or_default();
    assert_eq!(code, 0);
    assert_eq!(
        (at("/decision/action"), at("/decision/target"), at("/current")),
        ("apply".into(), 8.0.into(), 4.0.into())
    );
    assert_eq!(at("/decision/window/points/0/proposal"), at("/decision/recommendation/raw"));
    assert_eq!(at("/stabilize/down_s"), Value::from(180));
    assert_eq!(out, ask().1);
}

#[test]
fn a_record_gives_its_class_and_its_function_to_what_is_explained() {
    let (code, out, errors) = explain(&["--target", "Recommendation/replicas", "--record", "RECORD"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    assert!(out.contains("nfr.availability_pct = 99.95"), "{out}");
    assert!(out.contains("throughput could not be evaluated: signals.rps"), "{out}");
    let (_, out, _) = explain(&["--target", "Signal/rps", "--record", "RECORD"]);
    assert!(out.contains("required: without it nothing of the class shrinks"), "{out}");
    let (_, out, _) = explain(&["--target", "Signal/rps"]);
    assert!(out.contains("not required"), "{out}");
}

#[test]
fn what_can_not_be_explained_is_told_in_a_line() {
    for (more, wanted) in [
        (&["--target", "Safeguard/replica"][..], "the bundle has no such document; choose one of Signal/cpu"),
        (&["--target", "Safeguard/replicas", "--at", "50m"], "--at 50m: the last sample is at 23m"),
        (&["--target", "Safeguard/replicas", "--at", "soon"], "invalid value 'soon'"),
        (&["--target", "Safeguard/cpu", "--record", "/nonexistent"], "/nonexistent"),
    ] {
        let (code, _, errors) = explain(more);
        assert_eq!(code, 2, "{more:?}");
        assert!(errors.contains(wanted), "{more:?}: {errors}");
    }
    let dir = directory(&[("wrong.yaml", "series: [{signal: cpu, values: '1.0y3'}]\n")]);
    let wrong = dir.path().join("wrong.yaml");
    let (code, _, errors) = run(&["explain", "--target", "Safeguard/replicas", "--given", wrong.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(errors.contains("wrong.yaml:1:33") && errors.contains("\"1.0y3\" is no sample"), "{errors}");
}
