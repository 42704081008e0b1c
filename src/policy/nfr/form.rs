//! Signal, Recommendation and Safeguard documents as written.

use crate::policy::cel::Problem;
use crate::policy::diagnostic::{Sink, nearest};
use crate::policy::document::{Definitions, definitions, id, mode};
use crate::policy::fields;
use crate::policy::form::{self, Form};
use crate::policy::trace::RuleMode;
use crate::policy::units;
use crate::policy::yaml::{Node, Place, Text, Value};

use super::promql;
use super::signal::{Combine, Join};
use super::{ComponentKind, Dimension};

/// A Signal document. What has a fault is left out; the document is there all the same, so that who reads it is not
/// told that it does not exist.
#[derive(Debug)]
pub(crate) struct SignalForm {
    pub(crate) definitions: Definitions,
    pub(super) measure: Option<String>,
    pub(super) yields: Option<Yields>,
    pub(super) query: Option<String>,
    pub(super) join: Option<Join>,
    pub(super) combine: Option<Combine>,
    pub(crate) window: Option<chrono::Duration>,
    pub(super) step: Option<chrono::Duration>,
    pub(super) max_age: Option<chrono::Duration>,
    pub(super) required_when: Option<Text>,
}

/// What a query gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Yields {
    /// One value a series.
    Value,
    /// Buckets, of which this quantile is wanted.
    Histogram(f64),
}

impl Yields {
    pub(super) fn quantile(self) -> Option<f64> {
        match self {
            Self::Value => None,
            Self::Histogram(quantile) => Some(quantile),
        }
    }
}

/// A Recommendation document.
#[derive(Debug)]
pub(crate) struct RecommendationForm {
    pub(crate) definitions: Definitions,
    pub(super) component: Option<ComponentKind>,
    pub(super) dimension: Option<Dimension>,
    pub(super) first: bool,
    pub(super) rules: Vec<RecommendationRuleForm>,
}

/// A rule of a Recommendation.
#[derive(Debug)]
pub(super) struct RecommendationRuleForm {
    pub(super) id: Text,
    pub(super) mode: RuleMode,
    pub(super) when: Option<Text>,
    pub(super) target: Text,
    pub(super) confidence: Option<Text>,
    pub(super) basis: Text,
}

/// A Safeguard document.
#[derive(Debug)]
pub(crate) struct SafeguardForm {
    pub(crate) definitions: Definitions,
    pub(super) dimension: Option<(Dimension, Place)>,
    pub(super) stabilize: Option<StabilizeForm>,
    pub(super) rules: Vec<SafeguardRuleForm>,
}

/// What keeps noise from acting.
#[derive(Debug)]
pub(super) struct StabilizeForm {
    pub(super) up: Text,
    pub(super) down: Text,
    pub(super) dead_band: Text,
}

/// A rule of a Safeguard.
#[derive(Debug)]
pub(super) struct SafeguardRuleForm {
    pub(super) id: Text,
    pub(super) mode: RuleMode,
    pub(super) when: Option<Text>,
    pub(super) does: GuardForm,
}

/// What a rule of a Safeguard does.
#[derive(Debug)]
pub(super) enum GuardForm {
    Hold { condition: Text, message: Option<Text> },
    Bound { at_most: Option<Text>, at_least: Option<Text> },
}

/// One of a few words.
fn choice<T: Copy>(text: &Text, what: &str, known: &[(&str, T)], sink: &mut Sink) -> Option<T> {
    let found = known.iter().find(|(name, _)| *name == text.text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let help = match nearest(&text.text, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("write one of {}", names.join(", ")),
        };
        sink.push(text.at.error(format!("there is no {what} {:?}", text.text)).help(help));
    }
    found
}

