#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod gate;
mod numbers;
mod parity;
mod reports;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::component::{Limits, Part, parts};
use super::decide::{Decided, Frame, Known, decide};
use super::now::{Replicas, Since};
use crate::api::DeploymentRecordStatus;
use crate::cluster::caches::LiveObject;
use crate::decision::nfr::Grid;
use crate::decision::{self, ClusterFacts, Features, Setting};
use crate::model::{Class, parse};
use crate::policy::{Inputs, Policy, Series};
use crate::render::{ObjectKind, RenderSettings, render};

/// The policy as shipped, in profile edge.
fn policy() -> Policy {
    Policy::builtin(&Inputs { profile: "edge".to_owned(), ..Inputs::default() }).unwrap()
}

fn setting() -> Setting {
    let features = Features { odgm: true, prometheus: true, nfr_enforcement: true, ..Features::default() };
    Setting { profile: "edge".to_owned(), features, cluster: ClusterFacts::default() }
}

fn spec(mode: &str, dimensions: &[&str]) -> Value {
    json!({
        "functions": [{
            "function_key": "f", "image": "a/b:1", "replicas": 2,
            "resources": {"cpu_request": "500m", "memory_request": "128Mi", "cpu_limit": "2"},
        }],
        "nfr": {"enforcement": {"mode": mode, "dimensions": dimensions}},
    })
}

/// A class with this spec and status.
fn class_with(spec: &Value, status: &Value) -> Class {
    let record = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
        "metadata": {"name": "shop", "namespace": "team", "uid": "u-1"}, "spec": spec, "status": status,
    });
    parse(&serde_json::from_value(record).unwrap()).unwrap()
}

fn class(mode: &str, dimensions: &[&str]) -> Class {
    class_with(&spec(mode, dimensions), &json!({}))
}

/// The components of a class, as the shipped policy renders them.
fn parts_of(class: &Class) -> Vec<Part> {
    let decision = decision::decide(&policy(), class, &setting(), None);
    let plan = decision.plan().unwrap();
    let rendered =
        |enforcement| render(class, plan, &RenderSettings { enforcement, ..RenderSettings::default() }).unwrap();
    parts(class, &rendered(true), &rendered(false))
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// Samples every half minute of the two hours before second 0.
fn samples(signals: &[(&str, f64)]) -> BTreeMap<String, Arc<Series>> {
    let series = |value: f64| Arc::new(Series::new((-240..=0).map(|step| (second(step * 30), value))).unwrap());
    signals.iter().map(|(name, value)| ((*name).to_owned(), series(*value))).collect()
}

/// Everything that a function needs, steady: cores of all pods, cores and bytes of one.
fn steady(cores: f64, memory: f64) -> BTreeMap<String, Arc<Series>> {
    samples(&[("cpu", cores), ("pod_cpu", cores / 2.0), ("pod_memory", memory)])
}

fn replicas(current: u32) -> Replicas {
    Replicas { current, ready: current, set_at: None, changed_by: None, enforced: None, hpa: None, knative: false }
}

/// What is decided about the only function of a class at second 0, an hour after anything changed.
fn decided(class: &Class, replicas: &Replicas, samples: &BTreeMap<String, Arc<Series>>) -> (Part, Vec<Decided>) {
    let part = parts_of(class).remove(0);
    let (policy, setting) = (policy(), setting());
    let frame = Frame {
        policy: &policy,
        setting: &setting,
        limits: Limits { max_replicas: 20.0, cpu_per_pod: 0.5 },
        grid: Grid::new(Duration::from_secs(30), Duration::ZERO).unwrap(),
        now: second(0),
        kept: false,
    };
    let since = Since { generation: second(-7200), revision: second(-7200) };
    let status = DeploymentRecordStatus::default();
    let known = Known { class, status: &status, part: &part, replicas: Some(replicas), since, samples };
    let all = decide(&frame, &known);
    (part, all)
}

fn of<'a>(all: &'a [Decided], dimension: &str) -> &'a Decided {
    all.iter().find(|one| one.dimension.name() == dimension).unwrap()
}

fn deployment() -> LiveObject {
    let content = json!({"metadata": {"name": "shop", "namespace": "team", "uid": "d-1", "resourceVersion": "7"}});
    let meta = serde_json::from_value(content["metadata"].clone()).unwrap();
    LiveObject { kind: ObjectKind::Deployment, meta, content }
}
