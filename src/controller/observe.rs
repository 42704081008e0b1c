//! What the children say about themselves, read from their status. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use crate::api::{Health, ResourceRef};
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
    /// What is in the way, for people.
    pub problem: Option<String>,
}

/// Everything that a class consists of, as it stands.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Objects with their health.
    pub refs: Vec<ResourceRef>,
    /// Workloads by name.
    pub workloads: BTreeMap<String, Workload>,
}

impl Observation {
    /// Reads every expected object; `find` gives the newest state that is known of one.
    pub fn of(
        namespace: &str,
        expected: &[(ObjectKind, String)],
        find: impl Fn(ObjectKind, &str) -> Option<LiveObject>,
    ) -> Self {
        let mut seen = Self::default();
        for (kind, name) in expected {
            let live = find(*kind, name);
            let health = match kind {
                ObjectKind::Deployment => {
                    let workload = deployment(
                        live.as_ref().and_then(|live| serde_json::from_value(live.content.clone()).ok()).as_ref(),
                    );
                    let health = workload.health;
                    seen.workloads.insert(name.clone(), workload);
                    health
                }
                ObjectKind::Service if live.is_some() => Health::Healthy,
                ObjectKind::Service => Health::Missing,
            };
            seen.refs.push(ResourceRef {
                api_version: kind.api_version().to_owned(),
                kind: kind.kind().to_owned(),
                name: name.clone(),
                namespace: namespace.to_owned(),
                uid: live.and_then(|live| live.meta.uid),
                health,
            });
        }
        seen
    }

    /// Every workload serves; not so where there is none.
    pub fn available(&self) -> bool {
        !self.workloads.is_empty() && self.workloads.values().all(|workload| workload.available)
    }

    /// Every object is there and every workload rolled out.
    pub fn rolled_out(&self) -> bool {
        !self.refs.is_empty() && self.refs.iter().all(|one| one.health == Health::Healthy)
    }

    /// What is not ready, for people.
    pub fn waiting_for(&self) -> Vec<String> {
        self.refs
            .iter()
            .filter(|one| one.health != Health::Healthy)
            .map(|one| match self.workloads.get(&one.name).and_then(|workload| workload.problem.clone()) {
                Some(problem) if one.kind != "Service" => format!("{} {}: {problem}", one.kind, one.name),
                _ => format!("{} {}", one.kind, one.name),
            })
            .collect()
    }

    /// The first workload that failed, and how.
    pub fn failed(&self) -> Option<(&str, &str)> {
        self.workloads
            .iter()
            .find(|(_, workload)| workload.health == Health::Degraded)
            .map(|(name, workload)| (name.as_str(), workload.problem.as_deref().unwrap_or("failed")))
    }
}

/// Reads a Deployment; `None` is one that is not there.
pub fn deployment(object: Option<&Deployment>) -> Workload {
    let Some(object) = object else {
        return Workload {
            health: Health::Missing,
            problem: Some("not created yet".to_owned()),
            ..Workload::default()
        };
    };
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
    Workload { health, available, replicas: wanted, ready, problem }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::deployment;
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
}
