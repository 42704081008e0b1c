//! HorizontalPodAutoscalers of everybody: whichever targets a Deployment scales it, whoever made it. Of those that are not
//! ours only this is kept: what they target and between which bounds.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::caches::{Kept, owners_of_scale, where_changed};
use crate::api::MANAGED_BY;
use crate::render::ObjectKind;

/// An autoscaler that targets a Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// It scales on CPU utilisation, which is relative to the request.
    pub targets_cpu: bool,
    /// Replicas that it last asked for or, where it never could measure, that it last saw; `None` before its first look.
    pub last: Option<u32>,
}

impl Scaler {
    /// Its name.
    pub fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    pub(super) fn of(object: &HorizontalPodAutoscaler) -> Self {
        let spec = object.spec.as_ref();
        let natural = |number: i32| u32::try_from(number).unwrap_or(0);
        let status = object.status.as_ref();
        let numbers = status.map(|status| [Some(status.desired_replicas), status.current_replicas]);
        let last = numbers.into_iter().flatten().flatten().map(natural).find(|number| *number > 0);
        Self {
            meta: object.metadata.clone(),
            min_replicas: spec.and_then(|spec| spec.min_replicas).map_or(1, natural),
            max_replicas: spec.map_or(0, |spec| natural(spec.max_replicas)),
            targets_cpu: spec.is_some_and(|spec| spec.metrics.iter().flatten().any(is_cpu)),
            last,
        }
    }
}

/// Whether an autoscaler targets the Deployment of this name in its namespace.
pub(super) fn targets(object: &HorizontalPodAutoscaler, deployment: &str) -> bool {
    target(object) == Some(deployment)
}

/// The Deployment that it targets, if it is one.
pub fn target(object: &HorizontalPodAutoscaler) -> Option<&str> {
    let target = &object.spec.as_ref()?.scale_target_ref;
    // The version does not matter to the API server, and a group that is left out is found by the kind.
    let group =
        target.api_version.as_deref().and_then(|version| version.split_once('/')).map_or("apps", |(group, _)| group);
    (target.kind == ObjectKind::Deployment.kind() && group == "apps").then_some(target.name.as_str())
}

/// Whether the CPU that pods use is compared with their request.
fn is_cpu(metric: &MetricSpec) -> bool {
    let of_pod = metric.resource.iter().map(|one| (&one.name, &one.target));
    let of_container = metric.container_resource.iter().map(|one| (&one.name, &one.target));
    of_pod.chain(of_container).any(|(name, target)| name == "cpu" && target.type_ == "Utilization")
}

/// What is kept of autoscalers, and which of their changes are told.
pub(super) fn kept() -> Kept<HorizontalPodAutoscaler> {
    Kept { fields: owners_of_scale, reduce, is_news: where_changed(digest) }
}

/// Leaves out what nobody reads: what was measured, which changes with every look, and the details of others'.
fn reduce(object: &mut HorizontalPodAutoscaler) {
    if let Some(status) = &mut object.status {
        status.current_metrics = None;
    }
    let labels = object.metadata.labels.as_ref();
    let ours = labels.and_then(|all| all.get("app.kubernetes.io/managed-by")).is_some_and(|by| by == MANAGED_BY);
    if !ours {
        object.metadata.annotations = None;
        if let Some(spec) = &mut object.spec {
            spec.behavior = None;
            spec.metrics.iter_mut().for_each(|metrics| metrics.retain(is_cpu));
        }
    }
}

/// What matters of an autoscaler: its spec and metadata, and whether it scales. Numbers and times of its status change with
/// every look.
fn digest(object: &HorizontalPodAutoscaler) -> u64 {
    let meta = ObjectMeta { resource_version: None, ..object.metadata.clone() };
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let conditions: Vec<_> = conditions.map(|one| (&one.type_, &one.status, &one.reason)).collect();
    // Types of the Kubernetes API always serialise; were it not so, each change would be news.
    let text = serde_json::to_string(&(&meta, &object.spec, conditions)).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use kube::runtime::watcher::Event;

    use super::{HorizontalPodAutoscaler, Scaler, kept, reduce, targets};

    fn autoscaler(target: &Value, metrics: &Value) -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({
            "metadata": {"name": "h", "annotations": {"a": "b"}},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 7, "metrics": metrics,
                     "behavior": {"scaleDown": {"policies": []}}},
            "status": {"desiredReplicas": 0, "currentReplicas": 3, "currentMetrics": [{"type": "Resource"}], "conditions": []},
        }))
        .unwrap()
    }

    fn cpu(type_: &str) -> Value {
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": type_}}}])
    }

    #[test]
    fn a_deployment_is_targeted_by_kind_group_and_name() {
        let named = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "name": "d"});
        assert!(targets(&autoscaler(&named("apps/v1", "Deployment"), &json!([])), "d"));
        assert!(!targets(&autoscaler(&named("apps/v1", "Deployment"), &json!([])), "e"));
        assert!(!targets(&autoscaler(&named("apps/v1", "StatefulSet"), &json!([])), "d"));
        assert!(!targets(&autoscaler(&named("example.org/v1", "Deployment"), &json!([])), "d"));
        assert!(targets(&autoscaler(&json!({"kind": "Deployment", "name": "d"}), &json!([])), "d"));
    }

    #[test]
    fn bounds_and_the_kind_of_metric_outlive_the_reduction() {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let mut found = autoscaler(&target, &cpu("Utilization"));
        reduce(&mut found);
        let scaler = Scaler::of(&found);
        assert_eq!((scaler.min_replicas, scaler.max_replicas, scaler.targets_cpu, scaler.last), (2, 7, true, Some(3)));
        assert_eq!(found.metadata.annotations, None);
        assert_eq!(found.status.unwrap().current_metrics, None);
        assert!(!Scaler::of(&autoscaler(&target, &cpu("AverageValue"))).targets_cpu);
    }

    #[test]
    fn a_look_that_found_nothing_new_is_told_to_nobody() {
        let target = json!({"kind": "Deployment", "name": "d"});
        let mut is_news = kept().is_news;
        let with = |version: &str, replicas: i32, active: &str, least: i32| {
            let mut object = autoscaler(&target, &cpu("Utilization"));
            object.metadata.uid = Some("u".to_owned());
            object.metadata.resource_version = Some(version.to_owned());
            object.spec.as_mut().unwrap().min_replicas = Some(least);
            let conditions = json!([{"type": "ScalingActive", "status": active, "message": version}]);
            object.status =
                serde_json::from_value(json!({"desiredReplicas": replicas, "conditions": conditions})).unwrap();
            object
        };
        assert!(is_news(&Event::InitApply(with("1", 2, "True", 1))));
        assert!(!is_news(&Event::Apply(with("2", 3, "True", 1))), "it scaled");
        assert!(is_news(&Event::Apply(with("3", 3, "False", 1))), "it can't measure any more");
        assert!(is_news(&Event::Apply(with("4", 3, "False", 2))), "another minimum");
        assert!(is_news(&Event::Delete(with("5", 3, "False", 2))));
        assert!(is_news(&Event::Apply(with("4", 3, "False", 2))), "it is back");
    }
}
