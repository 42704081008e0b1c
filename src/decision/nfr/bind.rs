//! What a decision adds to the facts: the field as it is, and the change as it is proposed.

use std::time::Duration;

use crate::policy::{Dimension, FactValue, Facts, Proposal};

use super::Question;
use super::outcome::Direction;

/// Paths of the field itself. Policies and invariants see the same size, whatever the facts said before.
fn fields(dimension: Dimension) -> &'static [&'static str] {
    match dimension {
        Dimension::Replicas => &["current.replicas", "component.replicas"],
        Dimension::Cpu => &["component.cpu_request"],
        Dimension::Memory => &["component.memory_request"],
        Dimension::Partitions => &[],
    }
}

/// Binds the size that the field has.
pub(super) fn bind_current(facts: &mut Facts, dimension: Dimension, current: f64) {
    for path in fields(dimension) {
        facts.set(path, FactValue::Number(current));
    }
}

/// Paths of a proposal.
const PROPOSAL: [&str; 7] = [
    "proposal.target",
    "proposal.change",
    "proposal.direction",
    "proposal.confidence",
    "proposal.rule",
    "proposal.since_applied",
    "proposal.changed_by",
];

/// Takes away what an earlier question proposed: an answer follows from its own question alone.
pub(super) fn clear_proposal(facts: &mut Facts) {
    for path in PROPOSAL {
        facts.clear(path);
    }
}

/// Binds a change for the rules of a Safeguard.
pub(super) fn bind_proposal(
    facts: &mut Facts,
    question: &Question<'_>,
    (direction, target): (Direction, f64),
    proposal: &Proposal,
) {
    let state = question.state;
    facts.set("proposal.target", FactValue::Number(target));
    facts.set("proposal.change", FactValue::Number(target - state.current));
    facts.set("proposal.direction", FactValue::Text(direction.name().to_owned()));
    facts.set("proposal.confidence", FactValue::Number(proposal.confidence));
    facts.set("proposal.rule", FactValue::Text(proposal.rule.clone()));
    // A clock that went back makes no time negative.
    let since = state.applied_at.map(|at| Duration::try_from(question.now.duration_since(at)).unwrap_or_default());
    // Where there is none, nothing of an earlier question is left either: that was cleared first of all.
    for (path, value) in [
        ("proposal.since_applied", since.map(FactValue::Duration)),
        ("proposal.changed_by", state.changed_by.clone().map(FactValue::Text)),
    ] {
        if let Some(value) = value {
            facts.set(path, value);
        }
    }
}
