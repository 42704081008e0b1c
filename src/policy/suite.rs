//! Test documents: cases of given facts and what is expected of them. They never see the environment.

use std::fmt::Write as _;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Sink};
use super::document;
use super::facts::{FactValue, Facts};
use super::fields::{self, Fields};
use super::form::Form;
use super::yaml::{self, Node, Source, Text};

mod given;
mod notation;
mod timeline;

pub use given::Given;
pub use timeline::{Step, Timeline, Turn};

/// A document of kind Test.
#[derive(Debug)]
pub struct Suite {
    target: Text,
    cases: Vec<Case>,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    name: Text,
    profile: String,
    given: Given,
    timeline: Option<Timeline>,
    expect: Expect,
}

/// What a case expects.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Of the rules of one Admission: those listed fire, all others don't.
    Admission {
        /// Ids of rules that deny.
        deny: Vec<String>,
        /// Ids of rules that warn.
        warn: Vec<String>,
    },
    /// Of the choice of a template; what is not stated is not compared.
    Template(TemplateExpect),
    /// Of a Signal: whether a class needs it.
    Signal {
        /// It does.
        required: bool,
    },
    /// Of a Recommendation, at one moment.
    Recommendation(RecommendationExpect),
    /// Of a Safeguard: what is done when. At every other moment nothing is.
    Safeguard(Vec<Step>),
}

/// What a case expects of the choice of a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateExpect {
    /// The template that is chosen.
    pub template: Option<String>,
    /// `unknown`, `not-enabled` or `undecided`.
    pub problem: Option<String>,
    /// Its score.
    pub score: Option<f64>,
    /// Whether the class keeps what it has because the choice could not be evaluated.
    pub kept: Option<bool>,
    /// Replicas of a function.
    pub replicas: Option<f64>,
    /// Pods of the data grid; 0 for none.
    pub odgm_replicas: Option<f64>,
    /// CPU utilisation that functions are scaled by; 0 for none.
    pub cpu_utilization: Option<f64>,
}

/// What a case expects of a Recommendation; what is not stated is not compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecommendationExpect {
    /// When, from the start; without it at the last value of the series.
    pub at: Option<std::time::Duration>,
    /// The size as computed, before it is rounded; `None` says that none is recommended.
    pub target: Option<f64>,
    /// The rule that recommends it.
    pub rule: Option<String>,
    /// How sure it is.
    pub confidence: Option<f64>,
    /// What the basis contains.
    pub basis: Option<String>,
    /// A rule that can't be evaluated.
    pub failed: Option<String>,
}

/// What a file gives to explain a decision with: the `given`, `now`, `step`, `series` and `changes` of a Test.
#[derive(Debug)]
pub struct Scene {
    /// What is given.
    pub given: Given,
    /// The time in which it plays.
    pub timeline: Timeline,
}

impl Scene {
    /// Reads a scene from the text of a file; every fault with its place.
    pub fn read(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let mut sink = Sink::default();
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let nodes = yaml::parse(&source).map_err(|fault| Diagnostics(vec![*fault]))?;
        let [node] = nodes.as_slice() else {
            let message = format!("a scene is one YAML document, here are {}", nodes.len());
            return Err(Diagnostics(vec![Diagnostic::whole(name, message)]));
        };
        let scene = Form::of(node, &fields::SCENE, &mut sink).map(|form| Self {
            given: form.get("given").map(|node| given::read(node, true, &mut sink)).unwrap_or_default(),
            timeline: timeline::read(&form, &form, &mut sink),
        });
        sink.finish()?;
        scene.ok_or_else(|| Diagnostics(vec![Diagnostic::whole(name, "this is no scene")]))
    }

    /// Profile that is given.
    pub fn profile(&self) -> &str {
        self.given.profile().unwrap_or("dev")
    }
}

/// What a suite tests.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Admission,
    Template,
    Signal,
    Recommendation,
    Safeguard,
}

const KINDS: &[(&str, Kind)] = &[
    ("Admission/", Kind::Admission),
    ("Signal/", Kind::Signal),
    ("Recommendation/", Kind::Recommendation),
    ("Safeguard/", Kind::Safeguard),
];

/// Fields of a spec that make a time.
const TIME: &[&str] = &["now", "step", "series", "changes"];

