//! The controller's own Deployment, for Events about the controller itself.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Client};

use super::within;

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The Deployment that the controller's pod belongs to; `None` where it is none of a Deployment's, or where that cannot
/// be seen.
pub async fn deployment(client: &Client, namespace: &str, pod: &str) -> Option<ObjectReference> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = within(TIMEOUT, api.get_opt(deployment_of(pod)?)).await;
    let found = found.inspect_err(|error| tracing::debug!(%error, "own Deployment not seen")).ok()??;
    Some(ObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: Some("Deployment".to_owned()),
        name: found.metadata.name,
        namespace: found.metadata.namespace,
        uid: found.metadata.uid,
        ..ObjectReference::default()
    })
}

/// A pod's name without the suffixes of its ReplicaSet and its own.
fn deployment_of(pod: &str) -> Option<&str> {
    let (replica_set, _) = pod.rsplit_once('-')?;
    replica_set.rsplit_once('-').map(|(deployment, _)| deployment).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::deployment_of;

    #[test]
    fn the_deployment_is_the_pods_name_without_its_two_suffixes() {
        assert_eq!(deployment_of("oprc-crm-7d4b9c6f5-x2k8p"), Some("oprc-crm"));
        assert_eq!(deployment_of("crm-0"), None);
        assert_eq!(deployment_of("crm"), None);
    }
}
