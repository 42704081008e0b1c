//! Replicas have an owner of their own.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::class::SOON;
use crate::support::eventually;
use crate::{IMAGE, start};

#[tokio::test]
async fn a_persons_number_is_held_said_once_and_handed_back() {
    let (crm, ns) = start("scale").await;
    ns.apply("s", json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 2}]})).await;
    ns.available("s").await;
    // What `kubectl scale` sends.
    let scale = json!({"spec": {"replicas": 4}});
    ns.deployments().patch_scale("s", &PatchParams::default(), &Patch::Merge(&scale)).await.unwrap();
    let note = ns.event("s", "ScaleHeld").await;
    assert!(note.contains("4 replicas") && note.contains("wants 2"), "{note}");
    ns.apply("s", json!({"functions": [{"function_key": "f", "image": "docker.io/library/nginx:1.28", "replicas": 2}]})).await;
    let status = ns.available("s").await;
    assert_eq!(status.ready_summary.as_deref(), Some("4/4"), "an update leaves the number alone");
    let held = ns.events("s").await.into_iter().filter(|(reason, _)| reason == "ScaleHeld").count();
    assert_eq!(held, 1);
    let back = json!({"spec": {"replicas": 2}});
    ns.deployments().patch_scale("s", &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    eventually(SOON, "nothing is held any more", || async {
        let status = ns.records().get("s").await.unwrap().status.unwrap_or_default();
        let message = status.message.unwrap_or_default();
        if message.contains("stays at") { Err(message) } else { Ok(()) }
    })
    .await;
    crm.stop().await;
}

#[tokio::test]
async fn the_number_never_passes_through_the_default() {
    let (crm, ns) = start("never-one").await;
    let spec = |replicas: u32, image: &str| json!({"functions": [{"function_key": "f", "image": image, "replicas": replicas}]});
    ns.apply("s", spec(3, IMAGE)).await;
    ns.available("s").await;
    ns.apply("s", spec(5, "docker.io/library/nginx:1.28")).await;
    ns.available("s").await;
    ns.apply("s", spec(2, "docker.io/library/nginx:1.29")).await;
    ns.available("s").await;
    // A ReplicaSet's events of the Deployment controller tell each number that it was asked for.
    let cluster = crate::support::cluster().await;
    let events: kube::Api<k8s_openapi::api::core::v1::Event> = kube::Api::namespaced(cluster.admin(), &ns.name);
    let scaled: Vec<String> = events.list(&Default::default()).await.unwrap().items.into_iter()
        .filter(|event| event.reason.as_deref() == Some("ScalingReplicaSet")).filter_map(|event| event.message).collect();
    assert!(!scaled.is_empty());
    let generation = ns.deployment("s").await.metadata.generation.unwrap();
    assert!(generation <= 5, "one change of the template and one of the number each: generation {generation}, {scaled:#?}");
    crm.stop().await;
}
