//! What is logged: a decision, what was done about it, and what it followed from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::nfr::{Action, Inputs, NfrDecision};
use crate::policy::Policy;
use crate::rollout::Source;

/// A decision to be logged.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record that it is about.
    pub record: RecordRef,
    /// Name of the component: the function's, or the class's for its data grid.
    pub component: String,
    /// What was asked.
    pub inputs: Inputs,
    /// What was decided.
    pub decision: NfrDecision,
    /// What became of it.
    pub outcome: Outcome,
    /// The policy that decided.
    pub policy: Arc<Policy>,
    /// What it was compiled from.
    pub source: Arc<Source>,
}

/// A record as it was decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Generation.
    pub generation: i64,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// The size is about to be written. What became of that is told by the next line of the same component and dimension,
    /// unless the process was ended in between: then what it wrote stands beside the number, in the cluster.
    Begun,
    /// The size was written.
    Applied,
    /// It would be written, were it allowed.
    WouldApply {
        /// Why it is not.
        because: WhyNot,
    },
    /// The decision is to write nothing.
    Held,
    /// Writing failed, so everything is as before.
    Failed {
        /// Why.
        error: String,
    },
}

/// Why what was decided is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// The controller does not enforce: feature NFR enforcement is off.
    Gate,
    /// The record's mode is not `enforce`.
    Mode,
    /// The record does not list the dimension.
    Dimension,
    /// Another instance has the right to write.
    NoRight,
}

impl Outcome {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::Begun => "about to be applied".to_owned(),
            Self::Applied => "applied".to_owned(),
            Self::WouldApply { because } => format!("not applied: {}", because.text()),
            Self::Held => "held".to_owned(),
            Self::Failed { error } => format!("failed: {error}"),
        }
    }
}

impl WhyNot {
    fn text(self) -> &'static str {
        match self {
            Self::Gate => "the controller does not enforce (feature nfr_enforcement is off)",
            Self::Mode => "the record's enforcement mode is not enforce",
            Self::Dimension => "the record does not list the dimension",
            Self::NoRight => "this instance has no right to write",
        }
    }
}

/// The decision as a line has it.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    record: &'a RecordRef,
    component: &'a str,
    dimension: &'static str,
    revision: &'a str,
    bundle_id: &'a str,
    outcome: &'a Outcome,
    inputs: &'a Inputs,
    decision: Value,
    /// What was decided, where deciding again gives something else: a fault of the program that is not hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_otherwise: Option<Value>,
}

impl Entry {
    /// The line's content. The decision is decided again, explained, so that its rules carry what they read.
    pub(super) fn body<'a>(&'a self, bundle_id: &'a str) -> Body<'a> {
        let explained = self.inputs.replay(&self.policy);
        let same = same(&explained, &self.decision);
        Body {
            record: &self.record,
            component: &self.component,
            dimension: self.inputs.dimension().name(),
            revision: self.policy.revision(),
            bundle_id,
            outcome: &self.outcome,
            inputs: &self.inputs,
            decision: explained.json(),
            decided_otherwise: (!same).then(|| self.decision.json()),
        }
    }
}

impl Body<'_> {
    /// Whether deciding again gave something else.
    pub(super) fn differs(&self) -> bool {
        self.decided_otherwise.is_some()
    }
}

/// Whether two decisions come to the same, whatever their traces tell.
fn same(one: &NfrDecision, other: &NfrDecision) -> bool {
    let target = |decision: &NfrDecision| match decision.action {
        Action::Apply { target } => Some(target.to_bits()),
        Action::Hold => None,
    };
    target(one) == target(other) && one.by == other.by && one.reason == other.reason && one.at == other.at
}
