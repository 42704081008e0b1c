//! The data grid: a Deployment of its own, told to the functions, gone when it is no longer asked for.

use serde_json::{Value, json};

use crate::support::class::{SOON, condition};
use crate::support::eventually;
use crate::{IMAGE, start, start_with};

fn spec(odgm: bool) -> Value {
    let mut spec = json!({"function": {"image": IMAGE, "port": 8080}});
    if odgm {
        spec["addons"] = json!(["odgm"]);
        spec["odgm_config"] =
            json!({"collections": ["sessions"], "partition_count": 4, "replica_count": 2, "shard_type": "raft"});
    }
    spec
}

#[tokio::test]
async fn a_class_with_a_data_grid_gets_it_beside_its_function_with_ports_that_agree() {
    let (crm, ns) = start("odgm").await;
    ns.apply("s", spec(true)).await;
    let status = ns.available("s").await;
    assert_eq!(ns.objects().await, ["Deployment/s", "Deployment/s-odgm", "Service/s-odgm-svc", "Service/s-svc"]);
    let odgm = status.odgm.expect("its status");
    assert_eq!((odgm.replicas, odgm.ready_replicas), (2, 2), "at least replica_count");
    assert_eq!(ns.env("s", "ODGM_ENABLED").await.as_deref(), Some("true"));
    assert_eq!(ns.env("s", "ODGM_SERVICE").await.as_deref(), Some("s-odgm-svc:8081"));
    assert_eq!(ns.env("s-odgm", "ODGM_HTTP_PORT").await.as_deref(), Some("8081"));
    assert_eq!(ns.env("s-odgm", "ODGM_CLUSTER_ID").await.as_deref(), Some("s"));
    let expected = r#"[{"name":"sessions","partition_count":4,"replica_count":2,"shard_type":"raft","shard_assignments":[],"options":{},"invocations":{"fn_routes":{}}}]"#;
    assert_eq!(ns.env("s", "ODGM_COLLECTION").await.as_deref(), Some(expected));
    assert_eq!(ns.env("s-odgm", "ODGM_COLLECTION").await.as_deref(), Some(expected));
    let service = serde_json::to_value(ns.services().get("s-odgm-svc").await.unwrap()).unwrap();
    assert_eq!((&service["spec"]["ports"][0]["port"], &service["spec"]["ports"][0]["targetPort"]), (&json!(8081), &json!(8081)));
    crm.stop().await;
}

#[tokio::test]
async fn the_data_grid_comes_and_goes_with_the_record_and_leaves_no_orphan() {
    let (crm, ns) = start("odgm-off").await;
    ns.apply("s", spec(false)).await;
    ns.available("s").await;
    ns.apply("s", spec(true)).await;
    ns.available("s").await;
    assert!(ns.objects().await.contains(&"Deployment/s-odgm".to_owned()));
    ns.apply("s", spec(false)).await;
    eventually(SOON, "the data grid is gone", || async {
        let objects = ns.objects().await;
        if objects == ["Deployment/s", "Service/s-svc"] { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    let status = ns.available("s").await;
    assert_eq!(status.odgm, None);
    assert_eq!(ns.env("s", "ODGM_ENABLED").await, None, "the function is no longer told of it");
    ns.delete("s").await;
    ns.nothing_left("s").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_data_grid_asked_for_while_the_feature_is_off_is_a_warning_and_not_rendered() {
    let (crm, ns) = start_with("odgm-feature", &[("OPRC_CRM_FEATURES_ODGM", "false")]).await;
    ns.apply("s", spec(true)).await;
    let status = ns.available("s").await;
    assert_eq!(ns.objects().await, ["Deployment/s", "Service/s-svc"]);
    let (violated, _, message) = condition(&status, "PolicyViolation");
    assert_eq!(violated, "False");
    assert!(message.to_lowercase().contains("odgm"), "{message}");
    assert!(ns.event("s", "PolicyWarning").await.to_lowercase().contains("odgm"));
    crm.stop().await;
}
