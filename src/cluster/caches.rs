//! What the controller knows of the cluster: watched, reduced to what is read, kept in memory.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use rand::Rng as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fresh::Fresh;
use super::knative::{Fed, Feed, KnativeService, Presence};
use super::record::RawRecord;
use crate::api::MANAGED_BY;
use crate::render::ObjectKind;

/// A watch that fills a cache; it must be polled.
pub type WatchStream<K> = Pin<Box<dyn Stream<Item = Result<K, watcher::Error>> + Send>>;

/// Caches of the records and of everything that is rendered for them.
#[derive(Clone)]
pub struct Caches {
    /// Records, as they came.
    pub records: Store<RawRecord>,
    /// How far the records are.
    pub fresh: Fresh,
    deployments: Store<Deployment>,
    services: Store<Service>,
    knative: Store<KnativeService>,
    budgets: Store<PodDisruptionBudget>,
    presence: watch::Receiver<Presence>,
    filled: [watch::Receiver<bool>; 4],
}

/// The watches have ended before every cache was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watches have ended before every cache was filled")]
pub struct WatchesEnded;

/// The watches behind [`Caches`].
pub struct Watches {
    /// Records.
    pub records: WatchStream<RawRecord>,
    /// Deployments that carry our label.
    pub deployments: WatchStream<Deployment>,
    /// Services that carry our label.
    pub services: WatchStream<Service>,
    /// Knative Services that carry our label.
    pub knative: WatchStream<KnativeService>,
    /// PodDisruptionBudgets that carry our label.
    pub budgets: WatchStream<PodDisruptionBudget>,
}

/// One object of the cluster, in one shape for all kinds.
#[derive(Clone, Debug)]
pub struct LiveObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its metadata.
    pub meta: ObjectMeta,
    /// The whole object, as JSON.
    pub content: Value,
}

impl Caches {
    /// Caches over one namespace, or over all where `namespace` is `None`, the watches that fill them, and the feed of
    /// Knative Services, which the cluster has or has not: `knative` is what is known of that now.
    pub fn new(client: &Client, namespace: Option<&str>, knative: Option<bool>) -> (Self, Watches, Feed) {
        let fresh = Fresh::default();
        let (records, record_watch, records_filled) =
            tracked::<RawRecord>(client, namespace, watcher::Config::default(), fresh.clone());
        let ours = watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
        let (deployments, deployment_watch, deployments_filled) = cache::<Deployment>(client, namespace, ours.clone());
        let (services, service_watch, services_filled) = cache::<Service>(client, namespace, ours.clone());
        let (budgets, budget_watch, budgets_filled) = cache::<PodDisruptionBudget>(client, namespace, ours.clone());
        let (feed, Fed { store: knative, changes: knative_watch, presence }) =
            Feed::new(client, namespace, ours, knative);
        let filled = [records_filled, deployments_filled, services_filled, budgets_filled];
        let caches = Self { records, fresh, deployments, services, knative, budgets, presence, filled };
        let watches = Watches {
            records: record_watch,
            deployments: deployment_watch,
            services: service_watch,
            knative: knative_watch,
            budgets: budget_watch,
        };
        (caches, watches, feed)
    }

    /// Resolves when every cache has been filled once; never while the watches are not polled. A kind that the cluster
    /// does not have needs no filling. (Not the stores' own `wait_until_ready`: it wakes only the last of several that wait.)
    pub async fn synced(&self) -> Result<(), WatchesEnded> {
        for filled in &self.filled {
            filled.clone().wait_for(|filled| *filled).await.map_err(|_| WatchesEnded)?;
        }
        let settled = |presence: &Presence| *presence != Presence::Filling;
        self.presence.clone().wait_for(settled).await.map(|_| ()).map_err(|_| WatchesEnded)
    }

    /// Whether the cluster has this kind, as far as anybody knows.
    pub fn has(&self, kind: ObjectKind) -> bool {
        kind != ObjectKind::KnativeService || *self.presence.borrow() != Presence::Absent
    }

    /// The cached object of a kind and name, where it carries our label.
    pub fn get(&self, kind: ObjectKind, namespace: &str, name: &str) -> Option<LiveObject> {
        match kind {
            ObjectKind::Deployment => {
                self.deployments.get(&ObjectRef::new(name).within(namespace)).map(|o| live(kind, &*o))
            }
            ObjectKind::Service => self.services.get(&ObjectRef::new(name).within(namespace)).map(|o| live(kind, &*o)),
            ObjectKind::KnativeService => {
                self.knative.get(&ObjectRef::new(name).within(namespace)).map(|o| live(kind, &*o))
            }
            ObjectKind::PodDisruptionBudget => {
                self.budgets.get(&ObjectRef::new(name).within(namespace)).map(|o| live(kind, &*o))
            }
        }
    }

