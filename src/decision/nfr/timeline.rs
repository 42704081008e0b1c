//! The rules asked at points of the grid, with each point's samples and the facts of now; and what a window of points
//! says together. Nothing of it is kept: a replay asks the same and gets the same.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::policy::{
    Dimension, Facts, Policy, Proposal, RecommendationPolicy, RuleTrace, SafeguardPolicy, Series, SignalPolicy,
};

use super::clamp::Quantum;
use super::grid::{Cover, Grid, Span, enough, millis, sampled};
use super::outcome::{Direction, WindowTrace};
use super::{Samples, moment, span_text};

/// A signal that the rules read.
struct Reading<'a> {
    signal: &'a SignalPolicy,
    series: Arc<Series>,
    /// The class needs it: without it nothing shrinks. It is asked where a change is, which mostly there is none.
    required: OnceCell<bool>,
    max_age: i64,
    /// How far back the rules of the Recommendations look from a point, where they read it.
    look_back: Option<Duration>,
    /// How far back those of the Safeguard look from now, where they do.
    guards_back: Option<Duration>,
    /// It is bound without samples, because they are too old.
    hidden: bool,
}

/// A rule that could not be evaluated, and why.
pub(super) type Failure = (String, String);

/// What the rules say at a point.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The highest proposal, and its size in units.
    pub(super) proposal: Option<(Proposal, f64)>,
    /// A rule that could not be evaluated: what it would have asked for is not known.
    pub(super) failure: Option<Failure>,
    pub(super) trace: Vec<RuleTrace>,
}

/// A window, and what it says about a change.
pub(super) struct Window {
    pub(super) trace: WindowTrace,
    /// The lowest proposal of a window upwards, the highest of one downwards, in units.
    pub(super) bound: Option<f64>,
    /// The point that speaks against the change: when, and what it asks for.
    pub(super) against: Option<(Timestamp, f64)>,
}

