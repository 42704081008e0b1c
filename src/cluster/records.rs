//! Records of one namespace on the API server, as the gRPC services need them.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource as _};
use serde_json::{Value, json};

use super::adopt::adopted;
use super::caches::Caches;
use super::fresh::Fresh;
use super::record::RawRecord;
use super::{ClusterError, FieldCause, MANAGER_GRPC, within};
use crate::api::DeploymentRecord;
use crate::grpc::{RecordStore, StoreError, left_to_people, says_the_same};
use crate::model::FieldError;

/// Bound of one request; a call's own deadline, where it is shorter, ends the request too.
const REQUEST: Duration = Duration::from_secs(10);
/// Bound of a list, which is larger.
const LIST: Duration = Duration::from_secs(30);
/// Records of one page of a list.
const PAGE: u32 = 500;

/// How long a list waits for the cache; the watch is a few milliseconds behind a write.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Records of one namespace. One record is read from the API server, so any replica sees every write before it; lists
/// come from the cache, where there is one, as soon as that knows of every write made here.
#[derive(Clone)]
pub struct KubeRecords {
    records: Api<DeploymentRecord>,
    guarded: Api<DeserializeGuard<DeploymentRecord>>,
    namespace: String,
    fresh: Fresh,
    cache: Option<Store<RawRecord>>,
}

impl KubeRecords {
    /// Records of a namespace, read from the API server.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            records: Api::namespaced(client.clone(), namespace),
            guarded: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            fresh: Fresh::default(),
            cache: None,
        }
    }

    /// Takes lists from a cache. Only where nobody else writes records by gRPC: the writes of another replica would be
    /// seen a moment late.
    #[must_use]
    pub fn cached(self, caches: &Caches) -> Self {
        Self { fresh: caches.fresh.clone(), cache: Some(caches.records.clone()), ..self }
    }

    /// What the cache has, if it is of use just now.
    async fn in_cache(&self) -> Option<Vec<DeploymentRecord>> {
        let cache = self.cache.as_ref()?;
        if !self.fresh.caught_up(CATCH_UP).await {
            tracing::debug!("the cache is behind: the API server is asked");
            return None;
        }
        let all = cache.state_filter(|record| record.metadata.namespace.as_deref() == Some(self.namespace.as_str()));
        let gone = self.fresh.gone_of(all.iter().filter_map(|record| record.metadata.uid.as_deref()));
        let there = all.iter().filter(|record| !record.metadata.uid.as_ref().is_some_and(|uid| gone.contains(uid)));
        let read = |record: &RawRecord| {
            let name = record.metadata.name.as_deref().unwrap_or_default();
            record.typed().inspect_err(|error| left_out(name, error)).ok()
        };
        Some(there.filter_map(|record| read(record)).collect())
    }

    async fn on_api_server(&self) -> Result<Vec<DeploymentRecord>, StoreError> {
        let mut records = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = within(LIST, self.guarded.list(&params)).await.map_err(|error| self.classify(error))?;
            for record in page.items {
                match record.0 {
                    Ok(record) => records.push(record),
                    Err(unreadable) => {
                        left_out(unreadable.metadata.name.as_deref().unwrap_or_default(), &unreadable.error);
                    }
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(records),
            }
        }
    }

    async fn apply(
        &self,
        record: &DeploymentRecord,
        uid: Option<&str>,
        force: bool,
    ) -> Result<DeploymentRecord, StoreError> {
        let name = record.metadata.name.as_deref().unwrap_or_default();
        let mut params = PatchParams::apply(MANAGER_GRPC);
        params.force = force;
        let body = manifest(record, uid);
        let applied = within(REQUEST, self.records.patch(name, &params, &Patch::Apply(&body)))
            .await
            .map_err(|error| self.classify(error))?;
        self.fresh.wrote(applied.metadata.resource_version.as_deref());
        Ok(applied)
    }

    /// Takes over what others own of a record's spec, so that what its unit does not say goes. Whether there was any.
    async fn adopt(&self, existing: &DeploymentRecord, wanted: &DeploymentRecord) -> Result<bool, StoreError> {
        let entries = existing.metadata.managed_fields.as_deref().unwrap_or_default();
        let left = left_to_people(&wanted.spec);
        let Some(managed_fields) = adopted(entries, MANAGER_GRPC, &DeploymentRecord::api_version(&()), &left) else {
            return Ok(false);
        };
        let name = existing.metadata.name.as_deref().unwrap_or_default();
        let version = existing.metadata.resource_version.as_deref().unwrap_or_default();
        let body = json!({"metadata": {
            "uid": existing.metadata.uid,
            "resourceVersion": version,
            "managedFields": managed_fields,
        }});
        let params = PatchParams { field_manager: Some(MANAGER_GRPC.to_owned()), ..PatchParams::default() };
        within(REQUEST, self.records.patch(name, &params, &Patch::Merge(&body)))
            .await
            .map(|_| true)
            .map_err(|error| self.classify(error))
    }

    /// Takes out of a record's spec what its unit does not say although nobody owns it: an apply leaves that alone. Such
    /// fields remain where managed fields were wiped and the next apply was one of the status.
    async fn clear(&self, live: DeploymentRecord, wanted: &DeploymentRecord) -> Result<DeploymentRecord, StoreError> {
        let internal = |error: serde_json::Error| StoreError::Internal(error.to_string());
        if says_the_same(&live, wanted).map_err(internal)? {
            return Ok(live);
        }
        let spec = |record: &DeploymentRecord| serde_json::to_value(&record.spec).map_err(internal);
        let (before, mut after) = (spec(&live)?, spec(wanted)?);
        for field in left_to_people(&wanted.spec) {
            if let (Some(kept), Value::Object(after)) = (before.get(field), &mut after) {
                after.insert(field.to_owned(), kept.clone());
            }
        }
        let version = live.metadata.resource_version.as_deref().unwrap_or_default();
        let body = json!({
            "metadata": {"uid": live.metadata.uid, "resourceVersion": version},
            "spec": merge_patch(&before, &after),
        });
        let params = PatchParams { field_manager: Some(MANAGER_GRPC.to_owned()), ..PatchParams::default() };
        let name = live.metadata.name.as_deref().unwrap_or_default();
        within(REQUEST, self.records.patch(name, &params, &Patch::Merge(&body)))
            .await
            .map_err(|error| self.classify(error))
    }

    fn classify(&self, error: ClusterError) -> StoreError {
        tracing::debug!(category = error.category(), %error, "request to the API server failed");
        store_error(error, &self.namespace)
    }
}

