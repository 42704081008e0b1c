//! What was measured: samples of every component, fetched in a few batched queries and joined in memory.
//!
//! A [`Source`] answers one range query a signal; [`Scope`] says which namespaces it is about; [`Pods`] knows which
//! component a pod belongs to, also one that is gone; [`Store`] keeps the samples. All but the sources are free of I/O,
//! and time is passed in.
//!
//! Whatever is wrong with an answer makes it no data, with a reason ([`Fault`]): a number that might be wrong is worse
//! than none, since nothing shrinks on missing data.

mod combine;
mod fault;
mod join;
mod pods;
mod prometheus;
mod scope;
mod source;
mod store;

pub use fault::{Fault, FaultKind};
pub use pods::{ComponentKey, Pod, Pods};
pub use prometheus::{Prometheus, PrometheusError, PrometheusOptions};
pub use scope::Scope;
pub use source::{RangeQuery, Row, Source};
pub use store::{Ask, Asked, Spec, Store};
