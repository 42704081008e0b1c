//! Test documents: cases of given facts and what is expected of them. They never see the environment.

use std::collections::BTreeMap;

use super::diagnostic::Sink;
use super::document;
use super::facts::{self, FactKind, FactValue, Facts};
use super::fields;
use super::form::{self, Form};
use super::yaml::{Node, Text, Value};

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
    current: Option<String>,
    given: Given,
    expect: Expect,
}

/// What a case expects.
#[derive(Clone, Debug, PartialEq)]
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
}

/// Facts by path; `None` says that a fact is not known.
#[derive(Clone, Debug, Default)]
struct Given {
    values: BTreeMap<String, Option<FactValue>>,
    groups: Vec<String>,
    profile: Option<String>,
    current: Option<String>,
}

impl Suite {
    /// What is tested: `Template`, or `Admission/NAME`.
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
        let admission = target.text.starts_with("Admission/");
        if !admission && target.text != "Template" {
            let help = "targets: Admission/NAME, or Template for the choice of a template";
            sink.push(target.at.error(format!("can't test {:?}", target.text)).help(help));
            return None;
        }
        let common = form.get("given").map(|node| given(node, sink)).unwrap_or_default();
        let mut cases: Vec<Case> = Vec::new();
        for node in form.list("cases", sink) {
            let known = if admission { &fields::ADMISSION_CASE } else { &fields::TEMPLATE_CASE };
            let Some(form) = Form::of(node, known, sink) else { continue };
            let name = form.need_text("name", sink);
            if let Some(name) = &name {
                document::twice(name, cases.iter().map(|case| &case.name), "case", sink);
            }
            let own = form.get("given").map(|node| given(node, sink)).unwrap_or_default();
            let expect = form.need("expect", sink).and_then(|node| expect(node, admission, sink));
            if let (Some(name), Some(expect)) = (name, expect) {
                let given = common.clone().with(own);
                let profile = given.profile.clone().unwrap_or_else(|| "dev".to_owned());
                cases.push(Case { name, profile, current: given.current.clone(), given, expect });
            }
        }
        if cases.is_empty() && !sink.has_errors() {
            sink.push(target.at.error("a suite without a case tests nothing").help("add `cases`, or remove the suite"));
        }
        Some(Self { target, cases })
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

