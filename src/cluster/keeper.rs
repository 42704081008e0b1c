//! What the controller keeps for itself between two runs: one ConfigMap in its own namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};

use super::{ClusterError, MANAGER, within};
use crate::api::MANAGED_BY;

/// Name of the ConfigMap.
pub const NAME: &str = "oprc-crm-policy";
/// Key of the bytes.
const STATE: &str = "state.json.gz";
/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps bytes in the ConfigMap.
#[derive(Clone)]
pub struct Keeper {
    api: Api<ConfigMap>,
    namespace: String,
    seen: Option<ObjectMeta>,
}

impl Keeper {
    /// Keeps in this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), seen: None }
    }

    /// Where it keeps, as `namespace/name`.
    pub fn place(&self) -> String {
        format!("{}/{NAME}", self.namespace)
    }

    /// The ConfigMap, as Events refer to it.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(NAME.to_owned()),
            namespace: Some(self.namespace.clone()),
            uid: self.seen.as_ref().and_then(|meta| meta.uid.clone()),
            ..ObjectReference::default()
        }
    }

    /// What was kept; `None` where nothing was.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, ClusterError> {
        let found = within(TIMEOUT, self.api.get_opt(NAME)).await?;
        self.seen = found.as_ref().map(|found| found.metadata.clone());
        Ok(found.and_then(|found| found.binary_data?.remove(STATE)).map(|ByteString(bytes)| bytes))
    }

    /// Keeps these bytes, with `notes` for people beside them. What somebody else wrote there is overwritten once it has
    /// been seen: nobody else's is it to write.
    pub async fn write(&mut self, bytes: &[u8], notes: BTreeMap<String, String>) -> Result<(), ClusterError> {
        match self.apply(bytes, &notes).await {
            Err(ClusterError::Stale(_) | ClusterError::NotFound { .. }) if self.seen.is_some() => {
                tracing::warn!(
                    place = self.place(),
                    "somebody else changed or deleted what is kept; it is written again"
                );
                self.read().await?;
                self.apply(bytes, &notes).await
            }
            result => result,
        }
    }

    async fn apply(&mut self, bytes: &[u8], notes: &BTreeMap<String, String>) -> Result<(), ClusterError> {
        let labels = [("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned())];
        let config_map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels.into()),
                // Another instance's write in between must not be lost unseen.
                resource_version: self.seen.as_ref().and_then(|meta| meta.resource_version.clone()),
                ..ObjectMeta::default()
            },
            data: Some(notes.clone()),
            binary_data: Some([(STATE.to_owned(), ByteString(bytes.to_vec()))].into()),
            ..ConfigMap::default()
        };
        let params = PatchParams::apply(MANAGER).force();
        let written = within(TIMEOUT, self.api.patch(NAME, &params, &Patch::Apply(&config_map))).await?;
        self.seen = Some(written.metadata);
        Ok(())
    }
}
