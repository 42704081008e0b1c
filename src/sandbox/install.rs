//! Puts manifests on a cluster by server-side apply: the CRD, the operator's identity and rights, or any others.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiCapabilities, ApiResource, Scope};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::api::{CrdError, crd_yaml};

/// The namespace of the operator's `ServiceAccount`.
pub const CRM_NAMESPACE: &str = "oaas-system";

const CRM_ACCOUNT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: oaas-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: oprc-crm, namespace: oaas-system}
";
const FIELD_MANAGER: &str = "oprc-crm-install";
const CRD_LIMIT: Duration = Duration::from_secs(20);
/// A kind may appear in discovery a moment after its definition is established.
const DISCOVERY_TRIES: u32 = 30;
const DISCOVERY_PAUSE: Duration = Duration::from_millis(100);

/// Why manifests could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The text is no YAML.
    #[error("{name}: not valid YAML: {reason}")]
    Yaml {
        /// What the caller calls the text.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// A document is no Kubernetes object.
    #[error("{name}: document {index}: {reason}")]
    Document {
        /// What the caller calls the text.
        name: String,
        /// Which document, counted from 1.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster refuses one.
    #[error("{name}: cannot apply {object}: {source}")]
    Apply {
        /// What the caller calls the text.
        name: String,
        /// Kind and name.
        object: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
    /// A definition is not taken up.
    #[error("{name}: the CustomResourceDefinition {crd} is not established after {limit:?}")]
    NotEstablished {
        /// What the caller calls the text.
        name: String,
        /// Its name.
        crd: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The CRD could not be generated.
    #[error(transparent)]
    Crd(#[from] CrdError),
}

/// Installs what the operator needs: its CRD, namespace, `ServiceAccount`, and the rights that `rbac` gives it.
pub async fn crm(client: &Client, rbac: &str) -> Result<(), InstallError> {
    apply_yaml(client, "the DeploymentRecord CRD", &crd_yaml()?).await?;
    apply_yaml(client, "the operator's account", CRM_ACCOUNT).await?;
    apply_yaml(client, "the operator's rights", rbac).await?;
    Ok(())
}

/// Applies each document of a YAML text in turn. Nothing is applied unless all of them are Kubernetes objects.
/// Returns what was applied, as `Kind/name`. `name` stands for the text in errors.
pub async fn apply_yaml(client: &Client, name: &str, text: &str) -> Result<Vec<String>, InstallError> {
    let mut applied = Vec::new();
    for object in parse(name, text)? {
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        let shown = format!("{kind}/{}", object.name_any());
        apply(client, &object).await.map_err(|source| InstallError::Apply {
            name: name.to_owned(),
            object: shown.clone(),
            source: Box::new(source),
        })?;
        if kind == "CustomResourceDefinition" {
            established(client, name, &object.name_any()).await?;
        }
        applied.push(shown);
    }
    Ok(applied)
}

fn parse(name: &str, text: &str) -> Result<Vec<DynamicObject>, InstallError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| InstallError::Yaml { name: name.to_owned(), reason: error.to_string() })?;
    let objects = documents.into_iter().enumerate().filter(|(_, document)| !document.is_null());
    objects
        .map(|(index, document)| {
            let wrong = |reason: String| InstallError::Document { name: name.to_owned(), index: index + 1, reason };
            let object: DynamicObject = serde_json::from_value(document).map_err(|error| wrong(error.to_string()))?;
            if object.types.is_none() {
                return Err(wrong("apiVersion or kind is missing".to_owned()));
            }
            if object.metadata.name.is_none() {
                return Err(wrong("metadata.name is missing".to_owned()));
            }
            Ok(object)
        })
        .collect()
}

async fn apply(client: &Client, object: &DynamicObject) -> kube::Result<()> {
    let Some(types) = &object.types else { return Ok(()) };
    let gvk = GroupVersionKind::try_from(types).map_err(|error| kube::Error::Service(Box::new(error)))?;
    let (resource, capabilities) = discover(client, &gvk).await?;
    let api: Api<DynamicObject> = match (&capabilities.scope, object.namespace()) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), &namespace, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await.map(|_| ())
}

async fn discover(client: &Client, gvk: &GroupVersionKind) -> kube::Result<(ApiResource, ApiCapabilities)> {
    for _ in 1..DISCOVERY_TRIES {
        if let Ok(found) = discovery::pinned_kind(client, gvk).await {
            return Ok(found);
        }
        sleep(DISCOVERY_PAUSE).await;
    }
    discovery::pinned_kind(client, gvk).await
}

async fn established(client: &Client, name: &str, crd: &str) -> Result<(), InstallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    match timeout(CRD_LIMIT, await_condition(api, crd, is_crd_established())).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(InstallError::NotEstablished { name: name.to_owned(), crd: crd.to_owned(), limit: CRD_LIMIT }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn documents_that_are_no_objects_are_named() {
        let objects = parse("x", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\n").unwrap();
        assert_eq!(objects.len(), 1);
        let error = parse("my.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Pod\n");
        assert!(error.unwrap_err().to_string().starts_with("my.yaml: document 2: "));
        let error = parse("my.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {}\n").unwrap_err().to_string();
        assert_eq!(error, "my.yaml: document 1: metadata.name is missing");
        assert!(parse("my.yaml", "a: [").unwrap_err().to_string().starts_with("my.yaml: not valid YAML: "));
    }
}