    /// Template that the class has.
    pub fn current_template(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Template that the record names.
    pub fn selected_template(&self) -> Option<&str> {
        match self.given.values.get("class.selected_template") {
            Some(Some(FactValue::Text(name))) => Some(name),
            _ => None,
        }
    }

    /// What is expected.
    pub fn expect(&self) -> &Expect {
        &self.expect
    }

    /// The facts: what is given over sensible defaults (a class of one function, all features off).
    pub fn facts(&self) -> Facts {
        let mut values = defaults();
        values.insert("profile".to_owned(), Some(FactValue::Text(self.profile.clone())));
        values.extend(self.given.values.clone());
        let mut facts = Facts::default();
        for group in &self.given.groups {
            facts.set_group(group);
        }
        for (path, value) in values {
            // Facts of an absent group are absent.
            let absent = path.starts_with("class.odgm.") && self.given.groups.is_empty();
            if let (Some(value), false) = (value, absent) {
                facts.set(&path, value);
            }
        }
        facts
    }
}

impl Given {
    fn with(mut self, over: Self) -> Self {
        self.values.extend(over.values);
        self.groups.extend(over.groups);
        self.profile = over.profile.or(self.profile);
        self.current = over.current.or(self.current);
        self
    }
}

fn defaults() -> BTreeMap<String, Option<FactValue>> {
    let text = |text: &str| FactValue::Text(text.to_owned());
    let texts = |texts: &[&str]| FactValue::Texts(texts.iter().map(ToString::to_string).collect());
    let mut values: BTreeMap<String, Option<FactValue>> = BTreeMap::new();
    for fact in facts::FACTS.iter().filter(|fact| !fact.optional && !fact.path.contains("[]")) {
        let value = match fact.kind {
            FactKind::Bool => FactValue::Bool(false),
            FactKind::Number if fact.path.starts_with("cluster.") => FactValue::Number(3.0),
            FactKind::Number => FactValue::Number(1.0),
            FactKind::Texts => FactValue::Texts(Vec::new()),
            FactKind::TextMap => FactValue::TextMap(BTreeMap::new()),
            FactKind::Groups => FactValue::Groups(vec![function(BTreeMap::new())]),
            FactKind::Text | FactKind::Group => text(""),
        };
        values.insert(fact.path.to_owned(), Some(value));
    }
    for (path, value) in [
        ("class.name", text("example")),
        ("class.namespace", text("default")),
        ("class.odgm.shard_type", text("mst")),
        ("class.enforcement.mode", text("observe")),
        ("class.enforcement.dimensions", texts(&["replicas"])),
    ] {
        values.insert(path.to_owned(), Some(value));
    }
    values
}

fn function(given: BTreeMap<String, FactValue>) -> BTreeMap<String, FactValue> {
    let mut function = BTreeMap::from([
        ("key".to_owned(), FactValue::Text("function".to_owned())),
        ("image".to_owned(), FactValue::Text("images.test/function:1".to_owned())),
        ("port".to_owned(), FactValue::Number(8080.0)),
        ("port_stated".to_owned(), FactValue::Bool(false)),
        ("need_http2".to_owned(), FactValue::Bool(false)),
    ]);
    function.extend(given);
    function
}

fn given(node: &Node, sink: &mut Sink) -> Given {
    let mut given = Given::default();
    let Some(form) = Form::of(node, &fields::GIVEN, sink) else { return given };
    if let Some(profile) = form.text("profile", sink) {
        if !document::profiles().contains(&profile.text) {
            let help = format!("profiles: {}", document::profiles().join(", "));
            sink.push(profile.at.error(format!("there is no profile {:?}", profile.text)).help(help));
        }
        given.profile = Some(profile.text);
    }
    given.current = form.text("current_template", sink).map(|name| name.text);
    for root in ["features", "class", "nfr", "cluster"] {
        if let Some(node) = form.get(root) {
            bind(root, node, &mut given, sink);
        }
    }
    given
}

fn bind(path: &str, node: &Node, given: &mut Given, sink: &mut Sink) {
    for (key, value) in form::entries(node, path, sink) {
        let below = format!("{path}.{}", key.text);
        match facts::find(&below) {
            Some(fact) if fact.kind == FactKind::Group => {
                given.groups.push(below.clone());
                bind(&below, value, given, sink);
            }
            Some(_) if path == "cluster" && matches!(&value.value, Value::Text(text) if text == "unknown") => {
                given.values.insert(below, None);
            }
            Some(fact) => {
                if let Some(value) = fact_value(&below, fact.kind, value, sink) {
                    given.values.insert(below, Some(value));
                }
            }
            None if facts::lookup(&below).is_some() => bind(&below, value, given, sink),
            None => unknown(path, key, sink),
        }
    }
}

fn unknown(path: &str, key: &Text, sink: &mut Sink) {
    let known = facts::below(path);
    let help = match super::diagnostic::nearest(&key.text, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("facts: {}", known.join(", ")),
    };
    sink.push(key.at.error(format!("`{path}` has no `{}`", key.text)).help(help));
}

fn fact_value(path: &str, kind: FactKind, node: &Node, sink: &mut Sink) -> Option<FactValue> {
    let value = match (kind, &node.value) {
        (FactKind::Bool, Value::Bool(value)) => FactValue::Bool(*value),
        (FactKind::Number, Value::Number(value)) if value.is_finite() => FactValue::Number(*value),
        (FactKind::Text, Value::Text(text)) => FactValue::Text(text.clone()),
        (FactKind::Texts, Value::List(items)) => {
            FactValue::Texts(items.iter().filter_map(|item| form::text(item, path, sink)).map(|t| t.text).collect())
        }
        (FactKind::TextMap, Value::Map(entries)) => FactValue::TextMap(
            entries
                .iter()
                .filter_map(|(key, node)| form::text(node, path, sink).map(|text| (key.text.clone(), text.text)))
                .collect(),
        ),
        (FactKind::Groups, Value::List(items)) => {
            FactValue::Groups(items.iter().map(|item| function(group(&format!("{path}[]"), "", item, sink))).collect())
        }
        (_, other) => {
            let wanted = match kind {
                FactKind::Bool => "true or false",
                FactKind::Number => "a number",
                FactKind::Text => "a text",
                FactKind::Texts => "a list of texts",
                FactKind::TextMap | FactKind::Group => "a map",
                FactKind::Groups => "a list of maps",
            };
            sink.push(node.at.error(format!("`{path}` is {wanted}, this is {}", other.describe())));
            return None;
        }
    };
    Some(value)
}

/// The facts of one element; those of a group within get names such as `nfr.max_latency_ms`.
fn group(path: &str, within: &str, node: &Node, sink: &mut Sink) -> BTreeMap<String, FactValue> {
    let mut found = BTreeMap::new();
    for (key, value) in form::entries(node, path, sink) {
        let below = format!("{path}.{}", key.text);
        let name = format!("{within}{}", key.text);
        match facts::find(&below) {
            Some(fact) => {
                if let Some(value) = fact_value(&below, fact.kind, value, sink) {
                    found.insert(name, value);
                }
            }
            None if facts::lookup(&below).is_some() => {
                found.extend(group(&below, &format!("{name}."), value, sink));
            }
            None => unknown(path, key, sink),
        }
    }
    found
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
    };
    if expect.template.is_some() == expect.problem.is_some() {
        let help = "template: which one is chosen; problem: unknown, not-enabled or undecided";
        sink.push(node.at.error("a case expects either a `template` or a `problem`").help(help));
        return None;
    }
    Some(Expect::Template(expect))
}
