//! From a decision to a write: whether it may be made, and what is written. Pure.

use jiff::Timestamp;

use super::component::{Part, enforced};
use super::decide::Decided;
use super::now::Replicas;
use super::report::whole;
use crate::api::{AppliedRecommendation, DeploymentRecordStatus, EnforcementMode};
use crate::audit::WhyNot;
use crate::cluster::caches::LiveObject;
use crate::cluster::scale::{Enforced, Owned, Reach, is_shared};
use crate::controller::{Problem, rule_reason};
use crate::decision::nfr::{Action, By, Invariant, size_text};
use crate::model::{AppliedSize, Class, Quantity};
use crate::policy::Dimension;
use crate::render::ObjectKind;

/// Longest name of a rule with its revision.
const MAX_POLICY: usize = 253;

/// What must be so before anything is written.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// Feature NFR enforcement is on.
    pub feature: bool,
    /// This instance may write.
    pub right: bool,
    /// The class.
    pub class: &'a Class,
}

impl Gate<'_> {
    /// Why a dimension may not be written; `None` where it may.
    pub fn closed(&self, dimension: Dimension) -> Option<WhyNot> {
        let listed = enforced(dimension).is_some_and(|dimension| self.class.dimensions.contains(&dimension));
        if !self.feature {
            Some(WhyNot::Gate)
        } else if self.class.enforcement != EnforcementMode::Enforce {
            Some(WhyNot::Mode)
        } else if !listed {
            Some(WhyNot::Dimension)
        } else if !self.right {
            Some(WhyNot::NoRight)
        } else {
            None
        }
    }
}

/// A change to make.
#[derive(Clone, Debug)]
pub enum Write {
    /// The number of an object, by the scale's field manager.
    Scale {
        /// The object, as it was seen.
        field: Box<LiveObject>,
        /// Everything that the field manager is to own of it.
        owned: Owned,
        /// How far it goes over others' ownership.
        reach: Reach,
        /// Whose number is taken back.
        taken_back: Option<String>,
    },
    /// An entry of the status, from which the reconciler renders.
    Render(AppliedRecommendation),
}

/// Whether a dimension of a component is rendered, from the status; otherwise it is a number with an owner of its own.
pub fn is_rendered(part: &Part, dimension: Dimension) -> bool {
    dimension != Dimension::Replicas || part.workload != ObjectKind::Deployment
}

/// What is to be written for a decision; `None` where it holds. `field` is the object whose number is written, where
/// there is one that is ours to write.
pub fn write(
    part: &Part,
    decided: &Decided,
    (replicas, field): (Option<&Replicas>, Option<&LiveObject>),
    now: Timestamp,
) -> Option<Write> {
    let Action::Apply { target } = decided.decision.action else { return None };
    if is_rendered(part, decided.dimension) {
        return Some(Write::Render(entry(part, decided, target, now)));
    }
    // An autoscaler of somebody else's scales it: no number of it is ours to write.
    let field = field?;
    let owned = Owned::enforced(Enforced {
        at: whole(now).0,
        target: count(target),
        rule: decided.decision.by_rule(),
        revision: decided.decision.revision.clone(),
    });
    // The policy lets go what somebody set: its grace is over, and that is told.
    let taken_back = replicas.and_then(|replicas| replicas.changed_by.clone());
    // Whoever set the very number that was wanted owns it too (an autoscaler that is gone, say) and will not move it.
    let forced = taken_back.is_some() || is_shared(field);
    let reach = if forced { Reach::Forced } else { Reach::Seen };
    Some(Write::Scale { field: Box::new(field.clone()), owned, reach, taken_back })
}

/// A whole number of replicas, as the decision's bounds leave it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; a decision is whole and bounded")]
fn count(target: f64) -> u32 {
    target.clamp(0.0, f64::from(u32::MAX)) as u32
}

fn entry(part: &Part, decided: &Decided, target: f64, now: Timestamp) -> AppliedRecommendation {
    AppliedRecommendation {
        component: part.name().to_owned(),
        dimension: decided.dimension.name().to_owned(),
        target: size_text(decided.dimension, target),
        base: base(part, decided.dimension),
        applied_at: Some(whole(now)),
        policy: Some(policy(&decided.decision.by_rule(), &decided.decision.revision)),
    }
}

