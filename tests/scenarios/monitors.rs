//! ServiceMonitors and PodMonitors, with the kinds of the Prometheus operator as published: there or not, come or gone.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use oprc_crm::app::Surroundings;
use serde_json::{Value, json};

use crate::idle::settled;
use crate::rbac::{MONITORS, granted, used};
use crate::support::class::Namespace;
use crate::support::crm::Crm;
use crate::support::faults::Faults;
use crate::support::knative::remove_definition;
use crate::support::monitors::{KINDS, api, install, monitor, monitors};
use crate::support::{CRM_USER, Cluster, audit, eventually};

/// Long enough for a look at the cluster, and what follows.
const NOTICED: Duration = Duration::from_secs(40);
const IMAGE: &str = "docker.io/library/nginx:1.27";

async fn start(cluster: &Cluster, ns: &Namespace, more: &[(&str, &str)]) -> Crm {
    // What Prometheus answers does not matter here, so there is none.
    let mut variables = vec![
        ("OPRC_CRM_FEATURES_PROMETHEUS", "true"),
        ("OPRC_CRM_PROM_URL", "http://127.0.0.1:9"),
        ("OPRC_CRM_PROM_MATCH_LABELS", "release=prom,team=oaas"),
    ];
    variables.extend_from_slice(more);
    let surroundings = Surroundings { discover_every: Duration::from_secs(1), ..Surroundings::default() };
    Crm::launch(cluster, &ns.name, &variables, &Faults::default(), surroundings).await
}

async fn until(ns: &Namespace, expected: &[&str]) {
    eventually(NOTICED, &format!("monitors {expected:?}"), || async {
        let found = monitors(ns).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

fn spec() -> Value {
    json!({"functions": [{"function_key": "f", "image": IMAGE, "replicas": 1, "port": 8080}]})
}

#[tokio::test]
async fn functions_are_scraped_where_the_operators_kinds_are_there_and_run_all_the_same_where_not() {
    let cluster = Cluster::own().await;
    let name = cluster.namespace("monitors").await;
    let ns = Namespace::new(cluster.admin(), &name);
    let crm = start(&cluster, &ns, &[]).await;
    // Siblings of whose names one begins with the other's.
    ns.apply("shop", spec()).await;
    ns.apply("shop-cart", spec()).await;
    ns.available("shop").await;
    ns.available("shop-cart").await;
    assert_eq!(monitors(&ns).await, Vec::<String>::new());

    // Installed later.
    install(&cluster.admin()).await;
    until(&ns, &["ServiceMonitor/shop", "ServiceMonitor/shop-cart"]).await;
    let found = monitor(&ns, "ServiceMonitor", "shop").await;
    assert_eq!(found["spec"]["selector"], json!({"matchLabels": {"app": "shop", "oaas.io/owner": "shop"}}));
    assert_eq!(found["spec"]["endpoints"], json!([{"port": "http", "path": "/metrics", "interval": "30s"}]));
    let labels = &found["metadata"]["labels"];
    assert_eq!(
        (&labels["release"], &labels["team"], &labels["oaas.io/owner"]),
        (&json!("prom"), &json!("oaas"), &json!("shop"))
    );
    assert_eq!(found["metadata"]["ownerReferences"][0]["name"], "shop");
    // It selects the Service of its class and no other.
    let services = ns.services().list(&kube::api::ListParams::default().labels("app=shop,oaas.io/owner=shop")).await;
    let names: Vec<_> = services.unwrap().into_iter().filter_map(|one| one.metadata.name).collect();
    assert!(names == ["shop-svc"], "{names:?}");

    // What others change is put back.
    let changed = json!({"spec": {"endpoints": [{"port": "http", "interval": "5m"}]}});
    api(&ns, "ServiceMonitor").patch("shop", &PatchParams::default(), &Patch::Merge(&changed)).await.unwrap();
    let event = ns.event("shop", "DriftCorrected").await;
    assert!(event.contains("ServiceMonitor shop"), "{event}");
    assert_eq!(monitor(&ns, "ServiceMonitor", "shop").await["spec"]["endpoints"][0]["interval"], "30s");
    settled(&crm).await;
    let before = crm.writes();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(crm.writes(), before, "what is as it should be is not written");

    // A record that goes takes its own along.
    ns.delete("shop-cart").await;
    until(&ns, &["ServiceMonitor/shop"]).await;
    crm.stop().await;

    // By another kind.
    let crm = start(&cluster, &ns, &[("OPRC_CRM_PROM_SCRAPE_KIND", "pod")]).await;
    until(&ns, &["PodMonitor/shop"]).await;
    let found = monitor(&ns, "PodMonitor", "shop").await;
    assert_eq!(found["spec"]["podMetricsEndpoints"], json!([{"port": "http", "path": "/metrics", "interval": "30s"}]));
    crm.stop().await;

    // The feature is off: nothing is left.
    let crm = start(&cluster, &ns, &[("OPRC_CRM_FEATURES_PROMETHEUS", "false")]).await;
    until(&ns, &[]).await;
    crm.stop().await;
    let requests = audit::requests(cluster.plane().audit_log());
    let requests = requests.iter().filter(|request| request.user.username == CRM_USER);
    let used: std::collections::BTreeSet<String> = requests.flat_map(used).collect();
    let unused: Vec<String> = granted()
        .into_iter()
        .filter(|right| right.starts_with(MONITORS))
        .filter(|right| !used.contains(right))
        .collect();
    // One by one they are read only where the cache is behind.
    assert!(unused.iter().all(|right| right.ends_with(" get")), "granted and not used: {unused:?}");

    // Uninstalled while it runs; and asked for by a kind that is not there.
    let crm = start(&cluster, &ns, &[("OPRC_CRM_PROM_SCRAPE_KIND", "service")]).await;
    until(&ns, &["ServiceMonitor/shop"]).await;
    for (_, plural) in KINDS {
        remove_definition(&cluster.admin(), &format!("{plural}.monitoring.coreos.com")).await;
    }
    let lacks = |status: &oprc_crm::api::DeploymentRecordStatus| {
        status.message.as_deref().is_some_and(|message| message.contains("this cluster has no ServiceMonitor"))
    };
    ns.status("shop", "it says what is not there", lacks).await;
    ns.apply("later", spec()).await;
    ns.available("later").await;
    ns.available("shop").await;
    ns.records().delete("later", &DeleteParams::default()).await.unwrap();
    eventually(NOTICED, "the record is gone", || async {
        let left = ns.records().get_opt("later").await.unwrap();
        left.map_or(Ok(()), |record| Err(format!("{:?}", record.metadata)))
    })
    .await;
    crm.stop().await;
}
