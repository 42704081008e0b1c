//! A bundle as a scaler: the samples of the run go to the controller's own [`decide`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Assumptions;
use super::scaler::{Scaler, Seen, Verdict, next_multiple};
use crate::decision::nfr::{Action, Grid, Question, Range, Samples, State, decide};
use crate::policy::{
    ComponentKind, Dimension, FactValue, Facts, Given, Policy, RecommendationPolicy, SafeguardPolicy, Series,
    SignalPolicy,
};

/// What a policy is asked in.
#[derive(Clone, Debug)]
pub struct Bench<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Profile of the controller.
    pub profile: String,
    /// Facts that are given besides those of the load, as in a Test.
    pub given: Given,
    /// Seconds between two looks.
    pub interval: i64,
    /// The numbers of the plant.
    pub assume: Assumptions,
}

/// A policy over one class.
pub struct ByPolicy<'a> {
    bench: &'a Bench<'a>,
    facts: Facts,
    grid: Grid,
    step: i64,
    /// Signals that what decides about replicas reads, and how far back their samples are kept, milliseconds.
    kept: Vec<(String, i64)>,
    samples: Samples,
    /// Since the last point of the grid: sums of what was seen, and of how many seconds.
    seen: BTreeMap<&'static str, (f64, f64)>,
    state: State,
    looked: i64,
}

impl<'a> ByPolicy<'a> {
    /// From a moment on; `None` where the signals' step is none that a grid can have.
    pub fn new(bench: &'a Bench<'a>, start: i64, replicas: f64) -> Option<Self> {
        let signals = bench.policy.signals();
        let step = signals.iter().filter_map(SignalPolicy::step).max().unwrap_or(Duration::from_secs(30));
        let grid = Grid::new(step, Duration::ZERO)?;
        let mut facts = bench.given.facts(&bench.profile).brief();
        for (path, value) in [
            ("component.kind", FactValue::Text("function".to_owned())),
            ("component.workload", FactValue::Text("Deployment".to_owned())),
            ("component.cpu_request", FactValue::Number(bench.assume.cpu_request)),
            ("limits.max_replicas", FactValue::Number(bench.assume.most)),
            ("limits.req_cpu_per_pod", FactValue::Number(bench.assume.cpu_request)),
        ] {
            facts.set(path, value);
        }
        let long_ago = Timestamp::MIN;
        let state = State {
            current: replicas,
            applied_at: None,
            changed_by: None,
            generation_since: long_ago,
            revision_since: long_ago,
            recommended: None,
        };
        let step = i64::try_from(step.as_secs()).ok()?;
        let kept = kept(bench.policy);
        let (samples, seen) = (Samples::new(), BTreeMap::new());
        Some(Self { bench, facts, grid, step, kept, samples, seen, state, looked: start })
    }

    /// Adds what was seen, and at a point of the grid makes a sample of it.
    fn measure(&mut self, seen: &Seen) {
        let a_pod = seen.cores.filter(|_| seen.ready > 0.0).map(|cores| cores / seen.ready);
        for (name, value) in [("cpu", seen.cores), ("pod_cpu", a_pod), ("rps", seen.rps)] {
            if let Some(value) = value {
                let (sum, count) = self.seen.entry(name).or_default();
                *sum += value * seen.seconds;
                *count += seen.seconds;
            }
        }
        if seen.now % self.step != 0 {
            return;
        }
        let at = seen.now * 1000;
        for (name, (sum, count)) in std::mem::take(&mut self.seen) {
            let Some((_, window)) = self.kept.iter().find(|(read, _)| read == name) else { continue };
            let oldest = at - window - self.step * 1000;
            let point = [(at, sum / count)];
            match self.samples.get_mut(name) {
                Some(series) => *series = Arc::new(series.continued(&point, oldest)),
                None => {
                    self.samples.insert(name.to_owned(), Arc::new(Series::default().continued(&point, oldest)));
                }
            }
        }
    }
}

/// Signals that anything that decides about replicas reads, with their windows in milliseconds.
fn kept(policy: &Policy) -> Vec<(String, i64)> {
    let sizes = policy.recommendations().iter().filter(|one| one.dimension() == Dimension::Replicas);
    let guards = policy.safeguards().iter().filter(|one| one.dimension() == Dimension::Replicas);
    let units: Vec<_> = sizes.map(RecommendationPolicy::unit).chain(guards.map(SafeguardPolicy::unit)).collect();
    let is_read = |name: &str| units.iter().any(|unit| unit.look_back(name).is_some());
    let window = |one: &SignalPolicy| one.window().unwrap_or(Duration::from_secs(600)).as_millis();
    let read = policy.signals().iter().filter(|one| is_read(one.name()));
    read.map(|one| (one.name().to_owned(), i64::try_from(window(one)).unwrap_or(i64::MAX / 4))).collect()
}

impl Scaler for ByPolicy<'_> {
    fn decide(&mut self, seen: Seen) -> Option<Verdict> {
        self.measure(&seen);
        if seen.now < self.looked + self.bench.interval {
            return None;
        }
        self.looked = seen.now;
        // A load whose times no calendar has is refused when it is read.
        let now = Timestamp::from_second(seen.now).ok()?;
        self.state.current = seen.replicas;
        self.facts.set("current.ready_replicas", FactValue::Number(seen.ready));
        let most = self.bench.assume.most;
        let question = Question {
            component: ComponentKind::Function,
            dimension: Dimension::Replicas,
            state: &self.state,
            range: Range::replicas(false, most, None).at_least(self.bench.assume.least),
            samples: &self.samples,
            grid: self.grid,
            now,
        };
        let decision = decide(self.bench.policy, &mut self.facts, &question);
        self.state = self.state.after(&decision, true, now);
        Some(match decision.action {
            Action::Apply { target } => Verdict { target: Some(target), by: decision.by_rule() },
            Action::Hold => Verdict { target: None, by: decision.by.to_string() },
        })
    }

    fn next(&self, after: i64) -> i64 {
        next_multiple(after, self.step).min(self.looked + self.bench.interval)
    }
}
