//! One class in one row.

use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;

use super::style::Tone;
use super::text::tame;
use crate::api::{DeploymentRecord, DeploymentRecordStatus, Phase};

/// What stands where nothing is known yet.
pub(super) const NOTHING: &str = "-";

/// One class in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the record.
    pub class: String,
    /// Template in use.
    pub template: String,
    /// Why this template, in a few words.
    pub why: String,
    /// Where the class stands.
    pub phase: Phase,
    /// Ready and wanted pods, `ready/wanted`.
    pub pods: String,
    /// The last Event of the record.
    pub event: String,
    /// Where the class stands, in a sentence.
    pub message: String,
    /// Something is recommended for it.
    pub recommended: bool,
    /// Why it is not measured, where that is said.
    pub unmeasured: Option<String>,
}

impl Row {
    /// The class is what its record says, and serves.
    pub fn is_available(&self) -> bool {
        self.phase == Phase::Available
    }

    /// The phase in a word.
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Pending => "Pending",
            Phase::Progressing => "Progressing",
            Phase::Available => "Available",
            Phase::Degraded => "Degraded",
            Phase::Deleting => "Deleting",
        }
    }

    pub(super) fn tone(&self) -> Tone {
        match self.phase {
            Phase::Pending | Phase::Deleting => Tone::Quiet,
            Phase::Progressing => Tone::Busy,
            Phase::Available => Tone::Good,
            Phase::Degraded => Tone::Bad,
        }
    }
}

/// The row of a record, of which `ready` pods serve.
pub fn row(record: &DeploymentRecord, ready: i32, event: Option<&Event>) -> Row {
    let status = record.status.clone().unwrap_or_default();
    // A status that describes an older spec says nothing of this one.
    let current = status.observed_generation == record.metadata.generation;
    let phase = match status.phase.unwrap_or_default() {
        Phase::Available if !current => Phase::Progressing,
        phase => phase,
    };
    let functions = status.functions.iter().map(|function| function.replicas);
    let wanted: i32 = functions.chain(status.odgm.iter().map(|odgm| odgm.replicas)).sum();
    let known = !status.functions.is_empty();
    Row {
        class: tame(&record.name_any()),
        template: status.selected_template.as_deref().map_or_else(|| NOTHING.to_owned(), tame),
        why: why(&status),
        phase,
        pods: if known { format!("{ready}/{wanted}") } else { NOTHING.to_owned() },
        event: event.map_or_else(|| NOTHING.to_owned(), said),
        recommended: !status.nfr_recommendations.is_empty(),
        unmeasured: unmeasured(&status),
        message: tame(status.message.as_deref().unwrap_or("the operator has not looked at it yet")),
    }
}

/// The decision's first line without what the table says already: `full (score 120): throughput` becomes
/// `throughput (score 120)`.
fn why(status: &DeploymentRecordStatus) -> String {
    // Without a template the first line is no reason for one.
    let chosen = status.decision.as_ref().filter(|decision| decision.template.is_some());
    let Some(line) = chosen.and_then(|decision| decision.trace.first()) else {
        return NOTHING.to_owned();
    };
    let template = status.selected_template.as_deref().unwrap_or_default();
    let scored = line.strip_prefix(template).and_then(|rest| rest.strip_prefix(" (score "));
    match scored.and_then(|rest| rest.split_once("): ")) {
        Some((score, rules)) => tame(&format!("{rules} (score {score})")),
        None => tame(line),
    }
}

fn unmeasured(status: &DeploymentRecordStatus) -> Option<String> {
    let condition = status.conditions.iter().find(|one| one.type_ == "NfrObserved" && one.status == "False")?;
    Some(tame(&format!("{}: {}", condition.reason, condition.message)))
}

fn said(event: &Event) -> String {
    let reason = event.reason.as_deref().unwrap_or_default();
    match event.note.as_deref() {
        Some(note) if !note.is_empty() => tame(&format!("{reason}: {note}")),
        _ => tame(reason),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn record(status: &Value) -> DeploymentRecord {
        serde_json::from_value(json!({
            "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
            "metadata": {"name": "hello", "generation": 2}, "spec": {"function": {"image": "a/b:1"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_nobody_looked_at_yet_is_pending_and_claims_nothing() {
        let row = row(&record(&json!({})), 0, None);
        assert_eq!((row.phase, row.is_available()), (Phase::Pending, false));
        assert_eq!(
            (row.template.as_str(), row.why.as_str(), row.pods.as_str(), row.event.as_str()),
            ("-", "-", "-", "-")
        );
    }

    #[test]
    fn a_row_counts_the_pods_that_serve_against_those_that_all_components_want() {
        let status = json!({
            "observedGeneration": 2, "phase": "Available", "selected_template": "full",
            "functions": [{"function_key": "f", "replicas": 3, "ready_replicas": 3}],
            "odgm": {"replicas": 2, "ready_replicas": 2},
            "decision": {"policy_revision": "r", "template": "full", "trace": ["full (score 120): throughput, availability", "dev: 0"]},
        });
        let event: Event = serde_json::from_value(json!({
            "metadata": {}, "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "Applied", "note": "Deployment hello",
        }))
        .unwrap();
        let row = row(&record(&status), 4, Some(&event));
        assert_eq!(row.pods, "4/5");
        assert_eq!(row.why, "throughput, availability (score 120)");
        assert_eq!(row.event, "Applied: Deployment hello");
        assert!(row.is_available());
    }

    #[test]
    fn a_decision_without_a_template_gives_no_reason_for_one() {
        let decision = json!({"policy_revision": "r", "trace": ["edge: 100", "dev: 0"]});
        let status =
            json!({"observedGeneration": 2, "phase": "Degraded", "selected_template": "edge", "decision": decision});
        assert_eq!(row(&record(&status), 0, None).why, "-");
    }

    #[test]
    fn a_status_of_an_older_spec_is_not_available() {
        let row = row(&record(&json!({"observedGeneration": 1, "phase": "Available"})), 0, None);
        assert!(!row.is_available());
    }
}
