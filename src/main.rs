//! The `oprc-crm` command.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The `OaaS` Class Runtime Manager.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a real control plane on this machine.
    #[cfg(feature = "sandbox")]
    Sandbox(oprc_crm::cli::sandbox::Args),
    /// Owns the children of a sandbox; started by it.
    #[cfg(feature = "sandbox")]
    #[command(hide = true)]
    SandboxGuard {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => {
            let runtime = match tokio::runtime::Runtime::new() {
                Ok(runtime) => runtime,
                Err(error) => return fail(&error),
            };
            runtime.block_on(oprc_crm::cli::sandbox::run(&args)).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
        }
        // Before anything starts a thread.
        #[cfg(feature = "sandbox")]
        Command::SandboxGuard { args } => oprc_crm::sandbox::guard::run(&args),
    }
}

#[cfg(feature = "sandbox")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
