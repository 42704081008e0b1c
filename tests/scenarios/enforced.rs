//! A number that the enforcer wrote, and what the reconciler makes of it. The enforcer's part is played by the test, with
//! the very functions that the enforcer uses.

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use oprc_crm::api::DeploymentRecord;
use oprc_crm::cluster::ClusterError;
use oprc_crm::cluster::apply::Applier;
use oprc_crm::cluster::caches::{Caches, LiveObject};
use oprc_crm::cluster::scale::{self, Current, Enforced, Holder, Owned, Reach};
use oprc_crm::decision::ClusterFacts;
use oprc_crm::model::{Class, parse};
use oprc_crm::render::ObjectKind;
use serde_json::{Value, json};

use crate::idle::settled;
use crate::support::class::{Namespace, SOON};
use crate::support::crm::Crm;
use crate::support::scaling::{Numbers, owners};
use crate::support::{self, eventually};
use crate::{IMAGE, start, start_with};

/// One function whose replicas may be enforced.
fn spec(image: &str, fields: &Value) -> Value {
    let mut function = json!({"function_key": "f", "image": image});
    function.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"functions": [function], "nfr": {"enforcement": {"mode": "enforce", "dimensions": ["replicas"]}}})
}

fn enforced(target: u32) -> Enforced {
    let at = Timestamp::from_second(1_767_225_600).unwrap();
    Enforced { at, target, rule: "Recommendation/replicas/cpu-demand".to_owned(), revision: "abc".to_owned() }
}

/// The operator's hand.
async fn applier() -> Applier {
    Applier::new(support::cluster().await.crm())
}

async fn read(ns: &Namespace, kind: ObjectKind, name: &str) -> LiveObject {
    applier().await.read(kind, &ns.name, name).await.unwrap().expect("it is there")
}

/// Writes a number as the enforcer does: looks again where the object changed meanwhile.
async fn enforce(ns: &Namespace, kind: ObjectKind, name: &str, target: u32, reach: Reach) -> Result<(), ClusterError> {
    let owned = Owned::enforced(enforced(target));
    for _ in 0..20 {
        match applier().await.scale(&read(ns, kind, name).await, &owned, reach).await {
            Err(ClusterError::Stale(_)) => {}
            result => return result.map(|_| ()),
        }
    }
    panic!("it changes all the time");
}

