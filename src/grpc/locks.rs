//! A lock for each name, held only while someone needs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by name. Within one process, writers of one record go one after the other instead of into conflicts.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

/// Unused entries are swept when the table has grown to this many.
const SWEEP_AT: usize = 1_024;

impl Locks {
    /// Waits for the lock of a name. Cancel-safe; first come, first served.
    pub(super) async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = self.entry(name);
        lock.lock_owned().await
    }

    fn entry(&self, name: &str) -> Arc<AsyncMutex<()>> {
        // The table is whole after every statement, so a panic elsewhere cannot have left it half-changed.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = table.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        if table.len() >= SWEEP_AT {
            table.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(AsyncMutex::new(()));
        table.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn one_name_is_held_by_one_and_other_names_are_free() {
        let locks = Locks::default();
        let held = locks.lock("a").await;
        assert!(timeout(Duration::from_secs(1), locks.lock("a")).await.is_err());
        drop(locks.lock("b").await);
        drop(held);
        drop(locks.lock("a").await);
    }

    #[tokio::test]
    async fn names_that_nobody_holds_do_not_pile_up() {
        let locks = Locks::default();
        for index in 0..10 * SWEEP_AT {
            drop(locks.lock(&index.to_string()).await);
        }
        assert!(locks.0.lock().unwrap().len() <= SWEEP_AT);
    }
}
