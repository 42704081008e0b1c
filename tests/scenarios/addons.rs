//! Addons: what comes beside the functions, by the record or by the template, and goes again.

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::class::{Namespace, SOON, condition};
use crate::support::pm::{canonical, deploy, unit};
use crate::support::{cluster, eventually, from_json};
use crate::{IMAGE, start};

fn spec(addons: &[&str], replicas: u32) -> Value {
    let function = json!({"function_key": "f", "image": IMAGE, "replicas": replicas});
    json!({"functions": [function], "addons": addons})
}

/// Waits until the cluster has counted the pods of a budget; how many may go now.
async fn allowed(ns: &Namespace, name: &str, healthy: i32) -> i32 {
    eventually(SOON, &format!("budget {name} counts {healthy} healthy pods"), || async {
        let budget = ns.budgets().get(name).await.map_err(|error| error.to_string())?;
        let seen = budget.status.clone().unwrap_or_default();
        let current = seen.observed_generation == budget.metadata.generation && seen.current_healthy == healthy;
        if current { Ok(seen.disruptions_allowed) } else { Err(format!("{seen:?}")) }
    })
    .await
}

/// Keeps the cluster from starting pods beyond this number, from when it is seen to hold.
async fn quota(ns: &Namespace, pods: u32) -> Api<ResourceQuota> {
    let api: Api<ResourceQuota> = Api::namespaced(ns.client(), &ns.name);
    let quota = json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": pods.to_string()}}});
    api.create(&PostParams::default(), &from_json(quota)).await.unwrap();
    eventually(SOON, "the quota holds", || async {
        let status = api.get("pods").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.hard.is_some() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    api
}

async fn pods(ns: &Namespace) -> (Api<Pod>, Vec<String>) {
    let api: Api<Pod> = Api::namespaced(cluster().await.admin_once(), &ns.name);
    let pods = api.list(&ListParams::default()).await.unwrap().items;
    (api, pods.into_iter().map(|pod| pod.metadata.name.unwrap()).collect())
}

#[tokio::test]
async fn with_the_addon_pods_of_a_function_are_evicted_one_after_the_other() {
    let (crm, ns) = start("pdb").await;
    ns.apply("a", spec(&["pdb"], 3)).await;
    let status = ns.available("a").await;
    assert_eq!(ns.objects().await, ["Deployment/a", "PodDisruptionBudget/a", "Service/a-svc"]);
    let listed = status.resource_refs.iter().find(|one| one.kind == "PodDisruptionBudget").expect("it is listed");
    assert_eq!((listed.api_version.as_str(), listed.name.as_str()), ("policy/v1", "a"));
    assert_eq!(allowed(&ns, "a", 3).await, 1);
    let (api, names) = pods(&ns).await;
    // No successor begins to serve between the two.
    let quota = quota(&ns, 2).await;
    api.evict(&names[0], &EvictParams::default()).await.expect("one pod may go");
    let second = api.evict(&names[1], &EvictParams::default()).await.expect_err("and no other while it is missing");
    assert!(matches!(&second, kube::Error::Api(status) if status.code == 429), "{second}");
    quota.delete("pods", &DeleteParams::default()).await.unwrap();
    assert_eq!(allowed(&ns, "a", 3).await, 1, "once its successor serves, the next may go");
    crm.stop().await;
}

#[tokio::test]
async fn a_budget_never_keeps_the_last_pod_nor_one_that_does_not_serve() {
    let (crm, ns) = start("pdb-last").await;
    ns.apply("a", spec(&["pod-disruption-budget"], 1)).await;
    ns.available("a").await;
    assert_eq!(ns.objects().await, ["Deployment/a", "PodDisruptionBudget/a", "Service/a-svc"]);
    assert_eq!(allowed(&ns, "a", 1).await, 1, "a node with a single pod can be drained");
    let (api, names) = pods(&ns).await;
    api.evict(&names[0], &EvictParams::default()).await.expect("the only pod may go");
    let budget = serde_json::to_value(ns.budgets().get("a").await.unwrap()).unwrap();
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    crm.stop().await;
}

#[tokio::test]
async fn the_addon_comes_and_goes_with_the_record_and_is_put_back_where_others_change_it() {
    let (crm, ns) = start("pdb-off").await;
    ns.apply("a", spec(&[], 2)).await;
    ns.available("a").await;
    assert_eq!(ns.objects().await, ["Deployment/a", "Service/a-svc"]);
    ns.apply("a", spec(&["pdb", "odgm"], 2)).await;
    ns.available("a").await;
    let budgets = |objects: Vec<String>| objects.into_iter().filter(|one| one.contains("Budget")).collect::<Vec<_>>();
    assert_eq!(budgets(ns.objects().await), ["PodDisruptionBudget/a", "PodDisruptionBudget/a-odgm"]);

    let blocking = json!({"spec": {"maxUnavailable": 0}});
    ns.budgets().patch("a", &PatchParams::default(), &Patch::Merge(&blocking)).await.unwrap();
    assert!(ns.event("a", "DriftCorrected").await.contains("spec.maxUnavailable"));
    eventually(SOON, "the budget is as it was", || async {
        let budget = serde_json::to_value(ns.budgets().get("a").await.unwrap()).unwrap();
        if budget["spec"]["maxUnavailable"] == 1 { Ok(()) } else { Err(budget.to_string()) }
    })
    .await;

    ns.apply("a", spec(&["odgm"], 2)).await;
    eventually(SOON, "the budgets are gone", || async {
        let left = budgets(ns.objects().await);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let status = ns.available("a").await;
    assert!(status.resource_refs.iter().all(|one| one.kind != "PodDisruptionBudget"), "{:?}", status.resource_refs);
    ns.apply("a", spec(&["pdb"], 2)).await;
    ns.available("a").await;
    ns.delete("a").await;
    ns.nothing_left("a").await;
    crm.stop().await;
}

#[tokio::test]
async fn template_full_guards_what_has_more_than_one_pod_without_being_asked() {
    let (crm, ns) = start("pdb-full").await;
    let functions = json!([
        {"function_key": "many", "image": IMAGE}, {"function_key": "one", "image": IMAGE, "replicas": 1},
    ]);
    ns.apply("a", json!({"functions": functions, "selected_template": "full"})).await;
    ns.available("a").await;
    let budgets: Vec<PodDisruptionBudget> = ns.budgets().list(&ListParams::default()).await.unwrap().items;
    let names: Vec<_> = budgets.into_iter().filter_map(|one| one.metadata.name).collect();
    assert_eq!(names, ["a-many"]);
    crm.stop().await;
}

#[tokio::test]
async fn an_addon_that_the_template_has_nothing_of_is_told_in_the_message() {
    let (crm, ns) = start("pdb-none").await;
    ns.apply("a", spec(&["pdb"], 0)).await;
    let status = ns.available("a").await;
    let message = status.message.unwrap_or_default();
    assert!(message.contains("addon \"pdb\" is asked for, and template \"edge\" has nothing of it"), "{message}");
    crm.stop().await;
}

#[tokio::test]
async fn an_unknown_addon_is_refused_with_the_names_of_those_that_there_are() {
    let (crm, ns) = start("addon-unknown").await;
    ns.apply("applied", spec(&["pdb", "cache"], 1)).await;
    let status = ns.degraded("applied").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("spec.addons[1]: unknown addon \"cache\"; known: odgm, pdb"), "{message}");

    let mut sent = unit("sent", IMAGE);
    sent.addons = vec!["cache".to_owned()];
    let refused = canonical(&crm).await.deploy(deploy(sent)).await.expect_err("it is refused");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let details = refused.get_details_bad_request().expect("the field");
    let violation = &details.field_violations[0];
    assert_eq!(violation.field, "deployment_unit.addons[0]");
    assert!(violation.description.contains("known: odgm, pdb"), "{}", violation.description);
    assert!(ns.records().get_opt("sent").await.unwrap().is_none());
    assert!(ns.objects().await.is_empty(), "nothing of either");
    crm.stop().await;
}