/// A length of time that is written out.
fn length(form: &Form<'_>, name: &str, sink: &mut Sink) -> Option<(chrono::Duration, Place)> {
    let node = form.get(name)?;
    let found = match &node.value {
        Value::Text(text) => units::duration(text).filter(|length| *length >= chrono::Duration::seconds(1)),
        _ => None,
    };
    if found.is_none() {
        let message = format!("`{name}` is a duration of at least 1s, this is {}", node.value.describe());
        sink.push(node.at.error(message).help("write it with units, such as 30s or 10m"));
    }
    Some((found?, node.at.clone()))
}

fn needed(node: Option<&Node>, name: &str, sink: &mut Sink) -> Option<Text> {
    form::expression(node?, name, sink)
}

impl SignalForm {
    pub(crate) fn read(spec: &Node, sink: &mut Sink) -> Option<Self> {
        let form = Form::of(spec, &fields::SIGNAL, sink)?;
        let definitions = definitions(&form, sink);
        let measure = form.need_text("unit", sink).and_then(|text| unit(&text, sink));
        let yields = yields(&form, spec, sink);
        let histogram = yields.is_some_and(|yields| yields.quantile().is_some());
        let query = form.need_text("query", sink).filter(|text| match promql::fault(&text.text, histogram) {
            Some(fault) => {
                sink.push(text.at.inside(&text.text, fault));
                false
            }
            None => true,
        });
        let joins = [("pod", Join::Pod), ("workload", Join::Workload), ("revision", Join::Revision)];
        let join = form.need_text("join", sink).and_then(|text| choice(&text, "join", &joins, sink));
        if let (Some(text), Some(join)) = (&query, join)
            && let Some(fault) = promql::lost_label(&text.text, join.labels())
        {
            sink.push(text.at.inside(&text.text, fault));
        }
        let combine = combine(&form, histogram, sink);
        let (window, step, max_age) = times(&form, sink);
        Some(Self {
            definitions,
            measure,
            yields,
            query: query.map(|text| text.text),
            join,
            combine,
            window,
            step,
            max_age,
            required_when: form.expression("required_when", sink),
        })
    }
}

fn unit(text: &Text, sink: &mut Sink) -> Option<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/_-%".contains(c);
    if (1..=32).contains(&text.text.len()) && text.text.chars().all(fine) {
        return Some(text.text.clone());
    }
    let error = text.at.error(format!("{:?} is no unit", text.text));
    sink.push(error.help("write a word such as cores, bytes, requests/s or seconds"));
    None
}

fn yields(form: &Form<'_>, spec: &Node, sink: &mut Sink) -> Option<Yields> {
    let kinds = [("value", false), ("histogram", true)];
    let histogram = match form.text("type", sink) {
        Some(text) => choice(&text, "type of signal", &kinds, sink)?,
        None => false,
    };
    match (histogram, form.number("quantile", sink)) {
        (false, None) if form.get("quantile").is_none() => Some(Yields::Value),
        (false, Some((_, at))) => {
            let error = at.error("`quantile` belongs to a histogram");
            sink.push(error.help("add `type: histogram`, or leave it out"));
            None
        }
        (true, Some((quantile, at))) => {
            if quantile > 0.0 && quantile < 1.0 {
                return Some(Yields::Histogram(quantile));
            }
            let error = at.error(format!("`quantile` lies between 0 and 1, this is {quantile}"));
            sink.push(error.help("write 0.95 for the 95th percentile"));
            None
        }
        (true, None) if form.get("quantile").is_none() => {
            let error = spec.at.error("a histogram needs the field `quantile`");
            sink.push(error.help("write 0.95 for the 95th percentile"));
            None
        }
        _ => None,
    }
}

/// How the pods of a component are put together. Buckets can only be added up.
fn combine(form: &Form<'_>, histogram: bool, sink: &mut Sink) -> Option<Combine> {
    let known = [("sum", Combine::Sum), ("max", Combine::Max), ("min", Combine::Min), ("avg", Combine::Avg)];
    if form.get("combine").is_none() {
        return Some(Combine::Sum);
    }
    let text = form.text("combine", sink)?;
    let combine = choice(&text, "way to combine", &known, sink)?;
    if histogram && combine != Combine::Sum {
        let error = text.at.error("buckets of a histogram can only be added up");
        sink.push(error.help("write sum, or leave `combine` out"));
        return None;
    }
    Some(combine)
}

