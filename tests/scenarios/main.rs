//! Stories on a real control plane: one file a story, a namespace a test, one control plane for all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "sandbox")]

#[path = "../support/mod.rs"]
mod support;

mod deploy;

use support::class::Namespace;
use support::crm::Crm;

/// A controller in a namespace of its own.
async fn start(prefix: &str) -> (Crm, Namespace) {
    let cluster = support::cluster().await;
    let name = cluster.namespace(prefix).await;
    (Crm::start(cluster, &name).await, Namespace::new(cluster.admin(), &name))
}
