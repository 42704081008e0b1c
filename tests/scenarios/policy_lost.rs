//! The kept state of the policy is gone or broken: nobody knows what the classes were decided by, and none changes for it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::idle::settled;
use crate::support::class::{Namespace, condition};
use crate::support::crm::Crm;
use crate::support::policy::{Bundle, document, events, page, page_where};
use crate::support::{self, eventually};
use crate::{IMAGE, start_with};

const LIVE: usize = 6;
const KEPT: &str = "oprc-crm-policy";

/// Template edge with this many replicas.
fn edge(replicas: u32, rollout: &str) -> String {
    format!(
        "{}---\napiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {{name: edge}}\nspec:\n  \
         score: [{{id: profile, when: 'profile == \"edge\"', add: 100}}]\n  \
         workload: {{kind: Deployment, replicas: '{replicas}.0'}}\n",
        document("", rollout)
    )
}

fn name(index: usize) -> String {
    format!("c{index}")
}

async fn kept(ns: &Namespace) -> Api<ConfigMap> {
    Api::namespaced(support::cluster().await.admin(), &ns.name)
}

/// Replicas that the Deployments ask for.
async fn replicas(ns: &Namespace) -> Vec<i32> {
    let all = ns.deployments().list(&ListParams::default()).await.unwrap().items;
    all.into_iter().filter_map(|one| one.spec?.replicas).collect()
}

async fn said(ns: &Namespace) -> Vec<(String, String)> {
    events(support::cluster().await.admin(), &ns.name, "PolicyStateLost").await
}

async fn all_have(ns: &Namespace, wanted: i32) {
    eventually(support::policy::LOADED, &format!("{wanted} replicas each"), || async {
        let found = replicas(ns).await;
        if found == vec![wanted; LIVE] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// Whoever can write there breaks it.
async fn break_it(ns: &Namespace) {
    let broken = json!({"binaryData": {"state.json.gz": "bm9uc2Vuc2U="}});
    kept(ns).await.patch(KEPT, &PatchParams::default(), &Patch::Merge(&broken)).await.unwrap();
}

#[tokio::test]
async fn a_lost_state_changes_no_class_and_what_a_new_policy_would_change_is_held_and_then_paced() {
    let bundle = Bundle::new("", "");
    bundle.write("bundle.yaml", &edge(1, ""));
    let variables = [("OPRC_CRM_POLICY_DIR", bundle.path())];
    let (crm, ns) = start_with("lost", &variables).await;
    for index in 0..LIVE {
        ns.apply(&name(index), json!({"function": {"image": IMAGE}})).await;
    }
    all_have(&ns, 1).await;
    settled(&crm).await;
    crm.stop().await;

    // Deleted, and the same policy: they have what it gives them, so there is nothing to say.
    kept(&ns).await.delete(KEPT, &DeleteParams::default()).await.unwrap();
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    settled(&crm).await;
    assert_eq!(crm.writes(), 1, "the state is kept again, and that is all");
    assert_eq!(page(&crm).await["pending"], Value::Null);
    crm.stop().await;

    // Broken, and another policy: they stay as they are.
    break_it(&ns).await;
    bundle.write("bundle.yaml", &edge(2, ""));
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    let pending = page(&crm).await["pending"].clone();
    assert_eq!((&pending["state"], &pending["changed"]), (&json!("held"), &json!(LIVE)));
    assert_eq!(pending["by_change"][0]["change"], "template edge gives another workload");
    let status = ns.status("c0", "it waits", |status| condition(status, "PolicyChangePending").0 == "True").await;
    assert_eq!(condition(&status, "PolicyChangePending").1, "Template:edge");
    assert_eq!(condition(&status, "Available").0, "True");
    settled(&crm).await;
    assert_eq!(replicas(&ns).await, vec![1; LIVE]);
    let events = said(&ns).await;
    assert!(events.len() == 1 && events[0].1.contains("6 of 6 classes (100 %) change"), "{events:?}");
    crm.stop().await;
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    settled(&crm).await;
    assert_eq!((crm.writes(), replicas(&ns).await), (0, vec![1; LIVE]), "the next start finds the same");

    // Back, without any approval; and forth with one.
    bundle.write("bundle.yaml", &edge(1, ""));
    page_where(&crm, "nothing waits", |page| page["pending"].is_null()).await;
    crm.stop().await;
    break_it(&ns).await;
    bundle.write("bundle.yaml", &edge(2, "hold_above: 100%, pace: 10/s"));
    let crm = Crm::start_with(support::cluster().await, &ns.name, &variables).await;
    all_have(&ns, 2).await;
    page_where(&crm, "every class went over", |page| page["pending"].is_null()).await;
    crm.stop().await;
}