type Length = Option<chrono::Duration>;

/// Points of a series that Prometheus gives in one answer are 11,000 at most.
const MOST_POINTS: i64 = 10_000;

fn times(form: &Form<'_>, sink: &mut Sink) -> (Length, Length, Length) {
    let window = length(form, "window", sink);
    let step = length(form, "step", sink);
    form.need("max_age", sink);
    let max_age = length(form, "max_age", sink);
    for (short, long) in [(("step", &step), ("window", &window)), (("max_age", &max_age), ("window", &window))] {
        if let (Some((less, at)), Some((more, _))) = (short.1, long.1)
            && less > more
        {
            sink.push(at.error(format!("`{}` is longer than `{}`", short.0, long.0)));
        }
    }
    if let (Some((step, _)), Some((age, at))) = (&step, &max_age)
        && age < step
    {
        let error =
            at.error("`max_age` is shorter than `step`, so every sample would be too old before the next comes");
        sink.push(error.help("give it the length of a few steps"));
    }
    if let (Some((window, at)), Some((step, _))) = (&window, &step)
        && window.num_milliseconds() / step.num_milliseconds().max(1) > MOST_POINTS
    {
        let error = at.error(format!("a `window` of more than {MOST_POINTS} steps: Prometheus answers no such query"));
        sink.push(error.help("make `step` longer, or `window` shorter"));
    }
    let only = |found: Option<(chrono::Duration, Place)>| found.map(|(length, _)| length);
    (only(window), only(step), only(max_age))
}

fn dimension(form: &Form<'_>, sink: &mut Sink) -> Option<(Dimension, Place)> {
    let known = Dimension::ALL.map(|one| (one.name(), one));
    let text = form.need_text("dimension", sink)?;
    Some((choice(&text, "dimension", &known, sink)?, text.at))
}

fn rules<'a>(form: &Form<'a>, what: &str, sink: &mut Sink) -> &'a [Node] {
    let Some(nodes) = form.need("rules", sink) else { return &[] };
    if matches!(&nodes.value, Value::List(items) if items.is_empty()) {
        sink.push(nodes.at.error(format!("a {what} needs at least one rule")));
    }
    form::list(nodes, "rules", sink)
}

impl RecommendationForm {
    /// What it sizes.
    pub(crate) fn dimension(&self) -> Option<Dimension> {
        self.dimension
    }

    pub(crate) fn read(spec: &Node, sink: &mut Sink) -> Option<Self> {
        let form = Form::of(spec, &fields::RECOMMENDATION, sink)?;
        let definitions = definitions(&form, sink);
        let kinds = ComponentKind::ALL.map(|one| (one.name(), one));
        let component = form.need_text("component", sink);
        let component = component.and_then(|text| choice(&text, "kind of component", &kinds, sink));
        let dimension = dimension(&form, sink);
        if let (Some(ComponentKind::Function), Some((Dimension::Partitions, at))) = (component, &dimension) {
            sink.push(at.error("a function has no partitions").help("write `component: odgm`"));
        }
        let ways = [("max", false), ("first", true)];
        let first = form.text("combine", sink).and_then(|text| choice(&text, "way to combine", &ways, sink));
        let mut found: Vec<RecommendationRuleForm> = Vec::new();
        for node in rules(&form, "Recommendation", sink) {
            let Some(form) = Form::of(node, &fields::RECOMMENDATION_RULE, sink) else { continue };
            let ids: Vec<Text> = found.iter().map(|rule| rule.id.clone()).collect();
            let (id, mode) = (id(&form, &ids, sink), mode(&form, sink));
            let when = form.expression("when", sink);
            let target = needed(form.need("target", sink), "target", sink);
            let confidence = form.expression("confidence", sink);
            let basis = needed(form.need("basis", sink), "basis", sink);
            if let (Some(id), Some(target), Some(basis)) = (id, target, basis) {
                found.push(RecommendationRuleForm { id, mode, when, target, confidence, basis });
            }
        }
        let dimension = dimension.map(|(dimension, _)| dimension);
        Some(Self { definitions, component, dimension, first: first.unwrap_or(false), rules: found })
    }
}

