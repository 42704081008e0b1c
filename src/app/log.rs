//! The decision log, wired.

use std::sync::Arc;
use std::time::Duration;

use super::{AppError, instance};
use crate::audit::{self, Limits, Target};
use crate::config::{Config, DecisionLog};
use crate::telemetry::metrics::Metrics;

/// How long the lines that wait get to be written at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the log that the configuration names.
pub(super) fn open(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<audit::DecisionLog>, AppError> {
    let target = match &config.decision_log {
        DecisionLog::Off => Target::Off,
        DecisionLog::Stdout => Target::Stdout,
        DecisionLog::File(path) => {
            let limits = Limits { bytes: config.decision_log_bytes, kept: config.decision_log_keep };
            Target::File { path: path.clone(), limits }
        }
    };
    Ok(Arc::new(audit::DecisionLog::start(target, &instance(config), Arc::clone(metrics))?))
}

/// Lets the lines that wait be written.
pub(super) async fn close(log: Arc<audit::DecisionLog>) {
    let closed = tokio::task::spawn_blocking(move || log.close(PATIENCE)).await;
    if !matches!(closed, Ok(true)) {
        tracing::error!("the decision log was not written to its end in time");
    }
}
