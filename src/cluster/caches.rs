//! What the controller knows of the cluster: watched, reduced to what is read, kept in memory.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
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
use tokio_util::sync::CancellationToken;

use super::autoscalers::{self, Scaler};
use super::fresh::Fresh;
use super::optional::{Fed, Feed, Knative, OfPods, OfServices, OptionalKind, OptionalObject, Presence};
use super::record::{RawRecord, spec_writes};
use super::revisions;
use crate::api::MANAGED_BY;
use crate::decision::ClusterFacts;
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
    knative: Optional<Knative>,
    service_monitors: Optional<OfServices>,
    pod_monitors: Optional<OfPods>,
    autoscalers: Store<HorizontalPodAutoscaler>,
    budgets: Store<PodDisruptionBudget>,
    revisions: Store<Deployment>,
    filled: [watch::Receiver<bool>; 6],
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
    pub knative: WatchStream<OptionalObject<Knative>>,
    /// ServiceMonitors that carry our label.
    pub service_monitors: WatchStream<OptionalObject<OfServices>>,
    /// PodMonitors that carry our label.
    pub pod_monitors: WatchStream<OptionalObject<OfPods>>,
    /// Autoscalers of everybody.
    pub autoscalers: WatchStream<HorizontalPodAutoscaler>,
    /// PodDisruptionBudgets that carry our label.
    pub budgets: WatchStream<PodDisruptionBudget>,
    /// Deployments that Knative makes for the versions of our Knative Services.
    pub revisions: WatchStream<Deployment>,
}

/// The cache of a kind that the cluster has or has not.
#[derive(Clone)]
struct Optional<K: OptionalKind> {
    store: Store<OptionalObject<K>>,
    presence: watch::Receiver<Presence>,
}

/// What fills the caches of optional kinds; each must be run.
pub struct Feeds {
    knative: Feed<Knative>,
    service_monitors: Feed<OfServices>,
    pod_monitors: Feed<OfPods>,
}

impl Feeds {
    /// Runs all of them until `shutdown`.
    pub async fn run(self, facts: watch::Receiver<ClusterFacts>, shutdown: CancellationToken) {
        tokio::join!(
            self.knative.run(facts.clone(), shutdown.clone()),
            self.service_monitors.run(facts.clone(), shutdown.clone()),
            self.pod_monitors.run(facts, shutdown)
        );
    }
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
    /// Caches over one namespace, or over all where `namespace` is `None`, the watches that fill them, and the feeds
    /// of kinds that the cluster has or has not: `cluster` is what is known of that now.
    pub fn new(client: &Client, namespace: Option<&str>, cluster: &ClusterFacts) -> (Self, Watches, Feeds) {
        let fresh = Fresh::default();
        let (records, record_watch, records_filled) =
            tracked::<RawRecord>(client, namespace, watcher::Config::default(), fresh.clone(), Kept::records());
        let ours = watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
        let (deployments, deployment_watch, deployments_filled) =
            cache::<Deployment>(client, namespace, ours.clone(), Kept::whole());
        let (services, service_watch, services_filled) =
            cache::<Service>(client, namespace, ours.clone(), Kept::whole());
        let (budgets, budget_watch, budgets_filled) =
            cache::<PodDisruptionBudget>(client, namespace, ours.clone(), Kept::whole());
        let (revisions, revision_watch, revisions_filled) =
            cache::<Deployment>(client, namespace, revisions::selector(), revisions::kept());
        let (knative_feed, knative, knative_watch) = optional(client, namespace, &ours, cluster);
        let (services_feed, service_monitors, service_monitor_watch) = optional(client, namespace, &ours, cluster);
        let (pods_feed, pod_monitors, pod_monitor_watch) = optional(client, namespace, &ours, cluster);
        let feeds = Feeds { knative: knative_feed, service_monitors: services_feed, pod_monitors: pods_feed };
        let (autoscalers, autoscaler_watch, autoscalers_filled) =
            cache::<HorizontalPodAutoscaler>(client, namespace, watcher::Config::default(), autoscalers::kept());
        let filled =
            [records_filled, deployments_filled, services_filled, autoscalers_filled, budgets_filled, revisions_filled];
        let caches = Self {
            records,
            fresh,
            deployments,
            services,
            knative,
            service_monitors,
            pod_monitors,
            autoscalers,
            budgets,
            revisions,
            filled,
        };
        let watches = Watches {
            records: record_watch,
            deployments: deployment_watch,
            services: service_watch,
            knative: knative_watch,
            service_monitors: service_monitor_watch,
            pod_monitors: pod_monitor_watch,
            autoscalers: autoscaler_watch,
            budgets: budget_watch,
            revisions: revision_watch,
        };
        (caches, watches, feeds)
    }

    /// Resolves when every cache has been filled once; never while the watches are not polled. A kind that the cluster
    /// does not have needs no filling. (Not the stores' own `wait_until_ready`: it wakes only the last of several that wait.)
    pub async fn synced(&self) -> Result<(), WatchesEnded> {
        for filled in &self.filled {
            filled.clone().wait_for(|filled| *filled).await.map_err(|_| WatchesEnded)?;
        }
        self.knative.settled().await?;
        self.service_monitors.settled().await?;
        self.pod_monitors.settled().await
    }

