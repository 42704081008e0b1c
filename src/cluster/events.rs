//! Events on records and on the controller itself, as `kubectl describe` shows them. The caller says each thing once, when it happens.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{ClusterError, within};
use crate::api::{ANNOTATION_CORRELATION_ID, GROUP, MANAGED_BY, VERSION};

/// Longest note that the API server takes, bytes.
const MAX_NOTE: usize = 1_024;
/// Longest wait for one event: it is news, not state.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What can be said of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Objects were created or changed.
    Applied,
    /// Another template is in use.
    TemplateSelected,
    /// Something needs a person.
    Degraded,
    /// What was in the way is gone.
    Recovered,
    /// Everything of the class is gone.
    Deleted,
    /// What others changed was put back.
    DriftCorrected,
    /// An admission rule denies the record.
    PolicyDenied,
    /// An admission rule warns.
    PolicyWarning,
    /// Replicas are left as somebody else set them.
    ScaleHeld,
    /// Replicas that somebody else set were taken back by force.
    ScaleTakenBack,
    /// A recommendation was applied.
    NfrApplied,
    /// A cap keeps a class from what is recommended.
    NfrCapped,
    /// Another revision of the policy is in force.
    PolicyChanged,
    /// A change of the policy is held back.
    PolicyHeld,
    /// Every class runs on the newest policy.
    PolicyRolledOut,
    /// A policy does not load.
    PolicyRejected,
    /// What was kept of the policy can't be used.
    PolicyStateLost,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::TemplateSelected => "TemplateSelected",
            Self::Degraded => "Degraded",
            Self::Recovered => "Recovered",
            Self::Deleted => "Deleted",
            Self::DriftCorrected => "DriftCorrected",
            Self::PolicyDenied => "PolicyDenied",
            Self::PolicyWarning => "PolicyWarning",
            Self::ScaleHeld => "ScaleHeld",
            Self::NfrApplied => "NfrApplied",
            Self::NfrCapped => "NfrCapped",
            Self::ScaleTakenBack => "ScaleTakenBack",
            Self::PolicyChanged => "PolicyChanged",
            Self::PolicyHeld => "PolicyHeld",
            Self::PolicyRolledOut => "PolicyRolledOut",
            Self::PolicyRejected => "PolicyRejected",
            Self::PolicyStateLost => "PolicyStateLost",
        }
    }

    fn is_warning(self) -> bool {
        matches!(
            self,
            Self::Degraded
                | Self::DriftCorrected
                | Self::PolicyDenied
                | Self::PolicyWarning
                | Self::ScaleHeld
                | Self::NfrCapped
                | Self::ScaleTakenBack
                | Self::PolicyHeld
                | Self::PolicyRejected
                | Self::PolicyStateLost
        )
    }
}

/// Publishes events.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    instance: String,
}

impl Recorder {
    /// A recorder for this instance of the controller (its pod's name, or the host's).
    pub fn new(client: Client, instance: impl Into<String>) -> Self {
        Self { client, instance: instance.into() }
    }

    /// Says something of a record.
    pub async fn publish(&self, record: &ObjectMeta, reason: Reason, note: &str) -> Result<(), ClusterError> {
        let regarding = ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some("DeploymentRecord".to_owned()),
            name: Some(record.name.clone().unwrap_or_default()),
            namespace: record.namespace.clone(),
            uid: record.uid.clone(),
            resource_version: record.resource_version.clone(),
            ..ObjectReference::default()
        };
        let correlation = record.annotations.as_ref().and_then(|all| all.get(ANNOTATION_CORRELATION_ID));
        self.send(regarding, correlation, reason, note).await
    }

    /// Says something of any object, as of the controller's own Deployment.
    pub async fn publish_on(&self, object: ObjectReference, reason: Reason, note: &str) -> Result<(), ClusterError> {
        self.send(object, None, reason, note).await
    }

    async fn send(
        &self,
        regarding: ObjectReference,
        correlation: Option<&String>,
        reason: Reason,
        note: &str,
    ) -> Result<(), ClusterError> {
        let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let event = self.event(regarding, correlation, reason, note, Timestamp::now());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams { field_manager: Some(MANAGED_BY.to_owned()), ..PostParams::default() };
        within(TIMEOUT, api.create(&params, &event)).await.map(|_| ())
    }

    fn event(
        &self,
        regarding: ObjectReference,
        correlation: Option<&String>,
        reason: Reason,
        note: &str,
        now: Timestamp,
    ) -> Event {
        let name = regarding.name.clone().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: regarding.namespace.clone(),
                annotations: correlation.map(|id| [(ANNOTATION_CORRELATION_ID.to_owned(), id.clone())].into()),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".to_owned()),
            reason: Some(reason.name().to_owned()),
            note: Some(clipped(note, MAX_NOTE)),
            type_: Some(if reason.is_warning() { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(regarding),
            reporting_controller: Some(format!("{GROUP}/{MANAGED_BY}")),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

/// A text of at most `max` bytes: what is longer is cut at a character and says so.
pub fn clipped(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}