/// The Recommendations of one dimension of one component, over its samples.
pub(super) struct Timeline<'a> {
    recommendations: Vec<&'a RecommendationPolicy>,
    facts: &'a mut Facts,
    readings: Vec<Reading<'a>>,
    nothing: Arc<Series>,
    grid: Grid,
    quantum: Quantum,
    newest: i64,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        facts: &'a mut Facts,
        (recommendations, safeguard): (Vec<&'a RecommendationPolicy>, Option<&'a SafeguardPolicy>),
        (samples, dimension): (&Samples, Dimension),
        (grid, newest): (Grid, i64),
    ) -> Self {
        let nothing = Arc::new(Series::default());
        let mut readings = Vec::new();
        for signal in policy.signals() {
            let looks = recommendations.iter().filter_map(|one| one.unit().look_back(signal.name()));
            let look_back = looks.max();
            let guards_back = safeguard.and_then(|one| one.unit().look_back(signal.name()));
            if look_back.is_none() && guards_back.is_none() {
                continue;
            }
            let series = samples.get(signal.name()).unwrap_or(&nothing);
            facts.set_signal(signal.name(), Arc::clone(series));
            readings.push(Reading {
                signal,
                series: Arc::clone(series),
                required: OnceCell::new(),
                max_age: millis(signal.max_age()),
                look_back,
                guards_back,
                hidden: false,
            });
        }
        let quantum = Quantum::of(dimension);
        Self { recommendations, facts, readings, nothing, grid, quantum, newest }
    }

    /// Gives the facts back as of now, every signal with all its samples.
    pub(super) fn facts(&mut self, now: Timestamp) -> &mut Facts {
        for reading in self.readings.iter_mut().filter(|one| one.hidden) {
            reading.hidden = false;
            self.facts.set_signal(reading.signal.name(), Arc::clone(&reading.series));
        }
        self.facts.set_now(now);
        self.facts
    }

    /// Whether answers go without words.
    pub(super) fn is_brief(&self) -> bool {
        self.facts.is_brief()
    }

    /// Signals that the class needs and that have no data at the newest point, in words.
    pub(super) fn missing(&self) -> Vec<String> {
        self.required().filter_map(|one| one.fault_at(self.newest)).collect()
    }

    /// Signals that the class needs.
    fn required(&self) -> impl Iterator<Item = &Reading<'a>> {
        self.readings.iter().filter(|one| one.is_required(self.facts))
    }

    /// Asks the rules at a point.
    pub(super) fn ask(&mut self, at: i64) -> Asked {
        self.facts.set_now(moment(at));
        for reading in &mut self.readings {
            let hide = reading.is_blind(at);
            if hide != reading.hidden {
                reading.hidden = hide;
                let series = if hide { &self.nothing } else { &reading.series };
                self.facts.set_signal(reading.signal.name(), Arc::clone(series));
            }
        }
        let mut asked = Asked::default();
        for recommendation in &self.recommendations {
            // Of all points but the newest only the size counts.
            let told = at == self.newest && !self.facts.is_brief();
            let said = if told { recommendation.evaluate(self.facts) } else { recommendation.glance(self.facts) };
            asked.trace.extend(said.trace);
            asked.failure = asked.failure.or(said.error);
            if let Some(proposal) = said.proposal {
                let size = self.quantum.count(proposal.target);
                // Several documents for one dimension: the highest wins, the first by name where they are equal.
                if asked.proposal.as_ref().is_none_or(|(_, highest)| size > *highest) {
                    asked.proposal = Some((proposal, size));
                }
            }
        }
        asked
    }

    /// Asks the window of a change. `agrees` says whether a proposal goes along with it. Unless the whole window
    /// matters, or is to be explained, the first point that does not is the last that is asked.
    pub(super) fn window(
        &mut self,
        direction: Direction,
        length: Duration,
        (newest, since): (&Asked, Timestamp),
        (agrees, whole): (impl Fn(f64) -> bool, bool),
    ) -> Window {
        let span = self.grid.span(self.newest, length);
        let all = whole || self.facts.is_explained();
        let shortfall = self.shortfall(direction, span, since);
        let trace = WindowTrace { direction, of: span.len(), there: 0, bound: None, shortfall, points: Vec::new() };
        let mut window = Window { trace, bound: None, against: None };
        if window.trace.shortfall.is_some() && !self.facts.is_explained() {
            return window;
        }
        for at in span.newest_first() {
            let value = if at == self.newest {
                self.counts(newest, at, direction)
            } else {
                let asked = self.ask(at);
                self.counts(&asked, at, direction)
            };
            window.add(moment(at), value.map(|units| (units, self.quantum.value(units))));
            if value.is_some_and(|units| !agrees(units)) && window.against.is_none() {
                window.against = window.trace.points.last().and_then(|(at, value)| Some((*at, (*value)?)));
                if !all {
                    return window;
                }
            }
        }
        // A point that speaks against it says enough, unless the range asks for the change all the same.
        if window.against.is_some() && !whole {
            return window;
        }
        let newest_there = window.trace.points.first().is_some_and(|(_, value)| value.is_some());
        if window.trace.shortfall.is_none() && !(newest_there && enough(window.trace.there, span.len())) {
            let (there, of) = (window.trace.there, span.len());
            window.trace.shortfall = Some(format!("the rules have an answer at {there} of its {of} points"));
        }
        window
    }

    /// What a point contributes to a window. Downwards only what is whole: every rule evaluated, every required signal
    /// sampled. Upwards what some rules ask for is enough, from signals that are there: more can only be needed.
    fn counts(&self, asked: &Asked, at: i64, direction: Direction) -> Option<f64> {
        let (_, value) = asked.proposal.as_ref()?;
        let whole = direction == Direction::Up || asked.failure.is_none();
        let there = |one: &Reading<'_>| sampled(one.series.points(), at, self.grid.step());
        let needed = |one: &&Reading<'_>| self.needs(one, direction);
        (whole && self.readings.iter().filter(needed).all(there)).then_some(*value)
    }

    /// Whether a window in this direction needs the samples of a signal.
    fn needs(&self, reading: &Reading<'_>, direction: Direction) -> bool {
        let reads = reading.look_back.is_some() && reading.is_required(self.facts);
        reads && (direction == Direction::Down || !reading.is_blind(self.newest))
    }

    /// Why the samples of a window don't let it count.
    fn shortfall(&self, direction: Direction, span: Span, since: Timestamp) -> Option<String> {
        let down = direction == Direction::Down;
        if down && span.start() < since.as_millisecond() {
            let length = span_text(self.newest - span.start());
            return Some(format!("spec and policy are what they are only since {since:.0}, and it is {length} long"));
        }
        for reading in self.readings.iter().filter(|one| self.needs(one, direction)) {
            // Downwards the look back of the oldest point belongs to it: a peak there must have been seen.
            let span = if down { span.reaching_back(reading.look_back.unwrap_or_default()) } else { span };
            if let Some(fault) = reading.fault_over(span, down) {
                return Some(fault);
            }
        }
        if down { self.unguarded(span).or_else(|| self.unknown_past(span)) } else { None }
    }

    /// Why the Safeguard's rules can't be asked about a fall: what they look back at, of a signal that the class needs,
    /// was not all seen, so a bound of theirs may be lower than it was.
    fn unguarded(&self, window: Span) -> Option<String> {
        self.required().find_map(|one| {
            let span = self.grid.span(self.newest, one.guards_back?);
            // What the window has asked for already is not asked for again.
            let asked = one.look_back.is_some_and(|back| window.reaching_back(back).start() <= span.start());
            if asked { None } else { one.fault_over(span, true) }
        })
    }

    /// Why it is not known what all rules look back at. Of a signal that is not required, that nothing was measured and
    /// that nothing was kept look the same; so at least one signal must reach back as far as any rule looks.
    fn unknown_past(&self, span: Span) -> Option<String> {
        let looks = self.readings.iter().map(|one| {
            let recommends = one.look_back.map(|back| span.reaching_back(back).oldest());
            let guards = one.guards_back.map(|back| self.grid.span(self.newest, back).oldest());
            recommends.into_iter().chain(guards).min().unwrap_or(self.newest)
        });
        let oldest = looks.min()?;
        let kept = self.readings.iter().filter_map(|one| Some(one.series.points().first()?.0)).min();
        let reaches = kept.is_some_and(|first| first <= oldest);
        (!reaches)
            .then(|| format!("no signal has samples that go back to {}, where the rules begin to look", moment(oldest)))
    }
}

