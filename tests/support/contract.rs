//! A Package Manager as the contract describes it: messages with the contract's numbers, written by hand from its tables
//! and not from `proto/`, and calls by name. What this decodes, any Package Manager decodes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

pub const CANONICAL: &str = "deployment.DeploymentService";
pub const ALIAS: &str = "oaas.deployment.DeploymentService";

#[derive(Clone, PartialEq, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceRequirements {
    #[prost(string, tag = "1")]
    pub cpu_request: String,
    #[prost(string, tag = "2")]
    pub memory_request: String,
    #[prost(string, optional, tag = "3")]
    pub cpu_limit: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub memory_limit: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NfrRequirements {
    #[prost(uint32, optional, tag = "1")]
    pub max_latency_ms: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    pub min_throughput_rps: Option<u32>,
    #[prost(double, optional, tag = "3")]
    pub availability: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub cpu_utilization_target: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ProvisionConfig {
    #[prost(string, optional, tag = "1")]
    pub container_image: Option<String>,
    #[prost(uint32, optional, tag = "2")]
    pub port: Option<u32>,
    #[prost(uint32, tag = "3")]
    pub max_concurrency: u32,
    #[prost(bool, tag = "4")]
    pub need_http2: bool,
    #[prost(string, optional, tag = "5")]
    pub cpu_request: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub memory_request: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub cpu_limit: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub memory_limit: Option<String>,
    #[prost(uint32, optional, tag = "9")]
    pub min_scale: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub max_scale: Option<u32>,
    #[prost(string, optional, tag = "11")]
    pub wasm_module_url: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct FunctionDeploymentSpec {
    #[prost(string, tag = "1")]
    pub function_key: String,
    #[prost(uint32, tag = "2")]
    pub replicas: u32,
    #[prost(message, optional, tag = "3")]
    pub resource_requirements: Option<ResourceRequirements>,
    #[prost(string, tag = "4")]
    pub image: String,
    #[prost(string, optional, tag = "5")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub available_location: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub nfr_requirements: Option<NfrRequirements>,
    #[prost(message, optional, tag = "8")]
    pub provision_config: Option<ProvisionConfig>,
    #[prost(btree_map = "string, string", tag = "9")]
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct FunctionRoute {
    #[prost(string, tag = "1")]
    pub url: String,
    #[prost(bool, optional, tag = "2")]
    pub stateless: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    pub standby: Option<bool>,
    #[prost(uint64, repeated, tag = "4")]
    pub active_group: Vec<u64>,
    #[prost(string, optional, tag = "5")]
    pub function_key: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct InvocationRoutes {
    #[prost(btree_map = "string, message", tag = "1")]
    pub fn_routes: BTreeMap<String, FunctionRoute>,
    #[prost(string, repeated, tag = "2")]
    pub disabled_fn: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OdgmNodeIds {
    #[prost(uint64, repeated, tag = "1")]
    pub ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ShardAssignmentSpec {
    #[prost(uint64, optional, tag = "1")]
    pub primary: Option<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub replica: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub shard_ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CollectionShardAssignments {
    #[prost(message, repeated, tag = "1")]
    pub assignments: Vec<ShardAssignmentSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OdgmConfig {
    #[prost(string, repeated, tag = "1")]
    pub collections: Vec<String>,
    #[prost(uint32, optional, tag = "2")]
    pub partition_count: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub replica_count: Option<u32>,
    #[prost(string, optional, tag = "4")]
    pub shard_type: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub invocations: Option<InvocationRoutes>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub options: BTreeMap<String, String>,
    #[prost(string, optional, tag = "7")]
    pub log: Option<String>,
    #[prost(btree_map = "string, message", tag = "8")]
    pub env_node_ids: BTreeMap<String, OdgmNodeIds>,
    #[prost(uint64, optional, tag = "9")]
    pub odgm_node_id: Option<u64>,
    #[prost(btree_map = "string, message", tag = "10")]
    pub collection_assignments: BTreeMap<String, CollectionShardAssignments>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Enforcement {
    #[prost(string, tag = "1")]
    pub mode: String,
    #[prost(string, repeated, tag = "2")]
    pub dimensions: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeploymentUnit {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub package_name: String,
    #[prost(string, tag = "3")]
    pub class_key: String,
    #[prost(string, tag = "4")]
    pub target_cluster: String,
    #[prost(message, repeated, tag = "5")]
    pub functions: Vec<FunctionDeploymentSpec>,
    #[prost(string, tag = "6")]
    pub target_env: String,
    #[prost(message, optional, tag = "7")]
    pub nfr_requirements: Option<NfrRequirements>,
    #[prost(message, optional, tag = "8")]
    pub created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "9")]
    pub odgm_config: Option<OdgmConfig>,
    #[prost(string, optional, tag = "11")]
    pub selected_template: Option<String>,
    #[prost(string, repeated, tag = "100")]
    pub addons: Vec<String>,
    #[prost(message, optional, tag = "101")]
    pub enforcement: Option<Enforcement>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceReference {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, optional, tag = "3")]
    pub namespace: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub uid: Option<String>,
}

/// `SummarizedStatus`.
pub const RUNNING: i32 = 1;
pub const PROGRESSING: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct OClassDeployment {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub package_name: String,
    #[prost(string, tag = "3")]
    pub class_key: String,
    #[prost(string, tag = "4")]
    pub target_env: String,
    #[prost(string, repeated, tag = "5")]
    pub target_clusters: Vec<String>,
    #[prost(message, optional, tag = "6")]
    pub nfr_requirements: Option<NfrRequirements>,
    #[prost(message, repeated, tag = "7")]
    pub functions: Vec<FunctionDeploymentSpec>,
    #[prost(message, optional, tag = "8")]
    pub created_at: Option<Timestamp>,
    #[prost(int32, optional, tag = "9")]
    pub summarized_status: Option<i32>,
    #[prost(message, repeated, tag = "11")]
    pub resource_refs: Vec<ResourceReference>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeployRequest {
    #[prost(message, optional, tag = "1")]
    pub deployment_unit: Option<DeploymentUnit>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeployResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(string, tag = "2")]
    pub deployment_id: String,
    #[prost(string, optional, tag = "3")]
    pub message: Option<String>,
}

/// The question of GetDeploymentStatus, GetDeploymentRecord and DeleteDeployment.
#[derive(Clone, PartialEq, Message)]
pub struct ById {
    #[prost(string, tag = "1")]
    pub deployment_id: String,
}

/// What stands for a class in the answers: one of the two forms.
pub trait Payload: Message + Default + Clone + PartialEq + std::fmt::Debug + 'static {}

impl Payload for OClassDeployment {}
impl Payload for DeploymentUnit {}

/// The answer of GetDeploymentStatus, its payload being a `P`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusResponse<P: Payload> {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(message, optional, tag = "2")]
    pub deployment: Option<P>,
    #[prost(string, optional, tag = "3")]
    pub message: Option<String>,
    #[prost(message, repeated, tag = "4")]
    pub status_resource_refs: Vec<ResourceReference>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeleteResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListRequest {
    #[prost(string, optional, tag = "1")]
    pub package_name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub class_key: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub target_env: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub status: Option<String>,
    #[prost(uint32, optional, tag = "10")]
    pub limit: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    pub offset: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListResponse<P: Payload> {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<P>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RecordResponse<P: Payload> {
    #[prost(message, optional, tag = "1")]
    pub deployment: Option<P>,
}

/// The question of GetClusterHealth and GetEnvHealth.
#[derive(Clone, PartialEq, Message)]
pub struct ByName {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The answer to both.
#[derive(Clone, PartialEq, Message)]
pub struct CrmHealth {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub status: String,
    #[prost(string, optional, tag = "3")]
    pub crm_version: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub last_seen: Option<Timestamp>,
    #[prost(uint32, optional, tag = "5")]
    pub node_count: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub ready_nodes: Option<u32>,
    #[prost(double, optional, tag = "7")]
    pub availability: Option<f64>,
}

/// A client of one of the two names of the service.
#[derive(Clone, Debug)]
pub struct Pm {
    channel: Channel,
    service: &'static str,
}

impl Pm {
    /// Connects when it is first needed, and again after a loss.
    pub fn new(address: std::net::SocketAddr, service: &'static str) -> Self {
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        Self { channel: endpoint.connect_timeout(Duration::from_secs(5)).connect_lazy(), service }
    }

    /// One call of the deployment service.
    pub async fn call<Q, A>(&self, method: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call_of(self.service, method, question).await
    }

    /// One call of any service, with half a minute for it.
    pub async fn call_of<Q, A>(&self, service: &str, method: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::try_from(format!("/{service}/{method}")).unwrap();
        let mut request = Request::new(question);
        request.set_timeout(Duration::from_secs(30));
        client.unary(request, path, ProstCodec::default()).await.map(tonic::Response::into_inner)
    }

    pub async fn deploy(&self, unit: DeploymentUnit) -> Result<DeployResponse, Status> {
        self.call("Deploy", DeployRequest { deployment_unit: Some(unit) }).await
    }

    pub async fn status<P: Payload>(&self, id: &str) -> Result<StatusResponse<P>, Status> {
        self.call("GetDeploymentStatus", by_id(id)).await
    }

    pub async fn record<P: Payload>(&self, id: &str) -> Result<Option<P>, Status> {
        self.call("GetDeploymentRecord", by_id(id)).await.map(|answer: RecordResponse<P>| answer.deployment)
    }

    pub async fn list<P: Payload>(&self, request: ListRequest) -> Result<Vec<P>, Status> {
        self.call("ListDeploymentRecords", request).await.map(|answer: ListResponse<P>| answer.items)
    }

    pub async fn delete(&self, id: &str) -> Result<DeleteResponse, Status> {
        self.call("DeleteDeployment", by_id(id)).await
    }
}

fn by_id(id: &str) -> ById {
    ById { deployment_id: id.to_owned() }
}
