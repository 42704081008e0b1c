//! The samples of all components: which are asked for, how answers become samples, and how long they are kept.
//!
//! Every look asks each signal once, for the moments that it has not been asked about yet; at the start that is its
//! whole window, and so it is for all once components have come that were not there at the start. So what is known after
//! a restart is what was known before it, as far as the source kept it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::policy::{Combine, Join, Series, SignalPolicy};

use super::combine::{Buckets, combine};
use super::join::{About, about};
use super::pods::Presence;
use super::{ComponentKey, Fault, FaultKind, Pods, RangeQuery, Row, Scope};

/// How often within the length of a window that whole window may be asked about again, so that components which come one
/// after the other do not make every question a long one.
const WIDENINGS: i64 = 4;
/// A stretch that is asked about whatever became of the last question, milliseconds: an outage that is no longer costs no
/// sample.
const SHORTEST: i64 = 600_000;

/// What is asked for of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    query: String,
    join: Join,
    combine: Combine,
    quantile: Option<f64>,
    window: i64,
    step: i64,
    max_age: Duration,
}

/// One question to the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    spec: Spec,
    /// The query.
    pub query: RangeQuery,
    /// Why it begins anew.
    anew: Option<Fault>,
}

/// How it went with one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Name of the signal.
    pub signal: String,
    /// What was wrong with the whole answer, or with what was known before it.
    pub fault: Option<Fault>,
}

#[derive(Debug)]
struct Signal {
    spec: Spec,
    /// The newest moment that there was an answer about.
    through: Option<i64>,
    components: HashMap<ComponentKey, Entry>,
    /// What was wrong with the last answer as a whole.
    fault: Option<Fault>,
    /// Why series of the last answer were left out.
    stray: Option<Fault>,
    /// Up to which moment the whole window was last asked about for components that had come.
    widened: Option<i64>,
    /// What the source could not answer, for as long as a window.
    narrowed: Option<Narrowed>,
}

/// Less than the window is asked about at once. What came before stays unknown, and what waits for it waits.
#[derive(Clone, Copy, Debug)]
struct Narrowed {
    /// The longest stretch, milliseconds.
    longest: i64,
    /// Up to which moment the question went that was too much.
    at: i64,
}

#[derive(Debug)]
struct Entry {
    series: Arc<Series>,
    /// Why the newest moment has no sample.
    fault: Option<Fault>,
    /// The oldest moment that was asked about while it was known.
    from: i64,
}

/// The samples of all components.
#[derive(Debug, Default)]
pub struct Store {
    signals: BTreeMap<String, Signal>,
}

impl Spec {
    /// What a Signal document asks for; `window` and `step` stand in where it states none.
    pub fn of(signal: &SignalPolicy, window: Duration, step: Duration) -> Self {
        Self {
            name: signal.name().to_owned(),
            query: signal.query().to_owned(),
            join: signal.join(),
            combine: signal.combine(),
            quantile: signal.quantile(),
            window: millis(signal.window().unwrap_or(window)),
            step: millis(signal.step().unwrap_or(step)).max(1000),
            max_age: signal.max_age(),
        }
    }

    /// How far back samples are kept, milliseconds.
    pub fn window(&self) -> i64 {
        self.window
    }

    /// Time between samples, milliseconds.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Whether samples that were fetched for another spec are still right for this one.
    fn continues(&self, before: &Self) -> bool {
        Self { window: before.window, max_age: before.max_age, ..self.clone() } == *before
            && self.window <= before.window
    }
}

impl Signal {
    fn new(spec: &Spec) -> Self {
        Self {
            spec: spec.clone(),
            through: None,
            components: HashMap::new(),
            fault: None,
            stray: None,
            widened: None,
            narrowed: None,
        }
    }

    /// From when on to ask, so that everything up to `newest` is known.
    fn start(&mut self, newest: i64) -> i64 {
        let (step, window) = (self.spec.step, self.spec.window);
        self.narrowed = self.narrowed.filter(|one| newest.saturating_sub(one.at) < window);
        let longest = self.narrowed.map_or(window, |one| one.longest.min(window));
        let oldest = newest.saturating_sub(longest).div_euclid(step).saturating_mul(step);
        let Some(through) = self.through else { return oldest };
        let start = oldest.max(through.saturating_add(step));
        let is_due = self.widened.is_none_or(|at| newest.saturating_sub(at) >= window / WIDENINGS);
        if start <= newest && is_due && self.components.values().any(|entry| entry.from > oldest) {
            self.widened = Some(newest);
            return oldest;
        }
        start
    }

