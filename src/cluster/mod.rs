//! I/O to Kubernetes. Everything that talks to the API server lives here; what it answers is classified once.

mod adopt;
pub mod apply;
pub mod autoscalers;
pub mod caches;
pub mod diff;
pub mod discovery;
mod error;
pub mod events;
pub mod fresh;
pub mod grid;
mod heartbeat;
pub mod keeper;
pub mod nodes;
pub mod optional;
pub mod own;
pub mod ownership;
pub mod pods;
pub mod record;
mod records;
pub mod revisions;
pub mod right;
pub mod scale;

pub use error::{ClusterError, FieldCause, within};
pub use heartbeat::{HEARTBEAT, heartbeat};
pub use records::KubeRecords;

/// Field manager of the controller for everything that it renders.
pub const MANAGER: &str = "oprc-crm";
/// Field manager of the base replica number and of the enforcer.
pub const MANAGER_SCALE: &str = "oprc-crm-scale";
/// Field manager of the controller's part of a record's status.
pub const MANAGER_STATUS: &str = "oprc-crm-status";
/// Field manager of the analyzer's part of a record's status.
pub const MANAGER_ANALYZER: &str = "oprc-crm-analyzer";
/// Field manager of records that arrive by gRPC.
pub const MANAGER_GRPC: &str = "oprc-crm-grpc";
