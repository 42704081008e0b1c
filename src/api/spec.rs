//! `spec` of a `DeploymentRecord`. Field names are `snake_case`, as manifests in the field have them.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{bounds, status::DeploymentRecordStatus};

/// One OaaS class: its functions, its data grid and what is asked of them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "oaas.io",
    version = "v1alpha1",
    kind = "DeploymentRecord",
    plural = "deploymentrecords",
    shortname = "dr",
    category = "oaas",
    namespaced,
    status = "DeploymentRecordStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A DeploymentRecord is one OaaS class: its functions, its data grid (ODGM) and what is asked of them.",
    printcolumn = r#"{"name":"Template","type":"string","jsonPath":".status.selected_template"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Available\")].status"}"#,
    printcolumn = r#"{"name":"Replicas","type":"string","jsonPath":".status.ready_summary"}"#,
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".status.enforcement_mode"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(
    validation = Rule::new("!(has(self.function) && has(self.functions) && size(self.functions) > 0)")
        .message("set either spec.function (shorthand for one) or spec.functions, not both"),
    validation = Rule::new("has(self.function) || (has(self.functions) && size(self.functions) > 0)")
        .message("a class needs a function: set spec.function.image, or list at least one entry in spec.functions")
)]
pub struct DeploymentRecordSpec {
    /// Package that the class belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub package_name: Option<String>,
    /// Key of the class within its package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class_key: Option<String>,
    /// Environment that the class is deployed to, as the Package Manager names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub target_env: Option<String>,
    /// Cluster that the class is deployed to, as the Package Manager names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub target_cluster: Option<String>,
    /// Template to use instead of the one that the policy would choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub selected_template: Option<String>,
    /// Optional parts of the class, by name: `odgm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub addons: Vec<String>,
    /// Shorthand for a class of one function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionShorthand>,
    /// The functions of the class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["function_key".into()]))]
    pub functions: Vec<FunctionSpec>,
    /// Configuration of the Object Data Grid Manager; its presence implies the addon `odgm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odgm_config: Option<OdgmConfig>,
    /// Non-functional requirements of the whole class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfr_requirements: Option<NfrRequirements>,
    /// What the controller may do about the non-functional requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfr: Option<Nfr>,
}

/// A class of one function, in its shortest form.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionShorthand {
    /// Container image.
    #[x_kube(validation = Rule::new("size(self.trim()) > 0").message("spec.function.image must not be empty"))]
    #[schemars(length(max = 1024))]
    pub image: String,
    /// Port that the container listens on (default 8080).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
}

/// One function of a class.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(has(self.image) && size(self.image.trim()) > 0) || (has(self.container_image) && size(self.container_image.trim()) > 0)")
        .message("every function needs an image: set image (or container_image)"),
    validation = Rule::new("!has(self.min_scale) || !has(self.max_scale) || self.max_scale == 0 || self.min_scale <= self.max_scale")
        .message("min_scale must not be above max_scale")
)]
pub struct FunctionSpec {
    /// Name of the function within the class; unique.
    #[schemars(length(min = 1, max = 253))]
    pub function_key: String,
    /// Container image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image: Option<String>,
    /// Container image where `image` is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub container_image: Option<String>,
    /// Port that the container listens on (default 8080).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
    /// Number of replicas; wins over the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10000))]
    pub replicas: Option<u32>,
    /// Lower bound of autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10000))]
    pub min_scale: Option<u32>,
    /// Upper bound of autoscaling; 0 means unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10000))]
    pub max_scale: Option<u32>,
    /// Requests that one replica serves at once; 0 means unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// The container speaks HTTP/2 without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_http2: Option<bool>,
    /// What the function does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Where the function may run, as the Package Manager names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub available_location: Option<String>,
    /// WebAssembly module of the function (reserved: carried, not run).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub wasm_module_url: Option<String>,
    /// Compute resources of one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Environment of the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::env")]
    pub env: BTreeMap<String, String>,
    /// Non-functional requirements of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfr_requirements: Option<NfrRequirements>,
}

