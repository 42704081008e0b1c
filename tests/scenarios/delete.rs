//! A record that goes takes everything along.

use serde_json::json;

use crate::{IMAGE, start};

#[tokio::test]
async fn deleting_a_record_leaves_nothing_and_says_so() {
    let (crm, ns) = start("delete").await;
    ns.apply("a", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
    ns.available("a").await;
    ns.delete("a").await;
    ns.nothing_left("a").await;
    ns.event("a", "Deleted").await;
    crm.stop().await;
}

#[tokio::test]
async fn a_record_deleted_before_it_was_ready_leaves_nothing() {
    let (crm, ns) = start("delete-early").await;
    for index in 0..5 {
        ns.apply("a", json!({"function": {"image": IMAGE}, "addons": ["odgm"]})).await;
        tokio::time::sleep(std::time::Duration::from_millis(60 * index)).await;
        ns.delete("a").await;
        ns.nothing_left("a").await;
    }
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_followed_can_be_deleted() {
    let (crm, ns) = start("delete-bad").await;
    ns.apply("good", json!({"function": {"image": IMAGE}})).await;
    ns.available("good").await;
    ns.apply("good", json!({"function": {"image": "not an image"}})).await;
    ns.degraded("good").await;
    assert_eq!(ns.objects().await, ["Deployment/good", "Service/good-svc"], "what runs is left as it is");
    ns.delete("good").await;
    ns.nothing_left("good").await;
    crm.stop().await;
}
