//! What the API server says of the classes: records, their pods and Events, watched, never asked for again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::show::{Row, row};
use crate::api::{DeploymentRecord, LABEL_OWNER};
use crate::model::names::Names;

/// Faster than this nobody reads.
const TOGETHER: Duration = Duration::from_millis(50);

/// The classes of one namespace, as they are now.
#[derive(Debug)]
pub struct Board {
    records: reflector::Store<DeploymentRecord>,
    pods: reflector::Store<Pod>,
    events: reflector::Store<Event>,
    changes: watch::Receiver<()>,
    /// Ends with this.
    _watching: JoinSet<()>,
}

impl Board {
    /// Begins to watch. What cannot be watched is tried again, for as long as this lives.
    pub fn watch(client: &Client, namespace: &str) -> Self {
        let (sender, changes) = watch::channel(());
        let any = watcher::Config::default();
        let (records, of_records) = reflect(Api::namespaced(client.clone(), namespace), any.clone());
        let (pods, of_pods) = reflect(Api::namespaced(client.clone(), namespace), any.clone().labels(LABEL_OWNER));
        let of_records_only = any.fields("regarding.kind=DeploymentRecord");
        let (events, of_events) = reflect(Api::namespaced(client.clone(), namespace), of_records_only);
        let mut all = stream::select_all([of_records, of_pods, of_events]);
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            while all.next().await.is_some() {
                // Nobody listens any more: this is about to be dropped.
                let _ = sender.send(());
            }
        });
        Self { records, pods, events, changes, _watching: watching }
    }

    /// Waits for a change since the last call; changes that come together are one.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep(TOGETHER).await;
        self.changes.mark_unchanged();
    }

    /// A row a class, by name.
    pub fn rows(&self) -> Vec<Row> {
        let mut ready: BTreeMap<String, i32> = BTreeMap::new();
        for pod in self.pods.state().iter().filter(|pod| serves(pod)) {
            if let Some(owner) = pod.labels().get(LABEL_OWNER) {
                *ready.entry(owner.clone()).or_default() += 1;
            }
        }
        let events = self.events.state();
        let events = latest(events.iter().map(|event| &**event));
        let mut records = self.records.state();
        records.sort_by_key(|record| record.name_any());
        let rows = records.iter().map(|record| {
            let class = Names::new(&record.name_any(), []).class().to_owned();
            let event = record.uid().and_then(|uid| events.get(uid.as_str()));
            row(record, ready.get(&class).copied().unwrap_or(0), event.copied())
        });
        rows.collect()
    }
}

type Changes = futures::stream::BoxStream<'static, ()>;

fn reflect<K>(api: Api<K>, config: watcher::Config) -> (reflector::Store<K>, Changes)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let events = watcher(api, config).default_backoff().reflect(writer);
    (reader, settled(events).boxed())
}

/// One item for each change that readers of the store can see.
fn settled<K: Send>(events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send) -> impl Stream<Item = ()> {
    events.filter_map(|event| async move {
        match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => Some(()),
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_) => None,
        }
    })
}

fn serves(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// The newest Event of each object, by the object's uid.
fn latest<'a>(events: impl Iterator<Item = &'a Event>) -> BTreeMap<&'a str, &'a Event> {
    let mut latest: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in events {
        let Some(uid) = event.regarding.as_ref().and_then(|about| about.uid.as_deref()) else { continue };
        let newest = latest.entry(uid).or_insert(event);
        if time(event) >= time(newest) {
            *newest = event;
        }
    }
    latest
}

fn time(event: &Event) -> Option<jiff::Timestamp> {
    event.event_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(uid: &str, at: &str, reason: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": format!("{uid}.{at}")}, "regarding": {"uid": uid}, "reason": reason,
            "eventTime": format!("2026-01-01T00:00:{at}Z"),
        }))
        .unwrap()
    }

    #[test]
    fn the_last_event_is_the_newest_whatever_the_order() {
        let events = [event("a", "02.000002", "New"), event("a", "02.000001", "Old"), event("b", "01.000000", "Other")];
        for events in [events.iter().collect::<Vec<_>>(), events.iter().rev().collect()] {
            let latest = latest(events.into_iter());
            assert_eq!(latest.get("a").unwrap().reason.as_deref(), Some("New"));
            assert_eq!(latest.get("b").unwrap().reason.as_deref(), Some("Other"));
        }
    }

    #[test]
    fn a_pod_that_is_going_does_not_count() {
        let mut pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        assert!(serves(&pod));
        pod.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert!(!serves(&pod));
    }
}
