//! What every reconcile works with.

use std::sync::Arc;

use super::births::Births;
use super::capped::Capped;
use super::grid::Grids;
use super::judgement::Judgement;
use super::memory::Memory;
use crate::cluster::apply::Applier;
use crate::cluster::caches::Caches;
use crate::cluster::events::Recorder;
use crate::telemetry::metrics::Metrics;

/// What every reconcile works with.
pub struct Context {
    /// What is known of the cluster.
    pub caches: Caches,
    /// Writes to the API server.
    pub applier: Applier,
    /// Events.
    pub recorder: Recorder,
    /// The policy that holds.
    pub judgement: Arc<Judgement>,
    /// Most replicas of a component, whatever a policy says.
    pub max_replicas: u32,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// One birth of a name at a time.
    pub births: Births,
    /// Classes that a cap keeps from what is recommended for them.
    pub capped: Capped,
    /// What data grids say of themselves.
    pub grids: Arc<Grids>,
    /// What is remembered of each record.
    pub memory: Memory,
}
