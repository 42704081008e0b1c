//! The command line: one file a command. Each has `Args` (clap) and `run(Args) -> ExitCode`.
//!
//! Exit codes: 0 done, 1 the answer is no (a check failed, a class is not Available), 2 could not run.

#[cfg(feature = "sandbox")]
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

mod crd;
mod live;
mod offline;
mod policy;
mod records;
mod render;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;

/// The `OaaS` Class Runtime Manager.
#[derive(Parser)]
#[command(name = "oprc-crm", version, about, propagate_version = true)]
struct Cli {
    /// Without a command the controller runs.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller (the default).
    Run(run::Args),
    /// Print the CustomResourceDefinition.
    Crd(crd::Args),
    /// Print the manifests of records, offline: no cluster is asked.
    Render(render::Args),
    /// Check, test, show, compare and explain policies.
    Policy(policy::Args),
    /// Watch sample classes being deployed on a real Kubernetes control plane on this machine, without containers.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Args),
    /// Own the children of a sandbox; started by it.
    #[cfg(feature = "sandbox")]
    #[command(hide = true)]
    SandboxGuard {
        /// What the sandbox says.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Writes a line to standard error; a reader that went away (`2>&1 | head`) is no failure, and no reason to panic.
fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Time since the program started, for the watchdog of policy rules.
fn uptime() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Runs what is asynchronous to its end, in a command that is not.
fn block_on<T>(what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(what)
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    crate::policy::watch(uptime);
    match Cli::parse().command.unwrap_or_else(|| Command::Run(run::Args::default())) {
        Command::Run(args) => run::run(&args),
        Command::Crd(args) => crd::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Policy(args) => policy::run(&args),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(&args),
        // Nothing may have started a thread before this.
        #[cfg(feature = "sandbox")]
        Command::SandboxGuard { args } => crate::sandbox::guard::run(&args),
    }
}
