//! Whether this process can do its work: one shared state that `/readyz` and the health services follow.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long the API server may be lost before this process says that it is not ready.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Shared readiness; clones see the same state.
///
/// Not ready until [`Readiness::set_synced`]; not ready while the API server has been lost for longer than the
/// patience; not ready, for good, once draining.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<watch::Sender<State>>,
    patience: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    synced: bool,
    draining: bool,
    lost_since: Option<Instant>,
}

/// Why this process is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It is about to end.
    #[error("shutting down")]
    Draining,
    /// The caches are not filled yet.
    #[error("caches are not synced yet")]
    NotSynced,
    /// The API server has not answered for a while.
    #[error("the API server has not answered for {} s", .0.as_secs())]
    ApiServerLost(Duration),
}

/// Wakes when readiness may have changed.
#[derive(Debug)]
pub struct Watcher {
    changes: watch::Receiver<State>,
    patience: Duration,
}

impl Watcher {
    /// Waits until [`Readiness::check`] may answer something else than at the last call, or since the watcher began.
    /// Cancel-safe.
    pub async fn changed(&mut self) {
        let expires = self.changes.borrow().lost_since.map(|since| since + self.patience + Duration::from_millis(1));
        let Some(at) = expires.filter(|at| *at > Instant::now()) else {
            return drop(self.changes.changed().await);
        };
        tokio::select! {
            _ = self.changes.changed() => {}
            () = tokio::time::sleep_until(at) => {}
        }
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new(DEFAULT_PATIENCE)
    }
}

impl Readiness {
    /// Not ready yet; loses its readiness when the API server is lost for longer than `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())), patience }
    }

    /// The caches are filled.
    pub fn set_synced(&self) {
        self.change(|state| state.synced = true);
    }

    /// The API server answered, whatever it answered.
    pub fn api_server_answered(&self) {
        self.change(|state| state.lost_since = None);
    }

    /// The API server could not be spoken to; only the first of a row of failures counts.
    pub fn api_server_lost(&self) {
        let now = Instant::now();
        self.change(|state| {
            state.lost_since.get_or_insert(now);
        });
    }

    /// The process is about to end.
    pub fn set_draining(&self) {
        self.change(|state| state.draining = true);
    }

    /// Whether the process is about to end.
    pub fn is_draining(&self) -> bool {
        self.state.borrow().draining
    }

    /// Ready, or why not.
    pub fn check(&self) -> Result<(), NotReady> {
        let State { synced, draining, lost_since } = *self.state.borrow();
        if draining {
            return Err(NotReady::Draining);
        }
        if !synced {
            return Err(NotReady::NotSynced);
        }
        match lost_since.map(|since| since.elapsed()) {
            Some(lost) if lost > self.patience => Err(NotReady::ApiServerLost(lost)),
            _ => Ok(()),
        }
    }

    /// Watches for changes from now on.
    pub fn watch(&self) -> Watcher {
        Watcher { changes: self.state.subscribe(), patience: self.patience }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let before = *state;
            change(state);
            *state != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ready_only_after_the_caches_are_synced_and_never_while_draining() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err(NotReady::NotSynced));
        readiness.set_synced();
        assert_eq!(readiness.check(), Ok(()));
        readiness.set_draining();
        assert_eq!(readiness.check(), Err(NotReady::Draining));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_loss_of_the_api_server_is_no_loss_and_a_long_one_is_until_it_answers() {
        let readiness = Readiness::new(Duration::from_secs(10));
        readiness.set_synced();
        readiness.api_server_lost();
        tokio::time::advance(Duration::from_secs(9)).await;
        readiness.api_server_lost();
        assert_eq!(readiness.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(readiness.check(), Err(NotReady::ApiServerLost(Duration::from_secs(11))));
        readiness.api_server_answered();
        assert_eq!(readiness.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_wakes_when_patience_ends_although_nobody_says_anything() {
        let readiness = Readiness::new(Duration::from_secs(10));
        readiness.set_synced();
        readiness.api_server_lost();
        readiness.watch().changed().await;
        assert!(matches!(readiness.check(), Err(NotReady::ApiServerLost(_))));
    }
}
