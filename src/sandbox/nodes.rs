//! Fake nodes: objects that kwok keeps Ready, big enough that nothing a test schedules is turned away.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};

use super::error::SandboxError;

/// The taint that stays until the node controller has seen a node Ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Creates `node-0`, `node-1`, ..
pub(super) async fn create(client: &Client, count: u32) -> Result<(), SandboxError> {
    let api: Api<Node> = Api::all(client.clone());
    for index in 0..count {
        let name = format!("node-{index}");
        api.create(&PostParams::default(), &node(&name)).await.map_err(|source| SandboxError::Api {
            what: format!("cannot create node {name}"),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// `None` once all of them are Ready and take pods; else what is still missing.
pub(super) async fn missing(client: &Client, count: u32) -> Option<String> {
    let api: Api<Node> = Api::all(client.clone());
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            let ready = list.items.iter().filter(|node| takes_pods(node)).count();
            (ready < count as usize).then(|| format!("{ready} of {count} nodes take pods"))
        }
        Err(error) => Some(format!("cannot list nodes: {error}")),
    }
}

fn takes_pods(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    ready && taints.into_iter().all(|taint| taint.key != NOT_READY)
}

fn node(name: &str) -> Node {
    let labels = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("type", "kwok"),
    ];
    let resources: BTreeMap<String, Quantity> =
        [("cpu", "256"), ("memory", "1Ti"), ("pods", "5000"), ("ephemeral-storage", "1Ti")]
            .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
            .into();
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            annotations: Some([("kwok.x-k8s.io/node".to_owned(), "fake".to_owned())].into()),
            ..ObjectMeta::default()
        },
        status: Some(NodeStatus {
            allocatable: Some(resources.clone()),
            capacity: Some(resources),
            ..NodeStatus::default()
        }),
        ..Node::default()
    }
}