impl SafeguardForm {
    /// What it guards.
    pub(crate) fn dimension(&self) -> Option<Dimension> {
        self.dimension.as_ref().map(|(dimension, _)| *dimension)
    }

    pub(crate) fn read(spec: &Node, sink: &mut Sink) -> Option<Self> {
        let form = Form::of(spec, &fields::SAFEGUARD, sink)?;
        let definitions = definitions(&form, sink);
        let dimension = dimension(&form, sink);
        if let Some((Dimension::Partitions, at)) = &dimension {
            let error = at.error("partitions are advice: nothing is applied, so there is nothing to guard");
            sink.push(error.help("remove the document"));
        }
        let stabilize = form.need("stabilize", sink).and_then(|node| stabilize(node, sink));
        let mut found: Vec<SafeguardRuleForm> = Vec::new();
        for node in rules(&form, "Safeguard", sink) {
            let Some(form) = Form::of(node, &fields::SAFEGUARD_RULE, sink) else { continue };
            let ids: Vec<Text> = found.iter().map(|rule| rule.id.clone()).collect();
            let (id, mode) = (id(&form, &ids, sink), mode(&form, sink));
            let when = form.expression("when", sink);
            if let (Some(id), Some(does)) = (id, guard(&form, node, sink)) {
                found.push(SafeguardRuleForm { id, mode, when, does });
            }
        }
        Some(Self { definitions, dimension, stabilize, rules: found })
    }
}

fn stabilize(node: &Node, sink: &mut Sink) -> Option<StabilizeForm> {
    let form = Form::of(node, &fields::STABILIZE, sink)?;
    let up = needed(form.need("up", sink), "up", sink).map(|text| units::spelled(&text));
    let down = needed(form.need("down", sink), "down", sink).map(|text| units::spelled(&text));
    let dead_band = needed(form.need("dead_band", sink), "dead_band", sink);
    Some(StabilizeForm { up: up?, down: down?, dead_band: dead_band? })
}

fn guard(form: &Form<'_>, node: &Node, sink: &mut Sink) -> Option<GuardForm> {
    let (hold, message) = (form.expression("hold", sink), form.expression("message", sink));
    let (at_most, at_least) = (form.expression("at_most", sink), form.expression("at_least", sink));
    let given = |name: &str| form.get(name).is_some();
    match (given("hold"), given("at_most") || given("at_least")) {
        (true, false) => Some(GuardForm::Hold { condition: hold?, message }),
        (false, true) => {
            if let Some(message) = message {
                sink.push(message.at.error("a message belongs to `hold`").help("leave it out: the bound is shown"));
            }
            (at_most.is_some() || at_least.is_some()).then_some(GuardForm::Bound { at_most, at_least })
        }
        _ => {
            let help = "hold: a condition under which nothing changes; at_most, at_least: how far a change may go";
            let message = "a rule has either `hold`, or `at_most` and `at_least` (one of them or both)";
            sink.push(node.at.error(message).help(help));
            None
        }
    }
}

/// A finding about an expression as a whole.
pub(crate) fn whole(text: &Text, message: impl Into<String>, help: &str, topic: &'static str) -> Problem {
    Problem {
        start: 0,
        len: text.text.chars().count().max(1),
        message: message.into(),
        help: Some(help.to_owned()),
        topic,
        severity: crate::policy::diagnostic::Severity::Error,
    }
}
