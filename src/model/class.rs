//! The validated class.

use std::collections::BTreeMap;

use super::{Names, Quantity};
use crate::api::{
    CollectionShardAssignments, Consistency, EnforcementDimension, EnforcementMode, InvocationRoutes, OdgmNodeIds,
};

/// One class, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Name of the record, verbatim.
    pub name: String,
    /// Namespace of the record and of everything rendered for it.
    pub namespace: String,
    /// UID of the record; empty where there is no cluster (offline rendering).
    pub uid: String,
    /// Labels of the record.
    pub labels: BTreeMap<String, String>,
    /// Names of the rendered objects.
    pub names: Names,
    /// Package that the class belongs to, as a label value.
    pub package: Option<String>,
    /// Key of the class within its package, as a label value.
    pub key: Option<String>,
    /// Template that the record asks for by name.
    pub selected_template: Option<String>,
    /// Addons asked for, by their own names, sorted, each once; `odgm` is among them where an ODGM configuration is given.
    pub addons: Vec<String>,
    /// The functions, in the record's order; at least one.
    pub functions: Vec<Function>,
    /// The data grid, where one is asked for.
    pub odgm: Option<Odgm>,
    /// Requirements of the whole class.
    pub nfr: NfrTargets,
    /// What the enforcer may do.
    pub enforcement: EnforcementMode,
    /// What the enforcer may change; never empty.
    pub dimensions: Vec<EnforcementDimension>,
}

impl Class {
    /// Whether the record lets the enforcer change replicas.
    pub fn lets_scale(&self) -> bool {
        self.enforcement == EnforcementMode::Enforce && self.dimensions.contains(&EnforcementDimension::Replicas)
    }

    /// The replicas of a function that enforcement last applied, whatever record and template said then.
    pub fn last_applied_replicas(&self, key: &str) -> Option<u32> {
        let function = self.functions.iter().find(|function| function.key == key)?;
        function.applied.min_scale.as_ref()?.target.as_str().parse().ok()
    }
}

/// One function of a class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Name within the class; unique.
    pub key: String,
    /// Container image, trimmed; whether it is a sensible one is for the admission policy to say.
    pub image: String,
    /// Port that the container listens on.
    pub port: u16,
    /// Whether the record named the port (probes are rendered only then).
    pub port_stated: bool,
    /// Replicas stated in the record; they win over the template's.
    pub replicas: Option<u32>,
    /// Lower bound of autoscaling.
    pub min_scale: Option<u32>,
    /// Upper bound of autoscaling; never 0 (0 on the wire means none).
    pub max_scale: Option<u32>,
    /// Requests that one replica serves at once; never 0 (0 on the wire means unlimited).
    pub max_concurrency: Option<u32>,
    /// The container speaks HTTP/2 without TLS.
    pub need_http2: bool,
    /// Resources stated in the record.
    pub resources: Resources,
    /// Environment stated in the record.
    pub env: BTreeMap<String, String>,
    /// Requirements of this function.
    pub nfr: NfrTargets,
    /// What enforcement last applied to it, where the record lets it.
    pub applied: Applied,
}

/// Sizes that enforcement decided and that live in the pod template. Each holds for the base that it was decided over: where
/// record and template say something else now, that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// CPU request.
    pub cpu_request: Option<AppliedSize>,
    /// Memory request.
    pub memory_request: Option<AppliedSize>,
    /// Replicas: of a Knative Service its fewest pods; of a Deployment what it is born with when it comes back.
    pub min_scale: Option<AppliedSize>,
}

/// A size that enforcement decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedSize {
    /// The size.
    pub target: Quantity,
    /// What record and template said when it was decided.
    pub base: Quantity,
}

impl AppliedSize {
    /// The size, where record and template still say what they said then, or less than it: what somebody states anew is
    /// the floor, and what stands above it goes by the safeguards, not at once.
    pub fn over(&self, base: &Quantity) -> Option<&Quantity> {
        (self.base == *base || self.target > *base).then_some(&self.target)
    }
}

/// Compute resources of one replica; a request is never above its limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU set aside.
    pub cpu_request: Option<Quantity>,
    /// Memory set aside.
    pub memory_request: Option<Quantity>,
    /// CPU that may not be exceeded.
    pub cpu_limit: Option<Quantity>,
    /// Memory that may not be exceeded.
    pub memory_limit: Option<Quantity>,
}

/// The data grid of a class, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odgm {
    /// Collections; may be empty.
    pub collections: Vec<String>,
    /// Partitions of each collection, at least 1.
    pub partition_count: u32,
    /// Replicas of each partition, at least 1.
    pub replica_count: u32,
    /// Kind of shard.
    pub shard_type: String,
    /// Options handed to each collection.
    pub options: BTreeMap<String, String>,
    /// Routes of invocations.
    pub invocations: InvocationRoutes,
    /// Log filter.
    pub log: Option<String>,
    /// Node ids by environment.
    pub env_node_ids: BTreeMap<String, OdgmNodeIds>,
    /// Node id of this data grid.
    pub node_id: Option<u64>,
    /// Shard assignments by collection.
    pub collection_assignments: BTreeMap<String, CollectionShardAssignments>,
}

/// Non-functional requirements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NfrTargets {
    /// Requests a second that must be served.
    pub min_throughput_rps: Option<u32>,
    /// Latency that must not be exceeded, milliseconds.
    pub max_latency_ms: Option<u32>,
    /// Availability, percent.
    pub availability_pct: Option<f64>,
    /// Target CPU utilisation of one replica.
    pub cpu_utilization_target: Option<f64>,
    /// Consistency asked of the data grid.
    pub consistency: Option<Consistency>,
}
