//! The record's status: computed whole from what was decided and observed, and written only where it differs. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{
    DecisionSummary, DeploymentRecordStatus, EnforcementMode, FunctionStatus, OdgmStatus, Phase, ResourceRef,
};
use crate::cluster::events::clipped;
use crate::rollout::{PendingChange, Verdict};

/// Longest message of a condition or status; an error text of the API server may be of any length.
const MAX_MESSAGE: usize = 4_096;

/// A finding that stands in the way, in a word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `CamelCase` reason.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: clip(&message.into()) }
    }
}

/// What a reconcile found out: everything that the status says.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Generation that was looked at.
    pub generation: i64,
    /// What keeps the class from being what its record says.
    pub degraded: Option<Problem>,
    /// Policy that denies or that warns.
    pub policy: PolicyReport,
    /// A cap that keeps the class from what is recommended for it.
    pub capped: Option<Problem>,
    /// A change of the policy that waits for the class.
    pub change: ChangeReport,
    /// A deletion is under way.
    pub deleting: bool,
    /// Every workload serves.
    pub available: bool,
    /// Every workload is rolled out.
    pub rolled_out: bool,
    /// What is not ready, for people.
    pub waiting_for: Vec<String>,
    /// What people should know though nothing is wrong.
    pub notes: Vec<String>,
    /// Template in use.
    pub template: Option<String>,
    /// Enforcement in effect.
    pub enforcement_mode: Option<EnforcementMode>,
    /// Objects.
    pub refs: Vec<ResourceRef>,
    /// Functions.
    pub functions: Vec<FunctionStatus>,
    /// Data grid.
    pub odgm: Option<OdgmStatus>,
    /// Which policy decided, and how.
    pub decision: Option<DecisionSummary>,
}

/// What the admission policy said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PolicyReport {
    /// It was not asked: the record is not one.
    #[default]
    NotAsked,
    /// No rule denies; warnings, if any.
    Accepted(Vec<String>),
    /// A rule denies.
    Denied(Problem),
}

/// Whether a change of the policy waits for the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChangeReport {
    /// The policy was not asked.
    #[default]
    NotAsked,
    /// The newest policy decided.
    UpToDate,
    /// It waits, for this reason.
    Pending(Problem),
}

impl ChangeReport {
    /// What a class is told of a change that waits: held for its rule, or paced.
    pub fn of(change: PendingChange) -> Self {
        let reason = match change.verdict {
            Verdict::Held => rule_reason(&change.rule),
            Verdict::Paced => "Paced".to_owned(),
        };
        Self::Pending(Problem::new(&reason, change.message))
    }
}

/// The status that a report amounts to. Times of transitions are kept from `before` where nothing changed.
pub fn build(report: &Report, before: &DeploymentRecordStatus, now: Timestamp) -> DeploymentRecordStatus {
    let phase = phase(report);
    let ready: i32 = report.functions.iter().map(|function| function.ready_replicas).sum();
    let wanted: i32 = report.functions.iter().map(|function| function.replicas).sum();
    DeploymentRecordStatus {
        observed_generation: Some(report.generation),
        phase: Some(phase),
        message: Some(clip(&message(report, phase))),
        ready_summary: (!report.functions.is_empty()).then(|| format!("{ready}/{wanted}")),
        enforcement_mode: report.enforcement_mode,
        conditions: conditions(report, before, now),
        selected_template: report.template.clone(),
        resource_refs: report.refs.clone(),
        functions: report.functions.clone(),
        odgm: report.odgm.clone(),
        decision: report.decision.clone(),
        // The analyzer's, by another field manager.
        nfr_recommendations: Vec::new(),
        last_applied_recommendations: Vec::new(),
        last_applied_at: None,
    }
}

/// Whether the controller's part of two statuses is the same.
pub fn same(left: &DeploymentRecordStatus, right: &DeploymentRecordStatus) -> bool {
    let own = |status: &DeploymentRecordStatus| {
        let mut status = status.clone();
        status.nfr_recommendations.clear();
        status.last_applied_recommendations.clear();
        status.last_applied_at = None;
        status.conditions.retain(|condition| OWN_CONDITIONS.contains(&condition.type_.as_str()));
        status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        status.resource_refs.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
        status
    };
    own(left) == own(right)
}

/// Conditions that the controller writes; the others are the analyzer's.
const OWN_CONDITIONS: [&str; 5] = ["Available", "Degraded", "PolicyChangePending", "PolicyViolation", "Progressing"];

fn phase(report: &Report) -> Phase {
    if report.deleting {
        Phase::Deleting
    } else if report.degraded.is_some() || matches!(report.policy, PolicyReport::Denied(_)) {
        Phase::Degraded
    } else if report.available && report.rolled_out {
        Phase::Available
    } else {
        Phase::Progressing
    }
}

