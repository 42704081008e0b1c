//! Knative Services: a kind that a cluster has or has not, and that comes and goes while the controller runs. They are
//! watched for as long as it is there, also where the feature is off: what was made while it was on must still go.

use std::borrow::Cow;

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

/// A Knative Service, as it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnativeService {
    #[serde(default = "api_version")]
    api_version: Cow<'static, str>,
    #[serde(default = "kind")]
    kind: Cow<'static, str>,
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

fn api_version() -> Cow<'static, str> {
    ObjectKind::KnativeService.api_version().into()
}

fn kind() -> Cow<'static, str> {
    ObjectKind::KnativeService.kind().into()
}

impl Resource for KnativeService {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        kind()
    }

    fn group((): &()) -> Cow<'_, str> {
        "serving.knative.dev".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "services".into()
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
pub struct Feed {
    client: Client,
    namespace: Option<String>,
    config: watcher::Config,
    writer: reflector::store::Writer<KnativeService>,
    tell: mpsc::Sender<KnativeService>,
    presence: watch::Sender<Presence>,
}

/// What a feed gives: the cache, changes as they come, and how it stands.
pub(super) struct Fed {
    pub(super) store: Store<KnativeService>,
    pub(super) changes: WatchStream<KnativeService>,
    pub(super) presence: watch::Receiver<Presence>,
}

impl Feed {
    /// A feed over one namespace, or over all; `installed` is what is known of the cluster now.
    pub(super) fn new(
        client: &Client,
        namespace: Option<&str>,
        config: watcher::Config,
        installed: Option<bool>,
    ) -> (Self, Fed) {
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
                let installed = facts.borrow_and_update().knative;
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
                        gone = facts.wait_for(|facts| facts.knative == Some(false)) => if gone.is_err() { return },
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
        let api: Api<KnativeService> =
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
                    tracing::warn!(%error, "the watch of Knative Services failed and is taken up again");
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
