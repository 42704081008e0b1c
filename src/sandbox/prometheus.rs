//! A real Prometheus beside the control plane, scraping targets on this machine.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::control_plane::ControlPlane;
use super::error::SandboxError;
use super::guard::Process;

const NAME: &str = "prometheus";
/// From its start to the first answer.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// One answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Another process may take the port between its choice and its use.
const TRIES: u32 = 3;

/// A running Prometheus. It ends with its control plane.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    port: u16,
    targets: PathBuf,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second, and waits until it answers. Several of one control plane need
    /// several names; a name that was used before finds its data again.
    pub async fn start(plane: &ControlPlane, name: &str, target: SocketAddr) -> Result<Self, SandboxError> {
        for _ in 1..TRIES {
            match Self::try_start(plane, name, target, None).await {
                Err(error) if error.is_port_conflict() => {}
                other => return other,
            }
        }
        Self::try_start(plane, name, target, None).await
    }

    /// Starts one where another was: on its port, with its data.
    pub async fn start_again(
        plane: &ControlPlane,
        name: &str,
        target: SocketAddr,
        port: u16,
    ) -> Result<Self, SandboxError> {
        Self::try_start(plane, name, target, Some(port)).await
    }

    async fn try_start(
        plane: &ControlPlane,
        name: &str,
        target: SocketAddr,
        port: Option<u16>,
    ) -> Result<Self, SandboxError> {
        let port = match port {
            Some(port) => port,
            None => free_port().map_err(SandboxError::Port)?,
        };
        let dir = plane.dir().join(format!("{NAME}-{name}"));
        std::fs::create_dir_all(&dir).map_err(at("cannot create", &dir))?;
        let (config, targets) = (dir.join("prometheus.yaml"), dir.join("targets"));
        std::fs::create_dir_all(&targets).map_err(at("cannot create", &targets))?;
        std::fs::write(&config, configuration(target, &targets)).map_err(at("cannot write", &config))?;
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--log.level=warn".to_owned(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let program = plane.program(NAME);
        let process = plane.spawn(&format!("{NAME}-{name}"), &program, &args, &[]).await?;
        let started = Self { process, port, targets };
        tokio::select! {
            error = started.process.failure() => Err(error),
            ready = started.ready() => ready.map(|()| started),
        }
    }

    async fn ready(&self) -> Result<(), SandboxError> {
        let start = Instant::now();
        let mut last = "no answer".to_owned();
        while start.elapsed() < LIMIT {
            match timeout(ANSWER, status(self.port)).await {
                Ok(Ok(answer)) if answer.contains(" 200 ") => return Ok(()),
                Ok(Ok(answer)) => last = answer,
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no answer within {} s", ANSWER.as_secs()),
            }
            sleep(PAUSE).await;
        }
        let (name, log) = (self.process.name().to_owned(), self.process.log_tail(20));
        Err(SandboxError::NotReady { what: "Prometheus is", limit: LIMIT, last, name, log })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Scrapes another target too, from a second or so on, and gives its series these labels: what a PodMonitor does.
    pub fn also(&self, name: &str, target: SocketAddr, labels: &[(&str, &str)]) -> Result<(), SandboxError> {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let text = serde_json::json!([{"targets": [target.to_string()], "labels": labels}]).to_string();
        let (path, begun) = (self.targets.join(format!("{name}.json")), self.targets.join(format!("{name}.begun")));
        // Prometheus watches the directory: a file appears whole.
        std::fs::write(&begun, text).map_err(at("cannot write", &begun))?;
        std::fs::rename(&begun, &path).map_err(at("cannot write", &path))
    }

    /// Where it serves, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a crash would, and waits until it is gone.
    pub async fn kill(self) -> Result<(), SandboxError> {
        self.process.kill()?;
        self.process.wait(LIMIT).await.map(|_| ())
    }

    /// Waits until it ends by itself, and says how.
    pub async fn failure(&self) -> SandboxError {
        self.process.failure().await
    }
}

/// Scraped often, so that what happens is seen soon; labels of the target win over those of the scrape.
fn configuration(target: SocketAddr, targets: &Path) -> String {
    let files = serde_json::json!([targets.join("*.json")]);
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: sandbox\n\
         \x20 honor_labels: true\n\
         \x20 static_configs: [{{targets: [\"{target}\"]}}]\n\
         - job_name: also\n\
         \x20 file_sd_configs: [{{files: {files}, refresh_interval: 1s}}]\n"
    )
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr().map(|address| address.port())
}

fn at(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> SandboxError {
    let path: PathBuf = path.to_owned();
    move |source| SandboxError::File { what, path: path.clone(), source }
}

/// The first line of what it answers.
async fn status(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /-/ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
