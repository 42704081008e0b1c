//! The controller may stop and start at any point.

use kube::api::DeleteParams;
use serde_json::json;

use crate::support::crm::Crm;
use crate::{IMAGE, start, support};

#[tokio::test]
async fn a_restart_changes_nothing_and_says_nothing_again() {
    let (crm, ns) = start("restart").await;
    ns.apply("a", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
    ns.available("a").await;
    crate::idle::settled(&crm).await;
    let events = ns.events("a").await;
    crm.stop().await;
    let crm = Crm::start(support::cluster().await, &ns.name).await;
    crate::idle::settled(&crm).await;
    assert_eq!(crm.writes(), 0, "writes after a restart");
    assert_eq!(ns.events("a").await, events);
    crm.stop().await;
}

#[tokio::test]
async fn a_controller_stopped_in_the_middle_is_finished_by_the_next() {
    let (crm, ns) = start("middle").await;
    for index in 0..8 {
        ns.apply(&format!("m{index}"), json!({"function": {"image": IMAGE}})).await;
    }
    crm.stop().await;
    let crm = Crm::start(support::cluster().await, &ns.name).await;
    for index in 0..8 {
        let status = ns.available(&format!("m{index}")).await;
        assert_eq!(status.ready_summary.as_deref(), Some("2/2"));
    }
    crm.stop().await;
}

#[tokio::test]
async fn changes_made_while_the_controller_was_away_are_seen() {
    let (crm, ns) = start("away").await;
    ns.apply("changed", json!({"function": {"image": IMAGE}})).await;
    ns.apply("gone", json!({"function": {"image": IMAGE}})).await;
    ns.available("changed").await;
    ns.available("gone").await;
    crm.stop().await;
    ns.apply("changed", json!({"function": {"image": "docker.io/library/nginx:1.28"}})).await;
    ns.delete("gone").await;
    ns.deployments().delete("changed", &DeleteParams::default()).await.unwrap();
    let crm = Crm::start(support::cluster().await, &ns.name).await;
    ns.available("changed").await;
    ns.delete("changed").await;
    ns.nothing_left("changed").await;
    assert!(ns.records().get_opt("gone").await.unwrap().is_none());
    crm.stop().await;
}
