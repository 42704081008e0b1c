//! A record that goes takes everything along.

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use oprc_crm::api::DeploymentRecord;
use serde_json::json;

use crate::{IMAGE, start};

#[tokio::test]
async fn deleting_a_record_leaves_nothing_and_says_so() {
    let (crm, ns) = start("delete").await;
    ns.apply("a", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
    ns.available("a").await;
    ns.delete("a").await;
    ns.nothing_left("a").await;
    ns.event("a", "Deleted").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_record_deleted_before_it_was_ready_leaves_nothing() {
    let (crm, ns) = start("delete-early").await;
    for index in 0..5 {
        ns.apply("a", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
        tokio::time::sleep(std::time::Duration::from_millis(60 * index)).await;
        ns.delete("a").await;
        ns.nothing_left("a").await;
    }
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_followed_can_be_deleted() {
    let (crm, ns) = start("delete-bad").await;
    ns.apply("good", json!({"function": {"image": IMAGE}})).await;
    ns.available("good").await;
    ns.apply("good", json!({"function": {"image": "not an image"}})).await;
    ns.degraded("good").await;
    assert_eq!(ns.objects().await, ["Deployment/good", "Service/good-svc"], "what runs is left as it is");
    ns.delete("good").await;
    ns.nothing_left("good").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_frozen_record_with_a_hashed_name_leaves_nothing_though_its_child_lost_its_owner() {
    let (crm, ns) = start("delete-hash").await;
    // A name as an id that starts with a digit gets it: it ends like a hash.
    let name = "c-9start-13558fc660";
    ns.apply(name, json!({"function": {"image": IMAGE}})).await;
    ns.available(name).await;
    ns.apply(name, json!({"function": {"image": "NOT AN IMAGE"}})).await;
    ns.degraded(name).await;
    let owner = json!({"metadata": {"ownerReferences": null}});
    ns.deployments().patch(name, &PatchParams::default(), &Patch::Merge(&owner)).await.unwrap();
    ns.delete(name).await;
    ns.nothing_left(name).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_others_hold_says_that_nothing_of_it_is_left() {
    let (crm, ns) = start("delete-held").await;
    ns.apply("a", json!({"function": {"image": IMAGE}})).await;
    ns.available("a").await;
    let theirs = json!({"metadata": {"finalizers": ["example.com/theirs", "oaas.io/finalizer"]}});
    ns.records().patch("a", &PatchParams::default(), &Patch::Merge(&theirs)).await.unwrap();
    ns.delete("a").await;
    ns.event("a", "Deleted").await;
    let record = ns.records().get("a").await.unwrap();
    assert_eq!(record.metadata.finalizers.as_deref(), Some(&["example.com/theirs".to_owned()][..]));
    assert!(record.typed_status().resource_refs.is_empty(), "{:?}", record.typed_status());
    assert!(ns.objects().await.is_empty());
    let gone = json!({"metadata": {"finalizers": null}});
    ns.records().patch("a", &PatchParams::default(), &Patch::Merge(&gone)).await.unwrap();
    ns.nothing_left("a").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_brought_the_finalizer_along_or_lost_its_managers_can_be_deleted() {
    let (crm, ns) = start("delete-brought").await;
    // As `kubectl get -o yaml` exports it and `kubectl create` brings it in again.
    let export: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
        "metadata": {"name": "brought", "finalizers": ["oaas.io/finalizer"]},
        "spec": {"function": {"image": IMAGE}},
    }))
    .unwrap();
    let by_people = PostParams { field_manager: Some("kubectl-create".to_owned()), ..PostParams::default() };
    let resource = ApiResource::erase::<DeploymentRecord>(&());
    let records: Api<DynamicObject> = Api::namespaced_with(ns.client.clone(), &ns.name, &resource);
    records.create(&by_people, &export).await.unwrap();
    ns.apply("wiped", json!({"function": {"image": IMAGE}})).await;
    for name in ["brought", "wiped"] {
        ns.available(name).await;
    }
    let nobodys = json!({"metadata": {"managedFields": [{}]}});
    ns.records().patch("wiped", &PatchParams::default(), &Patch::Merge(&nobodys)).await.unwrap();
    for name in ["brought", "wiped"] {
        ns.delete(name).await;
    }
    for name in ["brought", "wiped"] {
        ns.nothing_left(name).await;
        ns.event(name, "Deleted").await;
    }
    crm.stop().await;
}
