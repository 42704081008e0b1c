//! HorizontalPodAutoscalers, with the cluster's own controller: while one targets a Deployment its replicas are not ours.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::idle::settled;
use crate::support::class::{Namespace, SOON};
use crate::support::crm::Crm;
use crate::support::scaling::{Numbers, owners, refused, writes_to_deployments};
use crate::support::{self, eventually, from_json};
use crate::{IMAGE, start, start_with};

const ON: [(&str, &str); 1] = [("OPRC_CRM_FEATURES_HPA", "true")];
const AUTOSCALING: [&str; 1] = ["kube-controller-manager"];

/// One function with these fields.
fn function(fields: &Value) -> Value {
    let mut function = json!({"function_key": "f", "image": IMAGE});
    function.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"functions": [function]})
}

/// Waits until the autoscaler has these bounds.
async fn bounds(ns: &Namespace, name: &str, least: i32, most: i32) -> HorizontalPodAutoscaler {
    eventually(SOON, &format!("autoscaler {name} from {least} to {most}"), || async {
        let found = ns.autoscalers().get(name).await.map_err(|error| error.to_string())?;
        let spec = found.spec.clone().unwrap_or_default();
        let bounds = (spec.min_replicas, spec.max_replicas);
        if bounds == (Some(least), most) { Ok(found) } else { Err(format!("{bounds:?}")) }
    })
    .await
}

/// An autoscaler of somebody else's.
fn foreign(target: &str, least: i32) -> HorizontalPodAutoscaler {
    from_json(json!({
        "metadata": {"name": "theirs"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": least, "maxReplicas": 6,
        },
    }))
}

#[tokio::test]
async fn with_max_scale_an_autoscaler_scales_and_the_controller_never_writes_replicas_again() {
    let (crm, ns) = start_with("hpa", &ON).await;
    let numbers = Numbers::follow(&ns, "h");
    ns.apply("h", function(&json!({"min_scale": 3, "max_scale": 6}))).await;
    let status = ns.available("h").await;
    assert_eq!(status.ready_summary.as_deref(), Some("3/3"));
    let scaler = serde_json::to_value(bounds(&ns, "h", 3, 6).await).unwrap();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "h"});
    assert_eq!(scaler["spec"]["scaleTargetRef"], target);
    assert_eq!(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
    assert_eq!(scaler["metadata"]["ownerReferences"][0]["name"], "h");
    assert_eq!(ns.objects().await, ["Deployment/h", "HorizontalPodAutoscaler/h", "Service/h-svc"]);

    // There is no metrics server here: the class is fine all the same, and says what its autoscaler lacks.
    let without = ns.status("h", "says that it can't measure", |status| {
        status.message.as_deref().is_some_and(|message| message.contains("FailedGetResourceMetric"))
    });
    let status = without.await;
    assert_eq!(status.phase, Some(oprc_crm::api::Phase::Available));
    settled(&crm).await;
    let at_birth = writes_to_deployments(&ns).await;

    // A higher minimum is the autoscaler's to act on; a lower maximum takes the minimum down before it.
    ns.apply("h", function(&json!({"min_scale": 5, "max_scale": 6}))).await;
    bounds(&ns, "h", 5, 6).await;
    numbers.until(5).await;
    assert_eq!(owners(&ns.deployments(), "h").await, AUTOSCALING);
    ns.apply("h", function(&json!({"min_scale": 2, "max_scale": 4}))).await;
    bounds(&ns, "h", 2, 4).await;
    numbers.until(4).await;
    ns.apply("h", function(&json!({"min_scale": 6, "max_scale": 7}))).await;
    bounds(&ns, "h", 6, 7).await;
    numbers.until(6).await;
    settled(&crm).await;
    assert_eq!(writes_to_deployments(&ns).await, at_birth, "writes to the Deployment since its birth");

    // Another version of the pods leaves the number alone, and so does what others change.
    ns.apply("h", json!({"functions": [{"function_key": "f", "image": "docker.io/library/nginx:1.28", "min_scale": 6, "max_scale": 7}]})).await;
    assert_eq!(ns.available("h").await.ready_summary.as_deref(), Some("6/6"));
    let drift = json!({"spec": {"maxReplicas": 9}});
    ns.autoscalers().patch("h", &PatchParams::default(), &Patch::Merge(&drift)).await.unwrap();
    let note = ns.event("h", "DriftCorrected").await;
    assert!(note.contains("HorizontalPodAutoscaler h") && note.contains("maxReplicas"), "{note}");
    bounds(&ns, "h", 6, 7).await;
    settled(&crm).await;
    assert_eq!(numbers.end(), [3, 5, 4, 6], "every number that there ever was");
    let refused = refused(&ns).await;
    assert!(refused.is_empty(), "{refused:#?}");

    ns.delete("h").await;
    ns.nothing_left("h").await;
    crm.stop().await;
}

