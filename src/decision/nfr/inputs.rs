//! Everything that a decision follows from besides the policy: kept with it, and enough to decide the same again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::{
    ComponentKind, Dimension, Facts, KeptFacts, Policy, RecommendationPolicy, SafeguardPolicy, Series,
};

use super::{Grid, NfrDecision, Question, Range, Samples, State, decide};

/// Everything that a decision follows from besides the policy. As JSON it comes back to the last bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Kind of the component.
    component: ComponentKind,
    /// What of it.
    dimension: Dimension,
    /// The time of the decision.
    now: Timestamp,
    grid: Grid,
    range: Range,
    state: State,
    facts: KeptFacts,
    /// Samples of the signals that the rules read.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    signals: Samples,
}

impl Inputs {
    /// What [`decide`] is asked with: before it or after, the facts that it binds itself are no input.
    pub fn capture(facts: &Facts, question: &Question<'_>, policy: &Policy) -> Self {
        let Question { component, dimension, state, range, samples, grid, now } = *question;
        let recommendations = policy.recommendations().iter();
        let asked = recommendations.filter(|one| one.component() == component && one.dimension() == dimension);
        let guards = policy.safeguards().iter().find(|one| one.dimension() == dimension);
        let units: Vec<_> = asked.map(RecommendationPolicy::unit).chain(guards.map(SafeguardPolicy::unit)).collect();
        let read = |name: &str| units.iter().any(|unit| unit.look_back(name).is_some());
        let signals = samples.iter().filter(|(name, _)| read(name));
        Self {
            component,
            dimension,
            now,
            grid,
            range,
            state: state.clone(),
            facts: KeptFacts::of(facts).without("proposal"),
            signals: signals.map(|(name, series)| (name.clone(), Arc::clone(series))).collect(),
        }
    }

    /// Decides again, and notes what the rules read.
    pub fn replay(&self, policy: &Policy) -> NfrDecision {
        let mut facts = self.facts.bind().explained();
        decide(policy, &mut facts, &self.question())
    }

    fn question(&self) -> Question<'_> {
        Question {
            component: self.component,
            dimension: self.dimension,
            state: &self.state,
            range: self.range,
            samples: &self.signals,
            grid: self.grid,
            now: self.now,
        }
    }

    /// The time of the decision.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What of the component is decided about.
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The field as it was, and when it was set.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The facts that were bound.
    pub fn facts(&self) -> &KeptFacts {
        &self.facts
    }
}

/// Points that lie equally far apart, milliseconds: most samples do.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    from: i64,
    step: i64,
    values: Vec<f64>,
}

/// Points as runs.
fn runs(points: &[(i64, f64)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut last = 0;
    for (at, value) in points {
        let gap = at - last;
        match runs.last_mut() {
            Some(run) if run.values.len() == 1 => {
                run.step = gap;
                run.values.push(*value);
            }
            Some(run) if run.step == gap => run.values.push(*value),
            _ => runs.push(Run { from: *at, step: 0, values: vec![*value] }),
        }
        last = *at;
    }
    runs
}

/// The points of runs; what is wrong where they make no series.
fn series(runs: &[Run]) -> Result<Series, String> {
    let mut points = Vec::new();
    for Run { from, step, values } in runs {
        let mut at = *from;
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                at = at.checked_add(*step).ok_or("a run of samples ends after all time")?;
            }
            points.push((Timestamp::from_millisecond(at).map_err(|error| error.to_string())?, *value));
        }
    }
    Series::new(points).map_err(|error| error.to_string())
}

fn write<S: Serializer>(samples: &Samples, serializer: S) -> Result<S::Ok, S::Error> {
    let runs: BTreeMap<&str, Vec<Run>> =
        samples.iter().map(|(name, series)| (name.as_str(), runs(series.points()))).collect();
    runs.serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Samples, D::Error> {
    let runs = BTreeMap::<String, Vec<Run>>::deserialize(deserializer)?;
    let samples = runs.into_iter().map(|(name, runs)| {
        let series = series(&runs).map_err(|error| format!("samples of {name}: {error}"))?;
        Ok((name, Arc::new(series)))
    });
    samples.collect::<Result<_, String>>().map_err(serde::de::Error::custom)
}
