//! The Deployments that Knative makes, one for each version of a Knative Service: the Service's own status does not tell
//! how many pods there are. They carry the labels of the version's template.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};
use kube::runtime::watcher;

use super::caches::{Kept, where_changed};
use crate::api::LABEL_OWNER;
use crate::render::KNATIVE_SERVICE;

/// Which Deployments these are.
pub(super) fn selector() -> watcher::Config {
    watcher::Config::default().labels(&format!("{LABEL_OWNER},{KNATIVE_SERVICE}"))
}

/// What of them is kept: whose they are and their numbers; and told: where those change.
pub(super) fn kept() -> Kept<Deployment> {
    Kept { fields: |_| Vec::new(), reduce, is_news: where_changed(pods) }
}

fn reduce(object: &mut Deployment) {
    let numbers = pods(object);
    object.metadata.annotations = None;
    object.spec = Some(DeploymentSpec { replicas: Some(numbers.0), ..DeploymentSpec::default() });
    object.status = Some(DeploymentStatus { ready_replicas: Some(numbers.1), ..DeploymentStatus::default() });
}

/// Whether it is of a version of this Knative Service.
pub(super) fn is_of(object: &Deployment, namespace: &str, service: &str) -> bool {
    object.metadata.namespace.as_deref() == Some(namespace) && service_of(object) == Some(service)
}

/// Name of the Knative Service that it is of.
pub fn service_of(object: &Deployment) -> Option<&str> {
    object.metadata.labels.as_ref()?.get(KNATIVE_SERVICE).map(String::as_str)
}

/// How many pods it wants, and how many are ready.
pub(super) fn pods(object: &Deployment) -> (i32, i32) {
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = object.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    (wanted, ready)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    fn version(wanted: i32, ready: i32, message: &str) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "namespace": "n", "name": "f-00001-deployment", "labels": {KNATIVE_SERVICE: "f"}},
            "spec": {"replicas": wanted, "selector": {}, "template": {"metadata": {"labels": {"a": "b"}}}},
            "status": {"readyReplicas": ready, "conditions": [{"type": "Available", "status": "True", "message": message}]},
        }))
        .unwrap()
    }

    #[test]
    fn only_whose_it_is_and_its_numbers_are_kept() {
        let mut object = version(3, 2, "");
        reduce(&mut object);
        assert_eq!(pods(&object), (3, 2));
        assert!(is_of(&object, "n", "f") && !is_of(&object, "m", "f") && !is_of(&object, "n", "g"));
        assert_eq!(object.spec.unwrap().template.metadata, None);
        assert_eq!(object.status.unwrap().conditions, None);
    }

    #[test]
    fn a_change_of_anything_but_the_numbers_is_no_news() {
        let mut kept = kept();
        let mut is_news = |event| (kept.is_news)(&event);
        assert!(is_news(Event::Apply(version(1, 0, ""))));
        assert!(!is_news(Event::Apply(version(1, 0, "another message"))));
        assert!(is_news(Event::Apply(version(1, 1, ""))));
        assert!(is_news(Event::Delete(version(1, 1, ""))));
        assert!(is_news(Event::Apply(version(1, 1, ""))), "it is back");
    }
}
