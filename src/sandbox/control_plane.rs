//! Starts the programs in their order, waits until each serves, and hands out the ways in.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::binaries::{self, Binaries, Search};
use super::components::{Layout, Ports};
use super::credentials::{self, Credentials};
use super::error::SandboxError;
use super::guard::{Guard, Launch, Process};
use super::nodes;

/// For each thing that is waited for; a loaded machine takes much longer than the usual second or two.
const LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
/// How often a program that should run is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Another process may take a port between its choice and its use.
const TRIES: u32 = 3;

/// How to start a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `oprc-crm` executable, whose hidden subcommand guards the children.
    pub guard: PathBuf,
    /// How many fake nodes.
    pub nodes: u32,
    /// Leave the directory with logs and data where it is.
    pub keep: bool,
}

/// What a start is doing.
#[derive(Debug, Clone)]
pub enum Step {
    /// Looks for the programs.
    Finding,
    /// Builds them; a line of progress.
    Building(String),
    /// Starts one.
    Starting(&'static str),
    /// Something serves.
    Ready {
        /// What.
        what: &'static str,
        /// Since it was started.
        took: Duration,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding => f.write_str("looking for the control plane's programs"),
            Self::Building(line) => write!(f, "building the control plane: {line}"),
            Self::Starting(what) => write!(f, "starting {what}"),
            Self::Ready { what, took } => write!(f, "{what} ready after {:.1} s", took.as_secs_f64()),
        }
    }
}

/// A running control plane. Dropping it ends all of it and removes its directory.
#[derive(Debug)]
pub struct ControlPlane {
    guard: Arc<Guard>,
    layout: Layout,
    admin_kubeconfig: PathBuf,
    crm_kubeconfig: PathBuf,
    audit_log: PathBuf,
    /// Under a lock, so that a stop and a start at once do not leave two of them.
    apiserver: Mutex<Process>,
    others: [Process; 4],
}

impl ControlPlane {
    /// Starts one and waits until its nodes take pods. The programs are looked for where the environment says.
    pub async fn start(options: Options, mut progress: impl FnMut(Step) + Send) -> Result<Self, SandboxError> {
        progress(Step::Finding);
        let building = &mut |line| progress(Step::Building(line));
        let binaries = binaries::find_or_build(&Search::from_env(), &options.guard, building).await?;
        Self::start_with(binaries, options, progress).await
    }

    /// Like [`start`](Self::start), with programs that are at hand.
    pub async fn start_with(
        binaries: Binaries,
        options: Options,
        mut progress: impl FnMut(Step) + Send,
    ) -> Result<Self, SandboxError> {
        for _ in 1..TRIES {
            match Self::try_start(&binaries, &options, &mut progress).await {
                Err(error) if error.is_port_conflict() => {}
                other => return other,
            }
        }
        Self::try_start(&binaries, &options, &mut progress).await
    }

    async fn try_start(
        binaries: &Binaries,
        options: &Options,
        progress: &mut (impl FnMut(Step) + Send),
    ) -> Result<Self, SandboxError> {
        let guard = Guard::start(&options.guard, options.keep).await?;
        let layout = prepare(guard.dir(), binaries.clone())?;

        let started = Instant::now();
        progress(Step::Starting("etcd"));
        let etcd = guard.spawn(layout.etcd()).await?;
        progress(Step::Starting("kube-apiserver"));
        // It waits for etcd by itself, and most of its own start needs no etcd.
        let apiserver = guard.spawn(layout.apiserver()).await?;
        let client = admin_client(&layout.credentials).await?;
        wait("the API server is", &[&apiserver, &etcd], || serving(&client)).await?;
        progress(Step::Ready { what: "the API server", took: started.elapsed() });

        let started = Instant::now();
        progress(Step::Starting("kube-controller-manager, kube-scheduler and kwok"));
        let manager = guard.spawn(layout.controller_manager()).await?;
        let scheduler = guard.spawn(layout.scheduler()).await?;
        let kwok = guard.spawn(layout.kwok()).await?;
        nodes::create(&client, options.nodes).await?;
        let answerable = [&kwok, &manager, &scheduler, &apiserver, &etcd];
        wait("the nodes are", &answerable, || nodes::missing(&client, options.nodes)).await?;
        progress(Step::Ready { what: "the nodes", took: started.elapsed() });
        Ok(Self {
            admin_kubeconfig: layout.credentials.kubeconfig(&credentials::ADMIN),
            crm_kubeconfig: layout.credentials.kubeconfig(&credentials::CRM),
            audit_log: layout.audit_log(),
            guard,
            layout,
            apiserver: Mutex::new(apiserver),
            others: [etcd, manager, scheduler, kwok],
        })
    }

    /// For kubectl and the like, with all rights.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// With the rights of the operator's `ServiceAccount`.
    pub fn crm_kubeconfig(&self) -> &Path {
        &self.crm_kubeconfig
    }

    /// A client configuration with all rights.
    pub async fn admin_config(&self) -> Result<Config, SandboxError> {
        config(self.admin_kubeconfig()).await
    }

    /// A client configuration with the rights of the operator's `ServiceAccount`.
    pub async fn crm_config(&self) -> Result<Config, SandboxError> {
        config(self.crm_kubeconfig()).await
    }

