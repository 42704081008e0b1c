//! A controller that measures: a real Prometheus, an exporter with loads that the test sets, and a policy that decides in
//! seconds.

use std::path::Path;
use std::time::Duration;

use oprc_crm::api::{AppliedRecommendation, DeploymentRecordStatus, NfrRecommendation};
use oprc_crm::cluster::pods::PodIndex;
use oprc_crm::sandbox::exporter::{Exporter, Load};
use oprc_crm::sandbox::prometheus::Prometheus;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::class::Namespace;
use super::crm::Crm;
use super::faults::Faults;
use super::{Cluster, cluster};

/// Long enough for windows, cooldowns and a busy machine.
pub const WHILE: Duration = Duration::from_secs(120);
/// Longer than the falling window and its look-back.
pub const QUIET: Duration = Duration::from_secs(25);

/// An image that the admission rules take.
const IMAGE: &str = "docker.io/library/nginx:1.27";

/// Everything that a measured class needs.
pub struct Lab {
    pub cluster: &'static Cluster,
    pub ns: Namespace,
    pub exporter: Exporter,
    pub prometheus: Prometheus,
    _pods: DropGuard,
}

impl Lab {
    /// Without a controller yet.
    pub async fn new(prefix: &str) -> Self {
        let cluster = cluster().await;
        let name = cluster.namespace(prefix).await;
        let (pods, end) = (PodIndex::default(), CancellationToken::new());
        tokio::spawn(pods.clone().run(cluster.admin(), Some(name.clone()), end.clone()));
        let exporter = Exporter::start(pods).await.expect("an exporter");
        let prometheus = Prometheus::start(cluster.plane(), &name, exporter.address()).await.expect("a Prometheus");
        let ns = Namespace::new(cluster.admin(), &name);
        Self { cluster, ns, exporter, prometheus, _pods: end.drop_guard() }
    }

    /// A controller that measures here and may enforce.
    pub async fn crm(&self, variables: &[(&str, &str)]) -> Crm {
        self.crm_at(&self.prometheus.url(), variables, &Faults::default()).await
    }

    /// The same with another address of Prometheus.
    pub async fn crm_at(&self, url: &str, variables: &[(&str, &str)], faults: &Faults) -> Crm {
        let policy = policy_dir();
        let mut all = vec![
            ("OPRC_CRM_FEATURES_PROMETHEUS", "true"),
            ("OPRC_CRM_FEATURES_NFR_ENFORCEMENT", "true"),
            ("OPRC_CRM_PROM_URL", url),
            ("OPRC_CRM_PROM_STEP", "1s"),
            ("OPRC_CRM_ANALYZER_INTERVAL_SECS", "1"),
            ("OPRC_CRM_POLICY_DIR", policy.as_str()),
        ];
        all.extend_from_slice(variables);
        Crm::start_through(self.cluster, &self.ns.name, &all, faults).await
    }

    /// Sets the CPU load of a workload, cores of all its pods together.
    pub fn cores(&self, workload: &str, cores: f64) {
        self.exporter.set(&self.ns.name, workload, Load { cores, memory: 100e6, ..Load::default() });
    }
}

/// The policy of these stories.
fn policy_dir() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/nfr");
    dir.to_str().expect("a path in UTF-8").to_owned()
}

/// A class of one function `f` with half a core a pod.
pub fn class(mode: &str, dimensions: &[&str], replicas: u32) -> Value {
    json!({
        "functions": [{
            "function_key": "f", "image": IMAGE, "replicas": replicas,
            "resources": {"cpu_request": "500m", "memory_request": "128Mi", "cpu_limit": "2", "memory_limit": "1Gi"},
        }],
        "nfr": {"enforcement": {"mode": mode, "dimensions": dimensions}},
    })
}

/// What is recommended for a dimension of `f`.
pub fn recommended<'a>(status: &'a DeploymentRecordStatus, dimension: &str) -> Option<&'a NfrRecommendation> {
    status.nfr_recommendations.iter().find(|one| one.component == "f" && one.dimension == dimension)
}

/// What stands applied for a dimension of `f`.
pub fn applied<'a>(status: &'a DeploymentRecordStatus, dimension: &str) -> Option<&'a AppliedRecommendation> {
    status.last_applied_recommendations.iter().find(|one| one.component == "f" && one.dimension == dimension)
}
