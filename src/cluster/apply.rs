//! Writes to the API server: server-side apply, and deletion. Every apply to an object that exists carries its UID,
//! so that nothing deleted meanwhile comes back as a ghost.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::caches::LiveObject;
use super::scale::{Enforced, Hold, Owned, Reach};
use super::{ClusterError, MANAGER, MANAGER_ANALYZER, MANAGER_SCALE, MANAGER_STATUS, within};
use crate::api::{
    ANNOTATION_ENFORCED, ANNOTATION_HELD, DeploymentRecord, DeploymentRecordStatus, FINALIZER, GROUP, VERSION,
};
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

    /// Applies the number of replicas of an object as it was seen by `oprc-crm-scale`, with everything else that it owns
    /// there. Where others own another number and the reach does not go over that, the error names them.
    pub async fn scale(&self, seen: &LiveObject, owned: &Owned, reach: Reach) -> Result<LiveObject, ClusterError> {
        let Some(field) = seen.kind.scale_field() else {
            return Err(ClusterError::Other(format!("a {} has no number of replicas", seen.kind.title())));
        };
        let enforced = owned.enforced.as_ref().map(|enforced| json!({ANNOTATION_ENFORCED: enforced.text()}));
        self.apply_scale(seen, enforced, json!({field: owned.replicas}), reach).await
    }

    /// Takes away what the enforcer wrote on an object whose number `oprc-crm-scale` does not own.
    pub async fn forget_scale(&self, seen: &LiveObject) -> Result<LiveObject, ClusterError> {
        self.apply_scale(seen, None, json!({}), Reach::Seen).await
    }

    /// Notes since when the number of an object, which `oprc-crm-scale` does not own, is left as somebody else set it. What
    /// the enforcer wrote stays: by its number, too, it can be handed back.
    pub async fn note_hold(&self, seen: &LiveObject, hold: &Hold) -> Result<LiveObject, ClusterError> {
        let enforced = Enforced::read(seen).ok().flatten();
        let annotations = match &enforced {
            Some(enforced) => json!({ANNOTATION_HELD: hold.text(), ANNOTATION_ENFORCED: enforced.text()}),
            None => json!({ANNOTATION_HELD: hold.text()}),
        };
        // Forced, because these annotations are ours whoever edited them; the number is not among what is applied.
        self.apply_scale(seen, Some(annotations), json!({}), Reach::Forced).await
    }

    async fn apply_scale(
        &self,
        seen: &LiveObject,
        annotations: Option<Value>,
        spec: Value,
        reach: Reach,
    ) -> Result<LiveObject, ClusterError> {
        let (name, namespace) = names(&seen.meta);
        let mut metadata = metadata(name, namespace, seen.meta.uid.as_deref());
        metadata.extend(annotations.map(|annotations| ("annotations".to_owned(), annotations)));
        if reach != Reach::Lenient {
            metadata
                .extend(seen.meta.resource_version.as_deref().map(|seen| ("resourceVersion".to_owned(), json!(seen))));
        }
        let patch = json!({
            "apiVersion": seen.kind.api_version(), "kind": seen.kind.kind(), "metadata": metadata, "spec": spec,
        });
        let params = PatchParams { force: reach == Reach::Forced, ..PatchParams::apply(MANAGER_SCALE) };
        let written =
            within(TIMEOUT, self.api(seen.kind, namespace).patch(name, &params, &Patch::Apply(&patch))).await?;
        Ok(super::caches::live(seen.kind, &written))
    }

    /// Whether any autoscaler targets a Deployment, as the API server knows it now.
    pub async fn is_scaled(&self, namespace: &str, deployment: &str) -> Result<bool, ClusterError> {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let all = within(TIMEOUT, api.list(&ListParams::default())).await?;
        Ok(all.iter().any(|one| super::autoscalers::target(one) == Some(deployment)))
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

    /// Adds our finalizer to a record.
    pub async fn add_finalizer(&self, record: &ObjectMeta) -> Result<(), ClusterError> {
        let (name, namespace) = names(record);
        let mut metadata = metadata(name, namespace, record.uid.as_deref());
        metadata.insert("finalizers".to_owned(), json!([FINALIZER]));
        let patch = json!({"apiVersion": api_version(), "kind": "DeploymentRecord", "metadata": metadata});
        let params = PatchParams::apply(MANAGER).force();
        within(TIMEOUT, self.records(namespace).patch(name, &params, &Patch::Apply(&patch))).await.map(|_| ())
    }

    /// Takes our finalizer away from a record, whoever wrote it there: people bring it along in what they exported, and
    /// then an apply, which takes away only what it owns, would leave it. Finalizers of others stay. Whether it was there.
    pub async fn remove_finalizer(&self, record: &ObjectMeta) -> Result<bool, ClusterError> {
        let (name, namespace) = names(record);
        let records = self.records(namespace);
        let Some(live) = within(TIMEOUT, records.get_metadata_opt(name)).await?.map(|live| live.metadata) else {
            return Ok(false);
        };
        let is_ours = |one: &String| one == FINALIZER;
        if live.uid != record.uid || !live.finalizers.iter().flatten().any(is_ours) {
            return Ok(false);
        }
        let others: Vec<_> = live.finalizers.iter().flatten().filter(|one| !is_ours(one)).collect();
        // Its version guards the list: what another controller adds meanwhile is not lost.
        let patch = json!({"metadata": {
            "uid": live.uid, "resourceVersion": live.resource_version, "finalizers": others,
        }});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match within(TIMEOUT, records.patch(name, &params, &Patch::Merge(&patch))).await {
            Ok(left) if left.metadata.finalizers.iter().flatten().any(is_ours) => {
                Err(ClusterError::Other(format!("the finalizer of record {name:?} was put back; what changes it?")))
            }
            Ok(_) => Ok(true),
            Err(ClusterError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the controller's part of a record's status, complete. The record's metadata as written.
    pub async fn status(
        &self,
        record: &ObjectMeta,
        status: &DeploymentRecordStatus,
    ) -> Result<ObjectMeta, ClusterError> {
        self.status_by(MANAGER_STATUS, record, status).await
    }

    /// Writes the analyzer's part of a record's status, complete. The record's metadata as written.
    pub async fn analysis(
        &self,
        record: &ObjectMeta,
        status: &DeploymentRecordStatus,
    ) -> Result<ObjectMeta, ClusterError> {
        self.status_by(MANAGER_ANALYZER, record, status).await
    }

    async fn status_by(
        &self,
        manager: &str,
        record: &ObjectMeta,
        status: &DeploymentRecordStatus,
    ) -> Result<ObjectMeta, ClusterError> {
        let (name, namespace) = names(record);
        let patch = json!({
            "apiVersion": api_version(), "kind": "DeploymentRecord",
            "metadata": metadata(name, namespace, record.uid.as_deref()),
            "status": status,
        });
        let params = PatchParams::apply(manager).force();
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