    /// After a question that was too much for the source: half the stretch is asked about from then on, the newest half.
    /// Asked again as it was it would fail again.
    fn too_much(&mut self, asked: &RangeQuery, fault: &Fault) -> Fault {
        if !matches!(fault.kind, FaultKind::Timeout | FaultKind::TooBig) {
            return fault.clone();
        }
        let stretch = asked.end.saturating_sub(asked.start);
        let shortest = SHORTEST.max(asked.step);
        if stretch > shortest {
            self.narrowed = Some(Narrowed { longest: (stretch / 2).max(shortest), at: asked.end });
        }
        let Some(Narrowed { longest, .. }) = self.narrowed else { return fault.clone() };
        let seconds = Duration::from_secs(u64::try_from(longest / 1000).unwrap_or(0));
        let longest = humantime::format_duration(seconds);
        Fault::new(fault.kind, format!("{fault}; no more than the last {longest} are asked about from now on"))
    }

    /// Whether moments are known that are still to come: the clock was ahead when they were asked about. Until they
    /// have come nothing would be asked, and what is older than their window is dropped already.
    fn is_ahead(&self, newest: i64) -> bool {
        self.through.is_some_and(|through| through > newest.saturating_add(self.spec.step))
    }

    /// Tells once why series are left out: whoever exports them may never stop.
    fn left_out(&mut self, count: usize, why: Option<Fault>) {
        if let Some(fault) = why.as_ref().filter(|why| self.stray.as_ref() != Some(why)) {
            tracing::warn!(signal = self.spec.name, series = count, "series are left out: {fault}");
        }
        self.stray = why;
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self { series: Arc::default(), fault: None, from: i64::MAX }
    }
}

impl Entry {
    /// Takes over the samples of an answer about the moments from `start` on. One that goes further back than what is
    /// known stands for all of it; otherwise what was decided by, up to `through`, stays as it is.
    fn take(&mut self, points: &[(i64, f64)], start: i64, through: i64, oldest: i64) {
        self.series = Arc::new(if start < self.from {
            self.from = start;
            Series::default().continued(points, oldest)
        } else {
            let from = points.partition_point(|(at, _)| *at <= through);
            self.series.continued(points.get(from..).unwrap_or_default(), oldest)
        });
    }
}

impl Store {
    /// What to ask so that everything up to `now - settle` is known: at most one question a signal. Signals that are no
    /// longer among the `specs` are forgotten; those that measure something else now, or are ahead of the clock, begin
    /// anew.
    pub fn plan(&mut self, specs: &[Spec], scope: &Scope, now: i64, settle: i64) -> Vec<Ask> {
        let mut before = std::mem::take(&mut self.signals);
        let mut asks = Vec::new();
        for spec in specs {
            let kept = before.remove(&spec.name).filter(|signal| spec.continues(&signal.spec));
            let mut signal = kept.unwrap_or_else(|| Signal::new(spec));
            signal.spec = spec.clone();
            let newest = now.saturating_sub(settle).div_euclid(spec.step).saturating_mul(spec.step);
            let ahead = signal.is_ahead(newest);
            if ahead {
                signal = Signal::new(spec);
            }
            let start = signal.start(newest);
            if start <= newest {
                let query = scope.fill(&spec.query);
                let query = RangeQuery { query, start, end: newest, step: spec.step, lookback: spec.max_age };
                asks.push(Ask { spec: spec.clone(), query, anew: ahead.then(clock_was_ahead) });
            }
            self.signals.insert(spec.name.clone(), signal);
        }
        asks
    }

    /// Takes over the answer to a question. After a fault the same moments are asked about again, or the newest of them
    /// where they were too many.
    pub fn take(
        &mut self,
        ask: &Ask,
        answer: &Result<Vec<Row>, Fault>,
        pods: &Pods,
        known: &HashSet<ComponentKey>,
    ) -> Asked {
        let asked = |fault| Asked { signal: ask.spec.name.clone(), fault };
        let Some(signal) = self.signals.get_mut(&ask.spec.name) else { return asked(None) };
        let joined = answer.as_ref().map_err(Fault::clone).and_then(|rows| Joined::of(&ask.spec, rows, pods, known));
        let joined = match joined {
            Ok(joined) => joined,
            Err(fault) => {
                let fault = signal.too_much(&ask.query, &fault);
                signal.fault = Some(fault.clone());
                return asked(Some(fault));
            }
        };
        signal.fault = None;
        signal.left_out(joined.strays, joined.stray.clone());
        let through = signal.through.replace(ask.query.end).unwrap_or(i64::MIN);
        // One step more than the window: its oldest point must still be there when the newest one has just come.
        let oldest = ask.query.end.saturating_sub(ask.spec.window).saturating_sub(ask.spec.step);
        let presences = pods.presences(millis(ask.spec.max_age));
        signal.components.retain(|key, _| known.contains(key));
        for key in known {
            let must = if ask.spec.join == Join::Pod { presences.get(key).map_or(&[][..], Vec::as_slice) } else { &[] };
            let (points, fault) = joined.points(key, ask, must);
            let entry = signal.components.entry(key.clone()).or_default();
            entry.fault = fault;
            entry.take(&points, ask.query.start, through, oldest);
        }
        asked(ask.anew.clone())
    }

