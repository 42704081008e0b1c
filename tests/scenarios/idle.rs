//! Nothing happens while nothing changes.

use std::time::Duration;

use oprc_crm::api::DeploymentRecordStatus;
use serde_json::json;

use crate::support::crm::Crm;
use crate::support::{self, audit};
use crate::{IMAGE, start_with};

/// Waits until the controller has sent no write for a while.
pub async fn settled(crm: &Crm) {
    let mut last = crm.writes();
    let mut quiet = 0;
    while quiet < 4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = crm.writes();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}

#[tokio::test]
async fn twenty_available_records_cause_no_write_of_any_kind_for_a_minute() {
    let (crm, ns) = start_with("idle", &[("OPRC_CRM_FEATURES_HPA", "true")]).await;
    for index in 0..20 {
        let spec = if index % 4 == 0 {
            json!({"function": {"image": IMAGE}, "addons": ["odgm"], "odgm_config": {"collections": ["c"]}})
        } else if index % 4 == 1 {
            json!({"functions": [{"function_key": "f", "image": IMAGE, "max_scale": 5}]})
        } else {
            json!({"function": {"image": IMAGE, "port": 80}})
        };
        ns.apply(&format!("r{index}"), spec).await;
    }
    for index in 0..20 {
        ns.available(&format!("r{index}")).await;
    }
    // Autoscalers look every few seconds, and find no metrics here: that is said once.
    for index in (1..20).step_by(4) {
        let looked = |status: &DeploymentRecordStatus| {
            status.message.as_deref().is_some_and(|message| message.contains("FailedGetResourceMetric"))
        };
        ns.status(&format!("r{index}"), "its autoscaler has looked", looked).await;
    }
    settled(&crm).await;
    let log = support::cluster().await.plane().audit_log();
    let in_audit = || audit::writes(log, support::CRM_USER).iter().filter(|one| one.namespace() == ns.name).count();
    let (sent, seen) = (crm.writes(), in_audit());
    assert!(sent > 0 && seen > 0, "both counters count: {sent} sent, {seen} seen");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(crm.writes() - sent, 0, "write requests that left the client");
    assert_eq!(in_audit() - seen, 0, "write requests in the API server's audit log");
    crm.stop().await;
}
