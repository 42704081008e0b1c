//! Types and services generated from `proto/`.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// Package `deployment`.
pub mod deployment {
    tonic::include_proto!("deployment");
}

/// Package `deployment` with `DeploymentUnit` as the payload of the read calls: what differs from [`deployment`].
pub mod unit_form {
    include!(concat!(env!("OUT_DIR"), "/unit/deployment.rs"));
}

/// Packages under `oaas`.
pub mod oaas {
    /// Package `oaas.common`.
    pub mod common {
        tonic::include_proto!("oaas.common");
    }
    /// Package `oaas.health`.
    pub mod health {
        tonic::include_proto!("oaas.health");
    }
}

/// Packages under `grpc`.
pub mod grpc {
    /// Package `grpc.health`.
    pub mod health {
        /// Package `grpc.health.v1`.
        pub mod v1 {
            tonic::include_proto!("grpc.health.v1");
        }
    }
}

/// Descriptors of everything that is served, under both names of the deployment service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same with `DeploymentUnit` as the payload of the read calls.
pub const DESCRIPTORS_UNIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors_unit.bin"));