impl Kind {
    fn of(target: &str) -> Option<Self> {
        if target == "Template" {
            return Some(Self::Template);
        }
        KINDS.iter().find(|(prefix, _)| target.starts_with(prefix)).map(|(_, kind)| *kind)
    }

    /// The fields of its cases.
    fn case(self) -> &'static Fields {
        match self {
            Self::Admission => &fields::ADMISSION_CASE,
            Self::Template => &fields::TEMPLATE_CASE,
            Self::Signal => &fields::SIGNAL_CASE,
            Self::Recommendation => &fields::RECOMMENDATION_CASE,
            Self::Safeguard => &fields::SAFEGUARD_CASE,
        }
    }

    /// Whether sizes are decided, over time.
    fn over_time(self) -> bool {
        matches!(self, Self::Recommendation | Self::Safeguard)
    }

    fn wants_sizes(self) -> bool {
        self.over_time() || self == Self::Signal
    }
}

impl Suite {
    /// What is tested: `Template`, or a document as `Kind/name`.
    pub(crate) fn target(&self) -> &Text {
        &self.target
    }

    /// What is tested, as text.
    pub fn target_name(&self) -> &str {
        &self.target.text
    }

    /// Place of the target, for messages.
    pub fn place(&self) -> String {
        self.target.at.text()
    }

    /// The cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    pub(crate) fn read(spec: &Node, sink: &mut Sink) -> Option<Self> {
        let form = Form::of(spec, &fields::TEST, sink)?;
        let target = form.need_text("target", sink)?;
        let Some(kind) = Kind::of(&target.text) else {
            let help = "targets: Template for the choice of a template, Admission/NAME, Signal/NAME, \
                        Recommendation/NAME, Safeguard/NAME";
            sink.push(target.at.error(format!("can't test {:?}", target.text)).help(help));
            return None;
        };
        let common = form.get("given").map(|node| given::read(node, kind.wants_sizes(), sink)).unwrap_or_default();
        let reader = Reader { kind, suite: &form, common };
        reader.refuse_time(&form, sink);
        let mut cases: Vec<Case> = Vec::new();
        // A suite of one case may do without a list of cases.
        if form.get("expect").is_some() {
            let name = Text { text: target.text.clone(), at: target.at.clone() };
            cases.extend(reader.case(name, &form, Given::default(), sink));
        }
        for node in form.list("cases", sink) {
            let Some(form) = Form::of(node, kind.case(), sink) else { continue };
            let name = form.need_text("name", sink);
            if let Some(name) = &name {
                document::twice(name, cases.iter().map(|case| &case.name), "case", sink);
            }
            let own = form.get("given").map(|node| given::read(node, kind.wants_sizes(), sink)).unwrap_or_default();
            if let Some(name) = name {
                cases.extend(reader.case(name, &form, own, sink));
            }
        }
        if cases.is_empty() && !sink.has_errors() {
            sink.push(target.at.error("a suite without a case tests nothing").help("add `cases`, or remove the suite"));
        }
        Some(Self { target, cases })
    }
}

/// Reads the cases of a suite.
struct Reader<'a> {
    kind: Kind,
    suite: &'a Form<'a>,
    common: Given,
}

impl Reader<'_> {
    /// What is decided at once has no timeline.
    fn refuse_time(&self, form: &Form<'_>, sink: &mut Sink) {
        for field in TIME.iter().filter(|_| !self.kind.over_time()) {
            if let Some(node) = form.get(field) {
                let error = node.at.error(format!("`{field}` is for tests of a Recommendation or a Safeguard"));
                sink.push(error.help("remove it"));
            }
        }
    }

    fn case(&self, name: Text, form: &Form<'_>, own: Given, sink: &mut Sink) -> Option<Case> {
        let timeline = self.kind.over_time().then(|| timeline::read(self.suite, form, sink));
        let node = form.need("expect", sink)?;
        let expect = match (self.kind, &timeline) {
            (Kind::Recommendation, Some(timeline)) => Expect::Recommendation(recommendation(node, timeline, sink)?),
            (Kind::Safeguard, Some(timeline)) => Expect::Safeguard(timeline::steps(node, timeline, sink)?),
            (Kind::Signal, _) => signal(node, sink)?,
            (kind, _) => expect(node, kind == Kind::Admission, sink)?,
        };
        let given = self.common.clone().with(own);
        let profile = given.profile().unwrap_or("dev").to_owned();
        Some(Case { name, profile, given, timeline, expect })
    }
}

