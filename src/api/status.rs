//! `status` of a `DeploymentRecord`.
//!
//! Lists that several field managers write are list-maps, so that neither erases the other's entries; nothing in
//! here changes while nothing happens.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::EnforcementMode;

/// What the controller observed and decided.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRecordStatus {
    /// Generation of the spec that this status describes.
    #[serde(rename = "observedGeneration", default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the class stands, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Where the class stands, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub message: Option<String>,
    /// Ready and wanted replicas of all functions, as `ready/wanted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ready_summary: Option<String>,
    /// Enforcement in effect: the record's mode or the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement_mode: Option<EnforcementMode>,
    /// Available, Progressing, Degraded, NfrObserved, PolicyViolation, PolicyChangePending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Template in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub selected_template: Option<String>,
    /// Objects that the class consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["apiVersion".into(), "kind".into(), "namespace".into(), "name".into()]))]
    pub resource_refs: Vec<ResourceRef>,
    /// Functions and where they are reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["function_key".into()]))]
    pub functions: Vec<FunctionStatus>,
    /// The data grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odgm: Option<OdgmStatus>,
    /// What the analyzer recommends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["component".into(), "dimension".into()]))]
    pub nfr_recommendations: Vec<NfrRecommendation>,
    /// Recommendations that were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["component".into(), "dimension".into()]))]
    pub last_applied_recommendations: Vec<AppliedRecommendation>,
    /// When a recommendation was last applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_at: Option<Time>,
    /// Which policy decided, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionSummary>,
}

/// Where a class stands.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Applied, not all of it ready.
    Progressing,
    /// All of it ready.
    Available,
    /// Something needs a person.
    Degraded,
    /// Being deleted.
    Deleting,
}

/// One object that the class consists of. All key fields are required (a list-map needs them).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRef {
    /// API version, such as `apps/v1`.
    #[serde(rename = "apiVersion")]
    #[schemars(length(max = 253))]
    pub api_version: String,
    /// Kind, such as `Deployment`.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Namespace of the object.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// UID of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub uid: Option<String>,
    /// Health of the object.
    #[serde(default)]
    pub health: Health,
}

/// Health of one object.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// It does what it should.
    Healthy,
    /// On its way.
    Progressing,
    /// It failed.
    Degraded,
    /// It is not there.
    Missing,
    /// Not known.
    #[default]
    Unknown,
}

/// One function and where it is reached.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// Name of the function within the class.
    #[schemars(length(max = 253))]
    pub function_key: String,
    /// Where it is reached: inside the cluster; of a Knative Service, the URL that its status says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// Replicas wanted.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas ready.
    #[serde(default)]
    pub ready_replicas: i32,
}

/// The data grid.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OdgmStatus {
    /// Replicas wanted.
    pub replicas: i32,
    /// Replicas ready.
    pub ready_replicas: i32,
    /// Its leader, where it tells of one; empty where it tells that it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub leader: Option<String>,
    /// Its partitions, where it tells of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<OdgmPartitions>,
}

/// Partitions of the data grid, as it tells; what it does not tell is left out.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OdgmPartitions {
    /// Partitions of all collections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// Partitions that are healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<i32>,
    /// Names of partitions that are not; of many the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub degraded: Vec<String>,
}

/// What the analyzer recommends for one component and dimension.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NfrRecommendation {
    /// Function key, or `odgm`; `odgm+grid` beside a function of that name.
    #[schemars(length(max = 253))]
    pub component: String,
    /// `replicas`, `cpu` or `memory`.
    #[schemars(length(max = 63))]
    pub dimension: String,
    /// Recommended value: a number of replicas, or a quantity.
    #[schemars(length(max = 64))]
    pub target: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub basis: Option<String>,
    /// How sure it is, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Since when it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Rule and policy revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub policy: Option<String>,
}

/// A recommendation that was applied.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AppliedRecommendation {
    /// Function key, or `odgm`; `odgm+grid` beside a function of that name.
    #[schemars(length(max = 253))]
    pub component: String,
    /// `replicas`, `cpu` or `memory`.
    #[schemars(length(max = 63))]
    pub dimension: String,
    /// Applied value.
    #[schemars(length(max = 64))]
    pub target: String,
    /// What record and template said then; where they say something else now that is not below the applied value, that no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub base: Option<String>,
    /// When it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// Rule and policy revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub policy: Option<String>,
}

/// Which policy decided, and how.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionSummary {
    /// Revision of the policy bundle.
    #[schemars(length(max = 128))]
    pub policy_revision: String,
    /// Template that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub template: Option<String>,
    /// The rules that made the difference, shortened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub trace: Vec<String>,
}
