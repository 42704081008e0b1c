//! An API server that refuses, hangs and forgets: the class still gets there, without a storm.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use oprc_crm::api::Phase;
use serde_json::json;

use crate::IMAGE;
use crate::support::class::{Namespace, SOON, condition};
use crate::support::crm::Crm;
use crate::support::faults::{Fault, Faults, Seen};
use crate::support::pm::{assert_try_again, canonical, deploy, done, unit};
use crate::support::{cluster, eventually, http_get};

async fn start(prefix: &str) -> (Crm, Namespace, Faults) {
    let cluster = cluster().await;
    let name = cluster.namespace(prefix).await;
    let faults = Faults::default();
    let crm = Crm::start_through(cluster, &name, &[], &faults).await;
    (crm, Namespace::new(cluster.admin(), &name), faults)
}

const STALE: Fault = Fault::Status(409, "Conflict", None);
const SLOW_DOWN: Fault = Fault::Status(429, "TooManyRequests", Some(1));
const BROKEN: Fault = Fault::Status(500, "InternalError", None);
const OVERLOADED: Fault = Fault::Status(503, "ServiceUnavailable", Some(1));
const EXPIRED: Fault = Fault::Status(410, "Expired", None);

#[tokio::test]
async fn every_fault_on_the_way_passes_by_and_leaves_no_ghost() {
    let (crm, ns, faults) = start("faults").await;
    // Each kind of fault, for every kind of write, as they come up; failures in a row make the pauses longer.
    let schedule = [
        ("/deploymentrecords/s", STALE),
        ("/deploymentrecords/s", SLOW_DOWN),
        ("/deployments/", BROKEN),
        ("/deployments/", OVERLOADED),
        ("/deployments/", STALE),
        ("/services/", Fault::Broken),
        ("/services/", SLOW_DOWN),
        ("/deploymentrecords/s/status", BROKEN),
        ("/deploymentrecords/s/status", STALE),
    ];
    let planned = schedule.len() + 1;
    for (path, fault) in schedule {
        faults.inject(1, fault, move |seen| seen.is_write() && seen.path.contains(path));
    }
    faults.inject(1, Fault::Hang, |seen| seen.is_write() && seen.path.ends_with("/services/s-svc"));
    let spec = json!({"function": {"image": IMAGE}, "addons": ["odgm"]});
    let started = Instant::now();
    ns.apply("s", spec).await;
    eventually(SOON * 2, "Available in spite of everything", || async {
        let status = ns.records().get("s").await.map_err(|error| error.to_string())?.typed_status();
        let ready = status.phase == Some(Phase::Available);
        if ready { Ok(()) } else { Err(format!("{} faults, {status:#?}", faults.injected())) }
    })
    .await;
    assert_eq!(faults.injected(), planned);
    assert!(faults.requests() < 150, "{} requests in {:?}", faults.requests(), started.elapsed());
    faults.clear();
    assert_eq!(ns.objects().await, ["Deployment/s", "Deployment/s-odgm", "Service/s-odgm-svc", "Service/s-svc"]);
    assert_eq!(ns.deployment("s").await.spec.unwrap().replicas, Some(2));

    // The same for a deletion.
    for fault in [SLOW_DOWN, Fault::Broken] {
        faults.inject(1, fault.clone(), |seen| seen.method == http::Method::DELETE);
        faults
            .inject(1, fault, |seen| seen.method == http::Method::PATCH && seen.path.ends_with("/deploymentrecords/s"));
    }
    ns.delete("s").await;
    ns.nothing_left("s").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ns.nothing_left("s").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_scale_that_meets_a_newer_object_takes_that_and_is_no_failure() {
    let (crm, ns, faults) = start("faults-stale").await;
    let spec = |template: &str| json!({"function": {"image": IMAGE}, "selected_template": template});
    ns.apply("s", spec("dev")).await;
    ns.available("s").await;
    crate::idle::settled(&crm).await;
    // As when the cluster's own controllers write between the apply of the manifest and that of the number.
    faults.inject(2, STALE, |seen| {
        seen.query.contains("fieldManager=oprc-crm-scale") && seen.query.contains("force=true")
    });
    ns.apply("s", spec("full")).await;
    ns.status("s", "three replicas", |status| status.functions.first().is_some_and(|one| one.replicas == 3)).await;
    ns.available("s").await;
    assert_eq!(faults.injected(), 2);
    let (_, metrics) = http_get(crm.address, "/metrics").await;
    let failed =
        metrics.lines().filter(|line| line.starts_with("oprc_crm_reconcile_failures_total{")).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{failed:?}");
    crm.stop().await;
}

#[tokio::test]
async fn a_failure_that_lasts_is_degraded_with_its_cause_and_recovered_after() {
    let (crm, ns, faults) = start("faults-last").await;
    ns.apply("good", json!({"function": {"image": IMAGE}})).await;
    ns.available("good").await;
    faults.inject(usize::MAX, BROKEN, |seen| seen.is_write() && seen.path.ends_with("/deployments/bad"));
    let before = faults.writes();
    ns.apply("bad", json!({"function": {"image": IMAGE}})).await;
    let status = ns.degraded("bad").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "ApplyFailed");
    assert!(message.contains("Deployment \"bad\"") && message.contains("not available"), "{message}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(faults.writes() - before < 30, "{} writes: a storm", faults.writes() - before);
    assert_eq!(ns.events("bad").await.iter().filter(|(reason, _)| reason == "Degraded").count(), 1);
    ns.available("good").await;
    faults.clear();
    ns.available("bad").await;
    assert!(ns.event("bad", "Recovered").await.contains("Deployment \"bad\""));
    crm.stop().await;
}

#[tokio::test]
async fn a_throttling_api_server_is_given_the_time_that_it_asks_for() {
    let (crm, ns, faults) = start("faults-slow").await;
    faults.inject(usize::MAX, Fault::Status(429, "TooManyRequests", Some(4)), |seen| {
        seen.is_write() && seen.path.ends_with("/deployments/slow")
    });
    ns.apply("slow", json!({"function": {"image": IMAGE}})).await;
    // The birth of its Service is news, and news is looked at.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let first = faults.injected();
    assert!((1..=4).contains(&first), "{first} tries at once");
    tokio::time::sleep(Duration::from_secs(9)).await;
    let tries = faults.injected() - first;
    assert!((1..=3).contains(&tries), "{tries} tries in 9 s where 4 s between two were asked for");
    faults.clear();
    ns.available("slow").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_deploy_that_the_api_server_refuses_for_now_is_to_be_tried_again() {
    let (crm, ns, faults) = start("faults-deploy").await;
    let mut client = canonical(&crm).await;
    let record = |seen: &Seen| seen.path.ends_with("/deploymentrecords/d");
    for fault in [SLOW_DOWN, BROKEN, OVERLOADED, Fault::Broken] {
        faults.inject(1, fault.clone(), record);
        let refused = client.deploy(deploy(unit("d", IMAGE))).await.unwrap_err();
        assert_try_again(&refused);
        assert!(!refused.message().contains("injected"), "{fault:?}: raw text: {}", refused.message());
    }
    assert!(ns.records().get_opt("d").await.unwrap().is_none(), "nothing half applied");
    // Conflicts are none of the caller's business.
    faults.inject(3, STALE, move |seen| seen.is_write() && record(seen));
    assert_eq!(done(&client, unit("d", IMAGE)).await, "created");
    ns.available("d").await;
    crm.stop().await;
}

#[tokio::test]
async fn watches_that_are_dropped_or_expired_are_taken_up_again_and_miss_nothing() {
    let (crm, ns, faults) = start("faults-watch").await;
    ns.apply("w", json!({"function": {"image": IMAGE}})).await;
    ns.available("w").await;
    for round in 0..4 {
        if round % 2 == 1 {
            faults.inject(3, EXPIRED, Seen::is_watch);
        }
        faults.drop_watches();
        let image = format!("docker.io/library/nginx:1.{round}");
        ns.apply("w", json!({"function": {"image": image}})).await;
        ns.available("w").await;
        let seen = serde_json::to_value(ns.deployment("w").await).unwrap();
        assert_eq!(seen["spec"]["template"]["spec"]["containers"][0]["image"], image);
    }
    assert!(faults.injected() >= 3, "{} watches expired", faults.injected());
    // What goes while nobody watches is seen too.
    faults.drop_watches();
    ns.delete("w").await;
    ns.nothing_left("w").await;
    assert!(faults.requests() < 250, "{} requests: a storm", faults.requests());
    crm.stop().await;
}

#[tokio::test]
async fn a_watch_that_cannot_be_opened_does_not_stop_the_others() {
    let (crm, ns, faults) = start("faults-one-watch").await;
    ns.apply("w", json!({"function": {"image": IMAGE}})).await;
    ns.available("w").await;
    faults.inject(usize::MAX, OVERLOADED, |seen| seen.is_watch() && seen.path.ends_with("/services"));
    faults.drop_watches();
    for round in 0..4 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let image = format!("docker.io/library/nginx:1.{round}");
        ns.apply("w", json!({"function": {"image": image}})).await;
        eventually(Duration::from_secs(5), "the change is followed", || async {
            let seen = serde_json::to_value(ns.deployment("w").await).unwrap();
            let now = seen["spec"]["template"]["spec"]["containers"][0]["image"].clone();
            if now == image.as_str() { Ok(()) } else { Err(now) }
        })
        .await;
    }
    assert!((3..30).contains(&faults.injected()), "{} tries to open it", faults.injected());
    // Once it can be opened it is, and what it missed is seen.
    ns.services().delete("w-svc", &kube::api::DeleteParams::default()).await.unwrap();
    faults.clear();
    eventually(Duration::from_secs(20), "the Service is back", || async { ns.services().get("w-svc").await }).await;
    crm.stop().await;
}

#[tokio::test]
async fn drift_that_always_comes_back_is_corrected_at_longer_intervals_and_says_so() {
    let (crm, ns, faults) = start("fight").await;
    ns.apply("f", json!({"function": {"image": IMAGE}})).await;
    ns.available("f").await;
    crate::idle::settled(&crm).await;
    let labels = || async { ns.services().get("f-svc").await.unwrap().metadata.labels.unwrap() };
    let (ours, before) = (labels().await, faults.writes());
    // As a mutating webhook or another controller would: whatever is put back is changed again at once.
    let services = ns.services();
    let fight = tokio::spawn(async move {
        let theirs = json!({"metadata": {"labels": {"app": "theirs"}}});
        loop {
            let _ = services.patch("f-svc", &PatchParams::default(), &Patch::Merge(&theirs)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let status = ns.degraded("f").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "DriftReturns");
    assert!(message.contains("Service f-svc") && message.contains("metadata.labels.app"), "{message}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let writes = faults.writes() - before;
    assert!(writes < 20, "{writes} writes while others fight");
    let said = ns.events("f").await.into_iter().filter(|(reason, _)| reason == "DriftCorrected").count();
    assert!((1..=4).contains(&said), "{said} corrections");
    fight.abort();
    let _ = fight.await;
    ns.available("f").await;
    assert_eq!(labels().await, ours);
    ns.event("f", "Recovered").await;
    let said = ns.events("f").await;
    for reason in ["Degraded", "Recovered"] {
        assert_eq!(said.iter().filter(|(seen, _)| seen == reason).count(), 1, "{said:#?}");
    }
    crm.stop().await;
}
