//! What enforcement writes, and whose numbers it leaves alone.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use oprc_crm::app::Surroundings;
use oprc_crm::cluster::right::Right;
use oprc_crm::sandbox::exporter::Load;
use serde_json::json;

use crate::idle::settled;
use crate::support::class::{Namespace, SOON, condition};
use crate::support::faults::Faults;
use crate::support::nfr::{Lab, Mode, Proxy, WHILE, applied, class, recommended};
use crate::support::scaling::{Numbers, owners, writes_to_deployments};
use crate::support::{eventually, http_get};

const MIB: f64 = 1_048_576.0;
/// Longer than the falling window, its look-back and the settling of a sample.
const OUTAGE: Duration = Duration::from_secs(24);

#[tokio::test]
async fn nothing_shrinks_while_prometheus_is_out_of_order_in_whatever_way_and_soon_after_it_does() {
    let lab = Lab::new("nfr-outage").await;
    let proxy = Proxy::start(lab.scraping.prometheus.url()).await;
    let timeout = [("OPRC_CRM_PROM_QUERY_TIMEOUT_SECS", "1")];
    let crm = lab.crm_at(&proxy.url, &timeout, &Faults::default()).await;
    let numbers = Numbers::follow(&lab.ns, "calm");
    lab.cores("calm", 2.3);
    lab.ns.apply("calm", class("enforce", &["replicas"], 2)).await;
    numbers.until(6).await;

    for (mode, reason) in [
        (Mode::Refuse, "Unreachable"),
        (Mode::Broken, "ServerError"),
        (Mode::Empty, "NoSeries"),
        (Mode::Nan, "NotFinite"),
        (Mode::Hang, "Timeout"),
    ] {
        proxy.set(mode);
        lab.cores("calm", 0.3);
        let began = Instant::now();
        let said = |status: &oprc_crm::api::DeploymentRecordStatus| condition(status, "NfrObserved").1 == reason;
        lab.ns.status("calm", &format!("NfrObserved says {reason}"), said).await;
        tokio::time::sleep(OUTAGE.saturating_sub(began.elapsed())).await;
        assert_eq!(numbers.so_far().last(), Some(&6), "{mode:?}: {:?}", numbers.so_far());
    }
    proxy.set(Mode::Pass);
    lab.measured("calm").await;
    numbers.until(2).await;
    crm.stop().await;
}

