//! One birth of a name at a time.
//!
//! Two records may want the same object. Each looks before it creates, but both apply as the same field manager, so the
//! API server would let the second take over what the first has just made; and with each making one of two objects that
//! both want, neither class would ever be whole. Looking and making a whole class are therefore one step.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use super::memory::ChildKey;

/// Locks; two names may share one, which costs a wait and nothing else.
const LOCKS: u64 = 256;

/// Locks by kind, namespace and name.
pub struct Births(Vec<Mutex<()>>);

impl Default for Births {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::new(())).collect())
    }
}

impl Births {
    /// Waits until nobody else is about to make any of these objects. The locks are taken in one order by everybody, so
    /// that no two wait for each other.
    pub async fn begin(&self, namespace: &str, objects: impl IntoIterator<Item = ChildKey>) -> Vec<MutexGuard<'_, ()>> {
        let mut wanted: Vec<usize> = objects.into_iter().map(|object| index(namespace, &object)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = Vec::with_capacity(wanted.len());
        for lock in wanted.into_iter().filter_map(|index| self.0.get(index)) {
            held.push(lock.lock().await);
        }
        held
    }
}

fn index(namespace: &str, object: &ChildKey) -> usize {
    let mut hasher = DefaultHasher::new();
    (namespace, object).hash(&mut hasher);
    usize::try_from(hasher.finish() % LOCKS).unwrap_or_default()
}
