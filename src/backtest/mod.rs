//! What a policy would have made of a recorded load, in closed loop: the demand is as it was, replicas serve it, what is
//! measured of them goes to the very same [`decide`](crate::decision::nfr::decide) that the controller asks.
//!
//! Pure: a load and a bundle in, figures out; the same to the byte each time, whatever ran beside it.
//!
//! - [`Demand`]: a load on a regular grid, and what was wrong with the recording;
//! - [`Plant`]: pods that start, serve and queue ([`Assumptions`] has each number);
//! - [`Scaler`]: a policy, Kubernetes' HPA, or a number that stays;
//! - [`Run`]: one over the other, step by step, and its [`Figures`].

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "seconds since the epoch, counts of samples and of replicas: whole numbers far below 2^52"
)]

mod counts;
mod csv;
mod demand;
mod figures;
mod gate;
mod hpa;
mod openmetrics;
mod plant;
mod policy;
mod run;
mod scaler;

pub use counts::{Counts, is_counter, queried};
pub use csv::csv;
pub use demand::{Demand, DemandError, Recorded, Unit, moment};
pub use figures::{Figures, Flip, Side, flips};
pub use gate::{Gate, GateError, Outcome};
pub use hpa::Hpa;
pub use openmetrics::openmetrics;
pub use plant::{Assumptions, Plant, Served};
pub use policy::{Bench, ByPolicy};
pub use run::{Mark, Run, Step, run};
pub use scaler::{Fixed, Scaler, Seen, Verdict};

#[cfg(test)]
mod tests;
