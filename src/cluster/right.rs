//! The right to write: one value that every loop asks before each write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this instance may write; clones share it. Without leader election it may.
#[derive(Clone, Debug)]
pub struct Right(Arc<AtomicBool>);

impl Default for Right {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Right {
    /// Whether this instance may write now.
    pub fn is_held(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Gives the right, or takes it.
    pub fn set(&self, held: bool) {
        self.0.store(held, Ordering::SeqCst);
    }
}