/// Waits until the object has this number, and this beside it.
async fn has(ns: &Namespace, kind: ObjectKind, name: &str, number: i64, said: Option<u32>) {
    eventually(SOON, &format!("{number} replicas, enforced: {said:?}"), || async {
        let live = applier().await.read(kind, &ns.name, name).await.map_err(|error| error.to_string())?;
        let live = live.ok_or("it is not there")?;
        let found = (scale::number(&live), Enforced::read(&live).unwrap().map(|one| one.target));
        if found == (number, said) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_higher_number_stays_through_a_new_version_drift_and_a_restart_until_the_base_reaches_it() {
    let (crm, ns) = start("enforced").await;
    let numbers = Numbers::follow(&ns, "n");
    ns.apply("n", spec(IMAGE, &json!({"replicas": 2}))).await;
    ns.available("n").await;
    settled(&crm).await;
    enforce(&ns, ObjectKind::Deployment, "n", 6, Reach::Seen).await.unwrap();
    assert_eq!(
        ns.status("n", "6 run", |status| status.ready_summary.as_deref() == Some("6/6")).await.phase,
        Some(oprc_crm::api::Phase::Available)
    );

    let newer = "docker.io/library/nginx:1.28";
    ns.apply("n", spec(newer, &json!({"replicas": 2}))).await;
    assert_eq!(ns.available("n").await.ready_summary.as_deref(), Some("6/6"));
    let drift = json!({"spec": {"template": {"spec": {"containers": [{"name": "function", "image": "evil:1"}]}}}});
    ns.deployments().patch("n", &PatchParams::default(), &Patch::Strategic(&drift)).await.unwrap();
    let note = ns.event("n", "DriftCorrected").await;
    assert!(note.contains("image") && !note.contains("replicas"), "{note}");
    ns.available("n").await;
    settled(&crm).await;
    crm.stop().await;
    let crm = Crm::start(support::cluster().await, &ns.name).await;
    settled(&crm).await;
    assert_eq!(crm.writes(), 0, "writes after a restart");
    // A base below it changes nothing, as the record's own of before did not.
    ns.apply("n", spec(newer, &json!({"replicas": 4}))).await;
    ns.available("n").await;
    settled(&crm).await;
    has(&ns, ObjectKind::Deployment, "n", 6, Some(6)).await;
    let held = ns.events("n").await.into_iter().filter(|(reason, _)| reason == "ScaleHeld").count();
    assert_eq!(held, 0, "what the enforcer holds is no news");

    ns.apply("n", spec(newer, &json!({"replicas": 7}))).await;
    has(&ns, ObjectKind::Deployment, "n", 7, None).await;
    // Below the record's number nothing is enforced.
    enforce(&ns, ObjectKind::Deployment, "n", 5, Reach::Seen).await.unwrap();
    has(&ns, ObjectKind::Deployment, "n", 7, None).await;
    assert_eq!(owners(&ns.deployments(), "n").await, ["oprc-crm-scale"]);
    assert_eq!(numbers.end(), [2, 6, 7, 5, 7]);
    crm.stop().await;
}

#[tokio::test]
async fn where_the_record_no_longer_lets_it_be_enforced_its_own_number_counts() {
    let (crm, ns) = start("enforced-no-more").await;
    ns.apply("n", spec(IMAGE, &json!({"replicas": 2}))).await;
    ns.available("n").await;
    enforce(&ns, ObjectKind::Deployment, "n", 5, Reach::Seen).await.unwrap();
    settled(&crm).await;
    has(&ns, ObjectKind::Deployment, "n", 5, Some(5)).await;
    ns.apply("n", json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 2}]})).await;
    has(&ns, ObjectKind::Deployment, "n", 2, None).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_persons_number_is_a_conflict_that_names_them_and_gives_way_to_force_alone() {
    let (crm, ns) = start("enforced-person").await;
    ns.apply("n", spec(IMAGE, &json!({"replicas": 2}))).await;
    ns.available("n").await;
    settled(&crm).await;
    let before = read(&ns, ObjectKind::Deployment, "n").await;
    let scale_to = json!({"spec": {"replicas": 3}});
    let kubectl = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    ns.deployments().patch_scale("n", &kubectl, &Patch::Merge(&scale_to)).await.unwrap();
    // The API server gives what came through the scale subresource no time: the controller notes when it saw it.
    let since = eventually(SOON, "since when it is held", || async {
        let (holder, since) = scale::holder(&read(&ns, ObjectKind::Deployment, "n").await);
        assert_eq!(holder, Holder::Other("kubectl".to_owned()));
        since.ok_or("not noted yet")
    });
    let since = since.await;
    settled(&crm).await;
    assert_eq!(scale::holder(&read(&ns, ObjectKind::Deployment, "n").await).1, Some(since), "noted once");
    let ago = Timestamp::now().duration_since(since);
    assert!(ago.as_secs() < 60, "{ago:?}");

    let refused = enforce(&ns, ObjectKind::Deployment, "n", 5, Reach::Seen).await.unwrap_err();
    assert!(
        matches!(&refused, ClusterError::FieldConflict { managers, .. } if managers.iter().any(|one| one.contains("kubectl"))),
        "{refused:?}"
    );
    // Force goes over an owner, never over what happened since the object was seen.
    let stale = applier().await.scale(&before, &Owned::enforced(enforced(5)), Reach::Forced).await.unwrap_err();
    assert!(matches!(stale, ClusterError::Stale(_)), "{stale:?}");
    enforce(&ns, ObjectKind::Deployment, "n", 5, Reach::Forced).await.unwrap();
    settled(&crm).await;
    has(&ns, ObjectKind::Deployment, "n", 5, Some(5)).await;
    assert_eq!(scale::holder(&read(&ns, ObjectKind::Deployment, "n").await).0, Holder::Ours);
    crm.stop().await;
}

