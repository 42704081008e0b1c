//! A change of the policy that many classes would notice: held above the bound, else paced, whatever restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use oprc_crm::api::DeploymentRecordStatus;
use serde_json::json;

use crate::support::class::{Namespace, condition};
use crate::support::crm::Crm;
use crate::support::policy::{Bundle, events, metric, page, page_where};
use crate::support::{self, eventually};
use crate::{IMAGE, start_with};

const LIVE: usize = 200;
const WILD: usize = 80;
/// Long enough for two hundred classes on a busy machine.
const ALL: Duration = Duration::from_secs(300);

fn name(index: usize) -> String {
    format!("c{index:03}")
}

/// Every fifth and every other fifth class wants what the second revision gives to template full.
fn is_wild(index: usize) -> bool {
    matches!(index % 5, 0 | 2)
}

/// No pods: what is looked at is which template each class has.
fn spec(index: usize) -> serde_json::Value {
    let rps = if is_wild(index) { 1200 } else { 100 };
    json!({
        "functions": [{"function_key": "f", "image": IMAGE, "replicas": 0}],
        "nfr_requirements": {"min_throughput_rps": rps, "consistency": "strong"},
    })
}

async fn statuses(ns: &Namespace) -> BTreeMap<String, DeploymentRecordStatus> {
    let records = ns.records().list(&ListParams::default()).await.expect("a list").items;
    let named = records.into_iter().map(|record| {
        let status = record.typed_status();
        (record.metadata.name.unwrap_or_default(), status)
    });
    named.collect()
}

/// Names of the classes on a template.
async fn on(ns: &Namespace, template: &str) -> Vec<String> {
    let all = statuses(ns).await;
    let named = all.into_iter().filter(|(_, status)| status.selected_template.as_deref() == Some(template));
    named.map(|(name, _)| name).collect()
}

async fn until(
    ns: &Namespace,
    what: &str,
    holds: impl Fn(&BTreeMap<String, DeploymentRecordStatus>) -> usize,
    wanted: usize,
) {
    eventually(ALL, what, || async {
        let count = holds(&statuses(ns).await);
        if count >= wanted { Ok(()) } else { Err(format!("{count} of {wanted}")) }
    })
    .await;
}

fn pending(status: &DeploymentRecordStatus) -> bool {
    condition(status, "PolicyChangePending").0 == "True"
}

/// Two hundred classes on template edge.
async fn two_hundred(ns: &Namespace) {
    stream::iter(0..LIVE)
        .for_each_concurrent(8, |index| async move {
            ns.apply(&name(index), spec(index)).await;
        })
        .await;
    let count = |all: &BTreeMap<String, DeploymentRecordStatus>| {
        all.values().filter(|status| status.selected_template.as_deref() == Some("edge")).count()
    };
    until(ns, "two hundred classes run", count, LIVE).await;
}

/// When each class switched its template to full, in milliseconds, in the order of time.
async fn switches(ns: &Namespace) -> Vec<(i64, String)> {
    let api: Api<Event> = Api::namespaced(support::cluster().await.admin(), &ns.name);
    let events = api.list(&ListParams::default()).await.expect("a list").items;
    let to_full = events.into_iter().filter(|event| {
        event.reason.as_deref() == Some("TemplateSelected")
            && event.note.as_deref().is_some_and(|note| note.contains("instead of edge"))
    });
    let mut switches: Vec<(i64, String)> = to_full
        .map(|event| {
            let name = event.regarding.and_then(|of| of.name).unwrap_or_default();
            (event.event_time.expect("a time").0.as_millisecond(), name)
        })
        .collect();
    switches.sort();
    switches
}

