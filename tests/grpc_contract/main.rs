//! The gRPC contract, by real clients over real TCP. The store is in memory: what the API server does is for the
//! scenarios to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod calls;
mod deploys;
mod harness;
mod memory;
mod serving;
