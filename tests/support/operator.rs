//! The controller as a process of its own, so that it can be killed.

use std::net::SocketAddr;
use std::time::Duration;

use oprc_crm::sandbox::Process;

use super::crm::environment;
use super::{Cluster, eventually, executable, http_get};

/// From a start to the first answer, on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// A running operator; it ends with its control plane.
pub struct Operator<'a> {
    cluster: &'a Cluster,
    namespace: String,
    variables: Vec<(String, String)>,
    pub address: SocketAddr,
    process: Process,
    starts: u32,
}

impl<'a> Operator<'a> {
    /// For one namespace, as [`super::crm::Crm::start_with`].
    pub async fn start(cluster: &'a Cluster, namespace: &str, variables: &[(&str, &str)]) -> Self {
        let port =
            std::net::TcpListener::bind(("0.0.0.0", 0)).expect("a port").local_addr().expect("an address").port();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        let (namespace, address) = (namespace.to_owned(), SocketAddr::from(([127, 0, 0, 1], port)));
        let process = launch(cluster, &namespace, &variables, address, 0).await;
        Self { cluster, namespace, variables, address, process, starts: 1 }
    }

    /// Kills it in whatever it does, and starts it again at once, where it was.
    pub async fn killed(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait(READY).await.expect("it ends");
        self.process = launch(self.cluster, &self.namespace, &self.variables, self.address, self.starts).await;
        self.starts += 1;
    }
}

async fn launch(
    cluster: &Cluster,
    namespace: &str,
    variables: &[(String, String)],
    address: SocketAddr,
    start: u32,
) -> Process {
    let given: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut env = environment(namespace, &given);
    let kubeconfig = cluster.crm_kubeconfig().to_str().expect("a path in UTF-8");
    for (name, value) in
        [("HTTP_PORT", address.port().to_string().as_str()), ("KUBECONFIG", kubeconfig), ("POD_NAMESPACE", namespace)]
    {
        env.insert(name.to_owned(), value.to_owned());
    }
    // The API server is on this machine, not behind a proxy.
    env.extend(["HTTPS_PROXY", "https_proxy"].map(|name| (name.to_owned(), String::new())));
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let name = format!("oprc-crm-{namespace}-{start}");
    let process = cluster.plane().spawn(&name, executable(), &["run"], &env).await.expect("it starts");
    let ready = eventually(READY, "the operator is ready", || async {
        if let Some(exit) = process.exited() {
            return Ok(Err(format!("{exit:?}: {}", process.log_tail(20))));
        }
        match http_get(address, "/readyz").await {
            (200, _) => Ok(Ok(())),
            (status, body) => Err(format!("{status}: {body}")),
        }
    });
    ready.await.expect("it goes on running");
    process
}
