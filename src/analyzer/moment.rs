//! The time of a look, and how late it has become since.

use jiff::Timestamp;
use tokio::time::Instant;

use super::report::whole;

/// When a look began.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time that everything is decided at.
    pub at: Timestamp,
    begun: Instant,
}

impl Moment {
    /// A look that begins now, at the time that the caller says it is.
    pub fn new(at: Timestamp) -> Self {
        Self { at, begun: Instant::now() }
    }

    /// The time by now, in whole seconds: measuring may have taken a while, and what is written now is written now.
    pub fn by_now(self) -> Timestamp {
        whole(self.at.checked_add(self.begun.elapsed()).unwrap_or(self.at)).0
    }
}
