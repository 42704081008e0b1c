//! What policies may read: the table of facts, and the values of one class.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel_interpreter::common::value::Val;
use foldhash::fast::FixedState;
use jiff::Timestamp;

use super::cel::{Allowances, Known, Range, Type};
use super::series::Series;
pub use super::values::FactValue;

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
    /// A length of time.
    Duration,
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

use FactKind::{Bool, Duration, Group, Groups, Number, Text, TextMap, Texts};

/// A kind of documents whose expressions read facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whether a record is accepted.
    Admission,
    /// Which template a class gets.
    Template,
    /// Whether a class needs a signal.
    Signal,
    /// How big a component should be.
    Recommendation,
    /// How far a recommendation is applied.
    Safeguard,
}

use Reader::{Admission, Recommendation, Safeguard, Template};

/// Roots of facts that only some kinds may read; every other root is there for all.
const READERS: &[(&str, &[Reader])] = &[
    ("cluster", &[Admission, Template]),
    ("component", &[Recommendation, Safeguard]),
    (SIGNALS, &[Recommendation, Safeguard]),
    ("limits", &[Recommendation, Safeguard]),
    ("current", &[Safeguard]),
    ("proposal", &[Safeguard]),
];

/// Root of the signals. Which there are is said by the Signal documents of a bundle, not by the table of facts.
pub(crate) const SIGNALS: &str = "signals";

impl Reader {
    /// The kind, as documents name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admission => "Admission",
            Self::Template => "Template",
            Self::Signal => "Signal",
            Self::Recommendation => "Recommendation",
            Self::Safeguard => "Safeguard",
        }
    }

    /// Whether expressions of this kind may read a path.
    pub fn reads(self, path: &str) -> bool {
        readers(path).is_none_or(|readers| readers.contains(&self))
    }
}

/// The kinds that may read a path, where not all may.
pub fn readers(path: &str) -> Option<&'static [Reader]> {
    let root = path.split('.').next().unwrap_or(path);
    READERS.iter().find(|(name, _)| *name == root).map(|(_, readers)| *readers)
}

/// All facts but the signals, which have the paths `signals.NAME`. The first names of the paths are the roots of
/// expressions; [`readers`] says which kinds may read them.
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
    fact("component.name", Text, false, "function, or the class for its data grid"),
    fact("component.kind", Text, false, "function or odgm"),
    fact("component.workload", Text, false, "what it runs as: Deployment or KnativeService"),
    fact("component.replicas", Number, true, "replicas: last applied, else as the record states them"),
    fact(
        "component.ready_replicas",
        Number,
        true,
        "pods that are ready, where an autoscaler decides how many there are: an HPA or Knative",
    ),
    fact("component.cpu_request", Number, true, "CPU request of a pod, cores: last applied, else stated"),
    fact("component.memory_request", Number, true, "memory request of a pod, bytes: last applied, else stated"),
    fact("component.cpu_limit", Number, true, "CPU limit of a pod, cores"),
    fact("component.memory_limit", Number, true, "memory limit of a pod, bytes"),
    fact("limits.max_replicas", Number, false, "replicas that no component may pass, whatever a policy says"),
    fact("limits.req_cpu_per_pod", Number, false, "CPU of a pod whose request nobody states, cores"),
    fact("current.replicas", Number, false, "replicas asked of the cluster now"),
    fact("current.ready_replicas", Number, false, "pods that are ready"),
    fact("current.hpa", Group, true, "the HorizontalPodAutoscaler that targets the workload, where one does"),
    fact("current.hpa.min_replicas", Number, false, "its lower bound"),
    fact("current.hpa.max_replicas", Number, false, "its upper bound"),
    fact("current.hpa.desired_replicas", Number, true, "pods that it asks for, where it has said so yet"),
    fact("current.hpa.targets_cpu", Bool, false, "it scales on CPU utilisation"),
    fact("proposal.target", Number, false, "what is proposed: replicas, cores or bytes"),
    fact("proposal.change", Number, false, "target less what is there now: below 0 for a decrease"),
    fact("proposal.direction", Text, false, "up or down"),
    fact("proposal.confidence", Number, false, "how sure the recommendation is, 0 to 1"),
    fact("proposal.rule", Text, false, "rule that recommends it, as Recommendation/name/id"),
    fact("proposal.since_applied", Duration, true, "since the field got its value, where that is known"),
    fact("proposal.changed_by", Text, true, "who gave the field its value, where it was somebody else"),
];

