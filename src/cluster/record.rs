//! A record as it stands in the API server, before anyone trusts it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{DeploymentRecord, DeploymentRecordStatus};

/// A record whose spec has not been looked at: one that does not parse must not stop the watch of the others.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[resource(inherit = DeploymentRecord)]
pub struct RawRecord {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Spec as it came.
    #[serde(default)]
    pub spec: Value,
    /// Status as it came.
    #[serde(default)]
    pub status: Value,
}

impl RawRecord {
    /// The record in its own types, or what keeps it from being one, with the path of the field.
    pub fn typed(&self) -> Result<DeploymentRecord, UnreadableRecord> {
        let spec = serde_path_to_error::deserialize(&self.spec).map_err(|error| UnreadableRecord {
            field: format!("spec.{}", error.path()),
            message: error.inner().to_string(),
        })?;
        Ok(DeploymentRecord { metadata: self.metadata.clone(), spec, status: Some(self.typed_status()) })
    }

    /// Since when the spec is what it is, never later than that: when anybody last wrote what they own of it, as its
    /// managed fields tell, else when the record was made.
    pub fn spec_since(&self) -> Option<Timestamp> {
        let entries = self.metadata.managed_fields.iter().flatten().filter(|entry| owns_spec(entry));
        let written = entries.filter_map(|entry| Some(entry.time.as_ref()?.0)).max();
        written.max(self.metadata.creation_timestamp.as_ref().map(|time| time.0))
    }

    /// The status; an empty one where there is none or it is none of ours.
    pub fn typed_status(&self) -> DeploymentRecordStatus {
        serde_json::from_value(self.status.clone()).unwrap_or_default()
    }
}

/// Of a record's managed fields only this is read: who owns anything of the spec, and when they last wrote it. The rest
/// is most of a record's size.
pub(super) fn spec_writes(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let reduced = |mut entry: ManagedFieldsEntry| {
        entry.fields_v1.iter_mut().for_each(|fields| fields.0 = json!({"f:spec": {}}));
        entry
    };
    entries.into_iter().filter(owns_spec).map(reduced).collect()
}

fn owns_spec(entry: &ManagedFieldsEntry) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some())
}

/// A field that is not of its type though the schema lets it pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct UnreadableRecord {
    /// Path of the field, such as `spec.functions[0].max_concurrency`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}
