//! The controller under test, in the test's own process but with a client, a port and rights of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kube::client::ClientBuilder;
use oprc_crm::app::{self, AppError, Surroundings};
use oprc_crm::config::Config;
use oprc_crm::server::Readiness;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::faults::Faults;
use super::{Cluster, eventually};

/// A running controller.
pub struct Crm {
    pub address: SocketAddr,
    faults: Faults,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), AppError>>,
}

impl Crm {
    /// Profile edge, so that the policy has something to choose; what is not built yet is switched off.
    pub async fn start(cluster: &Cluster, namespace: &str) -> Self {
        Self::start_with(cluster, namespace, &[]).await
    }

    /// As [`Crm::start`], with further variables.
    pub async fn start_with(cluster: &Cluster, namespace: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_through(cluster, namespace, variables, &Faults::default()).await
    }

    /// As [`Crm::start_with`], with faults between it and the API server.
    pub async fn start_through(
        cluster: &Cluster,
        namespace: &str,
        variables: &[(&str, &str)],
        faults: &Faults,
    ) -> Self {
        Self::launch(cluster, namespace, variables, faults, Surroundings::default()).await
    }

    /// With a readiness whose patience is the test's.
    pub async fn start_impatient(cluster: &Cluster, namespace: &str, patience: Duration) -> Self {
        let surroundings = Surroundings { readiness: Readiness::new(patience), ..Surroundings::default() };
        Self::launch(cluster, namespace, &[], &Faults::default(), surroundings).await
    }

    /// With surroundings of the test's.
    pub async fn start_in(cluster: &Cluster, namespace: &str, surroundings: Surroundings) -> Self {
        Self::launch(cluster, namespace, &[], &Faults::default(), surroundings).await
    }

    /// Another one where this one was: the same port, so that clients find it again. Ends this one first.
    pub async fn restart(self, cluster: &Cluster, namespace: &str) -> Self {
        let address = self.address;
        self.stop().await;
        // Connections of the old one may still be ending.
        let listener = eventually(Duration::from_secs(20), "the port is free again", || TcpListener::bind(address));
        Self::listening(listener.await, cluster, namespace, &[], &Faults::default(), Surroundings::default()).await
    }

    /// With all of it.
    pub async fn launch(
        cluster: &Cluster,
        namespace: &str,
        variables: &[(&str, &str)],
        faults: &Faults,
        surroundings: Surroundings,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::listening(listener, cluster, namespace, variables, faults, surroundings).await
    }

    async fn listening(
        listener: TcpListener,
        cluster: &Cluster,
        namespace: &str,
        variables: &[(&str, &str)],
        faults: &Faults,
        surroundings: Surroundings,
    ) -> Self {
        // `RUST_LOG=debug cargo test -- --nocapture` shows what it does.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let config = Config::from_environment(&environment(namespace, variables)).expect("a configuration");
        let client = ClientBuilder::try_from(cluster.crm_config()).expect("a client").with_layer(faults).build();
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(app::run_with(config, client, listener, surroundings, shutdown.clone()));
        let crm = Self { address, faults: faults.clone(), shutdown, task };
        let ready = eventually(Duration::from_secs(30), "the controller is ready", || async {
            match crm.ready().await {
                Err(_) if crm.task.is_finished() => Ok(false),
                answer => answer.map(|()| true),
            }
        });
        if ready.await {
            return crm;
        }
        panic!("the controller ended at its start: {:?}", crm.task.await);
    }

    /// Write requests of any kind that it has sent.
    pub fn writes(&self) -> usize {
        self.faults.writes()
    }

    /// Stops it and waits until it has drained.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it drains in time");
        ended.expect("no panic").expect("no error");
    }

    /// `Ok` where `/readyz` says 200, else what it says.
    async fn ready(&self) -> Result<(), String> {
        let (status, body) = super::http_get(self.address, "/readyz").await;
        if status == 200 { Ok(()) } else { Err(format!("{status}: {body}")) }
    }
}

/// The variables of a controller for one namespace.
pub fn environment(namespace: &str, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("OPRC_CRM_PROFILE".to_owned(), "edge".to_owned()),
        ("OPRC_CRM_K8S_NAMESPACE".to_owned(), namespace.to_owned()),
        ("OPRC_CRM_FEATURES_ODGM".to_owned(), "true".to_owned()),
        ("HTTP_PORT".to_owned(), "8088".to_owned()),
    ]);
    for feature in ["NFR_ENFORCEMENT", "HPA", "PROMETHEUS", "LEADER_ELECTION", "KNATIVE"] {
        all.insert(format!("OPRC_CRM_FEATURES_{feature}"), "false".to_owned());
    }
    all.insert("OPRC_CRM_SECURITY_MTLS".to_owned(), "false".to_owned());
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all
}
