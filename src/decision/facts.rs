//! The facts of one class in one setting, as policies read them. Every number is a double.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::api::{Consistency, EnforcementDimension, EnforcementMode};
use crate::model::{Class, Function, NfrTargets, Quantity, Resources};
use crate::policy::{FactValue, Facts};

use super::{ClusterFacts, Features, Setting};

/// Binds the facts, once for all rules. What is `None` is left out: an optional fact is then absent, one about the
/// cluster is not known, and reading it is an error in the rule.
pub fn bind(class: &Class, setting: &Setting) -> Facts {
    let mut facts = Facts::default();
    bind_over(class, setting, &mut facts);
    facts
}

/// Binds the facts over others.
pub fn bind_over(class: &Class, setting: &Setting, facts: &mut Facts) {
    for (path, known) in of_setting(setting) {
        if let Some(value) = known {
            facts.set(path, value);
        }
    }
    facts.set("class.name", text(&class.name));
    facts.set("class.namespace", text(&class.namespace));
    facts.set("class.labels", FactValue::TextMap(class.labels.clone()));
    facts.set("class.addons", FactValue::Texts(class.addons.clone()));
    if let Some(asked) = &class.selected_template {
        facts.set("class.selected_template", text(asked));
    }
    facts.set("class.functions", FactValue::Groups(class.functions.iter().map(function).collect()));
    facts.set("class.enforcement.mode", text(mode(class.enforcement)));
    let dimensions = class.dimensions.iter().map(|one| dimension(*one).to_owned()).collect();
    facts.set("class.enforcement.dimensions", FactValue::Texts(dimensions));
    if let Some(odgm) = &class.odgm {
        facts.set_group("class.odgm");
        facts.set("class.odgm.collections", FactValue::Texts(odgm.collections.clone()));
        facts.set("class.odgm.partition_count", number(odgm.partition_count));
        facts.set("class.odgm.replica_count", number(odgm.replica_count));
        facts.set("class.odgm.shard_type", text(&odgm.shard_type));
    }
    for (path, value) in nfr(&class.nfr) {
        if let Some(value) = value {
            facts.set(path, value);
        }
    }
}

/// What is asked of a function: its own requirements, and the class's where it has none.
pub fn nfr_of(class: &Class, function: &Function) -> NfrTargets {
    let (own, class) = (&function.nfr, &class.nfr);
    NfrTargets {
        min_throughput_rps: own.min_throughput_rps.or(class.min_throughput_rps),
        max_latency_ms: own.max_latency_ms.or(class.max_latency_ms),
        availability_pct: own.availability_pct.or(class.availability_pct),
        cpu_utilization_target: own.cpu_utilization_target.or(class.cpu_utilization_target),
        consistency: own.consistency.or(class.consistency),
    }
}

/// Binds what is asked for; what is not asked for is absent.
pub fn bind_nfr(facts: &mut Facts, targets: &NfrTargets) {
    for (path, value) in nfr(targets) {
        match value {
            Some(value) => {
                facts.set(path, value);
            }
            None => facts.clear(path),
        }
    }
}

fn text(text: &str) -> FactValue {
    FactValue::Text(text.to_owned())
}

fn number(value: impl Into<f64>) -> FactValue {
    FactValue::Number(value.into())
}

/// The facts that are the same for every class, by path; `None` is not known.
pub fn of_setting(setting: &Setting) -> Vec<(&'static str, Option<FactValue>)> {
    let mut facts = Vec::with_capacity(13);
    facts.push(("profile", Some(text(&setting.profile))));
    facts.extend(features(setting.features).map(|(path, on)| (path, Some(on))));
    facts.extend(cluster(setting.cluster));
    facts
}

fn features(features: Features) -> [(&'static str, FactValue); 7] {
    let Features { odgm, knative, prometheus, nfr_enforcement, hpa, leader_election, mtls } = features;
    [
        ("features.odgm", odgm),
        ("features.knative", knative),
        ("features.prometheus", prometheus),
        ("features.nfr_enforcement", nfr_enforcement),
        ("features.hpa", hpa),
        ("features.leader_election", leader_election),
        ("features.mtls", mtls),
    ]
    .map(|(path, on)| (path, FactValue::Bool(on)))
}

fn cluster(cluster: ClusterFacts) -> [(&'static str, Option<FactValue>); 5] {
    let ClusterFacts { knative, service_monitor, pod_monitor, nodes, ready_nodes } = cluster;
    [
        ("cluster.knative", knative.map(FactValue::Bool)),
        ("cluster.service_monitor", service_monitor.map(FactValue::Bool)),
        ("cluster.pod_monitor", pod_monitor.map(FactValue::Bool)),
        ("cluster.nodes", nodes.map(number)),
        ("cluster.ready_nodes", ready_nodes.map(number)),
    ]
}

fn function(function: &Function) -> BTreeMap<Cow<'static, str>, FactValue> {
    let Function { key, image, port, port_stated, replicas, min_scale, max_scale, max_concurrency, need_http2, .. } =
        function;
    let Resources { cpu_request, memory_request, cpu_limit, memory_limit } = &function.resources;
    let stated = |value: Option<u32>| value.map(number);
    let quantity = |value: &Option<Quantity>| value.as_ref().map(|value| number(value.value()));
    let facts = [
        ("key", Some(text(key))),
        ("image", Some(text(image))),
        ("port", Some(number(*port))),
        ("port_stated", Some(FactValue::Bool(*port_stated))),
        ("need_http2", Some(FactValue::Bool(*need_http2))),
        ("replicas", stated(*replicas)),
        ("min_scale", stated(*min_scale)),
        ("max_scale", stated(*max_scale)),
        ("max_concurrency", stated(*max_concurrency)),
        ("cpu_request", quantity(cpu_request)),
        ("memory_request", quantity(memory_request)),
        ("cpu_limit", quantity(cpu_limit)),
        ("memory_limit", quantity(memory_limit)),
    ];
    let asked = nfr(&function.nfr).into_iter().filter(|(path, _)| *path != "nfr.cpu_utilization_target");
    facts.into_iter().chain(asked).filter_map(|(name, value)| Some((name.into(), value?))).collect()
}

fn nfr(targets: &NfrTargets) -> [(&'static str, Option<FactValue>); 5] {
    let NfrTargets { min_throughput_rps, max_latency_ms, availability_pct, cpu_utilization_target, consistency } =
        targets;
    let consistency = consistency.map(|consistency| match consistency {
        Consistency::Eventual => text("eventual"),
        Consistency::Strong => text("strong"),
    });
    [
        ("nfr.min_throughput_rps", min_throughput_rps.map(number)),
        ("nfr.max_latency_ms", max_latency_ms.map(number)),
        ("nfr.availability_pct", availability_pct.map(number)),
        ("nfr.cpu_utilization_target", cpu_utilization_target.map(number)),
        ("nfr.consistency", consistency),
    ]
}

fn mode(mode: EnforcementMode) -> &'static str {
    match mode {
        EnforcementMode::Off => "off",
        EnforcementMode::Observe => "observe",
        EnforcementMode::Enforce => "enforce",
    }
}

fn dimension(dimension: EnforcementDimension) -> &'static str {
    match dimension {
        EnforcementDimension::Replicas => "replicas",
        EnforcementDimension::Memory => "memory",
        EnforcementDimension::Cpu => "cpu",
    }
}
