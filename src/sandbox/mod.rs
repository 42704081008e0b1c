//! A real Kubernetes control plane as child processes: etcd, API server, controller manager, scheduler and kwok's
//! fake nodes. `oprc-crm sandbox` shows the product on it and the integration tests run against it.
//!
//! Everything started here ends with the process that started it, however that one ends: a small [`guard`] process
//! owns the children and the temporary directory, and lives only as long as its standard input is open.

pub mod binaries;
pub mod board;
mod build;
mod components;
mod control_plane;
mod credentials;
pub mod crm;
mod error;
pub mod exporter;
pub mod guard;
pub mod install;
pub mod load;
mod logs;
pub mod measure;
mod nodes;
pub mod prometheus;
pub mod samples;
pub mod show;

pub use control_plane::{ControlPlane, Options, Step};
pub use error::SandboxError;
pub use guard::{Exit, Process};
