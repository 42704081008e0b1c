//! What policies may read: the table of facts, and the values of one class.

use std::collections::{BTreeMap, HashMap, HashSet};

use cel_interpreter::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelString};
use cel_interpreter::common::value::Val;

use super::cel::{Allowance, Known, Type};

/// One fact.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Path, such as `nfr.max_latency_ms`; `[]` stands for the elements of a list.
    pub path: &'static str,
    /// Its type.
    pub kind: FactKind,
    /// It may be absent: an expression must guard it with `has()`.
    pub optional: bool,
    /// What it is.
    pub doc: &'static str,
}

/// Type of a fact. Every number is a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// true or false.
    Bool,
    /// A double.
    Number,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A map from string to string.
    TextMap,
    /// A list of groups, whose facts have paths with `[]`.
    Groups,
    /// A group that may be absent as a whole.
    Group,
}

const fn fact(path: &'static str, kind: FactKind, optional: bool, doc: &'static str) -> Fact {
    Fact { path, kind, optional, doc }
}

use FactKind::{Bool, Group, Groups, Number, Text, TextMap, Texts};

/// Facts of Admission and Template. The first names of the paths are the roots of expressions.
pub const FACTS: &[Fact] = &[
    fact("profile", Text, false, "profile of the controller: dev, edge or full"),
    fact("features.odgm", Bool, false, "feature ODGM is on"),
    fact("features.knative", Bool, false, "feature Knative is on"),
    fact("features.prometheus", Bool, false, "feature Prometheus is on"),
    fact("features.nfr_enforcement", Bool, false, "feature NFR enforcement is on"),
    fact("features.hpa", Bool, false, "feature HPA is on"),
    fact("features.leader_election", Bool, false, "feature leader election is on"),
    fact("features.mtls", Bool, false, "feature mTLS is on"),
    fact("class.name", Text, false, "name of the record"),
    fact("class.namespace", Text, false, "namespace of the record"),
    fact("class.labels", TextMap, false, "labels of the record"),
    fact("class.addons", Texts, false, "addons asked for"),
    fact("class.selected_template", Text, true, "template that the record names"),
    fact("class.functions", Groups, false, "functions, at least one"),
    fact("class.functions[].key", Text, false, "name of the function"),
    fact("class.functions[].image", Text, false, "container image"),
    fact("class.functions[].port", Number, false, "port of the container"),
    fact("class.functions[].port_stated", Bool, false, "the record names the port"),
    fact("class.functions[].replicas", Number, true, "replicas stated in the record"),
    fact("class.functions[].min_scale", Number, true, "lower bound of autoscaling"),
    fact("class.functions[].max_scale", Number, true, "upper bound of autoscaling"),
    fact("class.functions[].max_concurrency", Number, true, "requests served at once"),
    fact("class.functions[].need_http2", Bool, false, "speaks HTTP/2 without TLS"),
    fact("class.functions[].cpu_request", Number, true, "CPU request, cores"),
    fact("class.functions[].memory_request", Number, true, "memory request, bytes"),
    fact("class.functions[].cpu_limit", Number, true, "CPU limit, cores"),
    fact("class.functions[].memory_limit", Number, true, "memory limit, bytes"),
    fact("class.functions[].nfr.min_throughput_rps", Number, true, "throughput asked of the function, requests/s"),
    fact("class.functions[].nfr.max_latency_ms", Number, true, "latency asked of the function, milliseconds"),
    fact("class.functions[].nfr.availability_pct", Number, true, "availability asked of the function, percent"),
    fact("class.functions[].nfr.consistency", Text, true, "consistency asked of the function"),
    fact("class.odgm", Group, true, "the data grid, where one is asked for"),
    fact("class.odgm.collections", Texts, false, "collections"),
    fact("class.odgm.partition_count", Number, false, "partitions of each collection"),
    fact("class.odgm.replica_count", Number, false, "replicas of each partition"),
    fact("class.odgm.shard_type", Text, false, "kind of shard"),
    fact("class.enforcement.mode", Text, false, "off, observe or enforce"),
    fact("class.enforcement.dimensions", Texts, false, "what enforcement may change"),
    fact("nfr.min_throughput_rps", Number, true, "throughput asked of the class, requests/s"),
    fact("nfr.max_latency_ms", Number, true, "latency asked of the class, milliseconds"),
    fact("nfr.availability_pct", Number, true, "availability asked of the class, percent"),
    fact("nfr.cpu_utilization_target", Number, true, "CPU utilisation asked for, as the Package Manager gives it"),
    fact("nfr.consistency", Text, true, "consistency asked of the class: eventual or strong"),
    fact("cluster.knative", Bool, false, "Knative Serving is installed"),
    fact("cluster.service_monitor", Bool, false, "the ServiceMonitor kind is installed"),
    fact("cluster.pod_monitor", Bool, false, "the PodMonitor kind is installed"),
    fact("cluster.nodes", Number, false, "nodes"),
    fact("cluster.ready_nodes", Number, false, "nodes that are Ready"),
];

/// The entry of a path.
pub(crate) fn find(path: &str) -> Option<&'static Fact> {
    FACTS.iter().find(|fact| fact.path == path)
}

/// The strings that a fact can be, where these are few.
pub(crate) fn choices(path: &str) -> &'static [&'static str] {
    match path {
        "profile" => &["dev", "edge", "full"],
        "class.enforcement.mode" => &["off", "observe", "enforce"],
        "nfr.consistency" => &["eventual", "strong"],
        _ => &[],
    }
}

