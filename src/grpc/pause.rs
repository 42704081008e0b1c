//! The pause after a conflict: longer each time, with jitter, so that writers get out of each other's way.

use std::time::Duration;

use rand::Rng as _;

/// First and longest pause.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Pauses of one call. There is no last one: the call's deadline ends it.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) fn new() -> Self {
        Self(BOUNDS.0)
    }

    pub(super) async fn wait(&mut self) {
        let jitter = rand::rng().random_range(0.5..1.5);
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(BOUNDS.1);
    }
}