#[tokio::test]
async fn with_an_autoscaler_only_its_minimum_is_raised_and_the_cluster_does_the_rest() {
    let lab = Lab::new("nfr-hpa").await;
    let crm = lab.crm(&[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    let mut spec = class("enforce", &["replicas"], 2);
    spec["functions"][0]["max_scale"] = json!(8);
    lab.cores("auto", 0.7);
    lab.ns.apply("auto", spec).await;
    lab.ns.available("auto").await;
    let numbers = Numbers::follow(&lab.ns, "auto");
    lab.measured("auto").await;
    settled(&crm).await;
    let before = writes_to_deployments(&lab.ns).await;

    lab.cores("auto", 2.3);
    numbers.until(6).await;
    let scaler = lab.ns.autoscalers().get("auto").await.unwrap();
    assert_eq!(scaler.spec.unwrap().min_replicas, Some(6));
    let event = lab.ns.event("auto", "NfrApplied").await;
    assert!(event.contains("minReplicas of f 2 -> "), "{event}");
    assert_eq!(owners(&lab.ns.deployments(), "auto").await, ["kube-controller-manager"]);
    assert_eq!(writes_to_deployments(&lab.ns).await, before, "replicas are the autoscaler's alone");

    // More than its maximum is not to be had: that is said as the cap that it is.
    lab.cores("auto", 6.0);
    let status =
        lab.ns.status("auto", "the cap is told", |status| condition(status, "PolicyViolation").0 == "True").await;
    let (_, reason, message) = condition(&status, "PolicyViolation");
    assert!(
        reason.contains("hpa_range") && message.contains("replicas of f stays at 8, though 1"),
        "{reason}: {message}"
    );
    assert_eq!(status.phase, Some(oprc_crm::api::Phase::Available), "a cap is no fault");
    assert!(!numbers.end().contains(&1));
    crm.stop().await;
}

#[tokio::test]
async fn an_autoscaler_that_goes_hands_its_number_back_and_it_follows_the_load_from_there() {
    let lab = Lab::new("nfr-back").await;
    let crm = lab.crm(&[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    let spec = class("enforce", &["replicas"], 2);
    let mut scaled = spec.clone();
    scaled["functions"][0]["max_scale"] = json!(8);
    lab.cores("back", 2.3);
    lab.ns.apply("back", scaled).await;
    lab.ns.available("back").await;
    let numbers = Numbers::follow(&lab.ns, "back");
    numbers.until(6).await;
    assert_eq!(owners(&lab.ns.deployments(), "back").await, ["kube-controller-manager"]);

    lab.ns.apply("back", spec).await;
    // The same number: whoever left it owns it too, until it changes.
    eventually(SOON, "the field is ours", || async {
        let owners = owners(&lab.ns.deployments(), "back").await;
        if owners.iter().any(|owner| owner == "oprc-crm-scale") { Ok(()) } else { Err(format!("{owners:?}")) }
    })
    .await;
    assert!(lab.ns.autoscalers().get_opt("back").await.unwrap().is_none());
    assert_eq!(numbers.so_far().last(), Some(&6), "handed over as it was");
    lab.cores("back", 0.7);
    eventually(WHILE, "it falls", || async {
        let seen = numbers.so_far();
        if seen.last() < Some(&6) { Ok(()) } else { Err(http_get(crm.address, "/nfr").await.1) }
    })
    .await;
    numbers.until(2).await;
    let seen = numbers.end();
    let falls = seen.iter().position(|number| *number == 6).map(|at| &seen[at..]).unwrap();
    assert!(falls.windows(2).all(|pair| pair[0] - pair[1] <= (pair[0] * 3 / 10).max(1)), "by steps: {seen:?}");
    crm.stop().await;
}

#[tokio::test]
async fn without_the_right_to_write_nothing_is_written_and_with_it_all_of_it_is() {
    let lab = Lab::new("nfr-right").await;
    let right = Right::default();
    right.set(false);
    let faults = Faults::default();
    let surroundings = Surroundings { right: right.clone(), ..Surroundings::default() };
    let crm = lab.crm_in(&lab.scraping.prometheus.url(), &[], &faults, surroundings).await;
    let numbers = Numbers::follow(&lab.ns, "led");
    lab.cores("led", 2.3);
    lab.ns.apply("led", class("enforce", &["replicas"], 2)).await;
    lab.ns.available("led").await;
    eventually(SOON, "it is decided that there should be more", || async {
        let (status, page) = http_get(crm.address, "/nfr").await;
        if status == 200 && page.contains("no-right") { Ok(()) } else { Err(page) }
    })
    .await;
    settled(&crm).await;
    let before = crm.writes();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((crm.writes(), numbers.so_far()), (before, vec![2]));
    let status = lab.ns.records().get("led").await.unwrap().typed_status();
    assert!(status.nfr_recommendations.is_empty() && applied(&status, "replicas").is_none(), "{status:?}");

    right.set(true);
    numbers.until(6).await;
    lab.ns.status("led", "6 stand applied", |s| applied(s, "replicas").is_some_and(|one| one.target == "6")).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_memory_request_follows_its_peak_by_bounded_steps_each_a_roll_out_of_its_own() {
    let lab = Lab::new("nfr-memory").await;
    let crm = lab.crm(&[]).await;
    lab.scraping.exporter.set(&lab.ns.name, "held", Load { memory: 300.0 * MIB, ..Load::default() });
    lab.ns.apply("held", class("enforce", &["memory"], 2)).await;
    lab.ns.available("held").await;
    // 300 MiB and a margin of 15 %, by doubling from 128 MiB.
    let steps = ["128Mi", "256Mi", "345Mi"];
    let seen = std::sync::Mutex::new(Vec::new());
    eventually(WHILE, "a request of 345 MiB", || async {
        let now = requested(&lab.ns, "held", "memory").await;
        let mut seen = seen.lock().unwrap();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if seen.len() == steps.len() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert_eq!(seen.into_inner().unwrap(), steps);
    let status =
        lab.ns.status("held", "it stands applied", |s| applied(s, "memory").is_some_and(|one| one.target == "345Mi"));
    assert_eq!(applied(&status.await, "memory").unwrap().base.as_deref(), Some("128Mi"));

    // A record that can't be followed for some looks keeps what was applied, and so do its pods once it can again.
    lab.ns.available("held").await;
    let mut wrong = class("enforce", &["memory"], 2);
    wrong["functions"][0]["image"] = json!("NOT AN IMAGE");
    lab.ns.apply("held", wrong).await;
    lab.ns.degraded("held").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let status = lab.ns.records().get("held").await.unwrap().typed_status();
    assert_eq!(applied(&status, "memory").map(|one| one.target.as_str()), Some("345Mi"), "{status:?}");
    lab.ns.apply("held", class("enforce", &["memory"], 2)).await;
    lab.ns.available("held").await;
    settled(&crm).await;
    assert_eq!(requested(&lab.ns, "held", "memory").await, "345Mi");
    crm.stop().await;
}

#[tokio::test]
async fn a_persons_number_is_left_alone_for_its_grace_and_then_taken_back_once() {
    let lab = Lab::new("nfr-person").await;
    let crm = lab.crm(&[]).await;
    let numbers = Numbers::follow(&lab.ns, "hand");
    lab.cores("hand", 2.3);
    lab.ns.apply("hand", class("enforce", &["replicas"], 2)).await;
    numbers.until(6).await;

    let by_hand = json!({"spec": {"replicas": 3}});
    let params = PatchParams { field_manager: Some("kubectl-scale".to_owned()), ..PatchParams::default() };
    lab.ns.deployments().patch("hand", &params, &Patch::Merge(&by_hand)).await.unwrap();
    let began = Instant::now();
    numbers.until(3).await;
    lab.ns.event("hand", "ScaleHeld").await;
    let event = lab.ns.event("hand", "ScaleTakenBack").await;
    assert!(began.elapsed() >= Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(event.contains("set by kubectl-scale"), "{event}");
    numbers.until(6).await;
    eventually(SOON, "the field is ours again", || async {
        let owners = owners(&lab.ns.deployments(), "hand").await;
        if owners == ["oprc-crm-scale"] { Ok(()) } else { Err(format!("{owners:?}")) }
    })
    .await;
    settled(&crm).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_request_follows_usage_by_way_of_the_status_in_one_roll_out_and_a_new_base_takes_it_back() {
    let lab = Lab::new("nfr-cpu").await;
    let crm = lab.crm(&[]).await;
    lab.cores("sized", 1.6);
    lab.ns.apply("sized", class("enforce", &["cpu"], 2)).await;
    lab.ns.available("sized").await;
    // 0.8 cores a pod and a margin of 15 %.
    request(&lab.ns, "sized", 850..=960).await;
    let status = lab.ns.status("sized", "it stands applied", |status| applied(status, "cpu").is_some()).await;
    let found = applied(&status, "cpu").unwrap();
    assert!((850..=960).contains(&millis(&found.target)), "{found:?}");
    assert_eq!(found.base.as_deref(), Some("500m"));
    // What is recommended is not held by the dead-band, so it moves with the samples; it is of the same size.
    let advised = recommended(&status, "cpu").map(|one| millis(&one.target));
    assert!(advised.is_some_and(|advised| (800..=1000).contains(&advised)), "{advised:?}");
    assert!(applied(&status, "memory").is_none() && applied(&status, "replicas").is_none(), "not listed");
    let event = lab.ns.event("sized", "NfrApplied").await;
    assert!(event.contains("cpu of f 500m -> ") && event.contains("Recommendation/cpu/usage"), "{event}");

    // A restart neither undoes nor repeats it.
    lab.ns.available("sized").await;
    settled(&crm).await;
    let revision = |deployment: k8s_openapi::api::apps::v1::Deployment| deployment.metadata.generation;
    let before = revision(lab.ns.deployment("sized").await);
    crm.stop().await;
    let crm = lab.crm(&[]).await;
    settled(&crm).await;
    assert_eq!(revision(lab.ns.deployment("sized").await), before);

    // What the record says anew counts, whatever was applied before.
    let mut other = class("observe", &["cpu"], 2);
    other["functions"][0]["resources"]["cpu_request"] = json!("700m");
    lab.ns.apply("sized", other).await;
    request(&lab.ns, "sized", 700..=700).await;
    crm.stop().await;
}

/// What a Deployment's pods request of a resource.
async fn requested(ns: &Namespace, name: &str, resource: &str) -> String {
    let pod = ns.deployment(name).await.spec.unwrap().template.spec.unwrap();
    pod.containers[0].resources.clone().unwrap().requests.unwrap()[resource].0.clone()
}

/// A CPU quantity in thousandths of a core.
fn millis(quantity: &str) -> u32 {
    quantity.strip_suffix('m').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{quantity}"))
}

/// Waits until the CPU request of a Deployment's pods lies within these thousandths of a core.
async fn request(ns: &Namespace, name: &str, wanted: std::ops::RangeInclusive<u32>) {
    eventually(SOON, &format!("a request of {wanted:?}"), || async {
        let found = requested(ns, name, "cpu").await;
        if wanted.contains(&millis(&found)) { Ok(()) } else { Err(found) }
    })
    .await;
}