/// What is known of a fact before there is one.
pub(crate) fn domain(path: &str) -> Option<Known> {
    let choices = choices(path);
    (!choices.is_empty()).then(|| Known::OneOf(choices.iter().map(ToString::to_string).collect()))
}

/// Type of a path and whether it may be absent.
pub(crate) fn lookup(path: &str) -> Option<(Type, bool)> {
    if let Some(fact) = find(path) {
        let ty = match fact.kind {
            Bool => Type::Bool,
            Number => Type::Double,
            Text => Type::Text,
            Texts => Type::list(Type::Text),
            TextMap => Type::Map(Box::new(Type::Text)),
            Groups => Type::list(Type::Object(format!("{path}[]"))),
            Group => Type::Object(path.to_owned()),
        };
        return Some((ty, fact.optional));
    }
    let within = |fact: &Fact| fact.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    FACTS.iter().any(within).then(|| (Type::Object(path.to_owned()), false))
}

/// Names directly below a path, in the order of the table.
pub(crate) fn below(path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for fact in FACTS {
        let rest = if path.is_empty() {
            Some(fact.path)
        } else {
            fact.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = rest.and_then(|rest| rest.split(['.', '[']).next()).unwrap_or("");
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A value to be bound.
#[derive(Clone, Debug, PartialEq)]
pub enum FactValue {
    /// A bool.
    Bool(bool),
    /// A double.
    Number(f64),
    /// A string.
    Text(String),
    /// Strings.
    Texts(Vec<String>),
    /// Strings by name.
    TextMap(BTreeMap<String, String>),
    /// Groups, each with its facts by name; a name with a dot is a fact of a group within.
    Groups(Vec<BTreeMap<String, FactValue>>),
}

impl FactValue {
    fn kind(&self) -> FactKind {
        match self {
            Self::Bool(_) => Bool,
            Self::Number(_) => Number,
            Self::Text(_) => Text,
            Self::Texts(_) => Texts,
            Self::TextMap(_) => TextMap,
            Self::Groups(_) => Groups,
        }
    }

    fn into_val(self) -> Box<dyn Val> {
        match self {
            Self::Bool(value) => Box::new(CelBool::from(value)),
            Self::Number(value) => Box::new(CelDouble::from(value)),
            Self::Text(text) => Box::new(CelString::from(text)),
            Self::Texts(texts) => {
                let items: Vec<Box<dyn Val>> = texts.into_iter().map(|text| Self::Text(text).into_val()).collect();
                Box::new(CelList::from(items))
            }
            Self::TextMap(map) => {
                object(map.into_iter().map(|(key, text)| (key, Self::Text(text).into_val())).collect())
            }
            Self::Groups(groups) => {
                let items: Vec<Box<dyn Val>> = groups.into_iter().map(group).collect();
                Box::new(CelList::from(items))
            }
        }
    }
}

type Entries = Vec<(String, Box<dyn Val>)>;

fn object(entries: Entries) -> Box<dyn Val> {
    let map: HashMap<CelMapKey<'static>, Box<dyn Val>> =
        entries.into_iter().map(|(key, value)| (CelMapKey::String(key.into()), value)).collect();
    Box::new(CelMap::from(map))
}

fn group(facts: BTreeMap<String, FactValue>) -> Box<dyn Val> {
    let mut entries = Entries::new();
    // A group within is there even where none of its facts is: only facts may be absent.
    let mut inner: BTreeMap<String, Entries> = BTreeMap::from([("nfr".to_owned(), Vec::new())]);
    for (name, value) in facts {
        match name.split_once('.') {
            Some((group, field)) => {
                inner.entry(group.to_owned()).or_default().push((field.to_owned(), value.into_val()));
            }
            None => entries.push((name, value.into_val())),
        }
    }
    entries.extend(inner.into_iter().map(|(name, fields)| (name, object(fields))));
    object(entries)
}

/// The facts of one class, bound once and read by all rules.
#[derive(Debug, Default)]
pub struct Facts {
    values: HashMap<&'static str, Box<dyn Val>>,
    groups: HashSet<&'static str>,
    explained: bool,
    allowance: Allowance,
}

impl Facts {
    /// Sets a fact. A path that is not in the table, or has another type there, is left out: reading it is then an
    /// error in the rule. `false` says so.
    pub fn set(&mut self, path: &str, value: FactValue) -> bool {
        let Some(fact) = find(path).filter(|fact| fact.kind == value.kind()) else {
            return false;
        };
        self.values.insert(fact.path, value.into_val());
        true
    }

    /// The same facts, to be explained: rules note what they read.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.explained = true;
        self
    }

    /// Steps that rules may still spend on these facts.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    pub(crate) fn is_explained(&self) -> bool {
        self.explained
    }

    /// Says that an optional group is there.
    pub fn set_group(&mut self, path: &str) -> bool {
        let group = find(path).filter(|fact| fact.kind == Group);
        if let Some(group) = group {
            self.groups.insert(group.path);
        }
        group.is_some()
    }

    pub(crate) fn get(&self, path: &str) -> Option<&dyn Val> {
        self.values.get(path).map(AsRef::as_ref)
    }

    /// Whether a fact or an optional group is there.
    pub fn has(&self, path: &str) -> bool {
        self.values.contains_key(path) || self.groups.contains(path)
    }
}
