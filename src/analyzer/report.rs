//! The analyzer's part of a record's status: computed whole, and written only where it differs in meaning. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::component::Part;
use super::decide::Decided;
use crate::api::{AppliedRecommendation, DeploymentRecordStatus, NfrRecommendation};
use crate::cluster::events::clipped;
use crate::decision::nfr::size_text;
use crate::signals::Fault;

/// Type of the analyzer's condition.
const CONDITION: &str = "NfrObserved";
/// Longest message of a condition.
const MAX_MESSAGE: usize = 4_096;
/// Longest basis of a recommendation.
const MAX_BASIS: usize = 1_024;
/// Longest name of a rule with its revision.
const MAX_POLICY: usize = 253;

/// Whether a class is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It is not to be: the feature or the record's mode is off.
    Off,
    /// Nothing can be measured, for a reason that has nothing to do with the class.
    Blind(&'static str, String),
    /// Signals that it needs and has no data of, by component.
    Measured(Vec<(String, String, Fault)>),
}

/// The analyzer's part of a status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    recommendations: Vec<NfrRecommendation>,
    applied: Vec<AppliedRecommendation>,
    condition: Option<Condition>,
}

/// What the analyzer's part is to be. What did not change in meaning stays as it was in `before`, to the last digit.
pub fn analysis(
    before: &DeploymentRecordStatus,
    (observed, generation): (&Observed, i64),
    decided: &[(&Part, Vec<Decided>)],
    applied: Vec<AppliedRecommendation>,
    now: Timestamp,
) -> Analysis {
    let recommendations = decided
        .iter()
        .flat_map(|(part, all)| all.iter().filter_map(|one| recommendation(part.name(), one, before)))
        .collect();
    Analysis { recommendations, applied, condition: condition(before, observed, generation, now) }
}

fn recommendation(component: &str, decided: &Decided, before: &DeploymentRecordStatus) -> Option<NfrRecommendation> {
    let found = decided.decision.recommendation.as_ref()?;
    let fresh = NfrRecommendation {
        component: component.to_owned(),
        dimension: decided.dimension.name().to_owned(),
        target: size_text(decided.dimension, found.target),
        basis: Some(clipped(&found.basis, MAX_BASIS)).filter(|basis| !basis.is_empty()),
        confidence: Some((found.confidence * 100.0).round() / 100.0),
        since: Some(whole(found.since)),
        policy: Some(policy(&found.rule, &decided.decision.revision)),
    };
    let same = |old: &&NfrRecommendation| {
        (&old.component, &old.dimension, &old.target) == (&fresh.component, &fresh.dimension, &fresh.target)
            && old.policy.as_deref().is_some_and(|old| is_of(old, &decided.decision.revision))
    };
    // Its basis and confidence move with every sample, and so does the rule where two ask for nearly the same: that is no
    // news while the target and the policy's revision stay.
    Some(before.nfr_recommendations.iter().find(same).cloned().unwrap_or(fresh))
}

fn policy(rule: &str, revision: &str) -> String {
    clipped(&format!("{rule}@{revision}"), MAX_POLICY)
}

/// Whether a rule with its revision is of this revision.
fn is_of(old: &str, revision: &str) -> bool {
    old.split_once('@').is_some_and(|(rule, _)| policy(rule, revision) == old)
}

fn condition(
    before: &DeploymentRecordStatus,
    observed: &Observed,
    generation: i64,
    now: Timestamp,
) -> Option<Condition> {
    let (status, reason, message) = match observed {
        Observed::Off => return None,
        Observed::Blind(reason, message) => ("False", *reason, message.clone()),
        Observed::Measured(missing) => match missing.first() {
            None => ("True", "Measured", "every signal that the class needs has data".to_owned()),
            Some((_, _, fault)) => ("False", fault.kind.name(), say(missing)),
        },
    };
    let old = before.conditions.iter().find(|old| old.type_ == CONDITION && old.status == status);
    Some(Condition {
        type_: CONDITION.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: clipped(&message, MAX_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: old.map_or_else(|| whole(now), |old| old.last_transition_time.clone()),
    })
}

/// The same fault of several components is said once.
fn say(missing: &[(String, String, Fault)]) -> String {
    let mut said: Vec<(&str, &Fault, Vec<&str>)> = Vec::new();
    for (component, signal, fault) in missing {
        match said.iter_mut().find(|(known, same, _)| known == signal && *same == fault) {
            Some((_, _, components)) => components.push(component),
            None => said.push((signal, fault, vec![component])),
        }
    }
    let parts: Vec<String> = said
        .into_iter()
        .map(|(signal, fault, components)| format!("no data of {signal} for {}: {fault}", components.join(", ")))
        .collect();
    parts.join("; ")
}

impl Analysis {
    /// Whether a status has this part already.
    pub fn stands_in(&self, status: &DeploymentRecordStatus) -> bool {
        let condition = status.conditions.iter().find(|one| one.type_ == CONDITION);
        let same = sorted(&self.recommendations, |one| (one.component.clone(), one.dimension.clone()))
            == sorted(&status.nfr_recommendations, |one| (one.component.clone(), one.dimension.clone()));
        let applied = sorted(&self.applied, |one| (one.component.clone(), one.dimension.clone()))
            == sorted(&status.last_applied_recommendations, |one| (one.component.clone(), one.dimension.clone()));
        same && applied && self.condition.as_ref() == condition
    }

    /// The part as a status of its own, to be applied by the analyzer's field manager.
    pub fn into_status(self) -> DeploymentRecordStatus {
        let last = self.applied.iter().filter_map(|one| one.applied_at.clone()).max_by_key(|time| time.0);
        DeploymentRecordStatus {
            conditions: self.condition.into_iter().collect(),
            nfr_recommendations: self.recommendations,
            last_applied_recommendations: self.applied,
            last_applied_at: last,
            ..DeploymentRecordStatus::default()
        }
    }

    /// The whole status once this part is written over another's.
    pub fn over(self, status: &DeploymentRecordStatus) -> DeploymentRecordStatus {
        let mut conditions = status.conditions.clone();
        conditions.retain(|one| one.type_ != CONDITION);
        let own = self.into_status();
        conditions.extend(own.conditions);
        DeploymentRecordStatus {
            conditions,
            nfr_recommendations: own.nfr_recommendations,
            last_applied_recommendations: own.last_applied_recommendations,
            last_applied_at: own.last_applied_at,
            ..status.clone()
        }
    }
}

fn sorted<T: Clone, K: Ord>(all: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort_by_key(key);
    all
}

/// Whole seconds: the API server keeps no more, and a status that comes back different is written again.
pub fn whole(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
