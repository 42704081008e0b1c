//! What a data grid says of itself, asked at its HTTP endpoint. A grid need not have one: whatever can't be had or
//! understood is silence, never an error.

mod answer;
mod http;

use async_trait::async_trait;

pub use http::HttpProber;

use crate::api::{OdgmPartitions, OdgmStatus};

/// What a data grid says of itself; what it does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GridHealth {
    /// Its leader; empty where it says that it has none.
    pub leader: Option<String>,
    /// Its partitions.
    pub partitions: Option<OdgmPartitions>,
}

impl GridHealth {
    /// What a status says that a grid said.
    pub fn of(status: &OdgmStatus) -> Self {
        Self { leader: status.leader.clone(), partitions: status.partitions.clone() }
    }
}

/// Asks data grids.
#[async_trait]
pub trait Prober: Send + Sync {
    /// What the data grid behind a Service says of itself, within a few seconds; `None` where it says nothing that can be
    /// understood.
    async fn ask(&self, namespace: &str, service: &str) -> Option<GridHealth>;
}