/// Where a path stands in the table.
pub(crate) fn position(path: &str) -> Option<usize> {
    static POSITIONS: LazyLock<HashMap<&'static str, usize, FixedState>> =
        LazyLock::new(|| FACTS.iter().enumerate().map(|(position, fact)| (fact.path, position)).collect());
    POSITIONS.get(path).copied()
}

/// The entry of a path.
pub(crate) fn find(path: &str) -> Option<&'static Fact> {
    FACTS.get(position(path)?)
}

/// The strings that a fact can be, where these are few.
pub(crate) fn choices(path: &str) -> &'static [&'static str] {
    match path {
        "profile" => &["dev", "edge", "full"],
        "class.enforcement.mode" => &["off", "observe", "enforce"],
        "nfr.consistency" => &["eventual", "strong"],
        "component.kind" => &["function", "odgm"],
        "component.workload" => &["Deployment", "KnativeService"],
        "proposal.direction" => &["up", "down"],
        _ => &[],
    }
}

/// Numbers that are never below zero.
const NATURAL: &[&str] = &[
    "limits.max_replicas",
    "component.ready_replicas",
    "current.replicas",
    "current.ready_replicas",
    "current.hpa.desired_replicas",
    "proposal.target",
];

/// What is known of a fact before there is one.
pub(crate) fn domain(path: &str) -> Option<Known> {
    if NATURAL.contains(&path) {
        return Some(Known::Number(Range::between(0.0, f64::INFINITY)));
    }
    let choices = choices(path);
    (!choices.is_empty()).then(|| Known::OneOf(choices.iter().map(ToString::to_string).collect()))
}

