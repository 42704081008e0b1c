//! `oprc-crm sandbox`: the operator and sample classes on a real control plane on this machine, shown live.

mod progress;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

use crate::sandbox::binaries::{self, Search};
use crate::sandbox::crm::{Crm, NAMESPACE};
use crate::sandbox::load::Loads;
use crate::sandbox::measure::Scraping;
use crate::sandbox::show::{Laps, Screen};
use crate::sandbox::{ControlPlane, Options, SandboxError, Step, guard, install};
use progress::Progress;

/// The operator's rights, as they are shipped.
const RBAC: &str = include_str!("../../k8s/rbac/crm-rbac.yaml");
/// Lines of the operator's log that a failure shows.
const LOG_LINES: usize = 10;

const EXAMPLES: &str = "\
Examples:
  oprc-crm sandbox                    stay up: a live table, and a kubeconfig to play with
  oprc-crm sandbox --once             prove that it works: end with 0 when every sample is Available
                                      and the first recommendation is in its status
  oprc-crm sandbox --once --keep      the same, and leave the logs to look at

The first run builds etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and Prometheus from their \
published Go modules, about ten minutes on two cores, and keeps them in the cache directory. It needs Go and asks nothing.

Pods run on fake nodes: no image is ever pulled, and what pods would use is made up: that of class elastic rises \
and falls, and its replicas follow. What is done about it is the operator's. It runs with the rights of k8s/rbac/crm-rbac.yaml and no \
others. However the sandbox ends, no process and no file of it stays.

Environment:
  OPRC_CONTROL_PLANE_BIN    a directory that holds these programs, instead of building them
  OPRC_CRM_POLICY_DIR       a policy bundle of your own, to see what it makes of the samples
  RUST_LOG                  how much the operator writes to its log
  NO_COLOR                  no colours

Exit codes: 0 done, 1 the samples are not Available or nothing is recommended in time or the operator failed, 2 the sandbox could not run.";

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// End when every sample is Available and something is recommended, and say how long each step took
    #[arg(long)]
    once: bool,
    /// With --once: how long the samples may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "once")]
    timeout: u32,
    /// How many fake nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    nodes: u32,
    /// Leave the directory with logs and data behind
    #[arg(long)]
    keep: bool,
}

/// Why the sandbox ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The answer is no.
    #[error("{0}")]
    NotAvailable(String),
    /// There is no answer.
    #[error(transparent)]
    NotRun(#[from] SandboxError),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::cli::complain(format_args!("oprc-crm sandbox: cannot start: {error}"));
            return ExitCode::from(2);
        }
    };
    let outcome = runtime.block_on(async {
        let outcome = serve(args).await;
        // Whatever was dropped on the way here is ending now.
        if !guard::all_gone().await {
            crate::cli::complain("oprc-crm sandbox: some of its processes are still ending");
        }
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            crate::cli::complain(format_args!("oprc-crm sandbox: {failure}"));
            ExitCode::from(if matches!(failure, Failure::NotAvailable(_)) { 1 } else { 2 })
        }
    }
}

/// Works until it is done, interrupted, or something fails.
async fn serve(args: &Args) -> Result<(), Failure> {
    let mut ctrl_c = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut progress = Progress::new();
    let done = tokio::select! {
        done = work(args, &mut progress) => Some(done),
        _ = ctrl_c.recv() => None,
        _ = terminate.recv() => None,
    };
    if let Some(done) = done {
        progress.done();
        return done;
    }
    progress.interrupted();
    if args.once {
        return Err(Failure::NotAvailable("interrupted before every sample was Available and measured".to_owned()));
    }
    Ok(())
}

async fn work(args: &Args, progress: &mut Progress) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|source| file("cannot find", Path::new("this program"), source))?;
    let mut laps = Laps::start();
    let (plane, client) = start_plane(args, &program, progress, &mut laps).await?;
    progress.show(&Step::Starting("Prometheus"));
    let scraping = Scraping::start(&plane, &client, NAMESPACE, "sandbox").await?;
    let _loads = Loads::start(scraping.exporter.clone(), NAMESPACE);
    laps.lap("Prometheus");
    progress.show(&Step::Starting("the operator"));
    install::crm(&client, RBAC).await.map_err(SandboxError::from)?;
    let crm = Crm::start(&plane, &program, Some(&scraping.prometheus.url())).await;
    let crm = crm.map_err(|error| Failure::NotAvailable(error.to_string()))?;
    laps.lap("operator ready");
    progress.done();

    let mut screen = Screen::new();
    let apply = manifests(&plane)?;
    screen.head(show::head(args, &plane, &crm, &apply, screen.style()));
    let shown = tokio::select! {
        error = plane.any_failure() => Err(error.into()),
        error = scraping.prometheus.failure() => Err(error.into()),
        error = crm.failure() => Err(Failure::NotAvailable(error.to_string())),
        shown = show::live(args, &client, &crm, &mut screen, &mut laps) => shown,
    };
    // It ends here in every case, and in the order that it should.
    let (kept, stopped) = (plane.dir().to_owned(), plane.stop().await);
    if args.keep {
        println!("\n  logs and data are left in {}", kept.display());
    }
    shown.and_then(|()| stopped.map_err(Failure::from))
}

/// The programs, the control plane, and a client with all rights.
async fn start_plane(
    args: &Args,
    program: &Path,
    progress: &mut Progress,
    laps: &mut Laps,
) -> Result<(ControlPlane, Client), SandboxError> {
    progress.show(&Step::Finding);
    let mut built = false;
    let mut building = |line| {
        built = true;
        progress.show(&Step::Building(line));
    };
    let found = binaries::find_or_build(&Search::from_env(), program, &mut building).await?;
    laps.lap(if built { "programs built" } else { "programs found" });
    let options = Options { guard: program.to_owned(), nodes: args.nodes, keep: args.keep };
    let plane = ControlPlane::start_with(found, options, |step| progress.show(&step)).await?;
    laps.lap("control plane");
    let client = Client::try_from(plane.admin_config().await?)
        .map_err(|source| SandboxError::Api { what: "cannot make a client".to_owned(), source: Box::new(source) })?;
    Ok((plane, client))
}

/// Where the sample manifests are: in the repository where this is it, else copies beside the logs.
fn manifests(plane: &ControlPlane) -> Result<PathBuf, SandboxError> {
    use crate::sandbox::samples::MANIFESTS;
    let here = PathBuf::from("k8s/samples");
    if MANIFESTS.iter().all(|(name, text)| std::fs::read_to_string(here.join(name)).is_ok_and(|found| found == *text)) {
        return Ok(here);
    }
    let dir = plane.dir().join("samples");
    std::fs::create_dir_all(&dir).map_err(|source| file("cannot create", &dir, source))?;
    for (name, text) in MANIFESTS {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| file("cannot write", &path, source))?;
    }
    Ok(dir)
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, SandboxError> {
    signal(kind).map_err(|source| file("cannot listen for signals of", Path::new("this process"), source))
}

fn file(what: &'static str, path: &Path, source: std::io::Error) -> SandboxError {
    SandboxError::File { what, path: path.to_owned(), source }
}

fn seconds(args: &Args) -> Duration {
    Duration::from_secs(args.timeout.into())
}
