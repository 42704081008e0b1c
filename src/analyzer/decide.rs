//! One component, decided about. Pure: everything is handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::component::{self, Limits, Part};
use super::now::{self, Replicas, Since};
use crate::api::DeploymentRecordStatus;
use crate::decision::Setting;
use crate::decision::nfr::{self, Action, Grid, Inputs, NfrDecision, Question, State};
use crate::model::Class;
use crate::policy::{Dimension, Facts, Policy, Series};
use crate::signals::Fault;

/// Everything that is the same for all components in a look.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What it is asked in.
    pub setting: &'a Setting,
    /// Bounds that hold under any policy.
    pub limits: Limits,
    /// When rules are asked.
    pub grid: Grid,
    /// The time.
    pub now: Timestamp,
    /// What decisions follow from is kept, for the decision log.
    pub kept: bool,
}

/// What is known of a component.
#[derive(Debug)]
pub struct Known<'a> {
    /// The class.
    pub class: &'a Class,
    /// Its status.
    pub status: &'a DeploymentRecordStatus,
    /// The component.
    pub part: &'a Part,
    /// How many replicas it has.
    pub replicas: Option<&'a Replicas>,
    /// Since when spec and policy are what they are.
    pub since: Since,
    /// What was measured.
    pub samples: &'a BTreeMap<String, Arc<Series>>,
}

/// A decision about one dimension.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What of the component.
    pub dimension: Dimension,
    /// What it started from.
    pub state: State,
    /// What was decided.
    pub decision: NfrDecision,
    /// What it followed from, where that is kept.
    pub inputs: Option<Inputs>,
}

impl Decided {
    /// Whether something is to be changed.
    pub fn is_change(&self) -> bool {
        matches!(self.decision.action, Action::Apply { .. })
    }
}

/// Decides about every dimension that the policy recommends something for.
pub fn decide(frame: &Frame<'_>, known: &Known<'_>) -> Vec<Decided> {
    let mut facts = bound(frame, known);
    let dimensions = known.part.dimensions().iter().filter(|dimension| is_asked(frame.policy, known.part, **dimension));
    dimensions.filter_map(|dimension| one(frame, known, *dimension, &mut facts)).collect()
}

/// The facts of a component as of now.
pub fn bound(frame: &Frame<'_>, known: &Known<'_>) -> Facts {
    let mut facts = component::facts(known.class, frame.setting, known.part, frame.limits);
    if let Some(replicas) = known.replicas {
        replicas.bind(&mut facts);
    }
    facts
}

/// Asks about one dimension, over facts of [`bound`].
pub fn one(frame: &Frame<'_>, known: &Known<'_>, dimension: Dimension, facts: &mut Facts) -> Option<Decided> {
    let state = now::state(known.class, known.part, dimension, (known.replicas, known.status, known.since))?;
    let question = Question {
        component: known.part.kind(),
        dimension,
        state: &state,
        range: now::range(known.part, dimension, known.replicas, frame.limits.max_replicas),
        samples: known.samples,
        grid: frame.grid,
        now: frame.now,
    };
    let decision = nfr::decide(frame.policy, facts, &question);
    let inputs = frame.kept.then(|| Inputs::capture(facts, &question, frame.policy));
    Some(Decided { dimension, state, decision, inputs })
}

fn is_asked(policy: &Policy, part: &Part, dimension: Dimension) -> bool {
    policy.recommendations().iter().any(|one| one.component() == part.kind() && one.dimension() == dimension)
}

/// Signals that a component needs and has no data of, each with its reason. `fault` tells why the newest moment has none.
pub fn missing(frame: &Frame<'_>, known: &Known<'_>, fault: impl Fn(&str) -> Option<Fault>) -> Vec<(String, Fault)> {
    let facts = bound(frame, known);
    let newest = frame.grid.newest(frame.now);
    let read = |name: &str| {
        let mut all = frame.policy.recommendations().iter();
        all.any(|one| one.component() == known.part.kind() && one.unit().look_back(name).is_some())
    };
    let signals = frame.policy.signals().iter().filter(|signal| read(signal.name()));
    let needed = signals.filter(|signal| signal.required(&facts).unwrap_or(true));
    let missing = needed.filter(|signal| {
        let last = known.samples.get(signal.name()).and_then(|series| series.points().last());
        let oldest = newest.saturating_sub(i64::try_from(signal.max_age().as_millis()).unwrap_or(i64::MAX));
        last.is_none_or(|(at, _)| *at < oldest)
    });
    missing.filter_map(|signal| Some((signal.name().to_owned(), fault(signal.name())?))).collect()
}
