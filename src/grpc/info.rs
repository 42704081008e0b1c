//! `oaas.health.CrmInfoService`: what a Package Manager weighs before it deploys here.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use crate::server::Readiness;

use super::pb::oaas::common;
use super::pb::oaas::health::crm_info_service_server::CrmInfoService;
use super::pb::oaas::health::{CrmClusterHealth, CrmClusterRequest, CrmEnvHealth, CrmEnvRequest};

/// Counts the nodes of the cluster.
#[async_trait]
pub trait NodeCounter: Send + Sync + 'static {
    /// The newest count there is; `None` while the nodes could never be counted.
    async fn nodes(&self) -> Option<NodeCount>;
}

/// How many nodes there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCount {
    /// All of them.
    pub all: u32,
    /// Those that were Ready.
    pub ready: u32,
    /// When they were counted.
    pub at: Timestamp,
}

/// What the service says besides the counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InfoOptions {
    /// Name of the environment where the question names none.
    pub env: String,
    /// Availability, a ratio, to report instead of the one that nodes give.
    pub mock_availability: Option<f64>,
}

/// The service over a counter.
pub(super) struct CrmInfo {
    pub(super) counter: Arc<dyn NodeCounter>,
    pub(super) readiness: Readiness,
    pub(super) options: InfoOptions,
}

impl CrmInfo {
    async fn health(&self, asked: String) -> CrmEnvHealth {
        let nodes = self.counter.nodes().await;
        let availability = self.options.mock_availability.or_else(|| nodes.map(ratio));
        let at = nodes.map_or_else(Timestamp::now, |nodes| nodes.at);
        CrmEnvHealth {
            env_name: if asked.is_empty() { self.options.env.clone() } else { asked },
            status: standing(self.readiness.check().is_ok(), availability).to_owned(),
            crm_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            last_seen: Some(common::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }),
            node_count: nodes.map(|nodes| nodes.all),
            ready_nodes: nodes.map(|nodes| nodes.ready),
            availability,
        }
    }
}

/// A cluster without nodes can run nothing.
fn ratio(nodes: NodeCount) -> f64 {
    if nodes.all == 0 { 0.0 } else { f64::from(nodes.ready) / f64::from(nodes.all) }
}

/// In one word. How well a cluster does that does at all is what `availability` is for: a Package Manager may take
/// every other word for a refusal.
fn standing(ready: bool, availability: Option<f64>) -> &'static str {
    match availability {
        _ if !ready => "Unhealthy",
        None => "Unknown",
        Some(ratio) if ratio > 0.0 => "Healthy",
        Some(_) => "Unhealthy",
    }
}

#[tonic::async_trait]
impl CrmInfoService for CrmInfo {
    async fn get_cluster_health(
        &self,
        request: Request<CrmClusterRequest>,
    ) -> Result<Response<CrmClusterHealth>, Status> {
        let CrmEnvHealth { env_name, status, crm_version, last_seen, node_count, ready_nodes, availability } =
            self.health(request.into_inner().cluster).await;
        Ok(Response::new(CrmClusterHealth {
            cluster_name: env_name,
            status,
            crm_version,
            last_seen,
            node_count,
            ready_nodes,
            availability,
        }))
    }

    async fn get_env_health(&self, request: Request<CrmEnvRequest>) -> Result<Response<CrmEnvHealth>, Status> {
        Ok(Response::new(self.health(request.into_inner().env).await))
    }
}