impl Case {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.text
    }

    /// Its place, as `file:line:column`.
    pub fn place(&self) -> String {
        self.name.at.text()
    }

    /// Profile that params are resolved for.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// What the policy of the case depends on: equal keys, equal policy. The target matters where params are given:
    /// a bare name among them is the target's own.
    pub fn policy_key(&self, target: &str) -> String {
        let mut key = format!("{:?}", self.profile);
        if !self.given.params().is_empty() {
            let _ = write!(key, "{target:?}");
        }
        for (name, node) in self.given.params() {
            let _ = write!(key, "{:?}:", name.text);
            node.value.canonical(&mut key);
        }
        key
    }

    /// What it is given.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// Template that the class has.
    pub fn current_template(&self) -> Option<&str> {
        self.given.current_template()
    }

    /// Template that the record names.
    pub fn selected_template(&self) -> Option<&str> {
        match self.given.value("class.selected_template") {
            Some(FactValue::Text(name)) => Some(name),
            _ => None,
        }
    }

    /// What is expected.
    pub fn expect(&self) -> &Expect {
        &self.expect
    }

    /// The time in which it plays; only where sizes are decided.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// The facts: what is given over sensible defaults (a class of one function, all features off).
    pub fn facts(&self) -> Facts {
        self.given.facts(&self.profile)
    }
}

fn expect(node: &Node, admission: bool, sink: &mut Sink) -> Option<Expect> {
    if admission {
        let form = Form::of(node, &fields::ADMISSION_EXPECT, sink)?;
        let texts = |texts: Vec<Text>| texts.into_iter().map(|text| text.text).collect();
        let (deny, warn) = (texts(form.texts("deny", sink)), texts(form.texts("warn", sink)));
        return Some(Expect::Admission { deny, warn });
    }
    let form = Form::of(node, &fields::TEMPLATE_EXPECT, sink)?;
    let number = |name: &str, sink: &mut Sink| form.number(name, sink).map(|(value, _)| value);
    let expect = TemplateExpect {
        template: form.text("template", sink).map(|text| text.text),
        problem: form.text("problem", sink).map(|text| text.text),
        score: number("score", sink),
        kept: form.flag("kept", sink),
        replicas: number("replicas", sink),
        odgm_replicas: number("odgm_replicas", sink),
        cpu_utilization: number("cpu_utilization", sink),
    };
    if expect.template.is_some() == expect.problem.is_some() {
        let help = "template: which one is chosen; problem: unknown, not-enabled or undecided";
        sink.push(node.at.error("a case expects either a `template` or a `problem`").help(help));
        return None;
    }
    Some(Expect::Template(expect))
}

fn signal(node: &Node, sink: &mut Sink) -> Option<Expect> {
    let form = Form::of(node, &fields::SIGNAL_EXPECT, sink)?;
    form.flag("required", sink).map(|required| Expect::Signal { required })
}

fn recommendation(node: &Node, timeline: &Timeline, sink: &mut Sink) -> Option<RecommendationExpect> {
    let form = Form::of(node, &fields::RECOMMENDATION_EXPECT, sink)?;
    let number = |name: &str, sink: &mut Sink| form.number(name, sink).map(|(value, _)| value);
    let text = |name: &str, sink: &mut Sink| form.text(name, sink).map(|text| text.text);
    let at = given::duration(&form, "at", sink);
    let beyond = at.and_then(|at| timeline.ends_before(at, "this"));
    if let (Some(node), Some((message, help))) = (form.get("at"), beyond) {
        sink.push(node.at.error(message).help(help));
    }
    let stated = form.need("target", sink)?;
    let nothing = matches!(&stated.value, yaml::Value::Text(text) if text == "none");
    let target = if nothing { None } else { Some(number("target", sink)?) };
    let expect = RecommendationExpect {
        at,
        target,
        rule: text("rule", sink),
        confidence: number("confidence", sink),
        basis: text("basis", sink),
        failed: text("failed", sink),
    };
    if nothing && (expect.rule.is_some() || expect.confidence.is_some() || expect.basis.is_some()) {
        sink.push(stated.at.error("where no target is recommended there is no rule, confidence or basis"));
    }
    Some(expect)
}
