//! An API server that refuses, hangs and forgets: the class still gets there, without a storm.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use oprc_crm::api::Phase;
use serde_json::json;

use crate::IMAGE;
use crate::support::class::{Namespace, SOON, condition};
use crate::support::crm::Crm;
use crate::support::faults::{Fault, Faults};
use crate::support::pm::{assert_try_again, canonical, deploy, done, unit};
use crate::support::{cluster, eventually};

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
    // One of each for every kind of write, as they come up.
    for path in ["/deploymentrecords/", "/deployments/", "/services/", "/status"] {
        for fault in [STALE, SLOW_DOWN, BROKEN, OVERLOADED, Fault::Broken] {
            faults.inject(1, fault, move |seen| seen.is_write() && seen.path.contains(path));
        }
    }
    faults.inject(1, Fault::Hang, |seen| seen.is_write() && seen.path.ends_with("/services/s-svc"));
    let spec = json!({"function": {"image": IMAGE}, "addons": ["odgm"]});
    let started = Instant::now();
    ns.apply("s", spec).await;
    eventually(SOON * 3, "Available in spite of everything", || async {
        let status = ns.records().get("s").await.map_err(|error| error.to_string())?.typed_status();
        let ready = status.phase == Some(Phase::Available);
        if ready { Ok(()) } else { Err(format!("{} faults, {status:#?}", faults.injected())) }
    })
    .await;
    assert!(faults.injected() >= 15, "{} faults happened", faults.injected());
    assert!(faults.requests() < 200, "{} requests in {:?}", faults.requests(), started.elapsed());
    faults.clear();
    assert_eq!(ns.objects().await, ["Deployment/s", "Deployment/s-odgm", "Service/s-odgm-svc", "Service/s-svc"]);
    assert_eq!(ns.deployment("s").await.spec.unwrap().replicas, Some(2));

    // The same for a deletion.
    for fault in [STALE, SLOW_DOWN, BROKEN, OVERLOADED, Fault::Broken] {
        faults.inject(1, fault.clone(), |seen| seen.method == http::Method::DELETE);
        faults.inject(1, fault, |seen| seen.is_write() && seen.path.contains("/deploymentrecords/"));
    }
    ns.delete("s").await;
    ns.nothing_left("s").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ns.nothing_left("s").await;
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
    tokio::time::sleep(Duration::from_secs(9)).await;
    let tries = faults.injected();
    assert!((1..=3).contains(&tries), "{tries} tries in 9 s where 4 s between two were asked for");
    faults.clear();
    ns.available("slow").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_deploy_that_the_api_server_refuses_for_now_is_to_be_tried_again() {
    let (crm, ns, faults) = start("faults-deploy").await;
    let mut client = canonical(&crm).await;
    let record = |seen: &crate::support::faults::Seen| seen.path.ends_with("/deploymentrecords/d");
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
            faults.inject(3, EXPIRED, |seen| seen.is_watch());
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
async fn drift_that_always_comes_back_is_corrected_at_longer_intervals_and_says_so() {
    let (crm, ns, faults) = start("fight").await;
    ns.apply("f", json!({"function": {"image": IMAGE}})).await;
    ns.available("f").await;
    crate::idle::settled(&crm).await;
    let before = faults.writes();
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
    let labels = ns.services().get("f-svc").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["app"], "f-svc");
    crm.stop().await;
}
