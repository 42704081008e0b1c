//! Bad records: a clear word that names the field; the others go on.

use serde_json::{Value, json};

use crate::support::class::condition;
use crate::{IMAGE, start};

#[tokio::test]
async fn what_can_never_work_is_refused_by_the_schema_with_the_field_named() {
    let (crm, ns) = start("schema").await;
    let function = json!({"image": IMAGE});
    let cases: Vec<(Value, &str)> = vec![
        (json!({}), "a class needs a function"),
        (json!({"functions": []}), "a class needs a function"),
        (json!({"function": function, "functions": [{"function_key": "f", "image": IMAGE}]}), "not both"),
        (json!({"functions": [{"function_key": "f"}]}), "every function needs an image"),
        (json!({"function": {"image": "  "}}), "must not be empty"),
        (json!({"function": {"image": IMAGE, "port": 0}}), "spec.function.port"),
        (json!({"function": {"image": IMAGE, "port": 70000}}), "spec.function.port"),
        (json!({"function": function, "odgm_config": {"partition_count": 0}}), "spec.odgm_config.partition_count"),
        (json!({"function": function, "nfr": {"enforcement": {"mode": "maybe"}}}), "spec.nfr.enforcement.mode"),
        (json!({"functions": [{"function_key": "f", "image": IMAGE, "env": {"BIG": "x".repeat(1 << 20)}}]}), "spec.functions[0].env"),
        (json!({"functions": [{"function_key": "f", "image": IMAGE, "min_scale": 3, "max_scale": 2}]}), "min_scale must not be above max_scale"),
    ];
    for (index, (spec, expected)) in cases.into_iter().enumerate() {
        let error = ns.try_apply(&format!("bad{index}"), spec).await.expect_err(expected).to_string();
        assert!(error.contains(expected), "expected {expected:?} in {error}");
    }
    assert!(ns.objects().await.is_empty());
    crm.stop().await;
}

#[tokio::test]
async fn bad_records_are_degraded_with_a_message_and_good_ones_beside_them_go_on() {
    let (crm, ns) = start("bad").await;
    let f = json!({"image": IMAGE});
    let cases = [
        // The schema has no upper bound here, the type has one: a record that does not deserialise.
        ("unreadable", json!({"functions": [{"function_key": "f", "image": IMAGE, "max_concurrency": 5_000_000_000_u64}]}), "InvalidRecord", "max_concurrency"),
        ("quantity", json!({"functions": [{"function_key": "f", "image": IMAGE, "resources": {"cpu_request": "lots"}}]}), "InvalidSpec", "spec.functions[0].resources.cpu_request"),
        ("addon", json!({"function": f, "addons": ["cache"]}), "InvalidSpec", "spec.addons[0]"),
        ("template", json!({"function": f, "selected_template": "huge"}), "NoTemplate", "edge"),
        ("taken-variable", json!({"functions": [{"function_key": "f", "image": IMAGE, "env": {"ODGM_SERVICE": "x"}}], "addons": ["odgm"]}), "RenderFailed", "ODGM_SERVICE"),
    ];
    for (name, spec, _, _) in &cases {
        ns.apply(name, spec.clone()).await;
    }
    ns.apply("good", json!({"function": f})).await;
    ns.available("good").await;
    for (name, _, reason, part) in &cases {
        let status = ns.degraded(name).await;
        let (state, seen, message) = condition(&status, "Degraded");
        assert_eq!((state, seen), ("True", *reason), "{name}: {message}");
        assert!(message.contains(part), "{name}: {message}");
        assert!(ns.event(name, "Degraded").await.contains(part));
    }
    assert_eq!(ns.objects().await, ["Deployment/good", "Service/good-svc"], "nothing half applied");
    crate::idle::settled(&crm).await;
    let before = crm.writes();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(crm.writes(), before, "no retry storm");
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_the_policy_denies_names_the_rule_and_nothing_is_rendered() {
    let (crm, ns) = start("denied").await;
    ns.apply("image", json!({"function": {"image": "Not An Image!"}})).await;
    let status = ns.degraded("image").await;
    let (state, reason, message) = condition(&status, "PolicyViolation");
    assert_eq!(state, "True");
    assert!(reason.starts_with("Admission:image"), "{reason}");
    assert!(message.contains("Admission/image"), "{message}");
    assert!(ns.event("image", "PolicyDenied").await.contains("Admission/image"));
    assert!(ns.objects().await.is_empty());
    ns.apply("image", json!({"function": {"image": IMAGE}})).await;
    let status = ns.available("image").await;
    assert_eq!(condition(&status, "PolicyViolation").0, "False");
    crm.stop().await;
}

#[tokio::test]
async fn knative_asked_for_without_it_is_denied_with_what_to_do() {
    let (crm, ns) = start("knative").await;
    ns.apply("k", json!({"function": {"image": IMAGE}, "selected_template": "knative"})).await;
    let status = ns.degraded("k").await;
    let message = status.message.unwrap_or_default().to_lowercase();
    assert!(message.contains("knative"), "{message}");
    assert!(ns.objects().await.is_empty());
    crm.stop().await;
}