#[tokio::test]
async fn under_an_autoscaler_its_minimum_is_enforced_and_comes_down_before_its_maximum() {
    let (crm, ns) = start_with("enforced-hpa", &[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    let numbers = Numbers::follow(&ns, "n");
    ns.apply("n", spec(IMAGE, &json!({"replicas": 2}))).await;
    ns.available("n").await;
    enforce(&ns, ObjectKind::Deployment, "n", 3, Reach::Seen).await.unwrap();
    numbers.until(3).await;
    // The autoscaler takes over with the number that there is; what was said beside it says nothing any more.
    ns.apply("n", spec(IMAGE, &json!({"replicas": 2, "max_scale": 6}))).await;
    has(&ns, ObjectKind::Autoscaler, "n", 2, None).await;
    has(&ns, ObjectKind::Deployment, "n", 3, None).await;

    enforce(&ns, ObjectKind::Autoscaler, "n", 5, Reach::Seen).await.unwrap();
    numbers.until(5).await;
    ns.apply("n", spec("docker.io/library/nginx:1.28", &json!({"replicas": 2, "max_scale": 6}))).await;
    ns.available("n").await;
    settled(&crm).await;
    has(&ns, ObjectKind::Autoscaler, "n", 5, Some(5)).await;
    ns.apply("n", spec("docker.io/library/nginx:1.28", &json!({"replicas": 2, "max_scale": 4}))).await;
    numbers.until(4).await;
    has(&ns, ObjectKind::Autoscaler, "n", 4, Some(4)).await;
    settled(&crm).await;
    assert_eq!(numbers.end(), [2, 3, 5, 4]);
    let refused = support::scaling::refused(&ns).await;
    assert!(refused.is_empty(), "{refused:#?}");
    crm.stop().await;
}

/// How the workload `n` stands, as the caches tell it, once `holds` says so.
async fn current(ns: &Namespace, class: &Class, caches: &Caches, holds: impl Fn(&Current) -> bool) -> Current {
    eventually(SOON, &format!("the facts of n in {}", ns.name), || async {
        let found = scale::current(caches, class, "n").ok_or("no such Deployment")?;
        if holds(&found) { Ok(found) } else { Err("not yet") }
    })
    .await
}

#[tokio::test]
async fn what_there_is_of_a_workload_is_told_from_the_caches() {
    let (crm, ns) = start_with("enforced-facts", &[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    let record = ns.apply("n", spec(IMAGE, &json!({"replicas": 2}))).await;
    ns.available("n").await;
    let record: DeploymentRecord = record.typed().unwrap();
    let class = parse(&record).unwrap();
    let (caches, watches, _feed) =
        Caches::new(&support::cluster().await.crm(), Some(&ns.name), &ClusterFacts::default());
    let deployments = tokio::spawn(watches.deployments.for_each(|_| std::future::ready(())));
    let scalers = tokio::spawn(watches.autoscalers.for_each(|_| std::future::ready(())));

    let free = current(&ns, &class, &caches, |one| one.ready_replicas == 2).await;
    assert_eq!((free.replicas, free.hpa), (2, None));
    assert_eq!(free.field.unwrap().kind, ObjectKind::Deployment);

    ns.apply("n", spec(IMAGE, &json!({"replicas": 2, "min_scale": 3, "max_scale": 6}))).await;
    let ours = current(&ns, &class, &caches, |one| one.replicas == 3).await;
    let (field, hpa) = (ours.field.unwrap(), ours.hpa.unwrap());
    assert_eq!((field.kind, hpa.min_replicas, hpa.max_replicas, hpa.targets_cpu), (ObjectKind::Autoscaler, 3, 6, true));
    assert_eq!(scale::holder(&field).0, Holder::Ours);

    let theirs = json!({
        "metadata": {"name": "theirs"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "n"}, "minReplicas": 4, "maxReplicas": 5},
    });
    ns.autoscalers().create(&kube::api::PostParams::default(), &support::from_json(theirs)).await.unwrap();
    let contested = current(&ns, &class, &caches, |one| one.field.is_none()).await;
    assert_eq!((contested.replicas, contested.hpa.unwrap().name()), (4, "theirs"));
    deployments.abort();
    scalers.abort();
    crm.stop().await;
}