    /// Whether the cluster has this kind, as far as anybody knows. One that a class can do without is not there either
    /// where the API server does not let us list it.
    pub fn has(&self, kind: ObjectKind) -> bool {
        let presence = match kind {
            ObjectKind::KnativeService => *self.knative.presence.borrow(),
            ObjectKind::ServiceMonitor => *self.service_monitors.presence.borrow(),
            ObjectKind::PodMonitor => *self.pod_monitors.presence.borrow(),
            ObjectKind::Deployment | ObjectKind::Service | ObjectKind::Autoscaler | ObjectKind::PodDisruptionBudget => {
                return true;
            }
        };
        presence != Presence::Absent && !(kind.is_dispensable() && presence == Presence::Refused)
    }

    /// The cached object of a kind and name, where it carries our label; an autoscaler also where it does not.
    pub fn get(&self, kind: ObjectKind, namespace: &str, name: &str) -> Option<LiveObject> {
        match kind {
            ObjectKind::Deployment => found(kind, &self.deployments, namespace, name),
            ObjectKind::Service => found(kind, &self.services, namespace, name),
            ObjectKind::KnativeService => found(kind, &self.knative.store, namespace, name),
            ObjectKind::Autoscaler => found(kind, &self.autoscalers, namespace, name),
            ObjectKind::PodDisruptionBudget => found(kind, &self.budgets, namespace, name),
            ObjectKind::ServiceMonitor => found(kind, &self.service_monitors.store, namespace, name),
            ObjectKind::PodMonitor => found(kind, &self.pod_monitors.store, namespace, name),
        }
    }

    /// Whether [`Caches::get`] would find one.
    pub fn contains(&self, kind: ObjectKind, namespace: &str, name: &str) -> bool {
        match kind {
            ObjectKind::Deployment => is_in(&self.deployments, namespace, name),
            ObjectKind::Service => is_in(&self.services, namespace, name),
            ObjectKind::KnativeService => is_in(&self.knative.store, namespace, name),
            ObjectKind::Autoscaler => is_in(&self.autoscalers, namespace, name),
            ObjectKind::PodDisruptionBudget => is_in(&self.budgets, namespace, name),
            ObjectKind::ServiceMonitor => is_in(&self.service_monitors.store, namespace, name),
            ObjectKind::PodMonitor => is_in(&self.pod_monitors.store, namespace, name),
        }
    }

    /// Everything in a namespace that belongs to a record: controlled by its UID or, with no controller at all, ours
    /// by its labels (somebody took the owner reference away).
    pub fn children(&self, namespace: &str, uid: &str, owner_label: &str) -> Vec<LiveObject> {
        let whose = (namespace, uid, owner_label);
        let of_kind = |kind| match kind {
            ObjectKind::Deployment => collect(kind, &self.deployments, whose),
            ObjectKind::Service => collect(kind, &self.services, whose),
            ObjectKind::KnativeService => collect(kind, &self.knative.store, whose),
            ObjectKind::Autoscaler => collect(kind, &self.autoscalers, whose),
            ObjectKind::PodDisruptionBudget => collect(kind, &self.budgets, whose),
            ObjectKind::ServiceMonitor => collect(kind, &self.service_monitors.store, whose),
            ObjectKind::PodMonitor => collect(kind, &self.pod_monitors.store, whose),
        };
        ObjectKind::ALL.into_iter().flat_map(of_kind).collect()
    }

    /// Pods of a Knative Service, of all its versions that run: how many Knative wants, and how many are ready.
    pub fn knative_pods(&self, namespace: &str, service: &str) -> (i32, i32) {
        let of = self.revisions.state_filter(|object| revisions::is_of(object, namespace, service));
        of.iter().map(|object| revisions::pods(object)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// The autoscalers that target a Deployment, whoever made them; by name.
    pub fn scalers(&self, namespace: &str, deployment: &str) -> Vec<Scaler> {
        let targets = |object: &HorizontalPodAutoscaler| {
            object.metadata.namespace.as_deref() == Some(namespace) && autoscalers::targets(object, deployment)
        };
        let mut found: Vec<Scaler> =
            self.autoscalers.state_filter(targets).iter().map(|object| Scaler::of(object)).collect();
        found.sort_by(|one, other| one.name().cmp(other.name()));
        found
    }
}

impl<K: OptionalKind> Optional<K> {
    /// Resolves when the cache is filled, or needs no filling.
    async fn settled(&self) -> Result<(), WatchesEnded> {
        let settled = |presence: &Presence| *presence != Presence::Filling;
        self.presence.clone().wait_for(settled).await.map(|_| ()).map_err(|_| WatchesEnded)
    }
}

/// The cache of an optional kind, what fills it, and its changes.
fn optional<K: OptionalKind>(
    client: &Client,
    namespace: Option<&str>,
    ours: &watcher::Config,
    cluster: &ClusterFacts,
) -> (Feed<K>, Optional<K>, WatchStream<OptionalObject<K>>) {
    let (feed, Fed { store, changes, presence }) = Feed::new(client, namespace, ours.clone(), K::installed(cluster));
    (feed, Optional { store, presence }, changes)
}

fn found<K>(kind: ObjectKind, store: &Store<K>, namespace: &str, name: &str) -> Option<LiveObject>
where
    K: Resource<DynamicType = ()> + Clone + Serialize + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace)).map(|object| live(kind, &*object))
}