fn message(report: &Report, phase: Phase) -> String {
    let mut parts = Vec::new();
    match (&report.policy, &report.degraded, phase) {
        (_, _, Phase::Deleting) => parts.push("being deleted".to_owned()),
        (PolicyReport::Denied(problem), _, _) | (_, Some(problem), _) => parts.push(problem.message.clone()),
        (_, _, Phase::Available) => parts.push("every function is ready".to_owned()),
        _ => parts.push(format!("waiting for {}", report.waiting_for.join("; "))),
    }
    parts.extend(report.notes.iter().cloned());
    if let PolicyReport::Accepted(warnings) = &report.policy {
        parts.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    parts.join("; ")
}

fn conditions(report: &Report, before: &DeploymentRecordStatus, now: Timestamp) -> Vec<Condition> {
    let waiting = || report.waiting_for.join("; ");
    let available = if report.available {
        (true, "Available", "every workload has the replicas it needs".to_owned())
    } else {
        (false, "NotReady", if report.waiting_for.is_empty() { "nothing is deployed".to_owned() } else { waiting() })
    };
    let stopped = report.degraded.is_some() || matches!(report.policy, PolicyReport::Denied(_));
    let progressing = match (report.rolled_out, stopped) {
        (true, _) => (false, "RolledOut", "every workload runs what the record says".to_owned()),
        (false, true) => (false, "Stopped", "nothing more is done until the cause is mended".to_owned()),
        (false, false) => (true, "RollingOut", waiting()),
    };
    let degraded = match &report.degraded {
        Some(problem) => (true, problem.reason.as_str(), problem.message.clone()),
        None => (false, "AsExpected", "nothing is in the way".to_owned()),
    };
    let mut wanted = vec![("Available", available), ("Progressing", progressing), ("Degraded", degraded)];
    match (&report.policy, &report.capped) {
        (PolicyReport::NotAsked, _) => {}
        (PolicyReport::Accepted(_), Some(capped)) => {
            wanted.push(("PolicyViolation", (true, capped.reason.as_str(), capped.message.clone())));
        }
        (PolicyReport::Accepted(warnings), None) => {
            let message = if warnings.is_empty() { "no rule denies".to_owned() } else { warnings.join("; ") };
            let reason = if warnings.is_empty() { "Accepted" } else { "AcceptedWithWarnings" };
            wanted.push(("PolicyViolation", (false, reason, message)));
        }
        (PolicyReport::Denied(problem), _) => {
            wanted.push(("PolicyViolation", (true, problem.reason.as_str(), problem.message.clone())));
        }
    }
    match &report.change {
        ChangeReport::NotAsked => {}
        ChangeReport::UpToDate => {
            wanted.push(("PolicyChangePending", (false, "UpToDate", "decided by the newest policy".to_owned())));
        }
        ChangeReport::Pending(change) => {
            wanted.push(("PolicyChangePending", (true, change.reason.as_str(), change.message.clone())));
        }
    }
    wanted.into_iter().map(|(type_, state)| condition(report.generation, type_, state, before, now)).collect()
}

fn condition(
    generation: i64,
    type_: &str,
    (holds, reason, message): (bool, &str, String),
    before: &DeploymentRecordStatus,
    now: Timestamp,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let since = before.conditions.iter().find(|old| old.type_ == type_ && old.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: clip(&message),
        observed_generation: Some(generation),
        // Whole seconds: the API server keeps no more, and a status that comes back different is written again.
        last_transition_time: since.map_or_else(
            || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            |old| old.last_transition_time.clone(),
        ),
    }
}

/// The rule's stable name as a condition's reason, which allows neither `/` nor `-`.
pub fn rule_reason(rule: &str) -> String {
    rule.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c
            } else if c == '/' {
                ':'
            } else {
                '_'
            }
        })
        .collect()
}

