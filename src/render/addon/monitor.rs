//! Monitors: they tell the operator of Prometheus what to scrape. One for each function; where and how often is the
//! policy's, by which kind and under which labels the operator's.
//!
//! The data grid has none: what is asked about it comes from the kubelets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Addon, Scene};
use crate::decision::MonitorPlan;
use crate::model::ADDON_MONITOR;
use crate::render::parts::PORT_NAME;
use crate::render::{Component, Monitors, ObjectKind, RenderError, RenderedObject};

/// Label that Knative puts on everything that it makes for a Service, its pods and their Deployments too.
pub const KNATIVE_SERVICE: &str = "serving.knative.dev/service";
/// Port of a Knative pod's queue proxy that has the metrics of its requests.
const KNATIVE_PORT: &str = "http-usermetric";

pub(super) struct Scraped;

impl Addon for Scraped {
    fn name(&self) -> &'static str {
        ADDON_MONITOR
    }

    fn about(&self, scene: Scene<'_>, workloads: &[RenderedObject]) -> Result<Vec<RenderedObject>, RenderError> {
        let Some(plan) = &scene.plan.monitor else { return Ok(Vec::new()) };
        let functions = workloads.iter().filter(|one| one.kind.is_workload() && one.component != Component::Odgm);
        let scraped = functions.filter_map(|one| Some((one, way(one.kind, &scene.settings.monitors)?)));
        scraped.map(|(one, way)| monitor(scene, plan, one, way)).collect()
    }
}

/// How the pods of a workload are found.
#[derive(Clone, Copy)]
enum Way {
    Service,
    Pod,
    KnativePod,
}

fn way(workload: ObjectKind, monitors: &Monitors) -> Option<Way> {
    match workload {
        ObjectKind::KnativeService => monitors.pods.then_some(Way::KnativePod),
        _ if monitors.services => Some(Way::Service),
        _ => monitors.pods.then_some(Way::Pod),
    }
}

fn monitor(
    scene: Scene<'_>,
    plan: &MonitorPlan,
    workload: &RenderedObject,
    way: Way,
) -> Result<RenderedObject, RenderError> {
    let (name, part) = (workload.name.as_str(), scene.about(workload));
    let (kind, endpoints, metrics) = match way {
        Way::Service => (ObjectKind::ServiceMonitor, "endpoints", PORT_NAME),
        Way::Pod => (ObjectKind::PodMonitor, "podMetricsEndpoints", PORT_NAME),
        // The queue proxy counts requests whatever the function itself exports.
        Way::KnativePod => (ObjectKind::PodMonitor, "podMetricsEndpoints", KNATIVE_PORT),
    };
    let selector = match way {
        Way::KnativePod => BTreeMap::from([(KNATIVE_SERVICE.to_owned(), name.to_owned())]),
        Way::Service | Way::Pod => part.selector(),
    };
    let mut endpoint = json!({"port": metrics, "interval": format!("{}s", plan.interval_seconds)});
    if !matches!(way, Way::KnativePod)
        && let Some(fields) = endpoint.as_object_mut()
    {
        fields.insert("path".to_owned(), Value::String(plan.path.clone()));
    }
    let mut metadata = part.metadata(name);
    let labels = metadata.labels.get_or_insert_default();
    // What selects and identifies is ours, whatever the operator would call it.
    for (label, value) in &scene.settings.monitors.labels {
        labels.entry(label.clone()).or_insert_with(|| value.clone());
    }
    let mut spec = serde_json::Map::from_iter([("selector".to_owned(), json!({"matchLabels": selector}))]);
    spec.insert(endpoints.to_owned(), json!([endpoint]));
    let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind(), "metadata": metadata, "spec": spec});
    part.object(kind, name, &object, None)
}