fn is_in<K>(store: &Store<K>, namespace: &str, name: &str) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace)).is_some()
}

fn collect<K>(kind: ObjectKind, store: &Store<K>, (namespace, uid, owner): (&str, &str, &str)) -> Vec<LiveObject>
where
    K: Resource<DynamicType = ()> + Clone + Serialize + 'static,
{
    let ours = |object: &K| {
        object.meta().namespace.as_deref() == Some(namespace) && super::ownership::belongs_to(object.meta(), uid, owner)
    };
    store.state_filter(ours).iter().map(|object| live(kind, &**object)).collect()
}

/// One shape for an object of any kind.
pub fn live<K: Resource + Serialize>(kind: ObjectKind, object: &K) -> LiveObject {
    // A type of the Kubernetes API always serialises; were it not so, the object would differ and be applied again.
    let content = serde_json::to_value(object).unwrap_or(Value::Null);
    LiveObject { kind, meta: object.meta().clone(), content }
}

/// What of a kind is kept, and which of its changes are told.
pub(super) struct Kept<K> {
    /// What of the managed fields is read.
    pub(super) fields: Fields,
    /// Takes away what nobody reads.
    pub(super) reduce: fn(&mut K),
    /// Whether anybody should hear of a change.
    pub(super) is_news: IsNews<K>,
}

pub(super) type IsNews<K> = Box<dyn FnMut(&watcher::Event<K>) -> bool + Send>;

/// A change is news where it changes what matters of an object: a look that found nothing new is told to nobody.
pub(super) fn where_changed<K, S>(matters: fn(&K) -> S) -> IsNews<K>
where
    K: Resource<DynamicType = ()> + 'static,
    S: PartialEq + Copy + Send + 'static,
{
    let mut told: HashMap<String, S> = HashMap::new();
    let uid = |object: &K| object.meta().uid.clone().unwrap_or_default();
    Box::new(move |event| match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            let state = matters(object);
            told.insert(uid(object), state) != Some(state)
        }
        watcher::Event::Delete(object) => {
            told.remove(&uid(object));
            true
        }
        watcher::Event::Init | watcher::Event::InitDone => true,
    })
}

impl<K> Kept<K> {
    fn whole() -> Self {
        Self { fields: owners_of_scale, reduce: |_| {}, is_news: Box::new(|_| true) }
    }
}

impl Kept<RawRecord> {
    fn records() -> Self {
        Self { fields: spec_writes, ..Self::whole() }
    }
}

/// What is kept of managed fields.
pub(super) type Fields = fn(Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry>;

fn cache<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    kept: Kept<K>,
) -> (Store<K>, WatchStream<K>, watch::Receiver<bool>)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    tracked(client, namespace, config, Fresh::default(), kept)
}

/// A cache that tells how far it is.
fn tracked<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    fresh: Fresh,
    kept: Kept<K>,
) -> (Store<K>, WatchStream<K>, watch::Receiver<bool>)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let api: Api<K> = namespace.map_or_else(|| Api::all(client.clone()), |ns| Api::namespaced(client.clone(), ns));
    let (store, writer) = reflector::store();
    let (filled, is_filled) = watch::channel(false);
    let Kept { fields, reduce, mut is_news } = kept;
    let stream = watcher(api, config)
        .backoff(Pauses::default())
        .modify(move |object| {
            let meta = object.meta_mut();
            meta.managed_fields = meta.managed_fields.take().map(fields);
            reduce(object);
        })
        .reflect(writer)
        .inspect_ok(move |event| {
            fresh.told(event);
            if matches!(event, watcher::Event::InitDone) {
                filled.send_replace(true);
            }
        })
        .try_filter(move |event| std::future::ready(is_news(event)))
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

/// Of an object's managed fields only this is read: who owns the number of replicas. The rest is most of an object's size.
pub(super) fn owners_of_scale(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let owned = |entry: &ManagedFieldsEntry, field: &str| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(&format!("/f:spec/f:{field}")).is_some())
    };
    let reduced = |mut entry: ManagedFieldsEntry| {
        let field = ObjectKind::ALL.iter().filter_map(|kind| kind.scale_field()).find(|field| owned(&entry, field))?;
        entry.fields_v1.iter_mut().for_each(|fields| fields.0 = json!({"f:spec": {format!("f:{field}"): {}}}));
        Some(entry)
    };
    entries.into_iter().filter_map(reduced).collect()
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
