//! How a change of the policy, or of what it is asked with, reaches the classes that run.
//!
//! A [`Basis`] is what classes are decided by: a policy and a setting. When another one is offered, the whole effect on
//! the live classes is computed first. Classes that would not notice use it at once, as new ones do; the others stay
//! pinned to the basis that they run on, and go over at the bundle's pace, or, above its bound, not at all until a
//! revision raises the bound. Pure: the caller reads files, watches records, keeps the state and knows the time.

mod basis;
mod keep;
mod load;
mod pace;
mod report;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use basis::{Basis, Fixed, Origin, Source};
pub use keep::{KeepError, decode, encode};
pub use load::{Loaded, load};
pub use report::{Failure, Health, failure_json, page};
pub use state::{ClassKey, Judged, LiveClass, Offer, Pending, PendingChange, Released, Rollout, Verdict};
