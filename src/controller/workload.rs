//! What one workload says about itself, read from its status. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use serde_json::Value;

use crate::api::Health;
use crate::cluster::caches::LiveObject;
use crate::render::ObjectKind;

/// One workload as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Health.
    pub health: Health,
    /// Enough replicas serve, be it of the old version.
    pub available: bool,
    /// Replicas wanted.
    pub replicas: i32,
    /// Replicas ready.
    pub ready: i32,
    /// Where it says that it is reached.
    pub url: Option<String>,
    /// What is in the way, for people.
    pub problem: Option<String>,
}

impl Workload {
    fn missing() -> Self {
        Self { health: Health::Missing, problem: Some("not created yet".to_owned()), ..Self::default() }
    }
}

/// Reads an object of any kind; `None` for one that runs no pods. `live` is `None` where it is not there.
pub fn workload(kind: ObjectKind, live: Option<&LiveObject>) -> Option<Workload> {
    let typed = || serde_json::from_value(live?.content.clone()).ok();
    match kind {
        ObjectKind::Deployment => Some(deployment(typed().as_ref())),
        ObjectKind::KnativeService => Some(knative_service(live.map(|live| &live.content))),
        ObjectKind::Service
        | ObjectKind::Autoscaler
        | ObjectKind::PodDisruptionBudget
        | ObjectKind::ServiceMonitor
        | ObjectKind::PodMonitor => None,
    }
}

/// Reads a Deployment; `None` is one that is not there.
fn deployment(object: Option<&Deployment>) -> Workload {
    let Some(object) = object else { return Workload::missing() };
    let status = object.status.clone().unwrap_or_default();
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or(0);
    let current = status.observed_generation.unwrap_or(0) >= object.metadata.generation.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let rolled_out = current
        && updated >= wanted
        && status.replicas.unwrap_or(0) <= updated
        && status.available_replicas.unwrap_or(0) >= updated;
    let failure = failed(&status).filter(|_| current);
    let (health, problem) = match failure {
        Some(problem) => (Health::Degraded, Some(problem)),
        None if rolled_out => (Health::Healthy, None),
        None => (Health::Progressing, Some(format!("{ready} of {wanted} replicas ready"))),
    };
    let available =
        condition(&status, "Available").is_some_and(|(status, _)| status == "True") || (rolled_out && wanted == 0);
    Workload { health, available, replicas: wanted, ready, url: None, problem }
}

fn failed(status: &DeploymentStatus) -> Option<String> {
    if let Some((_, message)) = condition(status, "ReplicaFailure").filter(|(status, _)| status == "True") {
        return Some(message);
    }
    condition(status, "Progressing").filter(|(status, _)| status == "False").map(|(_, message)| message)
}

fn condition(status: &DeploymentStatus, type_: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_)?;
    Some((found.status.clone(), found.message.clone().unwrap_or_default()))
}