    /// The samples of a component, by signal. What has none is left out.
    pub fn samples(&self, key: &ComponentKey) -> BTreeMap<String, Arc<Series>> {
        let entries = self.signals.iter().filter_map(|(name, signal)| Some((name, signal.components.get(key)?)));
        let measured = entries.filter(|(_, entry)| !entry.series.points().is_empty());
        measured.map(|(name, entry)| (name.clone(), Arc::clone(&entry.series))).collect()
    }

    /// Why the newest moment of a signal has no sample of a component; `None` where it has one.
    pub fn fault(&self, key: &ComponentKey, signal: &str) -> Option<Fault> {
        let nothing = || Fault::new(FaultKind::NoSeries, "nothing was measured yet");
        let Some(signal) = self.signals.get(signal) else { return Some(nothing()) };
        let of_component = || signal.components.get(key).map_or_else(|| Some(nothing()), |entry| entry.fault.clone());
        signal.fault.clone().or_else(of_component)
    }

    /// Number of samples that are kept.
    pub fn len(&self) -> usize {
        let entries = self.signals.values().flat_map(|signal| signal.components.values());
        entries.map(|entry| entry.series.points().len()).sum()
    }

    /// Whether no sample is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of an answer, by the component that they measure.
struct Joined<'a> {
    rows: HashMap<ComponentKey, Vec<Part<'a>>>,
    /// Number of rows that can't be told what they measure.
    strays: usize,
    /// Why, of one of them; whatever the order of the answer, the same.
    stray: Option<Fault>,
}

struct Part<'a> {
    name: String,
    /// Upper bound, of a histogram's bucket.
    bound: Option<f64>,
    /// Why it makes the moments that it has samples of no data.
    odd: Option<Fault>,
    /// Only what was measured before this moment.
    before: i64,
    points: &'a [(i64, f64)],
}

impl<'a> Joined<'a> {
    /// Rows that can't be told what they measure are left out: anybody may export such a series, and it must not blind
    /// every class. Where all rows are such, it is the query that is wrong.
    fn of(spec: &Spec, rows: &'a [Row], pods: &Pods, known: &HashSet<ComponentKey>) -> Result<Self, Fault> {
        let mut joined = Self { rows: HashMap::new(), strays: 0, stray: None };
        for row in rows {
            let found = match about(spec.join, &row.labels, pods, |key| known.contains(key)) {
                Ok(found) => found,
                Err(fault) => {
                    joined.strays += 1;
                    joined.stray = joined.stray.into_iter().chain([fault]).min_by(|a, b| a.message.cmp(&b.message));
                    continue;
                }
            };
            let Some(About { component, part: name, before }) = found else { continue };
            let bound = spec.quantile.map(|_| bound(row)).transpose();
            let (bound, odd) = bound.map_or_else(|fault| (None, Some(fault)), |bound| (bound, None));
            let part = Part { name, bound, odd, before, points: &row.points };
            joined.rows.entry(component).or_default().push(part);
        }
        match joined.stray {
            Some(fault) if joined.strays == rows.len() => Err(fault),
            stray => Ok(Self { stray, ..joined }),
        }
    }

    /// Why there is nothing of a component.
    fn nothing(&self) -> Fault {
        let more = self.stray.as_ref().map(|fault| format!("; some were left out: {fault}")).unwrap_or_default();
        Fault::new(FaultKind::NoSeries, format!("the query gives no series of its pods{more}"))
    }

