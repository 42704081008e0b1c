//! A bundle as a scaler: the samples of the run go to the controller's own [`decide`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Assumptions;
use super::scaler::{Scaler, Seen, Verdict};
use crate::decision::nfr::{Action, Grid, Question, Range, Samples, State, decide};
use crate::policy::{
    ComponentKind, Dimension, FactValue, Facts, Given, Policy, RecommendationPolicy, SafeguardPolicy, Series,
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
    /// How far back samples are read, milliseconds.
    reach: i64,
    samples: Samples,
    /// Since the last point of the grid: sums of what was seen, and how often.
    seen: BTreeMap<&'static str, (f64, f64)>,
    state: State,
    looked: i64,
}

impl<'a> ByPolicy<'a> {
    /// From a moment on; `None` where the signals' step is none that a grid can have.
    pub fn new(bench: &'a Bench<'a>, start: i64, replicas: f64) -> Option<Self> {
        let signals = bench.policy.signals();
        let step =
            signals.iter().filter_map(crate::policy::SignalPolicy::step).max().unwrap_or(Duration::from_secs(30));
        let reach =
            signals.iter().filter_map(crate::policy::SignalPolicy::window).max().unwrap_or(Duration::from_secs(600));
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
        let reach = i64::try_from(reach.as_millis()).ok()?;
        let (samples, seen) = (Samples::new(), BTreeMap::new());
        Some(Self { bench, facts, grid, step, reach, samples, seen, state, looked: start })
    }

    /// Whether anything that decides about replicas reads a signal.
    fn is_read(&self, signal: &str) -> bool {
        let sizes = self.bench.policy.recommendations().iter().filter(|one| one.dimension() == Dimension::Replicas);
        let guards = self.bench.policy.safeguards().iter().filter(|one| one.dimension() == Dimension::Replicas);
        let mut units = sizes.map(RecommendationPolicy::unit).chain(guards.map(SafeguardPolicy::unit));
        units.any(|unit| unit.look_back(signal).is_some())
    }

    /// Adds what was seen, and at a point of the grid makes a sample of it.
    fn measure(&mut self, seen: &Seen) {
        let a_pod = seen.cores.filter(|_| seen.ready > 0.0).map(|cores| cores / seen.ready);
        for (name, value) in [("cpu", seen.cores), ("pod_cpu", a_pod), ("rps", seen.rps)] {
            if let Some(value) = value {
                let (sum, count) = self.seen.entry(name).or_default();
                *sum += value * seen.weight;
                *count += seen.weight;
            }
        }
        if seen.now % self.step != 0 {
            return;
        }
        let at = seen.now * 1000;
        for (name, (sum, count)) in std::mem::take(&mut self.seen) {
            if !self.is_read(name) {
                continue;
            }
            let oldest = at - self.reach - self.step * 1000;
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

impl Scaler for ByPolicy<'_> {
    fn decide(&mut self, seen: Seen) -> Option<Verdict> {
        self.measure(&seen);
        if seen.now < self.looked + self.bench.interval {
            return None;
        }
        self.looked = seen.now;
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
}