/// Reads a Knative Service; `None` is one that is not there. How many pods it has its versions' Deployments
/// tell (`cluster::revisions`): with no requests it may have none and be well.
fn knative_service(object: Option<&Value>) -> Workload {
    let Some(object) = object else { return Workload::missing() };
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
    let current = number("/status/observedGeneration").unwrap_or(0) >= number("/metadata/generation").unwrap_or(0);
    let state = |type_: &str| {
        let all = object.pointer("/status/conditions").and_then(Value::as_array);
        let found = all?.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(type_))?;
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    };
    let holds = |type_: &str| state(type_).is_some_and(|(status, ..)| status == "True");
    let (health, problem) = match state("Ready") {
        Some((status, ..)) if status == "True" && current => (Health::Healthy, None),
        Some((status, reason, message)) if status == "False" && current => {
            (Health::Degraded, Some(if message.is_empty() { reason } else { message }))
        }
        Some((_, _, message)) if current && !message.is_empty() => (Health::Progressing, Some(message)),
        _ => (Health::Progressing, Some("not ready yet".to_owned())),
    };
    let url = object.pointer("/status/url").and_then(Value::as_str).map(str::to_owned);
    // Its routes lead to a version that is ready, be it an older one.
    Workload { health, available: holds("Ready") || holds("RoutesReady"), url, problem, ..Workload::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::{deployment, knative_service};
    use crate::api::Health;

    fn with(generation: i64, replicas: i32, status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "generation": generation},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_not_there_is_missing() {
        assert_eq!(deployment(None).health, Health::Missing);
    }

    #[test]
    fn an_old_status_is_progressing_whatever_it_says() {
        let status = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}]});
        let seen = deployment(Some(&with(2, 2, &status)));
        assert_eq!(seen.health, Health::Progressing);
        assert!(seen.available, "the old pods still serve");
    }

    #[test]
    fn rolled_out_and_available_is_healthy() {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}]});
        assert_eq!(deployment(Some(&with(2, 2, &status))).health, Health::Healthy);
    }

    #[test]
    fn old_pods_left_over_are_progressing() {
        let status = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3,
            "availableReplicas": 3, "conditions": [{"type": "Available", "status": "True"}]});
        assert_eq!(deployment(Some(&with(2, 2, &status))).health, Health::Progressing);
    }

    #[test]
    fn a_roll_out_that_timed_out_is_degraded_with_its_message() {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "False", "message": "timed out"}]});
        let seen = deployment(Some(&with(2, 2, &status)));
        assert_eq!((seen.health, seen.problem.as_deref()), (Health::Degraded, Some("timed out")));
    }

    #[test]
    fn no_replicas_wanted_is_available() {
        let status = json!({"observedGeneration": 1});
        let seen = deployment(Some(&with(1, 0, &status)));
        assert_eq!((seen.health, seen.available), (Health::Healthy, true));
    }

    fn service(generation: i64, conditions: &Value) -> Value {
        json!({
            "metadata": {"generation": generation},
            "status": {"observedGeneration": 2, "url": "http://f.ns.example.com", "conditions": conditions},
        })
    }

    #[test]
    fn a_knative_service_is_what_its_ready_condition_says() {
        let ready = knative_service(Some(&service(2, &json!([{"type": "Ready", "status": "True"}]))));
        assert_eq!((ready.health, ready.available, ready.problem), (Health::Healthy, true, None));
        assert_eq!(ready.url.as_deref(), Some("http://f.ns.example.com"));
        let unknown = json!([{"type": "Ready", "status": "Unknown", "message": "waiting for a route"}]);
        let waiting = knative_service(Some(&service(2, &unknown)));
        assert_eq!((waiting.health, waiting.available), (Health::Progressing, false));
        assert_eq!(waiting.problem.as_deref(), Some("waiting for a route"));
        assert_eq!(knative_service(None).health, Health::Missing);
        assert_eq!(knative_service(Some(&json!({"metadata": {"generation": 1}}))).health, Health::Progressing);
    }

    #[test]
    fn a_new_version_that_fails_is_degraded_while_the_old_one_serves() {
        let failed = json!([
            {"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "no such image"},
            {"type": "RoutesReady", "status": "True"},
        ]);
        let seen = knative_service(Some(&service(2, &failed)));
        assert_eq!((seen.health, seen.available), (Health::Degraded, true));
        assert_eq!(seen.problem.as_deref(), Some("no such image"));
        let reason = json!([{"type": "Ready", "status": "False", "reason": "RevisionFailed"}]);
        assert_eq!(knative_service(Some(&service(2, &reason))).problem.as_deref(), Some("RevisionFailed"));
    }

    #[test]
    fn an_old_status_of_a_knative_service_is_progressing_and_still_serves() {
        let seen = knative_service(Some(&service(3, &json!([{"type": "Ready", "status": "True"}]))));
        assert_eq!((seen.health, seen.available), (Health::Progressing, true));
    }
}
