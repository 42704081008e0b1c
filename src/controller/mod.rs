//! The reconcile pipeline: load, validate, decide, render, apply, prune, report. One module a step.

mod observe;
mod status;
