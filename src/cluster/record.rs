//! A record as it stands in the API server, before anyone trusts it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

    /// The status; an empty one where there is none or it is none of ours.
    pub fn typed_status(&self) -> DeploymentRecordStatus {
        serde_json::from_value(self.status.clone()).unwrap_or_default()
    }
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
