//! `oprc-crm sandbox`: a real control plane on this machine, with everything installed that the operator needs.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

use crate::sandbox::{ControlPlane, Options, SandboxError, Step, install};

/// The operator's rights, as they are shipped.
const RBAC: &str = include_str!("../../k8s/rbac/crm-rbac.yaml");

/// Where a line of progress is cut, so that the next one overwrites all of it.
const TERMINAL_WIDTH: usize = 79;
/// How often a build speaks where it is not shown on a terminal.
const BUILD_LINE_PAUSE: Duration = Duration::from_secs(10);

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many fake nodes.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// Leave the directory with logs and data behind.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("oprc-crm sandbox: cannot start: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oprc-crm sandbox: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs until it is interrupted or a part of the control plane fails.
async fn serve(args: &Args) -> Result<(), SandboxError> {
    let mut ctrl_c = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let guard = std::env::current_exe().map_err(|source| file("cannot find", Path::new("this program"), source))?;
    let options = Options { guard, nodes: args.nodes, keep: args.keep };
    let mut report = Report::default();
    let started = async {
        let plane = ControlPlane::start(options, |step| report.show(&step)).await?;
        let client = Client::try_from(plane.admin_config().await?).map_err(|source| SandboxError::Api {
            what: "cannot make a client".to_owned(),
            source: Box::new(source),
        })?;
        install::crm(&client, RBAC).await?;
        Ok::<_, SandboxError>(plane)
    };
    let plane = tokio::select! {
        plane = started => plane?,
        _ = ctrl_c.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!("\nThe control plane runs. In another terminal:\n");
    println!("  export KUBECONFIG={}", plane.admin_kubeconfig().display());
    println!("  kubectl get nodes\n\nLogs are in {}. Ctrl-C ends it.", plane.dir().join("logs").display());
    tokio::select! {
        error = plane.failure() => return Err(error),
        _ = ctrl_c.recv() => {}
        _ = terminate.recv() => {}
    }
    plane.stop().await
}

/// Shows the steps of a start on standard error. A build has thousands of lines: on a terminal they share one.
#[derive(Default)]
struct Report {
    open_line: bool,
    last_build_line: Option<Instant>,
}

impl Report {
    fn show(&mut self, step: &Step) {
        let mut stderr = std::io::stderr().lock();
        let terminal = stderr.is_terminal();
        let building = matches!(step, Step::Building(_));
        // Nobody but the reader is hurt by a line that cannot be written.
        let _ = match (building, terminal) {
            (true, true) => {
                self.open_line = true;
                let line: String = step.to_string().chars().take(TERMINAL_WIDTH).collect();
                write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush())
            }
            (true, false) if self.last_build_line.is_some_and(|last| last.elapsed() < BUILD_LINE_PAUSE) => Ok(()),
            _ => {
                self.last_build_line = building.then(Instant::now);
                let end_of_line = if std::mem::take(&mut self.open_line) { "\n" } else { "" };
                writeln!(stderr, "{end_of_line}{step}")
            }
        };
    }
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, SandboxError> {
    signal(kind).map_err(|source| file("cannot listen for signals of", Path::new("this process"), source))
}

fn file(what: &'static str, path: &Path, source: std::io::Error) -> SandboxError {
    SandboxError::File { what, path: path.to_owned(), source }
}
