//! Writes to the API server: server-side apply, and deletion. Every apply to an object that exists carries its UID,
//! so that nothing deleted meanwhile comes back as a ghost.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::caches::LiveObject;
use super::{ClusterError, MANAGER, MANAGER_SCALE, MANAGER_STATUS, within};
use crate::api::{DeploymentRecord, DeploymentRecordStatus, FINALIZER, GROUP, VERSION};
use crate::render::ObjectKind;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Writes to the API server.
#[derive(Clone)]
pub struct Applier {
    client: Client,
}

impl Applier {
    /// An applier over a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The object as it stands now; `None` where there is none.
    pub async fn read(
        &self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<LiveObject>, ClusterError> {
        let found = within(TIMEOUT, self.api(kind, namespace).get_opt(name)).await?;
        Ok(found.map(|object| super::caches::live(kind, &object)))
    }

    /// Applies a whole manifest by `oprc-crm`; `force` takes over what others hold of it. The object as written.
    pub async fn apply(
        &self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
        manifest: &Value,
        force: bool,
    ) -> Result<LiveObject, ClusterError> {
        let params = PatchParams { force, ..PatchParams::apply(MANAGER) };
        let written = within(TIMEOUT, self.api(kind, namespace).patch(name, &params, &Patch::Apply(manifest))).await?;
        Ok(super::caches::live(kind, &written))
    }

    /// Applies `spec.replicas` of an object as it was seen by `oprc-crm-scale`. Without force a conflict names whoever
    /// owns another number; with it, one that was set since it was seen is still not overwritten.
    pub async fn scale(
        &self,
        seen: &LiveObject,
        name: &str,
        replicas: u32,
        force: bool,
    ) -> Result<LiveObject, ClusterError> {
        let namespace = seen.meta.namespace.as_deref().unwrap_or_default();
        let mut metadata = metadata(name, namespace, seen.meta.uid.as_deref());
        if force {
            metadata
                .extend(seen.meta.resource_version.as_deref().map(|seen| ("resourceVersion".to_owned(), json!(seen))));
        }
        let patch = json!({
            "apiVersion": seen.kind.api_version(), "kind": seen.kind.kind(),
            "metadata": metadata,
            "spec": {"replicas": replicas},
        });
        let params = PatchParams { force, ..PatchParams::apply(MANAGER_SCALE) };
        let written =
            within(TIMEOUT, self.api(seen.kind, namespace).patch(name, &params, &Patch::Apply(&patch))).await?;
        Ok(super::caches::live(seen.kind, &written))
    }

    /// Deletes an object, if it is still the one that was seen; its dependents follow in the background.
    pub async fn delete(&self, object: &LiveObject) -> Result<(), ClusterError> {
        let ObjectMeta { name, namespace, uid, .. } = &object.meta;
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        let api = self.api(object.kind, namespace.as_deref().unwrap_or_default());
        match within(TIMEOUT, api.delete(name.as_deref().unwrap_or_default(), &params)).await {
            Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Adds our finalizer to a record, or takes it away.
    pub async fn finalizer(&self, record: &ObjectMeta, present: bool) -> Result<(), ClusterError> {
        let (name, namespace) = names(record);
        let mut metadata = metadata(name, namespace, record.uid.as_deref());
        metadata.insert("finalizers".to_owned(), if present { json!([FINALIZER]) } else { json!([]) });
        let patch = json!({"apiVersion": api_version(), "kind": "DeploymentRecord", "metadata": metadata});
        let params = PatchParams::apply(MANAGER).force();
        match within(TIMEOUT, self.records(namespace).patch(name, &params, &Patch::Apply(&patch))).await {
            Ok(_) => Ok(()),
            // Gone already: nothing to take away, and the UID kept us from making a ghost.
            Err(ClusterError::NotFound { .. } | ClusterError::Stale(_)) if !present => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the controller's part of a record's status, complete. The record's metadata as written.
    pub async fn status(
        &self,
        record: &ObjectMeta,
        status: &DeploymentRecordStatus,
    ) -> Result<ObjectMeta, ClusterError> {
        let (name, namespace) = names(record);
        let patch = json!({
            "apiVersion": api_version(), "kind": "DeploymentRecord",
            "metadata": metadata(name, namespace, record.uid.as_deref()),
            "status": status,
        });
        let params = PatchParams::apply(MANAGER_STATUS).force();
        let written =
            within(TIMEOUT, self.records(namespace).patch_status(name, &params, &Patch::Apply(&patch))).await?;
        Ok(written.metadata)
    }

    fn api(&self, kind: ObjectKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind.api_version(), kind.kind()))
    }

    /// Untyped: an answer that does not parse (a field of a later schema) must not fail a write that succeeded.
    fn records(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<DeploymentRecord>(&());
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

fn names(record: &ObjectMeta) -> (&str, &str) {
    (record.name.as_deref().unwrap_or_default(), record.namespace.as_deref().unwrap_or_default())
}

fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

fn metadata(name: &str, namespace: &str, uid: Option<&str>) -> Map<String, Value> {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name)), ("namespace".to_owned(), json!(namespace))]);
    metadata.extend(uid.map(|uid| ("uid".to_owned(), json!(uid))));
    metadata
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}
