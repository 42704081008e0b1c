//! Metrics of the decision log.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HashLabel {
    hash: String,
}

/// Metrics of the decision log. Names and labels are an interface.
#[derive(Debug, Default)]
pub struct LogMetrics {
    head: Family<HashLabel, Gauge>,
    lines: Counter,
    lost: Counter,
    failing: Gauge,
}

impl LogMetrics {
    pub(super) fn register(&self, all: &mut Registry) {
        all.register("decision_log_head", "Hash of the newest line of the decision log, 1", self.head.clone());
        all.register("decision_log_lines", "Decisions that were logged", self.lines.clone());
        all.register("decision_log_lost", "Decisions that could not be logged", self.lost.clone());
        all.register("decision_log_failing", "1 while the decision log can't be written", self.failing.clone());
    }

    /// Where the log ends, and whether it fails to be written.
    pub fn ends(&self, head: Option<&str>, failing: bool) {
        self.failing.set(i64::from(failing));
        let Some(hash) = head.map(str::to_owned) else { return };
        let label = HashLabel { hash };
        if self.head.get(&label).is_none() {
            self.head.clear();
            self.head.get_or_create(&label).set(1);
        }
    }

    /// A decision was logged.
    pub fn written(&self) {
        self.lines.inc();
    }

    /// Decisions could not be logged.
    pub fn lost(&self, lines: u64) {
        self.lost.inc_by(lines);
    }
}