    /// The samples of a component at the moments of a question, and why the newest has none.
    fn points(&self, key: &ComponentKey, ask: &Ask, must: &[Presence<'_>]) -> (Vec<(i64, f64)>, Option<Fault>) {
        let RangeQuery { start, end, step, .. } = ask.query;
        let Some(parts) = self.rows.get(key) else {
            return (Vec::new(), Some(self.nothing()));
        };
        let moments = usize::try_from((end - start) / step + 1).unwrap_or(0);
        let mut cells: Vec<Cell<'_>> = std::iter::repeat_with(Cell::default).take(moments).collect();
        for part in parts {
            for (at, value) in part.points.iter().filter(|(at, _)| *at < part.before) {
                let cell = usize::try_from((at - start).div_euclid(step)).ok().and_then(|index| cells.get_mut(index));
                if let Some(cell) = cell {
                    cell.add(part, *value);
                }
            }
        }
        let mut points = Vec::with_capacity(moments);
        let mut last = Some(Fault::new(FaultKind::NoSeries, "the query gives no sample of its pods"));
        for (at, cell) in (start..=end).step_by(usize::try_from(step).unwrap_or(1)).zip(cells) {
            match cell.value(&ask.spec, at, must) {
                Ok(value) => {
                    points.push((at, value));
                    last = None;
                }
                Err(fault) => last = Some(fault),
            }
        }
        (points, last)
    }
}

/// All that was measured of a component at a moment.
#[derive(Default)]
struct Cell<'a> {
    parts: Vec<(&'a Part<'a>, f64)>,
}

impl<'a> Cell<'a> {
    fn add(&mut self, part: &'a Part<'a>, value: f64) {
        self.parts.push((part, value));
    }

    /// The one number that the parts make, or why there is none.
    fn value(mut self, spec: &Spec, at: i64, must: &[Presence<'_>]) -> Result<f64, Fault> {
        if self.parts.is_empty() {
            return Err(Fault::new(FaultKind::NoSeries, "the query gives no sample of its pods"));
        }
        if let Some(fault) = self.parts.iter().find_map(|(part, _)| part.odd.as_ref()) {
            return Err(fault.clone());
        }
        // By name, so that the sum is the same to the last bit whatever the order of the answer.
        self.parts.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name).then(a.order().total_cmp(&b.order())));
        let twice = self.parts.windows(2).find_map(|pair| match pair {
            [(a, _), (b, _)] if a.name == b.name && a.order().total_cmp(&b.order()).is_eq() => Some(*a),
            _ => None,
        });
        if let Some(part) = twice {
            let message = format!(
                "the query gives several series for {}: aggregate it, as in sum by (namespace, pod) (...)",
                part.title()
            );
            return Err(Fault::new(FaultKind::Duplicate, message));
        }
        if let Some((part, value)) = self.parts.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Fault::new(FaultKind::NotFinite, format!("the value of {} is {value}", part.title())));
        }
        let missing = must.iter().filter(|one| one.covers(at) && !self.has(one.name)).map(|one| one.name).min();
        if let Some(name) = missing {
            let message = format!("pods that are ready have no sample, such as {name}");
            return Err(Fault::new(FaultKind::Partial, message));
        }
        let value = match spec.quantile {
            Some(q) => {
                let mut buckets = Buckets::default();
                for (part, count) in &self.parts {
                    buckets.add(part.order(), *count);
                }
                buckets.quantile(q)
            }
            None => combine(spec.combine, self.parts.iter().map(|(_, value)| *value)),
        };
        value.ok_or_else(|| Fault::new(FaultKind::NotFinite, "its pods together make no finite number"))
    }

    fn has(&self, name: &str) -> bool {
        self.parts.binary_search_by(|(part, _)| part.name.as_str().cmp(name)).is_ok()
    }
}

impl Part<'_> {
    fn order(&self) -> f64 {
        self.bound.unwrap_or(0.0)
    }

    fn title(&self) -> String {
        if self.name.is_empty() { "the component".to_owned() } else { self.name.clone() }
    }
}

/// The upper bound of a histogram's bucket.
fn bound(row: &Row) -> Result<f64, Fault> {
    let text = row.labels.get("le").map(String::as_str);
    let bound = text.and_then(|text| text.parse::<f64>().ok()).filter(|bound| !bound.is_nan());
    bound.ok_or_else(|| {
        let found = text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"));
        let message = format!(
            "a series of the histogram has no bound in its label le ({found}); keep le in the query's `by (...)`"
        );
        Fault::new(FaultKind::Garbage, message)
    })
}

fn clock_was_ahead() -> Fault {
    let message = "the controller's clock was ahead and is put back: samples of moments that are still to come are dropped, \
                   and the whole window is asked about anew";
    Fault::new(FaultKind::ClockSkew, message)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
