//! Replicas have an owner of their own.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::support::class::SOON;
use crate::support::crm::Crm;
use crate::support::eventually;
use crate::support::scaling::{Numbers, owners};
use crate::{IMAGE, start, support};

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
    ns.apply(
        "s",
        json!({"functions": [{"function_key": "f", "image": "docker.io/library/nginx:1.28", "replicas": 2}]}),
    )
    .await;
    let status = ns.available("s").await;
    assert_eq!(status.ready_summary.as_deref(), Some("4/4"), "an update leaves the number alone");
    let held = ns.events("s").await.into_iter().filter(|(reason, _)| reason == "ScaleHeld").count();
    assert_eq!(held, 1);
    let back = json!({"spec": {"replicas": 2}});
    ns.deployments().patch_scale("s", &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    eventually(SOON, "nothing is held any more", || async {
        let status = ns.records().get("s").await.unwrap().typed_status();
        let message = status.message.unwrap_or_default();
        if message.contains("stays at") { Err(message) } else { Ok(()) }
    })
    .await;
    ns.apply("s", json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 3}]})).await;
    assert_eq!(ns.available("s").await.ready_summary.as_deref(), Some("3/3"), "handed back, it follows the record");
    crm.stop().await;
}

#[tokio::test]
async fn a_class_that_a_person_scaled_to_zero_stays_there_and_says_so() {
    let (crm, ns) = start("zero").await;
    ns.apply("s", json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 2}]})).await;
    ns.available("s").await;
    let scale = json!({"spec": {"replicas": 0}});
    ns.deployments().patch_scale("s", &PatchParams::default(), &Patch::Merge(&scale)).await.unwrap();
    let note = ns.event("s", "ScaleHeld").await;
    assert!(note.contains("0 replicas") && note.contains("wants 2"), "{note}");
    crate::idle::settled(&crm).await;
    assert_eq!(ns.deployment("s").await.spec.unwrap().replicas, Some(0));
    crm.stop().await;
}

#[tokio::test]
async fn the_number_never_passes_through_the_default() {
    let (crm, ns) = start("never-one").await;
    let spec = |replicas: u32, image: &str| json!({"functions": [{"function_key": "f", "image": image, "replicas": replicas}]});
    ns.apply("s", spec(3, IMAGE)).await;
    ns.available("s").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let numbers = Arc::clone(&seen);
    let watch =
        watcher(ns.deployments(), watcher::Config::default()).applied_objects().try_for_each(move |deployment| {
            numbers.lock().unwrap().push(deployment.spec.and_then(|spec| spec.replicas).unwrap());
            std::future::ready(Ok(()))
        });
    let watching = tokio::spawn(watch);
    for (replicas, image) in [(5, "nginx:1.28"), (2, "nginx:1.29"), (4, "nginx:1.30")] {
        ns.apply("s", spec(replicas, image)).await;
        let status = ns.available("s").await;
        assert_eq!(status.ready_summary, Some(format!("{replicas}/{replicas}")));
    }
    watching.abort();
    let mut numbers = seen.lock().unwrap().clone();
    numbers.dedup();
    assert!(numbers.iter().all(|number| *number > 1) && numbers.ends_with(&[4]), "{numbers:?}");
    crm.stop().await;
}

#[tokio::test]
async fn a_birth_that_was_cut_short_is_ended_under_another_spec_without_passing_through_the_default() {
    let (crm, ns) = start("cut-short").await;
    let spec = |image: &str| json!({"functions": [{"function_key": "f", "image": image, "replicas": 3}]});
    let numbers = Numbers::follow(&ns, "s");
    ns.apply("s", spec(IMAGE)).await;
    ns.available("s").await;
    crm.stop().await;
    // As it is after the first of a birth's three writes: the number is `oprc-crm`'s alone.
    let deployment = ns.deployment("s").await;
    let mut entries = deployment.metadata.managed_fields.unwrap();
    entries.retain(|entry| entry.manager.as_deref() != Some("oprc-crm-scale"));
    let ours = entries.iter_mut().find(|entry| entry.manager.as_deref() == Some("oprc-crm")).unwrap();
    ours.fields_v1.as_mut().unwrap().0["f:spec"]["f:replicas"] = json!({});
    let begun =
        json!({"metadata": {"managedFields": entries, "resourceVersion": deployment.metadata.resource_version}});
    ns.deployments().patch("s", &PatchParams::default(), &Patch::Merge(&begun)).await.unwrap();
    assert_eq!(owners(&ns.deployments(), "s").await, ["oprc-crm"]);

    ns.apply("s", spec("docker.io/library/nginx:1.28")).await;
    let crm = Crm::start(support::cluster().await, &ns.name).await;
    assert_eq!(ns.available("s").await.ready_summary.as_deref(), Some("3/3"));
    crate::idle::settled(&crm).await;
    assert_eq!(owners(&ns.deployments(), "s").await, ["oprc-crm-scale"]);
    assert_eq!(numbers.end(), [3]);
    crm.stop().await;
}
