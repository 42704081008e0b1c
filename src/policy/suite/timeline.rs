//! Tests over time: series of samples, what changes meanwhile, and what is expected when.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::policy::cel::Problem;
use crate::policy::diagnostic::{self, Severity, Sink};
use crate::policy::document;
use crate::policy::fields;
use crate::policy::form::{self, Form};
use crate::policy::series::Series;
use crate::policy::yaml::{Node, Text, Value};

use super::given::{self, Given, duration};
use super::notation::{self, MAX_SAMPLES};

/// Start of a test that states none; a multiple of any step that one takes.
const START: i64 = 1_767_225_600;
/// Step of a test that states none.
const STEP: Duration = Duration::from_secs(30);

/// A time in which samples come.
#[derive(Clone, Debug)]
pub struct Timeline {
    start: Timestamp,
    step: Duration,
    series: Vec<SeriesForm>,
    changes: Vec<Turn>,
    /// A part of it has a fault, which is reported; what follows from that is not.
    broken: bool,
}

#[derive(Clone, Debug)]
struct SeriesForm {
    signal: Text,
    series: Arc<Series>,
    /// From the start to its last value, also where that is missing.
    length: Duration,
}

/// A turn of what is given.
#[derive(Clone, Debug)]
pub struct Turn {
    /// When, from the start.
    pub at: Duration,
    /// To what.
    pub given: Given,
}

/// What is expected at one moment.
#[derive(Clone, Debug)]
pub struct Step {
    at: Duration,
    place: Text,
    /// A change is applied; otherwise nothing is done.
    pub apply: bool,
    /// To which size.
    pub target: Option<f64>,
    /// What has the last word: a rule or an invariant.
    pub by: Option<String>,
    /// The rule that recommends it.
    pub rule: Option<String>,
    /// What the reason contains.
    pub reason: Option<String>,
}

impl Timeline {
    /// When it starts.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// From one moment to the next.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// From the start to the last value of the longest series.
    pub fn length(&self) -> Duration {
        self.series.iter().map(|one| one.length).max().unwrap_or_default()
    }

    /// The series: signal, samples, and where they stand.
    pub fn series(&self) -> impl Iterator<Item = (&str, &Arc<Series>, String)> {
        self.series.iter().map(|one| (one.signal.text.as_str(), &one.series, one.signal.at.text()))
    }

    /// What is wrong with a time that lies behind the last sample, `told` by name, and what to do about it.
    pub(super) fn ends_before(&self, at: Duration, told: &str) -> Option<(String, &'static str)> {
        if self.broken || at <= self.length() {
            return None;
        }
        if self.series.is_empty() {
            let message = format!("{told} is after the start, and without `series` a test has no time but its start");
            return Some((message, "give it samples: `series: [{signal: cpu, values: 1.0x40}]`"));
        }
        let end = humantime::format_duration(self.length());
        let message = format!("{told} is after the last sample, at {end}");
        Some((message, "make a series longer, or `step` larger; _ is a missing sample"))
    }

    /// What changes meanwhile, in the order of time.
    pub fn changes(&self) -> &[Turn] {
        &self.changes
    }
}

impl Step {
    /// When, from the start.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Where it stands.
    pub fn place(&self) -> String {
        self.place.at.text()
    }
}

/// Reads a timeline: what a case states over what its suite does.
pub(super) fn read(suite: &Form<'_>, case: &Form<'_>, sink: &mut Sink) -> Timeline {
    let field = |name: &str| if case.get(name).is_some() { case } else { suite };
    let start = field("now").text("now", sink).and_then(|text| {
        let start = text.text.parse::<Timestamp>().ok();
        if start.is_none() {
            let error = text.at.error(format!("{:?} is no point in time", text.text));
            sink.push(error.help("write it like 2026-01-01T00:00:00Z"));
        }
        start
    });
    let start = start.or_else(|| Timestamp::from_second(START).ok()).unwrap_or_default();
    let stated = field("step");
    let step = duration(stated, "step", sink).unwrap_or(STEP);
    if step < Duration::from_secs(1) || step > Duration::from_secs(3600) {
        if let Some(node) = stated.get("step") {
            sink.push(node.at.error("a step is 1s to 1h long"));
        }
        return Timeline { start, step: STEP, series: Vec::new(), changes: Vec::new(), broken: true };
    }
    let (mut series, mut broken): (Vec<SeriesForm>, bool) = (Vec::new(), false);
    for node in field("series").list("series", sink) {
        let Some(one) = one_series(node, start, step, sink) else {
            broken = true;
            continue;
        };
        document::twice(&one.signal, series.iter().map(|one| &one.signal), "the series of", sink);
        series.push(one);
    }
    let mut changes: Vec<Turn> =
        field("changes").list("changes", sink).iter().filter_map(|node| change(node, sink)).collect();
    changes.sort_by_key(|change| change.at);
    Timeline { start, step, series, changes, broken }
}

