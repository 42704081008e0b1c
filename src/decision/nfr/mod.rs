//! How big a component should be: recommended at each point of a window, confirmed by the whole window, held or
//! narrowed by the policy's safeguards, and held to what no policy can change.
//!
//! [`decide`] is pure: the same policy, facts, samples, state and time give the same decision, in the controller, in
//! tests of policies, in explanations and in replays of the past. In order:
//!
//! 1. The Recommendations are asked at the newest point of the [`Grid`], with the samples as of then. A signal whose
//!    newest sample is older than its `max_age` has no data.
//! 2. A change is proposed where the answer leaves the dead-band around the field, or the field its [`Range`].
//! 3. The window of the change is asked: a rise goes to its lowest answer, a fall to its highest. A window counts when
//!    nine of ten points are there, the newest among them, and no signal has a gap above its `max_age`. That of a fall
//!    also needs all samples that its rules look back at, and lies whole in the time of the present spec and policy.
//! 4. The Safeguard's rules hold the change or narrow it; what can't be evaluated holds.
//! 5. What is left is at most one step. A fall needs every required signal and every rule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::policy::{ComponentKind, Dimension, Facts, Policy, RecommendationPolicy, Recommended, Series};

mod bind;
mod change;
mod clamp;
mod exact;
mod grid;
mod inputs;
mod outcome;
mod state;
mod timeline;

pub use clamp::Range;
pub use grid::Grid;
pub use inputs::Inputs;
pub use outcome::{
    Action, BoundTrace, By, Direction, Invariant, LimitTrace, NfrDecision, NfrRecommendation, NfrTrace, WindowTrace,
    json_of_rules,
};
pub use state::State;

use change::Held;
use clamp::{Quantum, up};
use timeline::{Asked, Timeline};

/// Samples of a component, by the name of the signal. What has none is left out.
pub type Samples = BTreeMap<String, Arc<Series>>;

/// What is to be decided, besides the facts.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Kind of the component.
    pub component: ComponentKind,
    /// What of it.
    pub dimension: Dimension,
    /// The field as it is, and when it was last set.
    pub state: &'a State,
    /// Between what the field may be.
    pub range: Range,
    /// What was measured.
    pub samples: &'a Samples,
    /// When the rules are asked.
    pub grid: Grid,
    /// The time.
    pub now: Timestamp,
}

/// Decides about one dimension of one component. `facts` are those of the class and the component as they are now;
/// signals, the time, the proposal and the size that the field has are bound here. Over [brief](Facts::brief) facts the
/// decision is the same, without its words: no basis, no messages, no trace of the recommendations.
pub fn decide(policy: &Policy, facts: &mut Facts, question: &Question<'_>) -> NfrDecision {
    let Question { component, dimension, state, samples, grid, now, .. } = *question;
    facts.share_steps();
    bind::clear_proposal(facts);
    bind::bind_current(facts, dimension, state.current);
    let answers = |one: &&RecommendationPolicy| one.component() == component && one.dimension() == dimension;
    let recommendations = policy.recommendations().iter().filter(answers).collect();
    let at = grid.newest(now);
    let safeguard = policy.safeguards().iter().find(|one| one.dimension() == dimension);
    let asked = (recommendations, safeguard);
    let mut timeline = Timeline::new(policy, facts, asked, (samples, dimension), (grid, at));
    let mut newest = timeline.ask(at);
    let mut trace = NfrTrace { recommendation: std::mem::take(&mut newest.trace), ..NfrTrace::default() };
    let (band, outcome) = change::change(safeguard, &mut timeline, question, &newest, &mut trace);
    let (action, by, reason) = match outcome {
        Ok((target, by, reason)) => (Action::Apply { target }, by, reason),
        Err(Held { by, reason }) => (Action::Hold, by, reason),
    };
    let recommendation = recommended(&newest, question, band, moment(at));
    let revision = policy.revision().to_owned();
    NfrDecision { revision, dimension, at: moment(at), recommendation, action, by, reason, trace }
}

/// Asks one Recommendation at a time: as [`decide`] asks it, but without a grid.
pub fn recommend(
    policy: &Policy,
    facts: &mut Facts,
    recommendation: &RecommendationPolicy,
    samples: &Samples,
    now: Timestamp,
) -> Recommended {
    let Some(grid) = Grid::new(Duration::from_secs(1), Duration::ZERO) else { return Recommended::default() };
    let dimension = recommendation.dimension();
    let at = now.as_millisecond();
    let asked = Timeline::new(policy, facts, (vec![recommendation], None), (samples, dimension), (grid, at)).ask(at);
    Recommended { proposal: asked.proposal.map(|(proposal, _)| proposal), error: asked.failure, trace: asked.trace }
}

/// What is recommended at the newest point. A target that differs from the last one by less than the dead-band stays
/// the last one, with its date, so that noise is no news.
fn recommended(newest: &Asked, question: &Question<'_>, band: f64, at: Timestamp) -> Option<NfrRecommendation> {
    let quantum = Quantum::of(question.dimension);
    let (proposal, raw) = newest.proposal.as_ref()?;
    let fresh = (quantum.value(up(*raw).max(0.0)), at);
    let (target, since) = match question.state.recommended {
        Some(last) if change::direction(*raw, quantum.count(last.0), band).is_none() => last,
        _ => fresh,
    };
    Some(NfrRecommendation {
        target,
        raw: proposal.target,
        confidence: proposal.confidence,
        basis: proposal.basis.clone(),
        rule: proposal.rule.clone(),
        since,
    })
}

/// A moment of the grid.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A size in words: 8 replicas, 250m of CPU, 128Mi of memory.
pub fn size_text(dimension: Dimension, size: f64) -> String {
    // Six digits: what binary fractions add behind them is no news to anyone.
    let short = |size: f64| (size * 1e6).round() / 1e6;
    match dimension {
        Dimension::Replicas | Dimension::Partitions => short(size).to_string(),
        Dimension::Cpu => format!("{}m", short(size * 1000.0)),
        Dimension::Memory => format!("{}Mi", short(size / 1_048_576.0)),
    }
}

/// A length of time in words.
fn span_text(millis: i64) -> String {
    humantime::format_duration(Duration::from_millis(millis.unsigned_abs())).to_string()
}

#[cfg(test)]
mod tests;