#[async_trait]
impl RecordStore for KubeRecords {
    async fn get(&self, name: &str) -> Result<Option<DeploymentRecord>, StoreError> {
        let found = within(REQUEST, self.guarded.get_opt(name)).await.map_err(|error| self.classify(error))?;
        match found {
            None => Ok(None),
            Some(DeserializeGuard(Ok(record))) => Ok(Some(record)),
            Some(DeserializeGuard(Err(unreadable))) => Err(StoreError::Precondition {
                reason: "RECORD_UNREADABLE",
                message: format!(
                    "record {name:?} exists and cannot be read ({}); correct or delete it",
                    unreadable.error
                ),
            }),
        }
    }

    async fn list(&self) -> Result<Vec<DeploymentRecord>, StoreError> {
        match self.in_cache().await {
            Some(records) => Ok(records),
            None => self.on_api_server().await,
        }
    }

    async fn create(&self, record: &DeploymentRecord) -> Result<DeploymentRecord, StoreError> {
        self.apply(record, None, false).await
    }

    async fn update(
        &self,
        existing: &DeploymentRecord,
        record: &DeploymentRecord,
    ) -> Result<DeploymentRecord, StoreError> {
        self.adopt(existing, record).await?;
        let uid = existing.metadata.uid.as_deref();
        let applied = self.apply(record, uid, true).await?;
        // Where the managed fields had been wiped, the API server gives the fields an owner only with the first apply.
        let applied = if self.adopt(&applied, record).await? { self.apply(record, uid, true).await? } else { applied };
        let applied = self.clear(applied, record).await?;
        self.fresh.wrote(applied.metadata.resource_version.as_deref());
        Ok(applied)
    }

    async fn delete(&self, record: &DeploymentRecord) -> Result<(), StoreError> {
        let ObjectMeta { name, uid, resource_version, .. } = &record.metadata;
        let (name, version) = (name.as_deref().unwrap_or_default(), resource_version.as_deref());
        let params =
            DeleteParams::background().preconditions(Preconditions { uid: uid.clone(), resource_version: None });
        let left = match within(REQUEST, self.records.delete(name, &params)).await {
            Ok(answer) => answer.left(),
            Err(ClusterError::NotFound { .. }) => None,
            Err(error) => return Err(self.classify(error)),
        };
        match left.filter(|left| left.metadata.finalizers.as_ref().is_some_and(|held_by| !held_by.is_empty())) {
            Some(held) => self.fresh.wrote(held.metadata.resource_version.as_deref()),
            None => self.fresh.deleted(uid.as_deref().unwrap_or_default(), version),
        }
        Ok(())
    }
}

fn left_out(name: &str, error: &dyn std::fmt::Display) {
    tracing::warn!(record = name, %error, "a record that cannot be read is left out of the list");
}

/// The merge patch (RFC 7396) that turns one value into another.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(*value)).map(|(key, value)| {
        let value = before.get(key).map_or_else(|| value.clone(), |before| merge_patch(before, value));
        (key.clone(), value)
    });
    gone.chain(changed).collect()
}

