//! A controller that measures: a real Prometheus, an exporter with loads that the test sets, and a policy that decides in
//! seconds.

use std::path::Path;
use std::time::Duration;

use oprc_crm::api::{AppliedRecommendation, DeploymentRecordStatus, NfrRecommendation};
use oprc_crm::app::Surroundings;
use oprc_crm::sandbox::exporter::Load;
use oprc_crm::sandbox::measure::Scraping;
use serde_json::{Value, json};

use super::class::{Namespace, condition};
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
    pub scraping: Scraping,
}

impl Lab {
    /// Without a controller yet.
    pub async fn new(prefix: &str) -> Self {
        Self::on(cluster().await, prefix).await
    }

    /// The same on a control plane of the test's.
    pub async fn on(cluster: &'static Cluster, prefix: &str) -> Self {
        let name = cluster.namespace(prefix).await;
        let ns = Namespace::new(cluster.admin(), &name);
        let scraping = Scraping::start(cluster.plane(), &cluster.admin(), &name, &name).await;
        Self { cluster, ns, scraping: scraping.expect("an exporter and a Prometheus") }
    }

    /// A controller that measures here and may enforce.
    pub async fn crm(&self, variables: &[(&str, &str)]) -> Crm {
        self.crm_at(&self.scraping.prometheus.url(), variables, &Faults::default()).await
    }

    /// The same with another address of Prometheus.
    pub async fn crm_at(&self, url: &str, variables: &[(&str, &str)], faults: &Faults) -> Crm {
        self.crm_in(url, variables, faults, Surroundings::default()).await
    }

    /// The same with surroundings of the test's.
    pub async fn crm_in(
        &self,
        url: &str,
        variables: &[(&str, &str)],
        faults: &Faults,
        surroundings: Surroundings,
    ) -> Crm {
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
        Crm::launch(self.cluster, &self.ns.name, &all, faults, surroundings).await
    }

    /// Waits until a class is measured.
    pub async fn measured(&self, name: &str) {
        self.ns.status(name, "measured", |status| condition(status, "NfrObserved").0 == "True").await;
    }

    /// Sets the CPU load of a workload, cores of all its pods together.
    pub fn cores(&self, workload: &str, cores: f64) {
        self.scraping.exporter.set(&self.ns.name, workload, Load { cores, memory: 100e6, ..Load::default() });
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

/// Between the controller and Prometheus: hands on, or is out of order in one of the ways in which servers are.
pub struct Proxy {
    pub url: String,
    mode: tokio::sync::watch::Sender<Mode>,
    asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

/// What a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Pass,
    /// Closes every connection without an answer.
    Refuse,
    /// Answers 500.
    Broken,
    /// Answers that there is nothing.
    Empty,
    /// Hands on, with NaN for every value.
    Nan,
    /// Never answers.
    Hang,
}

impl Proxy {
    pub async fn start(upstream: String) -> Self {
        let (mode, modes) = tokio::sync::watch::channel(Mode::Pass);
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = std::sync::Arc::clone(&asked);
        let client = reqwest::Client::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answer(client.clone(), upstream.clone(), *modes.borrow(), request)
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, mode, asked }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Queries so far.
    pub fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::SeqCst)
    }
}

async fn answer(
    client: reqwest::Client,
    upstream: String,
    mode: Mode,
    request: axum::extract::Request,
) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    match mode {
        Mode::Broken => return (http::StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response(),
        Mode::Empty => return EMPTY.into_response(),
        Mode::Hang => return std::future::pending().await,
        // A body that breaks off is what a connection that ends looks like to the client.
        Mode::Refuse => {
            let broken = futures::stream::once(async { Err::<String, _>(std::io::Error::other("gone")) });
            return axum::body::Body::from_stream(broken).into_response();
        }
        Mode::Pass | Mode::Nan => {}
    }
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let url = format!("{upstream}{}", head.uri);
    let content = head.headers.get(http::header::CONTENT_TYPE).cloned().expect("a form");
    let sent = client.post(url).header(http::header::CONTENT_TYPE, content).body(body).send().await;
    let Ok(answered) = sent else { return http::StatusCode::BAD_GATEWAY.into_response() };
    let status = answered.status();
    let text = answered.text().await.unwrap_or_default();
    if mode == Mode::Pass {
        return (status, text).into_response();
    }
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    for series in json["data"]["result"].as_array_mut().into_iter().flatten() {
        for point in series["values"].as_array_mut().into_iter().flatten() {
            point[1] = json!("NaN");
        }
    }
    json.to_string().into_response()
}
