//! What a case is given: facts over sensible defaults, and values of params.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::policy::diagnostic::{Sink, nearest};
use crate::policy::document;
use crate::policy::facts::{self, FactKind, FactValue, Facts};
use crate::policy::fields;
use crate::policy::form::{self, Form};
use crate::policy::units;
use crate::policy::yaml::{Node, Text, Value};

/// What a case is given. Facts by path; `None` says that a fact is not known.
#[derive(Clone, Debug, Default)]
pub struct Given {
    values: BTreeMap<String, Option<FactValue>>,
    groups: Vec<String>,
    profile: Option<String>,
    current_template: Option<String>,
    /// Values of params: of the target by their names, of other documents by `Kind/name`.
    params: Vec<(Text, Node)>,
    /// How long ago the spec and the policy became what they are.
    spec_age: Option<Duration>,
    policy_age: Option<Duration>,
}

impl Given {
    /// These facts, and those of `over` above them.
    #[must_use]
    pub fn with(mut self, over: Self) -> Self {
        self.values.extend(over.values);
        self.groups.extend(over.groups);
        self.profile = over.profile.or(self.profile);
        self.current_template = over.current_template.or(self.current_template);
        self.params.splice(0..0, over.params);
        self.spec_age = over.spec_age.or(self.spec_age);
        self.policy_age = over.policy_age.or(self.policy_age);
        self
    }

    /// A fact, where it is given.
    pub fn value(&self, path: &str) -> Option<&FactValue> {
        self.values.get(path)?.as_ref()
    }

    /// A number, where it is given.
    pub fn number(&self, path: &str) -> Option<f64> {
        if let Some(FactValue::Number(value)) = self.value(path) { Some(*value) } else { None }
    }

    /// A text, where it is given.
    pub fn text(&self, path: &str) -> Option<&str> {
        if let Some(FactValue::Text(text)) = self.value(path) { Some(text) } else { None }
    }

    /// A length of time, where it is given.
    pub fn duration(&self, path: &str) -> Option<Duration> {
        if let Some(FactValue::Duration(value)) = self.value(path) { Some(*value) } else { None }
    }

    /// The profile, where it is given.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Template that the class has, where it is given.
    pub fn current_template(&self) -> Option<&str> {
        self.current_template.as_deref()
    }

    /// Values of params: of the target by their names, of other documents by `Kind/name`.
    pub(crate) fn params(&self) -> &[(Text, Node)] {
        &self.params
    }

    /// How long ago the spec became what it is, where that is given.
    pub fn spec_age(&self) -> Option<Duration> {
        self.spec_age
    }

    /// How long ago the policy became what it is, where that is given.
    pub fn policy_age(&self) -> Option<Duration> {
        self.policy_age
    }

    /// All facts: what is given over sensible defaults (a class of one function, all features off).
    pub fn facts(&self, profile: &str) -> Facts {
        let mut values = defaults();
        values.insert("profile".to_owned(), Some(FactValue::Text(profile.to_owned())));
        values.extend(self.values.clone());
        // Pods that are asked for are there, unless it is said otherwise.
        if let (Some(replicas), None) = (self.values.get("current.replicas"), self.value("current.ready_replicas")) {
            values.insert("current.ready_replicas".to_owned(), replicas.clone());
        }
        let mut facts = Facts::default();
        for group in &self.groups {
            facts.set_group(group);
        }
        for (path, value) in values {
            if let (Some(value), true) = (value, self.has_groups_of(&path)) {
                facts.set(&path, value);
            }
        }
        facts
    }

    /// Facts of an absent group are absent.
    fn has_groups_of(&self, path: &str) -> bool {
        let group = |path: &str| facts::find(path).is_some_and(|fact| fact.kind == FactKind::Group);
        let mut above = path.match_indices('.').filter_map(|(end, _)| path.get(..end)).filter(|path| group(path));
        above.all(|path| self.groups.iter().any(|given| given == path))
    }
}