#[tokio::test]
async fn without_max_scale_any_more_the_number_is_taken_back_and_then_the_records() {
    let (crm, ns) = start_with("hpa-end", &ON).await;
    let numbers = Numbers::follow(&ns, "e");
    ns.apply("e", function(&json!({"replicas": 3, "min_scale": 5, "max_scale": 6}))).await;
    bounds(&ns, "e", 5, 6).await;
    numbers.until(5).await;
    ns.apply("e", function(&json!({"replicas": 5, "min_scale": 6, "max_scale": 7}))).await;
    numbers.until(6).await;
    ns.apply("e", function(&json!({"replicas": 3}))).await;
    let note = ns.event("e", "ScaleTakenBack").await;
    assert!(note.contains("Deployment e") && note.contains("back at 6"), "{note}");
    numbers.until(3).await;
    ns.status("e", "3 run", |status| status.ready_summary.as_deref() == Some("3/3")).await;
    assert_eq!(ns.objects().await, ["Deployment/e", "Service/e-svc"]);
    assert_eq!(owners(&ns.deployments(), "e").await, ["oprc-crm-scale"]);
    // From then on it is as without an autoscaler.
    ns.apply("e", function(&json!({"replicas": 4}))).await;
    numbers.until(4).await;
    settled(&crm).await;
    assert_eq!(numbers.end(), [5, 6, 3, 4], "never by way of the default");
    crm.stop().await;
}

#[tokio::test]
async fn an_autoscaler_of_a_feature_that_is_switched_off_goes_and_leaves_no_gap() {
    let (crm, ns) = start_with("hpa-off", &ON).await;
    let numbers = Numbers::follow(&ns, "o");
    ns.apply("o", function(&json!({"min_scale": 2, "max_scale": 6}))).await;
    ns.available("o").await;
    ns.apply("o", function(&json!({"min_scale": 4, "max_scale": 6}))).await;
    numbers.until(4).await;
    ns.apply("o", function(&json!({"min_scale": 3, "max_scale": 6}))).await;
    bounds(&ns, "o", 3, 6).await;
    settled(&crm).await;
    crm.stop().await;

    let crm = Crm::start(support::cluster().await, &ns.name).await;
    numbers.until(3).await;
    ns.status("o", "3 run", |status| status.ready_summary.as_deref() == Some("3/3")).await;
    assert_eq!(ns.objects().await, ["Deployment/o", "Service/o-svc"]);
    settled(&crm).await;
    assert_eq!(owners(&ns.deployments(), "o").await, ["oprc-crm-scale"]);
    assert_eq!(numbers.end(), [2, 4, 3], "never by way of the default");
    crm.stop().await;
}

