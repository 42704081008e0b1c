//! The NFR loop, wired: where its samples come from, and what it works with.

use std::sync::Arc;

use kube::Client;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::analyzer::{Analyzer, Limits, Options, Page, Sight, Wiring};
use crate::audit::DecisionLog;
use crate::cluster::pods::PodIndex;
use crate::cluster::record::RawRecord;
use crate::cluster::right::Right;
use crate::config::{Config, Namespaces};
use crate::controller::Context;
use crate::signals::{Prometheus, PrometheusError, PrometheusOptions};

/// Where samples come from.
pub(super) fn sight(config: &Config) -> Result<Sight, PrometheusError> {
    if !config.features.prometheus {
        return Ok(Sight::Off);
    }
    let prometheus = &config.prometheus;
    let Some(url) = prometheus.url.clone() else {
        let why = "OPRC_CRM_FEATURES_PROMETHEUS is on and OPRC_CRM_PROM_URL is not set: nothing can be measured";
        tracing::warn!("{why}");
        return Ok(Sight::Blind(why.to_owned()));
    };
    let options = PrometheusOptions {
        url,
        timeout: prometheus.query_timeout,
        token_file: prometheus.token_file.clone(),
        ca_file: prometheus.ca_file.clone(),
    };
    Ok(Sight::Seeing(Arc::new(Prometheus::new(options)?)))
}

/// What the loop shares with others.
pub(super) struct Shared {
    /// Asks the reconciler for a look at a record.
    pub(super) relook: UnboundedSender<ObjectRef<RawRecord>>,
    /// Where decisions are logged.
    pub(super) log: Arc<DecisionLog>,
    /// Where decisions are shown.
    pub(super) page: Page,
    /// The right to write.
    pub(super) right: Right,
}

/// Starts the loop.
pub(super) fn spawn(
    config: &Config,
    client: &Client,
    (context, shared): (&Arc<Context>, Shared),
    sight: Sight,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let pods = PodIndex::default();
    if matches!(sight, Sight::Seeing(_)) {
        let namespace = match &config.namespace {
            Namespaces::All => None,
            Namespaces::One(name) => Some(name.clone()),
        };
        tasks.spawn(pods.clone().run(client.clone(), namespace, shutdown.clone()));
    }
    let Shared { relook, log, page, right } = shared;
    let wiring = Wiring { context: Arc::clone(context), pods, relook, right, log, page };
    let limits = Limits {
        max_replicas: f64::from(config.max_replicas),
        cpu_per_pod: f64::from(config.cpu_per_pod_milli) / 1000.0,
    };
    let options = Options {
        interval: config.analyzer_interval,
        window: config.prometheus.range,
        step: config.prometheus.step,
        limits,
        concurrency: usize::from(config.concurrency),
    };
    tasks.spawn(Analyzer::new(wiring, sight, options).run(shutdown.clone()));
}