    /// Whether [`Caches::get`] would find one.
    pub fn contains(&self, kind: ObjectKind, namespace: &str, name: &str) -> bool {
        match kind {
            ObjectKind::Deployment => self.deployments.get(&ObjectRef::new(name).within(namespace)).is_some(),
            ObjectKind::Service => self.services.get(&ObjectRef::new(name).within(namespace)).is_some(),
            ObjectKind::KnativeService => self.knative.get(&ObjectRef::new(name).within(namespace)).is_some(),
            ObjectKind::PodDisruptionBudget => self.budgets.get(&ObjectRef::new(name).within(namespace)).is_some(),
        }
    }

    /// Everything in a namespace that belongs to a record: controlled by its UID or, with no controller at all, ours
    /// by its labels (somebody took the owner reference away).
    pub fn children(&self, namespace: &str, uid: &str, owner_label: &str) -> Vec<LiveObject> {
        let mut found = Vec::new();
        for kind in ObjectKind::ALL {
            match kind {
                ObjectKind::Deployment => collect(kind, &self.deployments, namespace, uid, owner_label, &mut found),
                ObjectKind::Service => collect(kind, &self.services, namespace, uid, owner_label, &mut found),
                ObjectKind::KnativeService => collect(kind, &self.knative, namespace, uid, owner_label, &mut found),
                ObjectKind::PodDisruptionBudget => {
                    collect(kind, &self.budgets, namespace, uid, owner_label, &mut found);
                }
            }
        }
        found
    }
}

fn collect<K>(kind: ObjectKind, store: &Store<K>, namespace: &str, uid: &str, owner: &str, found: &mut Vec<LiveObject>)
where
    K: Resource<DynamicType = ()> + Clone + Serialize + 'static,
{
    let ours = |object: &K| {
        object.meta().namespace.as_deref() == Some(namespace) && super::ownership::belongs_to(object.meta(), uid, owner)
    };
    found.extend(store.state_filter(ours).iter().map(|object| live(kind, &**object)));
}

/// One shape for an object of any kind.
pub fn live<K: Resource + Serialize>(kind: ObjectKind, object: &K) -> LiveObject {
    // A type of the Kubernetes API always serialises; were it not so, the object would differ and be applied again.
    let content = serde_json::to_value(object).unwrap_or(Value::Null);
    LiveObject { kind, meta: object.meta().clone(), content }
}

fn cache<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
) -> (Store<K>, WatchStream<K>, watch::Receiver<bool>)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    tracked(client, namespace, config, Fresh::default())
}

/// A cache that tells how far it is.
fn tracked<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    fresh: Fresh,
) -> (Store<K>, WatchStream<K>, watch::Receiver<bool>)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let api: Api<K> = namespace.map_or_else(|| Api::all(client.clone()), |ns| Api::namespaced(client.clone(), ns));
    let (store, writer) = reflector::store();
    let (filled, is_filled) = watch::channel(false);
    let stream = watcher(api, config)
        .backoff(Pauses::default())
        .modify(|object| {
            let meta = object.meta_mut();
            meta.managed_fields = meta.managed_fields.take().map(owners_of_replicas);
        })
        .reflect(writer)
        .inspect_ok(move |event| {
            fresh.told(event);
            if matches!(event, watcher::Event::InitDone) {
                filled.send_replace(true);
            }
        })
        .touched_objects()
        .filter_map(|event| std::future::ready(passed(event)))
        .boxed();
    (store, stream, is_filled)
}

/// The watch goes on by itself after an error. Handed on, an error would make the controller pause for all watches
/// together, each time longer: minutes after an outage of seconds.
fn passed<K: Resource<DynamicType = ()>>(event: Result<K, watcher::Error>) -> Option<Result<K, watcher::Error>> {
    event
        .inspect_err(|error| tracing::warn!(kind = %K::kind(&()), %error, "a watch failed and is taken up again"))
        .ok()
        .map(Ok)
}

/// Pauses between tries of one watch: doubled each time, spread, and short enough that the end of an outage is noticed
/// within seconds.
#[derive(Default)]
pub(super) struct Pauses {
    failures: i32,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        const FIRST: f64 = 0.5;
        const LONGEST: f64 = 10.0;
        let pause = (FIRST * 2_f64.powi(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1).min(16);
        Some(Duration::from_secs_f64(pause * rand::rng().random_range(0.75..1.25)))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Of an object's managed fields only this is read: who owns `spec.replicas`. The rest is most of an object's size.
fn owners_of_replicas(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let owns = |entry: &ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    };
    entries
        .into_iter()
        .filter(owns)
        .map(|mut entry| {
            if let Some(fields) = &mut entry.fields_v1 {
                fields.0 = json!({"f:spec": {"f:replicas": {}}});
            }
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use kube::runtime::utils::Backoff as _;

    use super::Pauses;

    #[test]
    fn pauses_of_a_watch_grow_stay_short_and_begin_anew_after_a_success() {
        let mut pauses = Pauses::default();
        let first = pauses.next().unwrap();
        assert!(first < Duration::from_millis(700), "{first:?}");
        let longest = pauses.by_ref().take(100).max().unwrap();
        assert!(longest > Duration::from_secs(7) && longest < Duration::from_secs(13), "{longest:?}");
        pauses.reset();
        assert!(pauses.next().unwrap() < Duration::from_millis(700));
    }
}
