//! Does a cache know of everything that was written here?
//!
//! The API server's versions grow with every write, and a watch tells them in their order. So a cache that has been
//! told of a version has been told of all before it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Resource;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

/// How far one cache is, and how far it must be; clones share it.
#[derive(Clone, Debug)]
pub struct Fresh(Arc<State>);

#[derive(Debug)]
struct State {
    /// Newest version that the cache was told of; `None` until it was filled once.
    seen: watch::Sender<Option<u64>>,
    /// Newest version that was written here.
    written: AtomicU64,
    /// The listing that is under way.
    listing: Mutex<u64>,
    /// UIDs of objects whose deletion was complete at once: that has no version to wait for.
    gone: Mutex<HashSet<String>>,
}

impl Default for Fresh {
    fn default() -> Self {
        Self(Arc::new(State {
            seen: watch::Sender::new(None),
            written: AtomicU64::new(0),
            listing: Mutex::default(),
            gone: Mutex::default(),
        }))
    }
}

impl Fresh {
    /// Something was written, with this version as the answer. One that cannot be compared is never caught up with.
    pub fn wrote(&self, version: Option<&str>) {
        let version = version.and_then(number).unwrap_or(u64::MAX);
        self.0.written.fetch_max(version, Ordering::SeqCst);
    }

    /// This object was deleted, and is no more.
    pub fn deleted(&self, uid: &str, version: Option<&str>) {
        self.wrote(version);
        self.gone().insert(uid.to_owned());
    }

    /// Waits, no longer than `patience`, until the cache knows of everything that was written here; whether it does.
    pub async fn caught_up(&self, patience: Duration) -> bool {
        let wanted = self.0.written.load(Ordering::SeqCst);
        let mut seen = self.0.seen.subscribe();
        if wanted == u64::MAX || seen.borrow().is_none() {
            return false;
        }
        let enough = seen.wait_for(|seen| seen.is_some_and(|seen| seen >= wanted));
        matches!(tokio::time::timeout(patience, enough).await, Ok(Ok(_)))
    }

    /// Of the UIDs in a cache that has caught up, those of objects that are no more.
    pub fn gone_of<'a>(&self, cached: impl Iterator<Item = &'a str>) -> HashSet<String> {
        let mut gone = self.gone();
        if gone.is_empty() {
            return HashSet::new();
        }
        let still: HashSet<String> = cached.filter(|uid| gone.contains(*uid)).map(str::to_owned).collect();
        // It knew of them once, so one that it has no more never comes back.
        gone.clone_from(&still);
        still
    }

    /// The cache was told this; call it when it has taken it in.
    pub fn told<K: Resource>(&self, event: &Event<K>) {
        let state = &*self.0;
        match event {
            // What was written before a listing begins is in it.
            Event::Init => *self.listing() = state.written.load(Ordering::SeqCst),
            Event::InitApply(object) => {
                let mut listed = self.listing();
                *listed = (*listed).max(version(object));
            }
            Event::InitDone => self.advance(*self.listing()),
            Event::Apply(object) | Event::Delete(object) => self.advance(version(object)),
        }
    }

    fn advance(&self, version: u64) {
        self.0.seen.send_modify(|seen| *seen = Some(seen.unwrap_or_default().max(version)));
    }

    // Both are whole after every statement, so a panic elsewhere cannot have left them half-changed.
    fn gone(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listing(&self) -> std::sync::MutexGuard<'_, u64> {
        self.0.listing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(number).unwrap_or_default()
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn object(version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    fn filled(versions: &[&str]) -> Fresh {
        let fresh = Fresh::default();
        fresh.told(&Event::<ConfigMap>::Init);
        for version in versions {
            fresh.told(&Event::InitApply(object(version)));
        }
        fresh.told(&Event::<ConfigMap>::InitDone);
        fresh
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_was_never_filled_is_not_waited_for() {
        let fresh = Fresh::default();
        fresh.told(&Event::<ConfigMap>::Init);
        fresh.told(&Event::InitApply(object("5")));
        assert!(!fresh.caught_up(PATIENCE).await);
        fresh.told(&Event::<ConfigMap>::InitDone);
        assert!(fresh.caught_up(PATIENCE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_is_waited_for_until_the_watch_tells_of_it_or_of_something_later() {
        for (told, enough) in [("9", false), ("10", true), ("11", true)] {
            for event in [Event::Apply(object(told)), Event::Delete(object(told))] {
                let fresh = filled(&["7"]);
                fresh.wrote(Some("10"));
                assert!(!fresh.caught_up(PATIENCE).await);
                let waiting = tokio::spawn({
                    let fresh = fresh.clone();
                    async move { fresh.caught_up(PATIENCE).await }
                });
                tokio::task::yield_now().await;
                fresh.told(&event);
                assert_eq!(waiting.await.unwrap(), enough, "{told}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_listing_has_what_was_written_before_it_began_and_not_what_came_later() {
        let fresh = filled(&["7"]);
        fresh.wrote(Some("10"));
        fresh.told(&Event::<ConfigMap>::Init);
        fresh.told(&Event::<ConfigMap>::InitDone);
        assert!(fresh.caught_up(PATIENCE).await, "written, then removed by somebody: the listing does not show it");
        fresh.told(&Event::<ConfigMap>::Init);
        fresh.wrote(Some("12"));
        fresh.told(&Event::<ConfigMap>::InitDone);
        assert!(!fresh.caught_up(PATIENCE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn versions_that_are_no_numbers_are_never_caught_up_with() {
        for unknown in [None, Some("abc")] {
            let fresh = filled(&["7"]);
            fresh.wrote(unknown);
            assert!(!fresh.caught_up(PATIENCE).await);
        }
    }

    #[test]
    fn what_is_gone_is_left_out_until_the_cache_has_it_no_more() {
        let fresh = filled(&["7"]);
        fresh.deleted("a", Some("7"));
        assert_eq!(fresh.gone_of(["a", "b"].into_iter()), HashSet::from(["a".to_owned()]));
        assert!(fresh.gone_of(["b"].into_iter()).is_empty());
        assert!(fresh.gone().is_empty(), "nothing piles up");
    }
}
