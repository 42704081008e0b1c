//! The `DeploymentRecord` custom resource as users write it: data and schema, no behaviour.
//!
//! One record is one class. The schema refuses what can never work (`x-kubernetes-validations`); what needs more
//! than the record itself to judge (policy, the cluster) is judged later. Every list, map and string is bounded:
//! without bounds the API server refuses the validation rules as too costly.

mod bounds;
mod crd;
mod page;
mod spec;
mod status;

pub use crd::{CrdError, crd, crd_markdown, crd_yaml};
pub use spec::{
    CollectionShardAssignments, Consistency, DeploymentRecord, DeploymentRecordSpec, Enforcement, EnforcementDimension,
    EnforcementMode, FunctionRoute, FunctionShorthand, FunctionSpec, InvocationRoutes, Nfr, NfrRequirements,
    OdgmConfig, OdgmNodeIds, ResourceRequirements, ShardAssignment,
};
pub use status::{
    AppliedRecommendation, DecisionSummary, DeploymentRecordStatus, FunctionStatus, Health, NfrRecommendation,
    OdgmStatus, Phase, ResourceRef,
};

/// API group of the custom resource.
pub const GROUP: &str = "oaas.io";
/// Version of the custom resource.
pub const VERSION: &str = "v1alpha1";
/// Annotation with the deployment id exactly as the Package Manager sent it.
pub const ANNOTATION_DEPLOYMENT_ID: &str = "oaas.io/deployment-id";
/// Annotation with the correlation id of the Deploy that last changed the record.
pub const ANNOTATION_CORRELATION_ID: &str = "oaas.io/correlation-id";
/// Annotation with the unit's `created_at` (RFC 3339, UTC).
pub const ANNOTATION_CREATED_AT: &str = "oaas.io/created-at";
/// Annotation with the hash of what a field manager last applied, so that a removed field is seen as a change.
pub const ANNOTATION_APPLIED_HASH: &str = "oaas.io/applied-hash";
/// Annotation beside the number of replicas: what the enforcer decided about it, as JSON (`at`, `target`, `rule`, `revision`).
pub const ANNOTATION_ENFORCED: &str = "oaas.io/enforced";
/// Annotation beside the number of replicas: since when it is left as somebody else set it, as JSON (`since`, `by`,
/// `replicas`).
pub const ANNOTATION_HELD: &str = "oaas.io/held";
/// Annotation on every child: the name of its record, verbatim.
pub const ANNOTATION_RECORD: &str = "oaas.io/record";
/// Finalizer that lets the controller report a deletion before the record goes.
pub const FINALIZER: &str = "oaas.io/finalizer";
/// Label on every child: the name of the record (label-safe).
pub const LABEL_OWNER: &str = "oaas.io/owner";
/// Label on every child whose record names its package: that package (label-safe).
pub const LABEL_PACKAGE: &str = "oaas.io/package";
/// Label on every child whose record names its class: the key of the class within its package (label-safe).
pub const LABEL_CLASS: &str = "oaas.io/class";
/// Label on the record: a label-safe form of the deployment id.
pub const LABEL_DEPLOYMENT_ID: &str = "oaas.io/deployment-id";
/// Value of `app.kubernetes.io/managed-by` on every child.
pub const MANAGED_BY: &str = "oprc-crm";
