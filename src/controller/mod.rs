//! The reconcile pipeline: load, validate, decide, render, apply, prune, report. One module a step.

mod announce;
mod autoscaler;
mod births;
mod capped;
mod change;
mod children;
mod context;
mod delete;
mod grid;
mod handover;
mod judgement;
mod memory;
mod observe;
mod reconcile;
mod resize;
mod rollout;
mod run;
mod scaling;
mod status;
mod workload;

pub use births::Births;
pub use capped::Capped;
pub use context::Context;
pub use grid::{GridLoop, Grids};
pub use judgement::{Judgement, NeverBegun};
pub use memory::Memory;
pub use rollout::{Loader, Lookout, Relook, RolloutLoop, Voice, live};
pub use run::{Looks, Options, run};
pub use status::{Problem, rule_reason};