/// What is applied; the uid makes an apply to something deleted meanwhile a conflict instead of a ghost.
fn manifest(record: &DeploymentRecord, uid: Option<&str>) -> Value {
    let mut manifest = json!({
        "apiVersion": DeploymentRecord::api_version(&()),
        "kind": DeploymentRecord::kind(&()),
        "metadata": {
            "name": record.metadata.name,
            "labels": record.metadata.labels,
            "annotations": record.metadata.annotations,
        },
        "spec": record.spec,
    });
    if let (Some(uid), Some(Value::Object(metadata))) = (uid, manifest.get_mut("metadata")) {
        metadata.insert("uid".to_owned(), json!(uid));
    }
    manifest
}

/// What the caller may know of it: never the API server's own words about this program's rights or faults.
fn store_error(error: ClusterError, namespace: &str) -> StoreError {
    let retry_after = error.retry_after().unwrap_or(Duration::from_secs(1));
    let precondition = |reason, message: String| StoreError::Precondition { reason, message };
    let unavailable = |message: &str| StoreError::Unavailable { retry_after, message: message.to_owned() };
    match error {
        ClusterError::NotFound { .. }
        | ClusterError::AlreadyExists(_)
        | ClusterError::FieldConflict { .. }
        | ClusterError::Stale(_) => StoreError::Conflict,
        ClusterError::Invalid(causes) => StoreError::Invalid(causes.into_iter().map(field_error).collect()),
        ClusterError::TooLarge(_) => StoreError::Invalid(vec![FieldError {
            field: "spec".to_owned(),
            message: "too large for the API server (about 1.5 MiB); mount larger data as files".to_owned(),
        }]),
        ClusterError::NoSuchKind => precondition(
            "CRD_MISSING",
            "the DeploymentRecord kind is not installed; run `oprc-crm crd | kubectl apply -f -`".to_owned(),
        ),
        ClusterError::NoSuchNamespace(_) => precondition(
            "NAMESPACE_MISSING",
            format!(
                "namespace {namespace:?} does not exist or is being deleted; create it, or set OPRC_CRM_K8S_NAMESPACE"
            ),
        ),
        ClusterError::AdmissionDenied(message) => precondition("ADMISSION_DENIED", message),
        ClusterError::Forbidden(message) => {
            tracing::error!(error = message, "rights are missing");
            let message = format!(
                "the controller has no right to do this to DeploymentRecords in namespace {namespace:?}; apply k8s/rbac/crm-rbac.yaml"
            );
            precondition("RBAC_MISSING", message)
        }
        ClusterError::Unauthenticated(message) => {
            tracing::error!(error = message, "credentials are not accepted");
            unavailable("the API server does not accept the controller's credentials")
        }
        ClusterError::Throttled { .. } => unavailable("the API server asks to slow down; try again"),
        ClusterError::Unavailable { .. } | ClusterError::Timeout(_) => {
            unavailable("the API server is not available; try again")
        }
        ClusterError::Gone | ClusterError::Other(_) => StoreError::Internal(error.to_string()),
    }
}

fn field_error(cause: FieldCause) -> FieldError {
    FieldError { field: cause.field, message: cause.message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::api::DeploymentRecordSpec;

    #[test]
    fn the_manifest_has_what_is_ours_and_nothing_else() {
        let record = DeploymentRecord::new("a", DeploymentRecordSpec::default());
        let manifest = manifest(&record, Some("u-1"));
        assert_eq!(manifest.pointer("/metadata/uid").unwrap(), "u-1");
        assert_eq!(manifest.get("kind").unwrap(), "DeploymentRecord");
        assert!(manifest.get("status").is_none());
    }

    #[test]
    fn a_merge_patch_takes_away_what_is_gone_and_replaces_lists_whole() {
        let (before, after) = (
            json!({"a": 1, "b": {"c": 1, "d": {"e": 1}}, "l": [1, 2], "same": {"x": 1}}),
            json!({"b": {"d": {"e": 2}}, "l": [1], "n": {"m": 1}, "same": {"x": 1}}),
        );
        let expected = json!({"a": null, "b": {"c": null, "d": {"e": 2}}, "l": [1], "n": {"m": 1}});
        assert_eq!(merge_patch(&before, &after), expected);
    }

    #[test]
    fn the_words_of_the_api_server_about_rights_and_outages_stay_in_the_log() {
        for error in [
            ClusterError::Forbidden("User \"secret\" cannot".to_owned()),
            ClusterError::Unauthenticated("secret".to_owned()),
            ClusterError::Unavailable { retry_after: Duration::from_secs(1), message: "secret".to_owned() },
        ] {
            assert!(!store_error(error, "ns").to_string().contains("secret"));
        }
    }

    #[test]
    fn every_kind_of_conflict_is_read_again() {
        for error in [
            ClusterError::Stale(String::new()),
            ClusterError::AlreadyExists(String::new()),
            ClusterError::FieldConflict { managers: vec![], fields: vec![] },
        ] {
            assert_eq!(store_error(error, "ns"), StoreError::Conflict);
        }
    }
}
