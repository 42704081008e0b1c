//! A component in a test or an explanation: what is given, played through [`nfr::decide`] in closed loop. What is
//! applied is what there is from then on.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Class, Quantity, Resources};
use crate::policy::{
    ComponentKind, Dimension, FactValue, Facts, Given, Policy, SafeguardPolicy, SignalPolicy, Stabilize, Timeline,
};

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

impl Of<'_> {
    /// What the record says of a component: the function that is given by its name, else the first.
    fn component(&self, given: &Given) -> Vec<(&'static str, FactValue)> {
        let functions = &self.class.functions;
        let named = given.text("component.name").and_then(|name| functions.iter().find(|one| one.key == name));
        let Some(function) = named.or(functions.first()) else { return Vec::new() };
        let Resources { cpu_request, memory_request, cpu_limit, memory_limit } = &function.resources;
        let quantity = |value: &Option<Quantity>| value.as_ref().map(Quantity::value);
        let numbers = [
            ("component.replicas", function.replicas.map(f64::from)),
            ("component.cpu_request", quantity(cpu_request)),
            ("component.memory_request", quantity(memory_request)),
            ("component.cpu_limit", quantity(cpu_limit)),
            ("component.memory_limit", quantity(memory_limit)),
        ];
        let stated = numbers.into_iter().filter_map(|(path, value)| Some((path, FactValue::Number(value?))));
        std::iter::once(("component.name", FactValue::Text(function.key.clone()))).chain(stated).collect()
    }

    fn number(&self, given: &Given, path: &str) -> Option<f64> {
        let found = self.component(given).into_iter().find(|(known, _)| *known == path);
        if let Some((_, FactValue::Number(value))) = found { Some(value) } else { None }
    }
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
    now: Timestamp,
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
        let number = |path: &str| given.number(path).or_else(|| class.and_then(|of| of.number(given, path)));
        let stated = if dimension == Dimension::Replicas { number("component.replicas") } else { None };
        let current = number(field(dimension)).or(stated);
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
            now: start,
            changed: 0,
        };
        play.bind();
        Ok(play)
    }

    /// The facts that are given, and what the record says over them.
    pub fn facts_of(given: &Given, profile: &str, of: Option<Of<'_>>) -> Facts {
        let mut facts = given.facts(profile);
        if let Some(of) = of {
            facts::bind_over(of.class, of.setting, &mut facts);
            for (path, value) in of.component(given) {
                if given.value(path).is_none() {
                    facts.set(path, value);
                }
            }
        }
        facts
    }

    /// What keeps noise from acting, where that can be told.
    pub fn stabilize(&self, safeguard: &SafeguardPolicy) -> Option<Stabilize> {
        safeguard.stabilize(&self.facts).ok()
    }

    /// How long ago the field got its value, and from whom.
    pub fn set(&self) -> Option<String> {
        let ago = Duration::try_from(self.now.duration_since(self.state.applied_at?)).ok()?;
        let by = self.state.changed_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        Some(format!("{} ago{by}", humantime::format_duration(ago)))
    }

    /// Binds what is given.
    fn bind(&mut self) {
        let explained = self.facts.is_explained();
        self.facts = Self::facts_of(&self.given, &self.profile, self.class);
        self.follow();
        if explained {
            self.explain();
        }
    }

    /// Between what the field may be.
    fn range(&self) -> Range {
        let given = &self.given;
        let limit = |path: &str| given.number(path).or_else(|| self.class.and_then(|of| of.number(given, path)));
        match self.dimension {
            Dimension::Replicas | Dimension::Partitions => Range::replicas(
                given.text("component.workload") == Some("KnativeService"),
                given.number("limits.max_replicas").unwrap_or(MAX_REPLICAS),
                given.number("current.hpa.max_replicas"),
            ),
            Dimension::Cpu => Range::request(limit("component.cpu_limit")),
            Dimension::Memory => Range::request(limit("component.memory_limit")),
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
        self.now = now;
        let question = Question {
            component: self.component,
            dimension: self.dimension,
            state: &self.state,
            range: self.range(),
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

    /// Decides at every moment before one, and does it.
    pub fn until(&mut self, end: Duration) {
        let mut elapsed = Duration::ZERO;
        while elapsed < end {
            let decision = self.decide(elapsed);
            self.apply(&decision, elapsed);
            elapsed += self.timeline.step();
        }
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
