//! What is said of a change: Events, log lines, notes beside the kept state, metrics.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;

use crate::cluster::events::{Reason, Recorder};
use crate::cluster::own;
use crate::decision::BlastRadius;
use crate::rollout::{Basis, Pending, Rollout, Verdict};
use crate::telemetry::metrics::{ChangeInfo, Metrics, PolicyInfo};

/// Says what happens to the policy, by an Event on the controller's own Deployment and in the log.
pub struct Voice {
    client: Client,
    recorder: Recorder,
    namespace: String,
    pod: Option<String>,
}

impl Voice {
    /// A voice for the controller in this namespace and, where it runs as one, pod.
    pub fn new(client: Client, recorder: Recorder, namespace: &str, pod: Option<String>) -> Self {
        Self { client, recorder, namespace: namespace.to_owned(), pod }
    }

    /// Says something once; of `otherwise` where the controller is no Deployment's.
    pub(super) async fn say(&self, otherwise: &ObjectReference, reason: Reason, note: &str) {
        match reason {
            Reason::PolicyChanged | Reason::PolicyRolledOut => tracing::info!("policy: {note}"),
            Reason::PolicyHeld => tracing::warn!("policy: {note}"),
            _ => tracing::error!("policy: {note}"),
        }
        let own = match &self.pod {
            Some(pod) => own::deployment(&self.client, &self.namespace, pod).await,
            None => None,
        };
        let object = own.unwrap_or_else(|| otherwise.clone());
        if let Err(error) = self.recorder.publish_on(object, reason, note).await {
            tracing::warn!(%error, ?reason, "event not published");
        }
    }
}

/// What a new basis does to the live classes, said before it does.
pub(super) fn adopted(before: &Basis, state: &Rollout, radius: &BlastRadius) -> (Reason, String) {
    let (old, target) = (before.policy().revision(), state.target().policy());
    let what = if old == target.revision() {
        format!("policy {old}, because the cluster or the configuration changed")
    } else {
        format!("policy {old} -> {}", target.revision())
    };
    let held = state.pending().is_some_and(|pending| pending.verdict() == Verdict::Held);
    let reason = if held { Reason::PolicyHeld } else { Reason::PolicyChanged };
    let outlook = state.outlook().map(|outlook| format!("; {outlook}")).unwrap_or_default();
    (reason, format!("{what}: {}{outlook}", radius.summary()))
}

/// What becomes of the classes where it is lost what they were decided by.
pub(super) fn lost(error: &str, state: &Rollout, radius: &BlastRadius) -> String {
    let revision = state.target().policy().revision();
    let outlook = state.outlook().map(|outlook| format!("; until then they stay as they are; {outlook}"));
    format!("{error}; policy {revision}: {}{}", radius.summary(), outlook.unwrap_or_default())
}

/// What stands beside the kept state, for people.
pub(super) fn notes(state: &Rollout) -> BTreeMap<String, String> {
    let target = state.target();
    let policy = target.policy();
    let mut notes = BTreeMap::from([
        ("revision".to_owned(), policy.revision().to_owned()),
        ("source".to_owned(), target.source().origin.to_string()),
        ("since".to_owned(), state.since().to_string()),
    ]);
    if let Some(pending) = state.pending() {
        let (verdict, waiting) = (pending.verdict().name(), pending.waiting());
        notes.insert("pending".to_owned(), format!("{verdict}, {waiting} waiting: {}", pending.summary()));
    }
    notes
}

/// Sets the metrics that follow from the state.
pub(super) fn measure(metrics: &Metrics, state: &Rollout) {
    let on = state.pending().map(Pending::on).unwrap_or_default();
    let info = |basis: &Basis, name: &'static str, all: &mut Vec<(String, String, String, &'static str)>| {
        let policy = basis.policy();
        let bundle = policy.name().unwrap_or_default().to_owned();
        let one = (policy.revision().to_owned(), bundle, basis.source().origin.to_string(), name);
        if !all.contains(&one) {
            all.push(one);
        }
    };
    let mut all = Vec::new();
    info(state.target(), if on.is_empty() { "active" } else { "pending" }, &mut all);
    for (basis, _) in &on {
        info(basis, "active", &mut all);
    }
    let policies: Vec<PolicyInfo<'_>> =
        all.iter().map(|(revision, bundle, source, state)| PolicyInfo { state, revision, bundle, source }).collect();
    metrics.policies(&policies);
    metrics.pending(state.pending().map_or_else(ChangeInfo::default, |pending| ChangeInfo {
        waiting: pending.waiting(),
        held: pending.verdict() == Verdict::Held,
    }));
}
