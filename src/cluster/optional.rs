//! Kinds that a cluster has or has not, and that come and go while the controller runs: Knative Services and the monitors
//! of the Prometheus operator. They are watched for as long as they are there, also where the feature is off: what was made
//! while it was on must still go.

use std::borrow::Cow;
use std::marker::PhantomData;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::caches::{Pauses, WatchStream};
use crate::decision::ClusterFacts;
use crate::render::ObjectKind;

/// Objects that wait to be looked at before the watch waits too.
const QUEUE: usize = 64;

/// A kind that a cluster has or has not.
pub trait OptionalKind: Clone + std::fmt::Debug + Default + Send + Sync + 'static {
    /// The kind.
    const KIND: ObjectKind;
    /// Its name in the API's paths.
    const PLURAL: &'static str;

    /// Whether the cluster has it, where that is known.
    fn installed(facts: &ClusterFacts) -> Option<bool>;
}

/// Knative Services.
#[derive(Clone, Debug, Default)]
pub struct Knative;

/// ServiceMonitors.
#[derive(Clone, Debug, Default)]
pub struct OfServices;

/// PodMonitors.
#[derive(Clone, Debug, Default)]
pub struct OfPods;

impl OptionalKind for Knative {
    const KIND: ObjectKind = ObjectKind::KnativeService;
    const PLURAL: &'static str = "services";

    fn installed(facts: &ClusterFacts) -> Option<bool> {
        facts.knative
    }
}

impl OptionalKind for OfServices {
    const KIND: ObjectKind = ObjectKind::ServiceMonitor;
    const PLURAL: &'static str = "servicemonitors";

    fn installed(facts: &ClusterFacts) -> Option<bool> {
        facts.service_monitor
    }
}

impl OptionalKind for OfPods {
    const KIND: ObjectKind = ObjectKind::PodMonitor;
    const PLURAL: &'static str = "podmonitors";

    fn installed(facts: &ClusterFacts) -> Option<bool> {
        facts.pod_monitor
    }
}

/// An object of an optional kind, as it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct OptionalObject<K: OptionalKind> {
    #[serde(default = "api_version::<K>")]
    api_version: Cow<'static, str>,
    #[serde(default = "kind::<K>")]
    kind: Cow<'static, str>,
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
    #[serde(skip)]
    of: PhantomData<K>,
}

fn api_version<K: OptionalKind>() -> Cow<'static, str> {
    K::KIND.api_version().into()
}

fn kind<K: OptionalKind>() -> Cow<'static, str> {
    K::KIND.kind().into()
}

impl<K: OptionalKind> Resource for OptionalObject<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        kind::<K>()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::KIND.api_version().split_once('/').map_or("", |(group, _)| group).into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::KIND.api_version().split_once('/').map_or("v1", |(_, version)| version).into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// How it stands with the kind and its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nobody knows yet whether the cluster has it.
    Unknown,
    /// The cluster does not have it.
    Absent,
    /// It has; the cache is not filled yet.
    Filling,
    /// The cache is filled.
    Filled,
    /// The API server does not let us list them.
    Refused,
}

/// Fills the cache while the cluster has the kind; it must be run.
pub struct Feed<K: OptionalKind> {
    client: Client,
    namespace: Option<String>,
    config: watcher::Config,
    writer: reflector::store::Writer<OptionalObject<K>>,
    tell: mpsc::Sender<OptionalObject<K>>,
    presence: watch::Sender<Presence>,
}

/// What a feed gives: the cache, changes as they come, and how it stands.
pub(super) struct Fed<K: OptionalKind> {
    pub(super) store: Store<OptionalObject<K>>,
    pub(super) changes: WatchStream<OptionalObject<K>>,
    pub(super) presence: watch::Receiver<Presence>,
}

impl<K: OptionalKind> Feed<K> {
    /// A feed over one namespace, or over all; `installed` is what is known of the cluster now.
    pub(super) fn new(
        client: &Client,
        namespace: Option<&str>,
        config: watcher::Config,
        installed: Option<bool>,
    ) -> (Self, Fed<K>) {
        let (store, writer) = reflector::store();
        let (tell, told) = mpsc::channel(QUEUE);
        let (presence, seen) = watch::channel(match installed {
            Some(true) => Presence::Filling,
            Some(false) => Presence::Absent,
            None => Presence::Unknown,
        });
        let (client, namespace) = (client.clone(), namespace.map(str::to_owned));
        let feed = Self { client, namespace, config, writer, tell, presence };
        (feed, Fed { store, changes: ReceiverStream::new(told).map(Ok).boxed(), presence: seen })
    }

    /// Runs until `shutdown`, following what is found out about the cluster. Not knowing changes nothing.
    pub async fn run(mut self, mut facts: watch::Receiver<ClusterFacts>, shutdown: CancellationToken) {
        let follow = async {
            loop {
                let installed = K::installed(&facts.borrow_and_update());
                if installed == Some(true) {
                    self.presence.send_if_modified(|presence| {
                        let first = matches!(*presence, Presence::Unknown | Presence::Absent);
                        if first {
                            *presence = Presence::Filling;
                        }
                        first
                    });
                    tokio::select! {
                        () = self.watch() => return,
                        gone = facts.wait_for(|facts| K::installed(facts) == Some(false)) => if gone.is_err() { return },
                    }
                } else {
                    if installed == Some(false) {
                        self.clear();
                    }
                    if facts.changed().await.is_err() {
                        return;
                    }
                }
            }
        };
        let _ = shutdown.run_until_cancelled(follow).await;
    }

    /// The kind is gone, and with it every object of it.
    fn clear(&mut self) {
        self.writer.apply_watcher_event(&Event::Init);
        self.writer.apply_watcher_event(&Event::InitDone);
        self.presence.send_replace(Presence::Absent);
    }

    /// Ends only when nobody listens any more.
    async fn watch(&mut self) {
        let (client, namespace) = (self.client.clone(), self.namespace.as_deref());
        let api: Api<OptionalObject<K>> =
            namespace.map_or_else(|| Api::all(client.clone()), |one| Api::namespaced(client.clone(), one));
        let events = watcher(api, self.config.clone()).backoff(Pauses::default()).modify(|object| {
            object.metadata.managed_fields = None;
        });
        let mut events = std::pin::pin!(events);
        loop {
            let event = match events.try_next().await {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(kind = K::KIND.title(), %error, "a watch failed and is taken up again");
                    if is_refused(&error) {
                        self.presence.send_replace(Presence::Refused);
                    }
                    continue;
                }
            };
            self.writer.apply_watcher_event(&event);
            match event {
                Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
                    if self.tell.send(object).await.is_err() {
                        return;
                    }
                }
                Event::Init => {}
                Event::InitDone => {
                    self.presence.send_replace(Presence::Filled);
                }
            }
        }
    }
}

/// Waiting for such a list would be waiting for a person.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404))
}
