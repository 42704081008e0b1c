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
    /// The record in its own types, or what keeps it from being one.
    pub fn typed(&self) -> Result<DeploymentRecord, serde_json::Error> {
        let spec = serde_json::from_value(self.spec.clone())?;
        Ok(DeploymentRecord { metadata: self.metadata.clone(), spec, status: Some(self.typed_status()) })
    }

    /// The status; an empty one where there is none or it is none of ours.
    pub fn typed_status(&self) -> DeploymentRecordStatus {
        serde_json::from_value(self.status.clone()).unwrap_or_default()
    }
}
