//! The pods of all components, watched, and reduced to what joins a measurement with its component.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod as KubePod;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::caches::Pauses;
use crate::api::LABEL_OWNER;
use crate::signals::Pod;

/// Label with the workload of a pod, on Deployments and Knative Services alike.
const LABEL_WORKLOAD: &str = "app.kubernetes.io/instance";

/// What is known of the pods; clones share it.
#[derive(Clone, Debug)]
pub struct PodIndex(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pods: Mutex<HashMap<(String, String), Pod>>,
    filled: watch::Sender<bool>,
}

impl Default for PodIndex {
    fn default() -> Self {
        Self(Arc::new(Inner { pods: Mutex::default(), filled: watch::Sender::new(false) }))
    }
}

impl PodIndex {
    /// All pods, as they are known now.
    pub fn all(&self) -> Vec<Pod> {
        self.pods().values().cloned().collect()
    }

    /// Number of pods of a workload that are ready.
    pub fn ready(&self, namespace: &str, workload: &str) -> usize {
        let pods = self.pods();
        let of = pods.values().filter(|pod| pod.namespace == namespace && pod.workload == workload);
        of.filter(|pod| pod.ready_since.is_some() && !pod.ending).count()
    }

    /// Resolves once all pods are known; `false` where the watch has ended before.
    pub async fn filled(&self) -> bool {
        self.0.filled.subscribe().wait_for(|filled| *filled).await.is_ok()
    }

    /// Follows the pods of one namespace, or of all, until `shutdown`.
    pub async fn run(self, client: Client, namespace: Option<String>, shutdown: CancellationToken) {
        let api: Api<KubePod> = namespace
            .as_deref()
            .map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace));
        let config = watcher::Config::default().labels(&format!("{LABEL_OWNER},{LABEL_WORKLOAD}"));
        let events = watcher(api, config).backoff(Pauses::default());
        let follow = async {
            let mut events = std::pin::pin!(events);
            let mut listed = HashMap::new();
            loop {
                match events.try_next().await {
                    Ok(Some(event)) => self.told(event, &mut listed),
                    Ok(None) => return,
                    Err(error) => tracing::warn!(%error, "the watch of pods failed and is taken up again"),
                }
            }
        };
        let _ = shutdown.run_until_cancelled(follow).await;
    }

    fn told(&self, event: Event<KubePod>, listed: &mut HashMap<(String, String), Pod>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => listed.extend(seen(&pod)),
            Event::InitDone => {
                *self.pods() = std::mem::take(listed);
                self.0.filled.send_replace(true);
            }
            Event::Apply(pod) => self.pods().extend(seen(&pod)),
            Event::Delete(pod) => {
                if let Some((id, _)) = seen(&pod) {
                    self.pods().remove(&id);
                }
            }
        }
    }

    // Whole after every statement, so a panic elsewhere cannot have left it half-changed.
    fn pods(&self) -> MutexGuard<'_, HashMap<(String, String), Pod>> {
        self.0.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(pod: &KubePod) -> Option<((String, String), Pod)> {
    let meta = &pod.metadata;
    let (namespace, name) = (meta.namespace.clone()?, meta.name.clone()?);
    let workload = meta.labels.as_ref()?.get(LABEL_WORKLOAD)?.clone();
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ready = conditions.into_iter().find(|one| one.type_ == "Ready" && one.status == "True");
    let since = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| time.0.as_millisecond();
    // A condition without a time has held since the pod was made.
    let ready_since =
        ready.map(|one| one.last_transition_time.as_ref().or(meta.creation_timestamp.as_ref()).map_or(i64::MIN, since));
    let ended =
        status.and_then(|status| status.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
    let ending = meta.deletion_timestamp.is_some() || ended;
    Some(((namespace.clone(), name.clone()), Pod { namespace, name, workload, ready_since, ending }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> KubePod {
        let labels = json!({LABEL_WORKLOAD: "shop", LABEL_OWNER: "shop"});
        let metadata =
            json!({"name": name, "namespace": "n", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn ready(status: &str) -> Value {
        json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:01:00Z"}]})
    }

    #[tokio::test]
    async fn pods_come_and_go_and_a_new_listing_replaces_them_at_once() {
        let index = PodIndex::default();
        let mut listed = HashMap::new();
        for event in
            [Event::Init, Event::InitApply(pod("a", &ready("True"))), Event::InitApply(pod("b", &ready("False")))]
        {
            index.told(event, &mut listed);
        }
        assert!(index.all().is_empty() && !*index.0.filled.borrow(), "half a listing is not shown");
        index.told(Event::InitDone, &mut listed);
        assert!(index.filled().await);
        assert_eq!((index.all().len(), index.ready("n", "shop"), index.ready("m", "shop")), (2, 1, 0));
        index.told(Event::Apply(pod("b", &ready("True"))), &mut listed);
        assert_eq!(index.ready("n", "shop"), 2);
        index.told(Event::Delete(pod("a", &ready("True"))), &mut listed);
        assert_eq!(index.ready("n", "shop"), 1);
        index.told(Event::Init, &mut listed);
        index.told(Event::InitDone, &mut listed);
        assert!(index.all().is_empty());
    }

    #[test]
    fn a_pod_is_ready_since_its_condition_says_so_and_ending_once_it_is_to_go_or_done() {
        let (_, found) = seen(&pod("a", &ready("True"))).unwrap();
        assert_eq!((found.ready_since, found.ending), (Some(1_767_225_660_000), false));
        let (_, found) = seen(&pod("a", &json!({"phase": "Failed"}))).unwrap();
        assert_eq!((found.ready_since, found.ending), (None, true));
        assert!(seen(&KubePod::default()).is_none());
    }
}