    /// The API server's audit log: a JSON document (`audit.k8s.io/v1` Event, metadata level) for each request.
    pub fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    /// The directory with everything of this control plane; it goes with it.
    pub fn dir(&self) -> &Path {
        self.guard.dir()
    }

    /// A program that was built with the control plane's.
    pub fn program(&self, name: &str) -> PathBuf {
        self.layout.binaries.program(name)
    }

    /// Runs another program under the same guard. At the end it is asked to stop before the control plane goes.
    /// Its log is `logs/NAME.log`, which a second program of that name continues.
    pub async fn spawn(
        &self,
        name: &str,
        program: &Path,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process, SandboxError> {
        let env: BTreeMap<String, String> =
            env.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let args = args.iter().map(ToString::to_string).collect();
        self.guard.spawn(Launch { name: name.to_owned(), program: program.to_owned(), args, env, polite: true }).await
    }

    /// Kills the API server, as a crash would. The rest goes on without it.
    pub async fn stop_apiserver(&self) -> Result<(), SandboxError> {
        let apiserver = self.apiserver.lock().await;
        apiserver.kill()?;
        apiserver.wait(LIMIT).await.map(|_| ())
    }

    /// Starts the API server again, on the same port, and waits until it serves. Does nothing where it runs.
    pub async fn start_apiserver(&self) -> Result<(), SandboxError> {
        let mut apiserver = self.apiserver.lock().await;
        if apiserver.exited().is_some() {
            *apiserver = self.guard.spawn(self.layout.apiserver()).await?;
        }
        let client = admin_client(&self.layout.credentials).await?;
        wait("the API server is", &[&apiserver], || serving(&client)).await
    }

    /// Both, one after the other.
    pub async fn restart_apiserver(&self) -> Result<(), SandboxError> {
        self.stop_apiserver().await?;
        self.start_apiserver().await
    }

    /// Waits until one of the programs ends by itself; for one who has nothing else to do. The API server, which
    /// [`stop_apiserver`](Self::stop_apiserver) may stop, is not watched.
    pub async fn failure(&self) -> SandboxError {
        loop {
            if let Some(error) = self.others.iter().find_map(|process| process.check_running().err()) {
                return error;
            }
            sleep(LOOK).await;
        }
    }

    /// Like [`failure`](Self::failure), for one who never stops the API server.
    pub async fn any_failure(&self) -> SandboxError {
        let apiserver = self.apiserver.lock().await.clone();
        tokio::select! {
            error = apiserver.failure() => error,
            error = self.failure() => error,
        }
    }

    /// Ends everything and waits until the last process and the directory are gone.
    pub async fn stop(self) -> Result<(), SandboxError> {
        self.guard.stop().await
    }
}

impl Drop for ControlPlane {
    /// Handles of its processes may outlive it; the processes do not.
    fn drop(&mut self) {
        self.guard.close();
    }
}

/// Everything that must be there before the first program starts.
fn prepare(dir: &Path, binaries: Binaries) -> Result<Layout, SandboxError> {
    let ports = Ports::free()?;
    let [logs, keys] = ["logs", "credentials"].map(|name| dir.join(name));
    for path in [&logs, &keys] {
        let failed = |source| SandboxError::File { what: "cannot create", path: path.clone(), source };
        fs::create_dir(path).map_err(failed)?;
    }
    let credentials = credentials::write(&keys, ports.apiserver)?;
    let layout = Layout { dir: dir.to_owned(), ports, binaries, credentials };
    layout.write_files()?;
    Ok(layout)
}

async fn config(path: &Path) -> Result<Config, SandboxError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // Everything here is on this machine; the proxy of the environment is not meant for it.
    config.proxy_url = None;
    Ok(config)
}

async fn admin_client(credentials: &Credentials) -> Result<Client, SandboxError> {
    let mut config = config(&credentials.kubeconfig(&credentials::ADMIN)).await?;
    // Waiting is done here, and says what it waits for.
    config.default_retry = false;
    Client::try_from(config)
        .map_err(|source| SandboxError::Api { what: "cannot make a client".to_owned(), source: Box::new(source) })
}

/// `None` once the API server serves everything.
async fn serving(client: &Client) -> Option<String> {
    let request = match http::Request::get("/readyz").body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Some(error.to_string()),
    };
    client.request_text(request).await.err().map(|error| error.to_string())
}

/// Asks until nothing is missing. The first process is the one to blame; none of them may end meanwhile.
async fn wait<F>(what: &'static str, processes: &[&Process], mut missing: impl FnMut() -> F) -> Result<(), SandboxError>
where
    F: Future<Output = Option<String>>,
{
    let start = Instant::now();
    let mut last = String::from("no answer");
    while start.elapsed() < LIMIT {
        for process in processes {
            process.check_running()?;
        }
        match tokio::time::timeout(LIMIT, missing()).await {
            Ok(None) => return Ok(()),
            Ok(Some(state)) => last = state,
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
    let (name, log) = processes.first().map(|p| (p.name().to_owned(), p.log_tail(20))).unwrap_or_default();
    Err(SandboxError::NotReady { what, limit: LIMIT, last, name, log })
}
