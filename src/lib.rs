//! oprc-crm, the `OaaS` Class Runtime Manager.
//!
//! `docs/architecture.md` draws the house; the short of it: `model`, `policy`, `decision` and `render` are pure,
//! everything else is I/O around them.

pub mod analyzer;
pub mod api;
pub mod app;
pub mod audit;
pub mod backtest;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod controller;
pub mod decision;
pub mod grpc;
pub mod model;
pub mod policy;
pub mod render;
pub mod rollout;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod server;
pub mod signals;
pub mod telemetry;
