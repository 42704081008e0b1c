//! What `/metrics` shows, as OpenMetrics.

mod log;
mod nfr;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use log::LogMetrics;
pub use nfr::NfrMetrics;

/// Media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PolicyLabels {
    state: &'static str,
    revision: String,
    bundle: String,
    source: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CategoryLabel {
    category: &'static str,
}

type Ratio = Gauge<f64, AtomicU64>;

/// A policy in use, as its labels show it.
#[derive(Clone, Debug)]
pub struct PolicyInfo<'a> {
    /// `active`, or `pending` where classes wait for it.
    pub state: &'static str,
    /// Revision.
    pub revision: &'a str,
    /// Name of the bundle.
    pub bundle: &'a str,
    /// Where it comes from.
    pub source: &'a str,
}

/// A change of the policy and how far it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeInfo {
    /// Classes that wait.
    pub waiting: usize,
    /// They wait for a revision that lets them go.
    pub held: bool,
}

/// All metrics. Names and labels are an interface.
pub struct Metrics {
    registry: Registry,
    policy: Family<PolicyLabels, Gauge>,
    loads: Family<ResultLabel, Counter>,
    last_load: Gauge,
    kept: Gauge,
    changes: Counter,
    waiting: Gauge,
    held: Gauge,
    released: Counter,
    radius_live: Gauge,
    radius_changed: Gauge,
    radius_share: Ratio,
    reconciles: Family<ResultLabel, Counter>,
    failures: Family<CategoryLabel, Counter>,
    /// Of the NFR loop.
    pub nfr: NfrMetrics,
    /// Of the decision log.
    pub log: LogMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("oprc_crm"),
            policy: Family::default(),
            loads: Family::default(),
            last_load: Gauge::default(),
            kept: Gauge::default(),
            changes: Counter::default(),
            waiting: Gauge::default(),
            held: Gauge::default(),
            released: Counter::default(),
            radius_live: Gauge::default(),
            radius_changed: Gauge::default(),
            radius_share: Ratio::default(),
            reconciles: Family::default(),
            failures: Family::default(),
            nfr: NfrMetrics::default(),
            log: LogMetrics::default(),
        };
        metrics.register();
        // There from the start, so that the first failure is a rise.
        for result in ["ok", "failed"] {
            drop(metrics.loads.get_or_create(&ResultLabel { result }));
            drop(metrics.reconciles.get_or_create(&ResultLabel { result }));
        }
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("policy", "Policies in use, 1 each", self.policy.clone());
        all.register("policy_loads", "Loads of a policy by result", self.loads.clone());
        all.register("policy_last_load_ok", "1 unless the newest policy does not load", self.last_load.clone());
        all.register("policy_state_kept", "1 while the state of the policy could be kept", self.kept.clone());
        all.register("policy_changes", "Changes of policy or setting that were taken over", self.changes.clone());
        all.register("policy_classes_waiting", "Classes that wait for a change", self.waiting.clone());
        all.register("policy_change_held", "1 while a change is held back", self.held.clone());
        all.register("policy_classes_released", "Classes that went over to a change", self.released.clone());
        all.register("policy_blast_radius_live", "Live classes at the newest change", self.radius_live.clone());
        all.register("policy_blast_radius_changed", "Classes that it changes", self.radius_changed.clone());
        all.register("policy_blast_radius_share", "Their share, 0 to 1", self.radius_share.clone());
        all.register("reconciles", "Looks at a record by result", self.reconciles.clone());
        all.register("reconcile_failures", "Failed looks by category", self.failures.clone());
        self.nfr.register(all);
        self.log.register(all);
    }

    /// Everything, as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics cannot be written");
        }
        out
    }

    /// Which policies are in use.
    pub fn policies(&self, policies: &[PolicyInfo<'_>]) {
        self.policy.clear();
        for PolicyInfo { state, revision, bundle, source } in policies {
            let (revision, bundle, source) = ((*revision).to_owned(), (*bundle).to_owned(), (*source).to_owned());
            self.policy.get_or_create(&PolicyLabels { state, revision, bundle, source }).set(1);
        }
    }

    /// A policy was loaded, or refused.
    pub fn loaded(&self, ok: bool) {
        self.loads.get_or_create(&ResultLabel { result: if ok { "ok" } else { "failed" } }).inc();
        self.last_load.set(i64::from(ok));
    }

    /// The state could be kept, or not.
    pub fn kept(&self, ok: bool) {
        self.kept.set(i64::from(ok));
    }

    /// A change was taken over: what it does to the live classes.
    pub fn changed(&self, live: usize, changed: usize, share: f64) {
        self.changes.inc();
        self.radius_live.set(number(live));
        self.radius_changed.set(number(changed));
        self.radius_share.set(share);
    }

    /// How far a change is.
    pub fn pending(&self, change: ChangeInfo) {
        self.waiting.set(number(change.waiting));
        self.held.set(i64::from(change.held));
    }

    /// Classes went over.
    pub fn released(&self, classes: usize) {
        self.released.inc_by(classes as u64);
    }

    /// A look at a record ended well, or failed with this category.
    pub fn reconciled(&self, failure: Option<&'static str>) {
        let result = if failure.is_some() { "failed" } else { "ok" };
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
        if let Some(category) = failure {
            self.failures.get_or_create(&CategoryLabel { category }).inc();
        }
    }
}

fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{ChangeInfo, Metrics, PolicyInfo};

    #[test]
    fn the_text_has_each_metric_with_its_labels() {
        let metrics = Metrics::default();
        let policy = |revision| PolicyInfo { state: "active", revision, bundle: "shipped", source: "builtin" };
        metrics.policies(&[policy("a")]);
        metrics.policies(&[policy("b")]);
        metrics.loaded(true);
        metrics.loaded(false);
        metrics.changed(200, 80, 0.4);
        metrics.pending(ChangeInfo { waiting: 80, held: true });
        metrics.reconciled(Some("Timeout"));
        let text = metrics.text();
        for line in [
            "oprc_crm_policy{state=\"active\",revision=\"b\",bundle=\"shipped\",source=\"builtin\"} 1",
            "oprc_crm_policy_loads_total{result=\"failed\"} 1",
            "oprc_crm_policy_last_load_ok 0",
            "oprc_crm_policy_classes_waiting 80",
            "oprc_crm_policy_change_held 1",
            "oprc_crm_policy_blast_radius_share 0.4",
            "oprc_crm_reconcile_failures_total{category=\"Timeout\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(!text.contains("revision=\"a\""), "what is no longer in use is not shown");
    }
}