fn clip(text: &str) -> String {
    clipped(text, MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::{PolicyReport, Problem, Report, build, rule_reason, same};
    use crate::api::{DeploymentRecordStatus, Phase};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready() -> Report {
        let policy = PolicyReport::Accepted(Vec::new());
        Report { generation: 3, available: true, rolled_out: true, policy, ..Report::default() }
    }

    fn holds(status: &DeploymentRecordStatus, type_: &str) -> bool {
        status.conditions.iter().any(|c| c.type_ == type_ && c.status == "True")
    }

    #[test]
    fn a_ready_class_is_available_and_nothing_else() {
        let status = build(&ready(), &DeploymentRecordStatus::default(), at(100));
        assert_eq!(status.phase, Some(Phase::Available));
        assert_eq!(status.observed_generation, Some(3));
        assert!(holds(&status, "Available") && !holds(&status, "Progressing") && !holds(&status, "Degraded"));
    }

    #[test]
    fn the_same_report_later_is_the_same_status() {
        let first = build(&ready(), &DeploymentRecordStatus::default(), at(100));
        let later = build(&ready(), &first, at(500));
        assert!(same(&first, &later));
        assert_eq!(first, later);
    }

    #[test]
    fn a_transition_moves_only_its_own_time() {
        let first = build(&ready(), &DeploymentRecordStatus::default(), at(100));
        let degraded = Some(Problem::new("ApplyFailed", "no"));
        let second = build(&Report { degraded, ..ready() }, &first, at(500));
        let time = |type_: &str| {
            second.conditions.iter().find(|c| c.type_ == type_).unwrap().last_transition_time.0.as_second()
        };
        assert_eq!((time("Degraded"), time("Available")), (500, 100));
        assert_eq!(second.phase, Some(Phase::Degraded));
    }

    #[test]
    fn a_denied_record_names_the_rule_as_reason_and_message() {
        let policy = PolicyReport::Denied(Problem::new(&rule_reason("Admission/image/not-empty"), "image is empty"));
        let status = build(&Report { policy, ..Report::default() }, &DeploymentRecordStatus::default(), at(1));
        let condition = status.conditions.iter().find(|c| c.type_ == "PolicyViolation").unwrap();
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Admission:image:not_empty"));
        assert_eq!(status.message.as_deref(), Some("image is empty"));
    }

    #[test]
    fn a_message_that_was_cut_is_not_cut_again() {
        let once = Problem::new("X", "é".repeat(10_000)).message;
        assert_eq!(Problem::new("X", once.clone()).message, once);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert!(Problem::new("X", "é".repeat(10_000)).message.len() < 5_000);
    }
}

#[cfg(test)]
mod properties {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::{ChangeReport, PolicyReport, Problem, Report, build, rule_reason, same};
    use crate::api::{DeploymentRecordStatus, FunctionStatus, Phase};

    fn problem() -> impl Strategy<Value = Problem> {
        ("[A-Z][a-z]{1,8}", ".{0,40}|x{4090,4100}").prop_map(|(reason, message)| Problem::new(&reason, message))
    }

    fn policy() -> impl Strategy<Value = PolicyReport> {
        prop_oneof![
            Just(PolicyReport::NotAsked),
            prop::collection::vec(".{0,20}", 0..3).prop_map(PolicyReport::Accepted),
            problem().prop_map(PolicyReport::Denied),
        ]
    }

    prop_compose! {
        fn report()(
            generation in 0_i64..5,
            (deleting, available, rolled_out) in any::<(bool, bool, bool)>(),
            degraded in prop::option::of(problem()),
            policy in policy(),
            change in prop_oneof![
                Just(ChangeReport::NotAsked), Just(ChangeReport::UpToDate), problem().prop_map(ChangeReport::Pending),
            ],
            waiting_for in prop::collection::vec(".{0,20}", 0..3),
            notes in prop::collection::vec(".{0,20}", 0..2),
            ready in 0_i32..4,
        ) -> Report {
            let function = FunctionStatus { ready_replicas: ready, replicas: 3, ..FunctionStatus::default() };
            Report {
                generation, degraded, policy, change, deleting, available, rolled_out, waiting_for, notes,
                functions: vec![function], ..Report::default()
            }
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn is_reason(text: &str) -> bool {
        let inner = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
        text.len() <= 1024
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(inner)
    }

    proptest! {
        #[test]
        fn a_status_written_once_is_never_written_again_while_nothing_changes(first in report(), then in report()) {
            let before = build(&first, &DeploymentRecordStatus::default(), at(100));
            let status = build(&then, &before, at(200));
            prop_assert_eq!(&build(&then, &status, at(300)), &status);
            // Nor after it went through the API server.
            let read: DeploymentRecordStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
            prop_assert!(same(&build(&then, &read, at(300)), &read));
        }

        #[test]
        fn phase_and_conditions_never_contradict_each_other(report in report()) {
            let status = build(&report, &DeploymentRecordStatus::default(), at(1));
            let holds = |type_: &str| status.conditions.iter().any(|one| one.type_ == type_ && one.status == "True");
            match status.phase.unwrap() {
                Phase::Available => prop_assert!(holds("Available") && !holds("Degraded") && !holds("PolicyViolation")),
                Phase::Degraded => prop_assert!(holds("Degraded") || holds("PolicyViolation")),
                Phase::Deleting => prop_assert!(report.deleting),
                Phase::Pending | Phase::Progressing => prop_assert!(!holds("Degraded") && !holds("PolicyViolation")),
            }
            for condition in &status.conditions {
                prop_assert!(is_reason(&condition.reason), "{:?}", condition.reason);
                prop_assert!(condition.message.len() < 32_768);
                let same_type = status.conditions.iter().filter(|other| other.type_ == condition.type_).count();
                prop_assert_eq!(same_type, 1);
            }
        }

        #[test]
        fn every_rule_name_is_a_reason(name in "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", id in "[a-z0-9]([a-z0-9_-]{0,30})?") {
            let rule = format!("Admission/{name}/{id}");
            prop_assert!(is_reason(&rule_reason(&rule)), "{}", rule);
        }
    }
}
