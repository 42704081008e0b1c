//! The gRPC contract, by real clients over real TCP. The store is in memory: what the API server does is for the
//! scenarios to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../support/contract.rs"]
mod contract;

mod calls;
mod deploys;
mod forms;
mod harness;
mod info;
mod memory;
mod reflection;
mod serving;