/// Type of a path and whether it may be absent.
pub(crate) fn lookup(path: &str) -> Option<(Type, bool)> {
    if let Some(fact) = find(path) {
        let ty = match fact.kind {
            Bool => Type::Bool,
            Number => Type::Double,
            Duration => Type::Duration,
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

/// Whether a fact may be absent, itself or with a group that it is part of.
pub(crate) fn may_be_absent(path: &str) -> bool {
    let groups = path.match_indices('.').filter_map(|(at, _)| path.get(..at));
    groups.chain([path]).any(|one| lookup(one).is_some_and(|(_, optional)| optional))
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

/// The signal of a path `signals.NAME`.
fn signal_name(path: &str) -> &str {
    path.get(SIGNALS.len() + 1..).unwrap_or_default()
}

/// Whether expressions can read a signal of this name, as `signals.NAME`.
pub(crate) fn is_signal_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && name.bytes().all(plain) && name.len() <= 63
}

/// A fact of a class.
#[derive(Debug, Clone)]
enum Bound {
    Value(Box<dyn Val>),
    /// A group that is there; its facts have entries of their own.
    Group,
}

/// The facts of one class, bound once and read by all rules.
#[derive(Debug, Default)]
pub struct Facts {
    /// By position in the table, up to the last one that was set.
    bound: Vec<Option<Bound>>,
    /// By path, `signals.NAME`. The paths are of these facts alone: a count of holders that several threads change at
    /// every evaluation would cost more than the evaluation.
    signals: Vec<(Arc<str>, Arc<Series>)>,
    /// Milliseconds since the epoch.
    now: Option<i64>,
    explained: bool,
    brief: bool,
    /// Steps that all documents share over these facts; where there are none each document has its own.
    shared: Option<Allowances>,
}

impl Facts {
    /// The same facts again, to be changed without changing these. Steps are not shared with these.
    #[must_use]
    pub fn copied(&self) -> Self {
        let (bound, signals) = (self.bound.clone(), self.signals.clone());
        Self { bound, signals, now: self.now, explained: self.explained, brief: self.brief, shared: None }
    }

    /// Sets a fact. A path that is not in the table, or has another type there, is left out: reading it is then an
    /// error in the rule. `false` says so.
    pub fn set(&mut self, path: &str, value: FactValue) -> bool {
        let known = position(path).filter(|at| FACTS.get(*at).is_some_and(|fact| fact.kind == value.kind()));
        let Some(position) = known else { return false };
        self.bind(position, Bound::Value(value.into_val()));
        true
    }

    fn bind(&mut self, position: usize, bound: Bound) {
        if self.bound.len() <= position {
            self.bound.resize_with(FACTS.len(), || None);
        }
        if let Some(place) = self.bound.get_mut(position) {
            *place = Some(bound);
        }
    }

    /// Lets all documents share their steps over these facts, and gives them anew: for a decision that asks the same
    /// rules again and again.
    pub fn share_steps(&mut self) {
        self.shared = Some(Allowances::default());
    }

    /// Takes a fact away: where it is optional it is absent, else it is not known.
    pub fn clear(&mut self, path: &str) {
        if let Some(place) = position(path).and_then(|at| self.bound.get_mut(at)) {
            *place = None;
        }
    }

    /// Sets the samples of a signal, in place of those that it had; they are shared, not copied. `false` where no
    /// signal can have that name.
    pub fn set_signal(&mut self, name: &str, series: Arc<Series>) -> bool {
        if !is_signal_name(name) {
            return false;
        }
        match self.signals.iter_mut().find(|(path, _)| signal_name(path) == name) {
            Some((_, known)) => *known = series,
            None => self.signals.push((format!("{SIGNALS}.{name}").into(), series)),
        }
        true
    }

    /// Sets the time as of which rules see the signals: points that are later are not there for them.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = Some(now.as_millisecond());
    }

    /// The time as of which signals are seen, in milliseconds since the epoch.
    pub(crate) fn now(&self) -> Option<i64> {
        self.now
    }

    /// The samples of a signal, where it has any, with its path.
    pub(crate) fn signal(&self, name: &str) -> Option<&(Arc<str>, Arc<Series>)> {
        self.signals.iter().find(|(path, _)| signal_name(path) == name)
    }

    /// The same facts, to be explained: rules note what they read.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.explained = true;
        self
    }

    /// The same facts, for answers without words: what is decided is the same, but no message and no basis is made. For
    /// runs of millions of decisions.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    /// Whether answers go without words.
    pub fn is_brief(&self) -> bool {
        self.brief
    }

    /// Steps that all documents share.
    pub(crate) fn shared_steps(&self) -> Option<&Allowances> {
        self.shared.as_ref()
    }

    /// Whether rules note what they read.
    pub fn is_explained(&self) -> bool {
        self.explained
    }

    /// Says that an optional group is there.
    pub fn set_group(&mut self, path: &str) -> bool {
        let group = position(path).filter(|at| FACTS.get(*at).is_some_and(|fact| fact.kind == Group));
        if let Some(position) = group {
            self.bind(position, Bound::Group);
        }
        group.is_some()
    }

    pub(crate) fn get(&self, path: &str) -> Option<&dyn Val> {
        self.at(position(path)?)
    }

    /// The value at a place of the table.
    pub(crate) fn at(&self, position: usize) -> Option<&dyn Val> {
        match self.bound.get(position)?.as_ref()? {
            Bound::Value(value) => Some(value.as_ref()),
            Bound::Group => None,
        }
    }

    /// Every fact that is there, by path, with its value; a group has none of its own.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, Option<&dyn Val>)> {
        FACTS.iter().zip(&self.bound).filter_map(|(fact, bound)| match bound.as_ref()? {
            Bound::Value(value) => Some((fact.path, Some(value.as_ref()))),
            Bound::Group => Some((fact.path, None)),
        })
    }

    /// Whether a fact or an optional group is there.
    pub fn has(&self, path: &str) -> bool {
        position(path).is_some_and(|position| self.has_at(position))
    }

    /// Whether the fact or the optional group at a place of the table is there.
    pub(crate) fn has_at(&self, position: usize) -> bool {
        self.bound.get(position).is_some_and(Option::is_some)
    }
}
