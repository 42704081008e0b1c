//! Metrics of the NFR loop.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueryLabels {
    signal: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    dimension: &'static str,
    action: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    dimension: &'static str,
    result: &'static str,
}

/// Of the NFR loop.
#[derive(Debug, Default)]
pub struct NfrMetrics {
    queries: Family<QueryLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    reports: Counter,
    looks: Counter,
    look_seconds: Gauge<f64, AtomicU64>,
    samples: Gauge,
}

impl NfrMetrics {
    pub(super) fn register(&self, all: &mut Registry) {
        all.register("nfr_queries", "Queries to the source of signals by result", self.queries.clone());
        all.register("nfr_decisions", "Decisions by dimension and action", self.decisions.clone());
        all.register("nfr_writes", "Sizes written by dimension and result", self.writes.clone());
        all.register("nfr_reports", "Statuses written by the NFR loop", self.reports.clone());
        all.register("nfr_looks", "Looks of the NFR loop at all classes", self.looks.clone());
        all.register("nfr_last_look_seconds", "How long the last look took", self.look_seconds.clone());
        all.register("nfr_samples", "Samples that are kept", self.samples.clone());
    }

    /// A signal was asked for; the category of what was wrong with the answer.
    pub fn asked(&self, signal: &str, fault: Option<&'static str>) {
        self.queries.get_or_create(&QueryLabels { signal: signal.to_owned(), result: fault.unwrap_or("ok") }).inc();
    }

    /// Something was decided.
    pub fn decided(&self, dimension: &'static str, apply: bool) {
        let action = if apply { "apply" } else { "hold" };
        self.decisions.get_or_create(&DecisionLabels { dimension, action }).inc();
    }

    /// A size was written, or not: why.
    pub fn applied(&self, dimension: &'static str, failure: Option<&'static str>) {
        self.writes.get_or_create(&WriteLabels { dimension, result: failure.unwrap_or("ok") }).inc();
    }

    /// A status was written.
    pub fn reported(&self) {
        self.reports.inc();
    }

    /// A look has ended.
    pub fn looked(&self, took: Duration) {
        self.looks.inc();
        self.look_seconds.set(took.as_secs_f64());
    }

    /// So many samples are kept.
    pub fn kept(&self, samples: usize) {
        self.samples.set(i64::try_from(samples).unwrap_or(i64::MAX));
    }
}