#[tokio::test]
async fn a_change_of_forty_percent_is_held_with_its_rule_until_a_revision_allows_it_and_then_paced() {
    let bundle = Bundle::new("full_rps: 1500", "");
    let variables = [("OPRC_CRM_POLICY_DIR", bundle.path())];
    let (crm, ns) = start_with("rollout", &variables).await;
    two_hundred(&ns).await;
    let first = page(&crm).await["active"]["revision"].clone();
    let crm = held(crm, &ns, &bundle, &variables).await;

    // The approval is a commit.
    bundle.change("full_rps: 1000", "hold_above: 50%, pace: 240/m");
    let started = page_where(&crm, "paced", |page| page["pending"]["state"] == "paced").await;
    assert_eq!(started["active"]["revision"], first);
    assert_eq!(started["pending"]["pace"], "240/m");
    until(&ns, "a third went over", |all| full(all).len(), WILD / 3).await;
    // Stopped in the middle, the next one goes on: nobody goes back, nobody twice.
    crm.stop().await;
    let before = on(&ns, "full").await;
    assert!(before.len() < WILD, "it was stopped in the middle: {}", before.len());
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    let after = on(&ns, "full").await;
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    until(&ns, "all went over", |all| full(all).len(), WILD).await;
    let done = page_where(&crm, "nothing is pending", |page| page["pending"].is_null()).await;
    assert_ne!(done["active"]["revision"], first);
    paced(&ns).await;

    until(&ns, "nobody waits", |all| all.values().filter(|status| !pending(status)).count(), LIVE + 1).await;
    let wild: Vec<String> = (0..LIVE).filter(|index| is_wild(*index)).map(name).collect();
    let mut full = on(&ns, "full").await;
    full.retain(|name| name != "fresh");
    assert_eq!(full, wild);
    assert_eq!(on(&ns, "edge").await.len(), LIVE - WILD);
    let said = events(support::cluster().await.admin(), &ns.name, "PolicyRolledOut").await;
    assert_eq!(said.len(), 1, "{said:?}");
    crm.stop().await;
}

fn full(all: &BTreeMap<String, DeploymentRecordStatus>) -> Vec<&String> {
    let full = all.iter().filter(|(_, status)| status.selected_template.as_deref() == Some("full"));
    full.map(|(name, _)| name).filter(|name| *name != "fresh").collect()
}

/// The change is offered, and held: over a restart too.
async fn held(crm: Crm, ns: &Namespace, bundle: &Bundle, variables: &[(&str, &str)]) -> Crm {
    bundle.change("full_rps: 1000", "");
    let held = page_where(&crm, "held", |page| page["pending"]["state"] == "held").await;
    let change = &held["pending"];
    assert_eq!((&change["live"], &change["changed"]), (&json!(LIVE), &json!(WILD)));
    assert_eq!(change["by_rule"], json!([{"rule": "Template/full/throughput", "classes": WILD}]));
    assert_eq!(change["by_change"], json!([{"change": "template edge -> full", "classes": WILD}]));
    until(ns, "those concerned say so", |all| all.values().filter(|status| pending(status)).count(), WILD).await;
    let status = ns.records().get("c000").await.unwrap().typed_status();
    let (_, reason, message) = condition(&status, "PolicyChangePending");
    assert_eq!(reason, "Template:full:throughput");
    assert!(
        message.contains("full_rps = 1500 (bundle.yaml) -> 1000 (bundle.yaml)") && message.contains("hold_above"),
        "{message}"
    );
    assert!((metric(&crm, "oprc_crm_policy_blast_radius_share").await - 0.4).abs() < 1e-9);
    assert!(metric(&crm, "oprc_crm_policy_change_held").await > 0.5);
    let said = events(support::cluster().await.admin(), &ns.name, "PolicyHeld").await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].1.contains("80 of 200 classes (40 %)") && said[0].1.contains("Template/full/throughput"),
        "{said:?}"
    );
    // A new class uses the new revision at once.
    ns.apply("fresh", spec(0)).await;
    ns.status("fresh", "full", |status| status.selected_template.as_deref() == Some("full")).await;

    crate::idle::settled(&crm).await;
    crm.stop().await;
    let crm = Crm::start_with(support::cluster().await, &ns.name, variables).await;
    crate::idle::settled(&crm).await;
    assert_eq!(crm.writes(), 0, "after a restart the same is held, and nothing is said again");
    assert_eq!(page(&crm).await["pending"]["state"], "held");
    assert_eq!(on(ns, "full").await, ["fresh"]);
    assert!(switches(ns).await.is_empty());
    crm
}

/// Four classes a second, the first at once: the nth is never early, and each went over exactly once.
async fn paced(ns: &Namespace) {
    // The time between the release of a class and its Event varies, by the first as by any other.
    const SLACK: i64 = 2_000;
    let switches = switches(ns).await;
    let mut names: Vec<&String> = switches.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), WILD);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), WILD, "each once");
    let first = switches[0].0;
    for (index, (at, name)) in switches.iter().enumerate() {
        let earliest = i64::try_from(index / 4).unwrap() * 1_000;
        assert!(at - first + SLACK >= earliest, "{name} is number {index} and went over after {} ms", at - first);
    }
}
