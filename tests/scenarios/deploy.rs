//! A class comes into being and tells how it is.

use serde_json::json;

use crate::support::class::condition;
use crate::{IMAGE, start};

#[tokio::test]
async fn a_minimal_record_becomes_available_with_conditions_events_and_refs() {
    let (crm, ns) = start("minimal").await;
    ns.apply("hello", json!({"function": {"image": IMAGE, "port": 80}})).await;
    let status = ns.available("hello").await;
    assert_eq!(status.selected_template.as_deref(), Some("edge"));
    assert_eq!(status.ready_summary.as_deref(), Some("2/2"));
    assert_eq!(condition(&status, "Available").0, "True");
    assert_eq!(condition(&status, "Degraded").0, "False");
    assert_eq!(condition(&status, "PolicyViolation").0, "False");
    assert_eq!(ns.objects().await, ["Deployment/hello", "Service/hello-svc"]);
    let refs: Vec<String> =
        status.resource_refs.iter().map(|one| format!("{}/{} {:?}", one.kind, one.name, one.health)).collect();
    assert_eq!(refs, ["Deployment/hello Healthy", "Service/hello-svc Healthy"]);
    assert!(ns.event("hello", "Applied").await.contains("created Deployment hello"));
    let selected = ns.event("hello", "TemplateSelected").await;
    let revision = status.decision.expect("a decision").policy_revision;
    assert!(selected.contains("edge") && selected.contains(&revision), "{selected}");
    crm.stop().await;
}

#[tokio::test]
async fn a_deployment_is_born_with_its_replicas_in_one_generation_and_the_scale_manager_owns_them() {
    let (crm, ns) = start("birth").await;
    ns.apply("born", json!({"function": {"image": IMAGE}})).await;
    ns.available("born").await;
    let deployment = ns.deployment("born").await;
    assert_eq!(deployment.metadata.generation, Some(1), "it never had another number");
    assert_eq!(crate::support::scaling::owners(&ns.deployments(), "born").await, ["oprc-crm-scale"]);
    crm.stop().await;
}

#[tokio::test]
async fn several_functions_each_get_a_deployment_a_service_and_a_status() {
    let (crm, ns) = start("several").await;
    let spec = json!({"functions": [
        {"function_key": "cart", "image": IMAGE, "port": 8000, "replicas": 1, "env": {"MODE": "fast"}},
        {"function_key": "Check Out", "image": IMAGE},
        {"function_key": "odgm", "container_image": IMAGE, "replicas": 1},
    ]});
    ns.apply("shop", spec).await;
    let status = ns.available("shop").await;
    let keys: Vec<(&str, i32)> = status.functions.iter().map(|f| (f.function_key.as_str(), f.ready_replicas)).collect();
    assert_eq!(keys, [("cart", 1), ("Check Out", 2), ("odgm", 1)]);
    let objects = ns.objects().await;
    assert_eq!(objects.len(), 6, "{objects:?}");
    assert!(
        objects.contains(&"Deployment/shop-cart".to_owned()) && objects.contains(&"Service/shop-cart-svc".to_owned())
    );
    assert!(!objects.contains(&"Deployment/shop-odgm".to_owned()), "that name is the data grid's: {objects:?}");
    assert_eq!(ns.env("shop-cart", "MODE").await.as_deref(), Some("fast"));
    crm.stop().await;
}

#[tokio::test]
async fn hints_lift_a_class_out_of_the_profiles_template_and_the_status_says_why() {
    let (crm, ns) = start("hints").await;
    let spec = json!({
        "function": {"image": IMAGE},
        "nfr_requirements": {"min_throughput_rps": 2000, "availability_pct": 99.99},
    });
    ns.apply("payments", spec).await;
    let status = ns.available("payments").await;
    assert_eq!(status.selected_template.as_deref(), Some("full"));
    assert_eq!(status.ready_summary.as_deref(), Some("3/3"));
    let trace = status.decision.expect("a decision").trace.join("\n");
    assert!(trace.contains("full") && trace.contains("edge"), "{trace}");
    crm.stop().await;
}

#[tokio::test]
async fn profile_dev_gives_one_replica_and_a_named_template_wins_over_it() {
    let (crm, ns) = crate::start_with("profile", &[("OPRC_CRM_PROFILE", "dev")]).await;
    ns.apply("plain", json!({"function": {"image": IMAGE}})).await;
    assert_eq!(ns.available("plain").await.selected_template.as_deref(), Some("dev"));
    assert_eq!(ns.deployment("plain").await.spec.expect("a spec").replicas, Some(1));
    ns.apply("named", json!({"function": {"image": IMAGE}, "selected_template": "prod"})).await;
    let status = ns.available("named").await;
    assert_eq!(status.selected_template.as_deref(), Some("full"), "prod is an alias of full");
    crm.stop().await;
}

#[tokio::test]
async fn profile_full_picks_full() {
    let variables = [("OPRC_CRM_PROFILE", "full")];
    let (crm, ns) = crate::start_with("full", &variables).await;
    ns.apply("big", json!({"function": {"image": IMAGE}})).await;
    assert_eq!(ns.available("big").await.selected_template.as_deref(), Some("full"));
    crm.stop().await;
}
