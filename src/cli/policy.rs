//! `oprc-crm policy`: check, test, show, compare and explain policies.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use origin::Origin;

mod audit;
mod backtest;
mod check;
mod diff;
mod explain;
pub(super) mod origin;
mod schema;
mod show;
mod test;
mod watch;

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
    /// Show the bundle in effect: documents, params with origins and bounds, rules, revision.
    Show(show::Args),
    /// Tell what changed between two bundles in meaning, or for the classes of a cluster. Exit 0: nothing, 1: something,
    /// 2: could not compare.
    Diff(diff::Args),
    /// Play a recorded load through a bundle, in closed loop, beside others. Exit 0: done, 1: --fail-on holds, 2: it could not
    /// be played.
    Backtest(Box<backtest::Args>),
    /// Explain what a policy decides about a record, or decided by a line of the decision log, rule by rule.
    Explain(explain::Args),
    /// Tell whether the decision log is whole.
    Audit(audit::Args),
    /// Print the language for editors: a JSON Schema of the documents, or the table of facts.
    Schema(schema::Args),
}

#[derive(clap::Args)]
struct BundleArgs {
    /// Directory of the bundle, `builtin`, or git:REVISION[:DIRECTORY]; without it the shipped one.
    #[arg(value_name = "BUNDLE", default_value = "builtin", hide_default_value = true)]
    bundle: Origin,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Show(args) => show::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Backtest(args) => backtest::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Schema(args) => schema::run(args),
    }
}

/// Environment variables of this program, which params may name.
fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) {
    let _ = written(text);
}

/// The same, for what must have been written: a full disk is a failure.
fn written(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn line(text: &str) {
    print(&format!("{text}\n"));
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
