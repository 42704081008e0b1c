//! The operator itself, as a process beside the control plane, with the rights of its `ServiceAccount` and no others.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::control_plane::ControlPlane;
use super::error::SandboxError;
use super::guard::Process;

/// The namespace that it watches, which its shipped rights are bound in.
pub const NAMESPACE: &str = "default";
/// The profile that it runs in: one where the policy has something to choose.
pub const PROFILE: &str = "edge";

const NAME: &str = "oprc-crm";
/// From its start to the first 200 of `/readyz`.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// One answer; the server is on this machine.
const ANSWER: Duration = Duration::from_secs(2);
/// Another process may take the port between its choice and its use.
const TRIES: u32 = 3;

/// What is on and off, whatever the profile says: data grids are on; what the sandbox or this version does not have is off.
const ENVIRONMENT: [(&str, &str); 11] = [
    ("OPRC_CRM_PROFILE", PROFILE),
    ("OPRC_CRM_K8S_NAMESPACE", NAMESPACE),
    ("POD_NAMESPACE", super::install::CRM_NAMESPACE),
    ("OPRC_CRM_FEATURES_ODGM", "true"),
    ("OPRC_CRM_FEATURES_KNATIVE", "false"),
    ("OPRC_CRM_FEATURES_HPA", "false"),
    ("OPRC_CRM_FEATURES_LEADER_ELECTION", "false"),
    ("OPRC_CRM_SECURITY_MTLS", "false"),
    ("OPRC_CRM_ANALYZER_INTERVAL_SECS", "5"),
    // The API server and Prometheus are on this machine, not behind a proxy.
    ("HTTPS_PROXY", ""),
    ("https_proxy", ""),
];

/// A running operator. It ends with its control plane.
#[derive(Debug)]
pub struct Crm {
    process: Process,
    port: u16,
}

impl Crm {
    /// Starts `program run`, which measures by the Prometheus at a URL where there is one, and waits until it is ready. What else the environment says holds for it too, so that
    /// somebody's own policy can be tried out.
    pub async fn start(plane: &ControlPlane, program: &Path, prometheus: Option<&str>) -> Result<Self, SandboxError> {
        for _ in 1..TRIES {
            match Self::try_start(plane, program, prometheus).await {
                Err(error) if error.is_port_conflict() => {}
                other => return other,
            }
        }
        Self::try_start(plane, program, prometheus).await
    }

    async fn try_start(plane: &ControlPlane, program: &Path, prometheus: Option<&str>) -> Result<Self, SandboxError> {
        let port = free_port().map_err(SandboxError::Port)?;
        let (kubeconfig, shown_port) = (plane.crm_kubeconfig().display().to_string(), port.to_string());
        let measures = if prometheus.is_some() { "true" } else { "false" };
        let log = decision_log(plane)?.display().to_string();
        let mut env = vec![
            ("KUBECONFIG", kubeconfig.as_str()),
            ("HTTP_PORT", shown_port.as_str()),
            ("OPRC_CRM_PROM_URL", prometheus.unwrap_or_default()),
            ("OPRC_CRM_FEATURES_PROMETHEUS", measures),
            ("OPRC_CRM_FEATURES_NFR_ENFORCEMENT", measures),
            ("OPRC_CRM_DECISION_LOG", log.as_str()),
        ];
        env.extend(ENVIRONMENT);
        let process = plane.spawn(NAME, program, &["run"], &env).await?;
        let crm = Self { process, port };
        tokio::select! {
            error = crm.failure() => Err(error),
            ready = crm.ready() => ready.map(|()| crm),
        }
    }

    async fn ready(&self) -> Result<(), SandboxError> {
        let start = Instant::now();
        let mut last = "no answer".to_owned();
        while start.elapsed() < LIMIT {
            match timeout(ANSWER, get(self.port, "/readyz")).await {
                Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
                Ok(Ok(answer)) => answer.lines().last().unwrap_or_default().clone_into(&mut last),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no answer within {} s", ANSWER.as_secs()),
            }
            sleep(PAUSE).await;
        }
        let (name, log) = (self.process.name().to_owned(), self.log_tail(20));
        Err(SandboxError::NotReady { what: "the operator is", limit: LIMIT, last, name, log })
    }

    /// Where it serves gRPC and HTTP, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    /// Waits until it ends by itself, and says how.
    pub async fn failure(&self) -> SandboxError {
        self.process.failure().await
    }
}

/// Where it logs what it decides: a directory of its own, in which the policies that decided are kept too.
pub fn decision_log(plane: &ControlPlane) -> Result<PathBuf, SandboxError> {
    let dir = plane.dir().join("decisions");
    std::fs::create_dir_all(&dir).map_err(|source| SandboxError::File {
        what: "cannot create",
        path: dir.clone(),
        source,
    })?;
    Ok(dir.join("decisions.jsonl"))
}

/// It listens on every address, so the port must be free on all of them.
fn free_port() -> std::io::Result<u16> {
    TcpListener::bind(("0.0.0.0", 0))?.local_addr().map(|address| address.port())
}

async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
