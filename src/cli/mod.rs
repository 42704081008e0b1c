//! The command line: one file a command. Each has `Args` (clap) and `run(Args) -> ExitCode`.
//!
//! Exit codes: 0 done, 1 the answer is no (a check failed, a class is not Available), 2 could not run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod crd;
mod policy;

/// The `OaaS` Class Runtime Manager.
#[derive(Parser)]
#[command(name = "oprc-crm", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the CustomResourceDefinition.
    Crd(crd::Args),
    /// Check, test and explain policies.
    Policy(policy::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crd(args) => crd::run(&args),
        Command::Policy(args) => policy::run(&args),
    }
}
