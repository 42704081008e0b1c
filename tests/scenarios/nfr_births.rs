//! What was applied outlives the object that it was applied to, and a write what goes on beside it.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::support::class::SOON;
use crate::support::eventually;
use crate::support::nfr::{Lab, applied, class};
use crate::support::scaling::Numbers;

/// Number and annotation of a Deployment that is not the one with this uid.
async fn reborn(lab: &Lab, name: &str, before: &str) -> (i32, String) {
    eventually(SOON, "another Deployment is there", || async {
        let found = lab.ns.deployments().get_opt(name).await.unwrap();
        let found = found.filter(|one| one.metadata.uid.as_deref() != Some(before)).ok_or("none")?;
        let said = found.metadata.annotations.unwrap_or_default().remove("oaas.io/enforced");
        let number = found.spec.and_then(|spec| spec.replicas).ok_or("no number")?;
        said.map(|said| (number, said)).ok_or_else(|| "nothing is said yet".to_owned())
    })
    .await
}

#[tokio::test]
async fn a_deployment_that_is_deleted_comes_back_with_what_was_applied_and_not_with_the_records_few() {
    let lab = Lab::new("nfr-born").await;
    let crm = lab.crm(&[]).await;
    lab.cores("born", 2.3);
    lab.ns.apply("born", class("enforce", &["replicas"], 2)).await;
    Numbers::follow(&lab.ns, "born").until(6).await;
    lab.ns.status("born", "it stands applied", |status| applied(status, "replicas").is_some()).await;

    let uid = lab.ns.deployments().get("born").await.unwrap().metadata.uid.unwrap();
    let numbers = Numbers::follow(&lab.ns, "born");
    lab.ns.deployments().delete("born", &DeleteParams::background()).await.unwrap();
    let (number, said) = reborn(&lab, "born", &uid).await;
    assert_eq!(number, 6, "{said}");
    lab.ns.available("born").await;
    assert!(!numbers.end().contains(&2), "the record's number never came back");

    // Where the record lets nobody enforce, its own number counts.
    lab.ns.apply("born", class("observe", &["replicas"], 2)).await;
    let numbers = Numbers::follow(&lab.ns, "born");
    numbers.until(2).await;
    lab.ns.deployments().delete("born", &DeleteParams::background()).await.unwrap();
    lab.ns.available("born").await;
    assert_eq!(numbers.end().last(), Some(&2));
    crm.stop().await;
}

#[tokio::test]
async fn an_autoscaler_that_changes_all_the_time_gets_its_minimum_all_the_same() {
    let lab = Lab::new("nfr-busy").await;
    let crm = lab.crm(&[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    let mut spec = class("enforce", &["replicas"], 2);
    spec["functions"][0]["max_scale"] = json!(8);
    lab.cores("busy", 0.7);
    lab.ns.apply("busy", spec).await;
    lab.ns.available("busy").await;
    lab.measured("busy").await;

    // As its status does under load, and far more often: no look sees the version that it writes to.
    let scalers = lab.ns.autoscalers();
    let changing = tokio::spawn(async move {
        for change in 0_u32.. {
            let patch = json!({"metadata": {"annotations": {"test/change": change.to_string()}}});
            scalers.patch("busy", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    lab.cores("busy", 2.3);
    Numbers::follow(&lab.ns, "busy").until(6).await;
    assert!(!changing.is_finished(), "it changed to the end");
    changing.abort();
    assert_eq!(lab.ns.autoscalers().get("busy").await.unwrap().spec.unwrap().min_replicas, Some(6));
    crm.stop().await;
}