impl Window {
    fn add(&mut self, at: Timestamp, value: Option<(f64, f64)>) {
        self.trace.points.push((at, value.map(|(_, value)| value)));
        let Some((units, value)) = value else { return };
        self.trace.there += 1;
        let further = self.bound.is_none_or(|bound| match self.trace.direction {
            Direction::Up => units < bound,
            Direction::Down => units > bound,
        });
        if further {
            (self.bound, self.trace.bound) = (Some(units), Some(value));
        }
    }
}

impl Reading<'_> {
    /// Whether the class needs it. That follows from the facts of the class alone: neither from the time nor from any
    /// signal, nor from what is proposed, which such a condition can't read. What can't be told is taken for needed:
    /// that only ever holds.
    fn is_required(&self, facts: &Facts) -> bool {
        *self.required.get_or_init(|| self.signal.required(facts).unwrap_or(true))
    }

    /// How old the newest sample is at a point, where there is one; milliseconds.
    fn age_at(&self, at: i64) -> Option<i64> {
        let points = self.series.points();
        let next = points.partition_point(|(time, _)| *time <= at);
        next.checked_sub(1).and_then(|last| points.get(last)).map(|(time, _)| at - time)
    }

    /// Whether there is no data at a point.
    fn is_blind(&self, at: i64) -> bool {
        self.age_at(at).is_none_or(|age| age > self.max_age)
    }

    /// Why there is no data at a point.
    fn fault_at(&self, at: i64) -> Option<String> {
        match self.age_at(at) {
            None => Some(format!("signals.{} has no samples", self.signal.name())),
            Some(age) if age > self.max_age => {
                let (age, allowed) = (span_text(age), span_text(self.max_age));
                Some(format!("the newest sample of signals.{} is {age} old, max_age is {allowed}", self.signal.name()))
            }
            Some(_) => None,
        }
    }

    /// Why its samples in a window are not enough. `from_start` asks for one at its oldest point too.
    fn fault_over(&self, span: Span, from_start: bool) -> Option<String> {
        let Cover { of, cells, oldest, newest, longest_gap } = span.samples(self.series.points());
        let name = self.signal.name();
        if !newest {
            return Some(format!("signals.{name} has no sample at the newest point"));
        }
        if from_start && !oldest {
            let from = moment(span.oldest());
            return Some(format!("signals.{name} has no sample at {from}, where the rules begin to look"));
        }
        if !enough(cells, of) {
            return Some(format!("signals.{name} has samples at {cells} of {of} points"));
        }
        (longest_gap > self.max_age).then(|| {
            let (gap, allowed) = (span_text(longest_gap), span_text(self.max_age));
            format!("signals.{name} has a gap of {gap}, max_age is {allowed}")
        })
    }
}