/// Compute resources as Kubernetes quantities, such as `250m` or `128Mi`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// CPU that is set aside for one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub cpu_request: Option<String>,
    /// Memory that is set aside for one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub memory_request: Option<String>,
    /// CPU that one replica may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub cpu_limit: Option<String>,
    /// Memory that one replica may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub memory_limit: Option<String>,
}

/// Configuration of the Object Data Grid Manager.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OdgmConfig {
    /// Collections that the class keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub collections: Vec<String>,
    /// Partitions of each collection (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub partition_count: Option<u32>,
    /// Replicas of each partition (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replica_count: Option<u32>,
    /// Kind of shard, such as `mst`, `raft` or `basic` (default `mst`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub shard_type: Option<String>,
    /// Options handed to each collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::options")]
    pub options: BTreeMap<String, String>,
    /// Where the data grid sends invocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocations: Option<InvocationRoutes>,
    /// Log filter of the data grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub log: Option<String>,
    /// Node ids of each environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::node_ids")]
    pub env_node_ids: BTreeMap<String, OdgmNodeIds>,
    /// Node id of this data grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<u64>,
    /// Shard assignments of each collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::assignments")]
    pub collection_assignments: BTreeMap<String, CollectionShardAssignments>,
}

/// Where invocations of a collection's objects go.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvocationRoutes {
    /// Route of each function.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::routes")]
    pub fn_routes: BTreeMap<String, FunctionRoute>,
    /// Functions that may not be invoked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 253)))]
    pub disabled_fn: Vec<String>,
}

/// Route to one function. An empty `url` with a `function_key` means that function's Service.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionRoute {
    /// URL of the function.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub url: String,
    /// The function touches no object state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateless: Option<bool>,
    /// The route is kept ready, not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<bool>,
    /// Nodes on which the route is active.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub active_group: Vec<u64>,
    /// Function of this class that an empty `url` stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub function_key: Option<String>,
}

/// Node ids of one environment.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OdgmNodeIds {
    /// The ids.
    #[schemars(length(max = 256))]
    pub ids: Vec<u64>,
}

/// Shard assignments of one collection.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionShardAssignments {
    /// One entry a partition.
    #[schemars(length(max = 4096))]
    pub assignments: Vec<ShardAssignment>,
}

/// Shards of one partition and the nodes that hold them.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardAssignment {
    /// Node that holds the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<u64>,
    /// Nodes that hold a replica.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub replica: Vec<u64>,
    /// Ids of the shards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub shard_ids: Vec<u64>,
}

/// Non-functional requirements.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NfrRequirements {
    /// Requests a second that must be served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_throughput_rps: Option<u32>,
    /// Latency that must not be exceeded, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<u32>,
    /// Share of time that the class must be available, in percent (99.9).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub availability_pct: Option<f64>,
    /// Target CPU utilisation of one replica, as the Package Manager gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_utilization_target: Option<f64>,
    /// Consistency asked of the data grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
}

/// Consistency asked of the data grid.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Replicas may differ for a while.
    Eventual,
    /// A read sees every write before it.
    Strong,
}

/// What the controller may do about the non-functional requirements.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nfr {
    /// Enforcement of recommendations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
}

/// Enforcement of recommendations.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Enforcement {
    /// Whether recommendations are computed and applied (default `observe`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EnforcementMode>,
    /// What may be changed; empty means replicas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub dimensions: Vec<EnforcementDimension>,
}

/// Whether recommendations are computed and applied.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
// Else it would stand in the definition in place of what each field says of its mode.
#[schemars(description = "")]
pub enum EnforcementMode {
    /// Nothing is recommended.
    Off,
    /// Recommendations are reported.
    #[default]
    Observe,
    /// Recommendations are applied within the safeguards.
    Enforce,
}

/// What enforcement may change.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcementDimension {
    /// Number of replicas.
    Replicas,
    /// Memory request.
    Memory,
    /// CPU request.
    Cpu,
}
