//! What others change is put back; what belongs to others is not touched.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::class::{SOON, condition};
use crate::support::{eventually, from_json};
use crate::{IMAGE, start};

#[tokio::test]
async fn a_changed_field_is_put_back_within_seconds_with_an_event() {
    let (crm, ns) = start("drift").await;
    ns.apply("d", json!({"function": {"image": IMAGE}})).await;
    ns.available("d").await;
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "function", "image": "evil:1"}]}}}});
    ns.deployments().patch("d", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
    let note = ns.event("d", "DriftCorrected").await;
    assert!(note.contains("Deployment d") && note.contains("image"), "{note}");
    let deployment = serde_json::to_value(ns.deployment("d").await).unwrap();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], IMAGE);
    crm.stop().await;
}

#[tokio::test]
async fn a_child_deleted_by_hand_comes_back() {
    let (crm, ns) = start("deleted-child").await;
    ns.apply("d", json!({"function": {"image": IMAGE}})).await;
    ns.available("d").await;
    let before = ns.deployment("d").await.metadata.uid;
    ns.deployments().delete("d", &DeleteParams::default()).await.unwrap();
    ns.services().delete("d-svc", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "both are back", || async {
        let objects = ns.objects().await;
        let uid = ns.deployments().get_opt("d").await.unwrap().and_then(|one| one.metadata.uid);
        if objects == ["Deployment/d", "Service/d-svc"] && uid != before { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    ns.available("d").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_child_whose_labels_and_owner_were_taken_away_is_taken_back() {
    let (crm, ns) = start("stripped").await;
    ns.apply("d", json!({"function": {"image": IMAGE}})).await;
    ns.available("d").await;
    let labels = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    ns.deployments().patch("d", &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
    let owner = json!({"metadata": {"ownerReferences": null}});
    ns.services().patch("d-svc", &PatchParams::default(), &Patch::Merge(&owner)).await.unwrap();
    eventually(SOON, "label and owner are back", || async {
        let deployment = ns.deployment("d").await.metadata.labels.unwrap_or_default();
        let service = ns.services().get("d-svc").await.unwrap().metadata.owner_references.unwrap_or_default();
        let back = deployment.contains_key("app.kubernetes.io/managed-by") && service.len() == 1;
        if back { Ok(()) } else { Err(format!("{deployment:?} {service:?}")) }
    })
    .await;
    crm.stop().await;
}

#[tokio::test]
async fn a_strangers_object_is_never_touched_and_both_are_named() {
    let (crm, ns) = start("conflict").await;
    let labels = json!({"app": "mine"});
    let stranger: Deployment = from_json(json!({
        "metadata": {"name": "taken"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}},
    }));
    let before = ns.deployments().create(&PostParams::default(), &stranger).await.unwrap();
    ns.apply("taken", json!({"function": {"image": IMAGE}})).await;
    ns.apply("free", json!({"function": {"image": IMAGE}})).await;
    let status = ns.degraded("taken").await;
    let (state, reason, message) = condition(&status, "Degraded");
    assert_eq!((state, reason), ("True", "NameConflict"));
    assert!(message.contains("Deployment \"taken\"") && message.contains("DeploymentRecord \"taken\""), "{message}");
    ns.available("free").await;
    let after = ns.deployment("taken").await;
    assert_eq!(after.spec.unwrap().template, before.spec.unwrap().template);
    assert_eq!(after.metadata.owner_references, None);
    ns.delete("taken").await;
    eventually(SOON, "the record is gone", || async {
        ns.records().get_opt("taken").await.unwrap().map_or(Ok(()), |_| Err("still there"))
    })
    .await;
    assert!(ns.objects().await.contains(&"Deployment/taken".to_owned()), "the stranger's object stays");
    crm.stop().await;
}

#[tokio::test]
async fn an_object_owned_by_another_controller_is_a_conflict_that_names_it() {
    let (crm, ns) = start("owned").await;
    let cluster = crate::support::cluster().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), &ns.name);
    let owner = maps.create(&PostParams::default(), &from_json(json!({"metadata": {"name": "boss"}}))).await.unwrap();
    let service = json!({
        "metadata": {"name": "o-svc", "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "boss",
            "uid": owner.metadata.uid, "controller": true}]},
        "spec": {"ports": [{"port": 1}]},
    });
    ns.services().create(&PostParams::default(), &from_json(service)).await.unwrap();
    ns.apply("o", json!({"function": {"image": IMAGE}})).await;
    let status = ns.degraded("o").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "NameConflict");
    assert!(message.contains("ConfigMap \"boss\"") && message.contains("Service \"o-svc\""), "{message}");
    crm.stop().await;
}

#[tokio::test]
async fn what_others_add_to_a_selector_is_taken_out_again() {
    let (crm, ns) = start("selector").await;
    ns.apply("s", json!({"function": {"image": IMAGE}})).await;
    ns.available("s").await;
    let extra = json!({"spec": {"selector": {"extra": "boo"}}});
    ns.services().patch("s-svc", &PatchParams::default(), &Patch::Merge(&extra)).await.unwrap();
    let note = ns.event("s", "DriftCorrected").await;
    assert!(note.contains("Service s-svc") && note.contains("spec.selector"), "{note}");
    let selector = ns.services().get("s-svc").await.unwrap().spec.unwrap().selector.unwrap();
    assert!(!selector.contains_key("extra"), "{selector:?}");
    crm.stop().await;
}

#[tokio::test]
async fn a_status_that_others_wrote_is_put_right() {
    let (crm, ns) = start("status").await;
    ns.apply("s", json!({"function": {"image": IMAGE}})).await;
    ns.available("s").await;
    let hacked = json!({"status": {"phase": "Degraded", "message": "hacked"}});
    ns.records().patch_status("s", &PatchParams::default(), &Patch::Merge(&hacked)).await.unwrap();
    let status = ns.status("s", "right again", |status| status.message.as_deref() != Some("hacked")).await;
    assert_eq!(status.phase, Some(oprc_crm::api::Phase::Available));
    crm.stop().await;
}