fn base(part: &Part, dimension: Dimension) -> Option<String> {
    match dimension {
        Dimension::Replicas => part.base.replicas.map(|replicas| replicas.to_string()),
        Dimension::Cpu => part.base.cpu.clone(),
        Dimension::Memory => part.base.memory.clone(),
        Dimension::Partitions => None,
    }
}

fn policy(rule: &str, revision: &str) -> String {
    crate::cluster::events::clipped(&format!("{rule}@{revision}"), MAX_POLICY)
}

/// What keeps a component from the higher size that is recommended: a rule that caps it, or the range of the field.
pub fn capped(part: &Part, decided: &Decided) -> Option<Problem> {
    let decision = &decided.decision;
    let wanted = decision.recommendation.as_ref()?.target;
    if decision.action != Action::Hold || wanted <= decided.state.current {
        return None;
    }
    let reason = match &decision.by {
        By::Rule(rule) => {
            let caps = decision.trace.bounds.iter().any(|bound| bound.rule == *rule && bound.at_most.is_some());
            caps.then(|| rule_reason(rule))?
        }
        By::Invariant(Invariant::Range) => "Range".to_owned(),
        By::Invariant(_) => return None,
    };
    let size = |size| size_text(decided.dimension, size);
    let message = format!(
        "{} of {} stays at {}, though {} is recommended: {} allows no more (policy {})",
        decided.dimension.name(),
        part.name(),
        size(decided.state.current),
        size(wanted),
        decision.by,
        decision.revision
    );
    Some(Problem::new(&reason, message))
}

/// The entry that stands for a number once it is written.
pub fn scaled(part: &Part, owned: &Owned) -> Option<AppliedRecommendation> {
    owned.enforced.as_ref().map(|enforced| scale_entry(part, enforced))
}

fn scale_entry(part: &Part, enforced: &Enforced) -> AppliedRecommendation {
    AppliedRecommendation {
        component: part.name().to_owned(),
        dimension: Dimension::Replicas.name().to_owned(),
        target: enforced.target.to_string(),
        base: base(part, Dimension::Replicas),
        applied_at: Some(whole(enforced.at)),
        policy: Some(policy(&enforced.rule, &enforced.revision)),
    }
}

/// What of a component stands applied now: its number by what is written beside it, the rest by the status as long as
/// it is still rendered. While it has no workload, its number stands as it was: the next one is born with it.
pub fn standing(
    part: &Part,
    replicas: Option<&Replicas>,
    status: &DeploymentRecordStatus,
    gate: &Gate<'_>,
) -> Vec<AppliedRecommendation> {
    let enforced_now = replicas.and_then(|replicas| replicas.enforced.as_ref());
    let scaled = enforced_now.map(|enforced| scale_entry(part, enforced));
    let rendered = [Dimension::Replicas, Dimension::Cpu, Dimension::Memory].into_iter().filter_map(|dimension| {
        let numbered = !is_rendered(part, dimension);
        if numbered && replicas.is_some() {
            return None;
        }
        // Without the feature nothing is written any more; what stands is let go by the record alone, as a number is.
        let enforces = gate.class.enforcement == EnforcementMode::Enforce
            && enforced(dimension).is_some_and(|dimension| gate.class.dimensions.contains(&dimension));
        let mut all = status.last_applied_recommendations.iter();
        let entry = all.find(|one| one.component == part.name() && one.dimension == dimension.name())?;
        let now = base(part, dimension);
        let stands = numbered || holds_over(entry, now.as_deref());
        (enforces && stands).then(|| entry.clone())
    });
    scaled.into_iter().chain(rendered).collect()
}

/// Whether an entry is still rendered over a base; `1` and `1000m` say the same.
fn holds_over(entry: &AppliedRecommendation, base: Option<&str>) -> bool {
    let read = |text: Option<&str>| text.and_then(|text| Quantity::parse(text).ok());
    let (target, said) = (read(Some(&entry.target)), read(entry.base.as_deref()));
    let (Some(target), Some(said)) = (target, said) else { return false };
    read(base).is_some_and(|base| AppliedSize { target, base: said }.over(&base).is_some())
}
