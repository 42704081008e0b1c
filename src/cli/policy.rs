//! `oprc-crm policy`: check, test and explain policies.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::policy::{Bundle, Diagnostics};

mod check;
mod explain;
mod test;

/// Arguments of `policy`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a bundle: names, types, guards and bounds of everything in it.
    Check(check::Args),
    /// Run the tests of a bundle.
    Test(test::Args),
    /// Explain what a policy decides about a record, rule by rule.
    Explain(explain::Args),
}

#[derive(clap::Args)]
struct BundleArgs {
    /// Directory of the bundle; without it the shipped one.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
    }
}

/// Reads a directory, or the shipped bundle.
fn read(dir: Option<&Path>) -> Result<Bundle, Diagnostics> {
    dir.map_or_else(Bundle::builtin, Bundle::load)
}

/// Environment variables of this program, which params may name.
fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// A directory that is not there, or can't be read, is no verdict about policies.
fn unreadable(dir: Option<&Path>) -> Option<ExitCode> {
    let dir = dir?;
    match std::fs::read_dir(dir) {
        Ok(_) => None,
        Err(error) => {
            crate::cli::complain(format_args!(
                "oprc-crm policy: {}: {error}; name the directory that holds the bundle",
                dir.display()
            ));
            Some(ExitCode::from(2))
        }
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn line(text: &str) {
    print(&format!("{text}\n"));
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
