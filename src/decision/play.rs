//! A component in a test or an explanation: what is given, played through [`nfr::decide`] in closed loop. What is
//! applied is what there is from then on.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::Class;
use crate::policy::{ComponentKind, Dimension, FactValue, Facts, Given, Policy, SignalPolicy, Timeline};

use super::Setting;
use super::facts;
use super::nfr::{self, Grid, NfrDecision, Question, Range, Samples, State};

/// Replicas that no component passes, where the test states none.
const MAX_REPLICAS: f64 = 20.0;

/// What the record of a component's class says, over what is given.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// The class.
    pub class: &'a Class,
    /// The setting of the controller.
    pub setting: &'a Setting,
}

/// A component, played from the start.
pub struct Play<'a> {
    policy: &'a Policy,
    timeline: &'a Timeline,
    profile: String,
    class: Option<Of<'a>>,
    dimension: Dimension,
    component: ComponentKind,
    given: Given,
    facts: Facts,
    samples: Samples,
    grid: Grid,
    state: State,
    /// Changes of what is given that have come.
    changed: usize,
}

/// Path of the field that a dimension writes.
fn field(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Replicas => "current.replicas",
        Dimension::Cpu => "component.cpu_request",
        Dimension::Memory => "component.memory_request",
        Dimension::Partitions => "class.odgm.partition_count",
    }
}

/// Kind of the component that is given.
pub fn component(given: &Given) -> ComponentKind {
    match given.text("component.kind") {
        Some("odgm") => ComponentKind::Odgm,
        _ => ComponentKind::Function,
    }
}

/// Samples of a timeline; the signal that the policy does not have, where there is one.
pub fn samples(policy: &Policy, timeline: &Timeline) -> Result<Samples, String> {
    let mut samples = Samples::new();
    for (name, series, place) in timeline.series() {
        if !policy.signals().iter().any(|signal| signal.name() == name) {
            let names: Vec<&str> = policy.signals().iter().map(SignalPolicy::name).collect();
            return Err(format!("{place}: there is no Signal {name:?}; there are: {}", names.join(", ")));
        }
        samples.insert(name.to_owned(), series.clone());
    }
    Ok(samples)
}

/// Between what the field of a dimension may be.
fn range(given: &Given, dimension: Dimension) -> Range {
    match dimension {
        Dimension::Replicas | Dimension::Partitions => Range::replicas(
            given.text("component.workload") == Some("KnativeService"),
            given.number("limits.max_replicas").unwrap_or(MAX_REPLICAS),
            given.number("current.hpa.max_replicas"),
        ),
        Dimension::Cpu => Range::request(given.number("component.cpu_limit")),
        Dimension::Memory => Range::request(given.number("component.memory_limit")),
    }
}

/// The moment that lies so far after another.
fn after(start: Timestamp, elapsed: Duration) -> Timestamp {
    start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
}

/// The moment that lies so far before another.
fn before(at: Timestamp, age: Duration) -> Timestamp {
    at.checked_sub(age).unwrap_or(Timestamp::MIN)
}

impl<'a> Play<'a> {
    /// A component as it is given. What is wrong with it, in words.
    pub fn new(
        policy: &'a Policy,
        timeline: &'a Timeline,
        dimension: Dimension,
        (profile, given): (&str, &Given),
        class: Option<Of<'a>>,
    ) -> Result<Self, String> {
        let samples = samples(policy, timeline)?;
        let grid = Grid::new(timeline.step(), Duration::ZERO).ok_or("the step is too short")?;
        let start = timeline.start();
        let since = |age: Option<Duration>| age.map_or(Timestamp::MIN, |age| before(start, age));
        let current = given.number(field(dimension)).or_else(|| given.number("component.replicas"));
        if current.is_none() && dimension != Dimension::Replicas {
            return Err(format!("`given` needs {}: what is to be changed", field(dimension)));
        }
        let state = State {
            current: current.unwrap_or(1.0),
            applied_at: given.duration("proposal.since_applied").map(|age| before(start, age)),
            changed_by: given.text("proposal.changed_by").map(str::to_owned),
            generation_since: since(given.spec_age()),
            revision_since: since(given.policy_age()),
            recommended: None,
        };
        let mut play = Self {
            policy,
            timeline,
            profile: profile.to_owned(),
            class,
            dimension,
            component: component(given),
            given: given.clone(),
            facts: Facts::default(),
            samples,
            grid,
            state,
            changed: 0,
        };
        play.bind();
        Ok(play)
    }

    /// Binds what is given, and what the record says over it.
    fn bind(&mut self) {
        let explained = self.facts.is_explained();
        self.facts = self.given.facts(&self.profile);
        if let Some(Of { class, setting }) = self.class {
            facts::bind_over(class, setting, &mut self.facts);
        }
        self.follow();
        if explained {
            self.explain();
        }
    }

    /// Pods that are asked for are there, unless it is said otherwise.
    fn follow(&mut self) {
        if self.dimension == Dimension::Replicas && self.given.number("current.ready_replicas").is_none() {
            self.facts.set("current.ready_replicas", FactValue::Number(self.state.current));
        }
    }

    /// The field as it is.
    pub fn current(&self) -> f64 {
        self.state.current
    }

    /// What is decided so far after the start, with what is given and applied until then.
    pub fn decide(&mut self, elapsed: Duration) -> NfrDecision {
        self.change(elapsed);
        let now = after(self.timeline.start(), elapsed);
        let question = Question {
            component: self.component,
            dimension: self.dimension,
            state: &self.state,
            range: range(&self.given, self.dimension),
            samples: &self.samples,
            grid: self.grid,
            now,
        };
        nfr::decide(self.policy, &mut self.facts, &question)
    }

    /// Does what was decided.
    pub fn apply(&mut self, decision: &NfrDecision, elapsed: Duration) {
        self.state = self.state.after(decision, true, after(self.timeline.start(), elapsed));
        self.follow();
    }

    /// From here on rules note what they read.
    pub fn explain(&mut self) {
        self.facts = std::mem::take(&mut self.facts).explained();
    }

    /// Takes over what has changed by a moment.
    fn change(&mut self, elapsed: Duration) {
        let due = self.timeline.changes().iter().skip(self.changed).take_while(|change| change.at <= elapsed);
        for change in due.cloned().collect::<Vec<_>>() {
            self.changed += 1;
            let at = after(self.timeline.start(), change.at);
            if let Some(size) = change.given.number(field(self.dimension)) {
                self.state.current = size;
                self.state.applied_at = Some(at);
                self.state.changed_by = change.given.text("proposal.changed_by").map(str::to_owned);
            }
            if let Some(age) = change.given.duration("proposal.since_applied") {
                self.state.applied_at = Some(before(at, age));
            }
            for (since, age) in [
                (&mut self.state.generation_since, change.given.spec_age()),
                (&mut self.state.revision_since, change.given.policy_age()),
            ] {
                if let Some(age) = age {
                    *since = before(at, age);
                }
            }
            self.given = std::mem::take(&mut self.given).with(change.given);
            self.bind();
        }
    }
}
