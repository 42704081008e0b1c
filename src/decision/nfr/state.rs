//! What is kept of one dimension of one component between two looks: when its field was last set, and since when the
//! spec and the policy are what they are. Everything else comes from the samples.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, NfrDecision, exact};

/// What is kept of one dimension of one component. It stands in the cluster, so a restart finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The field to be written, as it is: replicas, cores or bytes. Pods that are observed are another fact.
    #[serde(with = "exact")]
    pub current: f64,
    /// When the field last got its value, where that is known; cooldowns start here.
    pub applied_at: Option<Timestamp>,
    /// Who gave it its value, where it wasn't this controller.
    pub changed_by: Option<String>,
    /// Since when the spec is what it is.
    pub generation_since: Timestamp,
    /// Since when the policy is what it is.
    pub revision_since: Timestamp,
    /// What was last recommended, and since when: an equal recommendation keeps its date.
    #[serde(with = "exact::dated")]
    pub recommended: Option<(f64, Timestamp)>,
}

impl State {
    /// Since when both spec and policy are what they are.
    pub(super) fn settled_since(&self) -> Timestamp {
        self.generation_since.max(self.revision_since)
    }

    /// The state after a decision. `written` says that an apply reached the cluster: a hold and a write that failed
    /// leave everything as it was, so they use up no cooldown.
    #[must_use]
    pub fn after(&self, decision: &NfrDecision, written: bool, at: Timestamp) -> Self {
        let mut next = self.clone();
        next.recommended = decision.recommendation.as_ref().map(|one| (one.target, one.since)).or(next.recommended);
        if let (Action::Apply { target }, true) = (&decision.action, written) {
            next.current = *target;
            next.applied_at = Some(at);
            next.changed_by = None;
        }
        next
    }
}
