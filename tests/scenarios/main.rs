//! Stories on a real control plane: one file a story, a namespace a test, one control plane for all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "sandbox")]

#[path = "../support/mod.rs"]
mod support;

mod addons;
mod bad_input;
mod delete;
mod deploy;
mod drift;
mod enforced;
mod faults;
mod grid;
mod grpc;
mod grpc_errors;
mod grpc_info;
mod grpc_list;
mod hpa;
mod idle;
mod integrator;
mod knative;
mod monitors;
mod nfr;
mod nfr_births;
mod nfr_enforce;
mod nfr_killed;
mod nfr_knative;
mod odgm;
mod outage;
mod package_manager;
mod policy_from_cluster;
mod policy_lost;
mod policy_reload;
mod policy_rollout;
mod rbac;
mod restart;
mod rivals;
mod samples;
mod scale;
mod schema;
mod template_switch;
mod update;

use support::class::Namespace;
use support::crm::Crm;

/// An image that the admission rules take; nothing is ever pulled, the nodes are not real.
const IMAGE: &str = "docker.io/library/nginx:1.27";

/// A controller in a namespace of its own.
async fn start(prefix: &str) -> (Crm, Namespace) {
    start_with(prefix, &[]).await
}

async fn start_with(prefix: &str, variables: &[(&str, &str)]) -> (Crm, Namespace) {
    let cluster = support::cluster().await;
    let name = cluster.namespace(prefix).await;
    (Crm::start_with(cluster, &name, variables).await, Namespace::new(cluster.admin(), &name))
}