#[tokio::test]
async fn somebody_elses_autoscaler_is_left_to_scale_and_that_is_said() {
    let (crm, ns) = start("hpa-theirs").await;
    let numbers = Numbers::follow(&ns, "t");
    ns.apply("t", function(&json!({"replicas": 2}))).await;
    ns.available("t").await;
    settled(&crm).await;
    let before = writes_to_deployments(&ns).await;
    ns.autoscalers().create(&PostParams::default(), &foreign("t", 4)).await.unwrap();
    let note = ns.event("t", "ScaleHeld").await;
    assert!(note.contains("HorizontalPodAutoscaler theirs") && note.contains("wants 2"), "{note}");
    numbers.until(4).await;
    ns.apply("t", function(&json!({"replicas": 3}))).await;
    let status = ns.status("t", "says who scales", |status| {
        status.message.as_deref().is_some_and(|message| message.contains("wants 3"))
    });
    assert!(status.await.message.unwrap().contains("HorizontalPodAutoscaler theirs"));
    ns.available("t").await;
    settled(&crm).await;
    assert_eq!(writes_to_deployments(&ns).await, before, "its replicas are not ours");
    assert_eq!(numbers.so_far(), [2, 4]);
    // Theirs is not touched either.
    let theirs = ns.autoscalers().get("theirs").await.unwrap();
    assert_eq!(theirs.spec.unwrap().min_replicas, Some(4));

    ns.autoscalers().delete("theirs", &DeleteParams::default()).await.unwrap();
    let note = ns.event("t", "ScaleTakenBack").await;
    assert!(note.contains("Deployment t"), "{note}");
    numbers.until(3).await;
    let said = ns.available("t").await.message.unwrap();
    assert!(!said.contains("theirs"), "{said}");
    assert_eq!(numbers.end(), [2, 4, 3]);
    crm.stop().await;
}

#[tokio::test]
async fn a_minimum_that_a_person_holds_keeps_the_maximum_above_it_and_that_is_said() {
    let (crm, ns) = start_with("hpa-held", &ON).await;
    ns.apply("p", function(&json!({"min_scale": 2, "max_scale": 6}))).await;
    ns.available("p").await;
    bounds(&ns, "p", 2, 6).await;
    settled(&crm).await;
    let kubectl = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    let minimum = |least: u32| Patch::Merge(json!({"spec": {"minReplicas": least}}));
    ns.autoscalers().patch("p", &kubectl, &minimum(5)).await.unwrap();
    let note = ns.event("p", "ScaleHeld").await;
    assert!(note.contains("minReplicas of 5") && note.contains("kubectl") && note.contains("wants 2"), "{note}");
    ns.apply("p", function(&json!({"min_scale": 3, "max_scale": 4}))).await;
    let told = |status: &oprc_crm::api::DeploymentRecordStatus| {
        status.message.as_deref().is_some_and(|message| message.contains("wants 3"))
    };
    let status = ns.status("p", "says who holds the minimum", told).await;
    assert_ne!(status.phase, Some(oprc_crm::api::Phase::Degraded), "{status:#?}");
    settled(&crm).await;
    bounds(&ns, "p", 5, 6).await;
    ns.autoscalers().patch("p", &kubectl, &minimum(3)).await.unwrap();
    bounds(&ns, "p", 3, 4).await;
    ns.apply("p", function(&json!({"min_scale": 1, "max_scale": 4}))).await;
    bounds(&ns, "p", 1, 4).await;
    let refused = refused(&ns).await;
    assert!(refused.is_empty(), "{refused:#?}");
    crm.stop().await;
}

#[tokio::test]
async fn a_deployment_that_is_deleted_comes_back_with_what_its_autoscaler_asked_for() {
    let (crm, ns) = start_with("hpa-reborn", &ON).await;
    let numbers = Numbers::follow(&ns, "r");
    ns.apply("r", function(&json!({"min_scale": 4, "max_scale": 6}))).await;
    ns.available("r").await;
    let looked = || async {
        let scaler = ns.autoscalers().get("r").await.map_err(|error| error.to_string())?;
        let seen = scaler.status.and_then(|status| status.current_replicas);
        if seen == Some(4) { Ok(()) } else { Err(format!("{seen:?}")) }
    };
    eventually(SOON, "the autoscaler has looked", looked).await;
    // The autoscaler keeps what it has, without metrics, and the record's minimum is lower now.
    ns.apply("r", function(&json!({"min_scale": 2, "max_scale": 6}))).await;
    bounds(&ns, "r", 2, 6).await;
    settled(&crm).await;
    let uid = ns.deployment("r").await.metadata.uid;
    ns.deployments().delete("r", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "it is back", || async {
        let found = ns.deployments().get_opt("r").await.map_err(|error| error.to_string())?;
        let back = found.is_some_and(|found| found.metadata.uid != uid);
        if back { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(ns.available("r").await.ready_summary.as_deref(), Some("4/4"));
    assert_eq!(numbers.end(), [4]);
    crm.stop().await;
}