fn one_series(node: &Node, start: Timestamp, step: Duration, sink: &mut Sink) -> Option<SeriesForm> {
    let form = Form::of(node, &fields::SERIES, sink)?;
    let signal = form.need_text("signal", sink);
    let values = values(form.get("values")?, sink)?;
    let mut points = Vec::with_capacity(values.len());
    let mut at = Duration::ZERO;
    let mut length = Duration::ZERO;
    for value in values {
        if let (Some(value), Ok(time)) = (value, start.checked_add(at)) {
            points.push((time, value));
        }
        length = at;
        at += step;
    }
    match Series::new(points) {
        Ok(series) => Some(SeriesForm { signal: signal?, series: Arc::new(series), length }),
        Err(error) => {
            sink.push(node.at.error(error.to_string()));
            None
        }
    }
}

/// Values as one text in promtool's notation, or as a list.
fn values(node: &Node, sink: &mut Sink) -> Option<Vec<Option<f64>>> {
    let mut all = Vec::new();
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    for item in items {
        let text = match &item.value {
            // YAML reads a plain 0x10 as the number sixteen; here it is eleven times nothing.
            Value::Number(_) if item.at.raw().contains('x') => item.at.raw(),
            Value::Text(text) => text,
            Value::Number(value) if value.is_finite() => {
                all.push(Some(*value));
                continue;
            }
            other => {
                let message = format!("`values` are samples such as '1.0x8 3.0x8', this is {}", other.describe());
                sink.push(item.at.error(message));
                return None;
            }
        };
        match notation::values(text) {
            Ok(values) => all.extend(values),
            Err(notation::Fault { start, len, message, help }) => {
                let (topic, severity) = (diagnostic::DOCUMENT, Severity::Error);
                let problem = Problem { start, len, message, help: Some(help), topic, severity };
                sink.push(item.at.inside(text, problem));
                return None;
            }
        }
    }
    if all.is_empty() || all.len() > MAX_SAMPLES {
        sink.push(node.at.error(format!("a series has 1 to {MAX_SAMPLES} samples")));
        return None;
    }
    Some(all)
}

fn change(node: &Node, sink: &mut Sink) -> Option<Turn> {
    let form = Form::of(node, &fields::CHANGE, sink)?;
    let at = duration(&form, "at", sink);
    let stated = form.need("given", sink)?;
    let given = given::read(stated, true, sink);
    if given.profile().is_some() || !given.params().is_empty() {
        sink.push(stated.at.error("profile and params hold for a whole case, they don't change within"));
    }
    Some(Turn { at: at?, given })
}

/// Reads the steps that a case expects.
pub(super) fn steps(node: &Node, timeline: &Timeline, sink: &mut Sink) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for node in form::list(node, "expect", sink) {
        let Some(step) = one_step(node, timeline, sink) else { continue };
        if let Some(first) = steps.iter().find(|one| one.at == step.at) {
            let error = step.place.at.error(format!("{} is given twice", step.place.text)).topic(diagnostic::DUPLICATE);
            sink.push(error.related(first.place(), "the first"));
        }
        steps.push(step);
    }
    if steps.is_empty() && !sink.has_errors() {
        let error = node.at.error("a case without a step tests nothing");
        sink.push(error.help("list what is expected when: {at: 5m, action: apply, target: 6}"));
    }
    steps.sort_by_key(|step| step.at);
    (!steps.is_empty()).then_some(steps)
}

fn one_step(node: &Node, timeline: &Timeline, sink: &mut Sink) -> Option<Step> {
    let form = Form::of(node, &fields::STEP, sink)?;
    let place = form.need_text("at", sink)?;
    let at = duration(&form, "at", sink)?;
    if at.as_millis() % timeline.step.as_millis().max(1) != 0 {
        let step = humantime::format_duration(timeline.step);
        sink.push(place.at.error(format!("nothing is decided at {}: a step is {step} long", place.text)));
    }
    if let Some((message, help)) = timeline.ends_before(at, &place.text) {
        sink.push(place.at.error(message).help(help));
    }
    let action = form.need_text("action", sink)?;
    let apply = match action.text.as_str() {
        "apply" => true,
        "hold" => false,
        other => {
            sink.push(action.at.error(format!("there is no action {other:?}")).help("actions: apply, hold"));
            return None;
        }
    };
    let target = form.number("target", sink);
    if let (false, Some((_, at))) = (apply, &target) {
        sink.push(at.error("a hold has no target").help("write action: apply, or leave the target out"));
    }
    let text = |name: &str, sink: &mut Sink| form.text(name, sink).map(|text| text.text);
    Some(Step {
        at,
        apply,
        target: target.map(|(target, _)| target),
        by: text("by", sink),
        rule: text("rule", sink),
        reason: text("reason", sink),
        place,
    })
}
