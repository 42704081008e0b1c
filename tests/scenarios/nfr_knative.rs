//! What Knative's queue proxy exports is measured, under the names that its own library gives it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use oprc_crm::analyzer::{ComponentShown, Whole};
use serde_json::json;

use crate::support::class::condition;
use crate::support::faults::Faults;
use crate::support::knative::knative;
use crate::support::nfr::{Lab, WHILE, class, recommended};
use crate::support::{eventually, http_get, shipped};

/// How long a request takes: in the bucket that ends at a quarter of a second.
const LENGTH: Duration = Duration::from_millis(150);
/// Requests under way at any time.
const CLIENTS: u8 = 4;

/// The policy of these stories, with the shipped queries of requests and latency at its own speed.
fn policy(dir: &Path) {
    for name in ["bundle.yaml", "recommendations.yaml"] {
        fs::write(dir.join(name), shipped(&format!("tests/support/nfr/{name}"))).unwrap();
    }
    let mut text = shipped("policies/signals.yaml");
    for (minutes, seconds) in
        [("[1m]", "[4s]"), ("[5m]", "[40s]"), ("step: 30s", "step: 1s"), ("max_age: 2m", "max_age: 8s")]
    {
        assert!(text.contains(minutes), "the shipped signals have changed: {minutes}");
        text = text.replace(minutes, seconds);
    }
    fs::write(dir.join("signals.yaml"), text).unwrap();
}

#[tokio::test]
async fn requests_and_latency_of_knatives_queue_proxy_are_measured_and_acted_upon() {
    let (lab, dir) = (Lab::new("nfr-queue").await, tempfile::tempdir().unwrap());
    let queue = std::sync::Arc::new(knative().await.queue(lab.cluster, "queue").await);
    policy(dir.path());
    let url = lab.scraping.prometheus.url();
    let variables = [("OPRC_CRM_POLICY_DIR", dir.path().to_str().unwrap())];
    let crm = lab.crm_at(&url, &variables, &Faults::default()).await;
    lab.cores("queued", 0.1);
    let mut spec = class("observe", &["replicas"], 1);
    spec["nfr_requirements"] = json!({"min_throughput_rps": 10, "max_latency_ms": 100});
    lab.ns.apply("queued", spec).await;
    lab.ns.available("queued").await;
    // Both are promised, and there is nothing of them.
    let unmeasured = |status: &oprc_crm::api::DeploymentRecordStatus| condition(status, "NfrObserved").1 == "NoSeries";
    lab.ns.status("queued", "requests are missed", unmeasured).await;

    let pods: Api<Pod> = Api::namespaced(lab.cluster.admin(), &lab.ns.name);
    let pod = pods.list(&ListParams::default()).await.unwrap().items.remove(0).metadata.name.unwrap();
    lab.scraping.prometheus.also("queue", queue.export, &[("namespace", &lab.ns.name), ("pod", &pod)]).unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let queue = std::sync::Arc::clone(&queue);
        clients.spawn(async move {
            loop {
                queue.request(LENGTH).await;
            }
        });
    }
    let seen = eventually(WHILE, "requests and latency", || async {
        let (_, text) = http_get(crm.address, "/nfr").await;
        let page: Whole = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let component = page.classes.first().and_then(|class| class.components.first()).cloned();
        let ComponentShown { signals, .. } = component.ok_or("no component")?;
        let value = |name: &str| signals.get(name).map(|sample| sample.value);
        match (value("rps"), value("latency")) {
            (Some(rps), Some(latency)) if rps > 0.0 && latency > 0.0 => Ok((rps, latency)),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // Each client makes a few requests a second; nineteen of twenty take less than the end of their bucket.
    let most = f64::from(CLIENTS) / LENGTH.as_secs_f64();
    assert!(seen.0 > 0.0 && seen.0 <= most * 1.5, "{seen:?}, at most {most} a second");
    assert!(seen.1 > 0.1 && seen.1 <= 2.5, "{seen:?}");
    let status = lab
        .ns
        .status("queued", "a second replica, for the latency", |status| {
            condition(status, "NfrObserved").0 == "True"
                && recommended(status, "replicas").is_some_and(|one| one.target == "2")
        })
        .await;
    let found = recommended(&status, "replicas").unwrap();
    assert!(found.basis.as_deref().is_some_and(|basis| basis.starts_with("latency of ")), "{found:?}");
    clients.shutdown().await;
    crm.stop().await;
}
