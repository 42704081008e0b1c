//! The decision log: one line for each decision that changes something or would, in a chain that shows when a line was
//! removed, edited or put elsewhere; and enough beside it to decide each again.
//!
//! Each line is JSON and holds its number and the hash of the line before, so what is written cannot be changed without
//! all that follows being written anew, and whoever noted a hash in time notices even that. [`chain`] and [`verify`] are
//! pure; [`DecisionLog`] is what the controller writes to: it never waits for a disk, never fails a decision, and leaves
//! a mark in the chain where a line could not be written.

mod bundles;
mod chain;
mod entry;
mod file;
mod journal;
mod line;
mod log;
mod news;
mod replay;
mod stdout;
mod verify;

pub use bundles::{BundleError, Bundles, beside};
pub use chain::{GENESIS, hash};
pub use entry::{Entry, Outcome, RecordRef, WhyNot};
pub use file::{FileLog, Limits, OpenError};
pub use journal::{Journal, Output};
pub use line::{Decided, Line, NotALine};
pub use log::{DecisionLog, LogError, Standing, Target};
pub use replay::{ReplayError, Replayed, replay};
pub use verify::{Found, Report, Summary, Verifier};

#[cfg(test)]
mod tests;
