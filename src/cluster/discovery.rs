//! What the cluster has: optional kinds, also when they are installed later, and nodes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::decision::ClusterFacts;

/// Longest wait for one answer; what does not answer is not known.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks once. What cannot be found out (no right, no answer) is `None`: neither yes nor no.
pub async fn look(client: &Client) -> ClusterFacts {
    let knative = has_kind(client, "serving.knative.dev/v1", "Service").await;
    let service_monitor = has_kind(client, "monitoring.coreos.com/v1", "ServiceMonitor").await;
    let pod_monitor = has_kind(client, "monitoring.coreos.com/v1", "PodMonitor").await;
    let (nodes, ready_nodes) = nodes(client).await.map_or((None, None), |(all, ready)| (Some(all), Some(ready)));
    ClusterFacts { knative, service_monitor, pod_monitor, nodes, ready_nodes }
}

async fn has_kind(client: &Client, api_version: &str, kind: &str) -> Option<bool> {
    let answer = tokio::time::timeout(TIMEOUT, client.list_api_group_resources(api_version)).await.ok()?;
    match answer {
        Ok(list) => Some(list.resources.iter().any(|resource| resource.kind == kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(error) => {
            tracing::warn!(%error, api_version, "cannot find out which kinds the cluster has");
            None
        }
    }
}

/// How many nodes there are and how many of them are Ready; `None` where that cannot be found out.
pub async fn nodes(client: &Client) -> Option<(u32, u32)> {
    let api: Api<Node> = Api::all(client.clone());
    // From the API server's own cache: a count that is a second old is good enough.
    let params = ListParams::default().match_any();
    let list = tokio::time::timeout(TIMEOUT, api.list(&params)).await.ok()?.inspect_err(|error| {
        tracing::warn!(%error, "cannot count the nodes");
    });
    let list = list.ok()?;
    let ready = list.items.iter().filter(|node| is_ready(node)).count();
    Some((u32::try_from(list.items.len()).ok()?, u32::try_from(ready).ok()?))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