fn defaults() -> BTreeMap<String, Option<FactValue>> {
    let text = |text: &str| FactValue::Text(text.to_owned());
    let texts = |texts: &[&str]| FactValue::Texts(texts.iter().map(ToString::to_string).collect());
    let mut values: BTreeMap<String, Option<FactValue>> = BTreeMap::new();
    for fact in facts::FACTS.iter().filter(|fact| !fact.optional && !fact.path.contains("[]")) {
        if fact.path.starts_with("proposal.") {
            continue;
        }
        let value = match fact.kind {
            FactKind::Bool => FactValue::Bool(false),
            FactKind::Number if fact.path.starts_with("cluster.") => FactValue::Number(3.0),
            FactKind::Number => FactValue::Number(1.0),
            FactKind::Duration => FactValue::Duration(Duration::ZERO),
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
        ("component.name", text("function")),
        ("component.kind", text("function")),
        ("component.workload", text("Deployment")),
        ("limits.max_replicas", FactValue::Number(20.0)),
        ("limits.req_cpu_per_pod", FactValue::Number(0.5)),
        ("current.hpa.max_replicas", FactValue::Number(20.0)),
    ] {
        values.insert(path.to_owned(), Some(value));
    }
    values
}

fn function(given: BTreeMap<Cow<'static, str>, FactValue>) -> BTreeMap<Cow<'static, str>, FactValue> {
    let mut function = BTreeMap::from([
        ("key".into(), FactValue::Text("function".to_owned())),
        ("image".into(), FactValue::Text("images.test/function:1".to_owned())),
        ("port".into(), FactValue::Number(8080.0)),
        ("port_stated".into(), FactValue::Bool(false)),
        ("need_http2".into(), FactValue::Bool(false)),
    ]);
    function.extend(given);
    function
}

/// Reads `given`; `sizes` says that a recommendation or a safeguard is tested.
pub(super) fn read(node: &Node, sizes: bool, sink: &mut Sink) -> Given {
    let mut given = Given::default();
    let known = if sizes { &fields::GIVEN_SIZES } else { &fields::GIVEN };
    let Some(form) = Form::of(node, known, sink) else { return given };
    if let Some(profile) = form.text("profile", sink) {
        if !document::profiles().contains(&profile.text) {
            let help = format!("profiles: {}", document::profiles().join(", "));
            sink.push(profile.at.error(format!("there is no profile {:?}", profile.text)).help(help));
        }
        given.profile = Some(profile.text);
    }
    given.current_template = form.text("current_template", sink).map(|name| name.text);
    given.params = form.entries("params", sink).to_vec();
    if let Some(form) = form.get("age").and_then(|node| Form::of(node, &fields::AGE, sink)) {
        given.spec_age = duration(&form, "spec", sink);
        given.policy_age = duration(&form, "policy", sink);
    }
    for root in ["features", "class", "nfr", "cluster", "component", "limits", "current", "proposal"] {
        if let Some(node) = form.get(root) {
            if root == "proposal" {
                Form::of(node, &fields::PROPOSAL, sink);
            }
            bind(root, node, &mut given, sink);
        }
    }
    given
}

/// Reads a field that is a duration.
pub(super) fn duration(form: &Form<'_>, name: &str, sink: &mut Sink) -> Option<Duration> {
    let text = form.text(name, sink)?;
    let duration = units::duration(&text.text).and_then(|duration| duration.to_std().ok());
    if duration.is_none() {
        let message = format!("`{name}` is a duration such as 30s or 3m, this is {:?}", text.text);
        sink.push(text.at.error(message));
    }
    duration
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
    let help = match nearest(&key.text, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("facts: {}", known.join(", ")),
    };
    sink.push(key.at.error(format!("`{path}` has no `{}`", key.text)).help(help));
}

/// Longest list or map that is given, entries: more than any record has.
const MAX_ENTRIES: usize = 1_024;
/// Longest text that is given, bytes.
const MAX_TEXT: usize = 4_096;

/// Whether a value is no larger than a fact can be; a finding where it is.
fn fits(path: &str, node: &Node, sink: &mut Sink) -> bool {
    let (size, most, unit) = match &node.value {
        Value::Text(text) => (text.len(), MAX_TEXT, "bytes"),
        Value::List(items) => (items.len(), MAX_ENTRIES, "entries"),
        Value::Map(entries) => (entries.len(), MAX_ENTRIES, "entries"),
        _ => return true,
    };
    if size > most {
        sink.push(node.at.error(format!("`{path}` has {size} {unit}; a fact has at most {most}")));
    }
    size <= most
}

fn fact_value(path: &str, kind: FactKind, node: &Node, sink: &mut Sink) -> Option<FactValue> {
    if !fits(path, node, sink) {
        return None;
    }
    let texts = |items: &[Node], sink: &mut Sink| {
        let text = |item| form::text(item, path, sink).filter(|_| fits(path, item, sink)).map(|text| text.text);
        items.iter().filter_map(text).collect::<Vec<_>>()
    };
    let value = match (kind, &node.value) {
        (FactKind::Bool, Value::Bool(value)) => FactValue::Bool(*value),
        (FactKind::Number, Value::Number(value)) if value.is_finite() => FactValue::Number(*value),
        (FactKind::Duration, Value::Text(text)) if units::duration(text).is_some() => {
            FactValue::Duration(units::duration(text).and_then(|one| one.to_std().ok()).unwrap_or_default())
        }
        (FactKind::Text, Value::Text(text)) => FactValue::Text(text.clone()),
        (FactKind::Texts, Value::List(items)) => FactValue::Texts(texts(items, sink)),
        (FactKind::TextMap, Value::Map(entries)) => FactValue::TextMap(
            entries
                .iter()
                .filter_map(|(key, node)| {
                    let text = form::text(node, path, sink).filter(|_| fits(path, node, sink))?;
                    Some((key.text.clone(), text.text))
                })
                .collect(),
        ),
        (FactKind::Groups, Value::List(items)) => {
            FactValue::Groups(items.iter().map(|item| function(group(&format!("{path}[]"), "", item, sink))).collect())
        }
        (_, other) => {
            let wanted = match kind {
                FactKind::Bool => "true or false",
                FactKind::Number => "a number",
                FactKind::Duration => "a duration such as 3m",
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
fn group(path: &str, within: &str, node: &Node, sink: &mut Sink) -> BTreeMap<Cow<'static, str>, FactValue> {
    let mut found = BTreeMap::new();
    for (key, value) in form::entries(node, path, sink) {
        let below = format!("{path}.{}", key.text);
        let name = format!("{within}{}", key.text);
        match facts::find(&below) {
            Some(fact) => {
                if let Some(value) = fact_value(&below, fact.kind, value, sink) {
                    found.insert(name.into(), value);
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
