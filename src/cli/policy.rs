//! `oprc-crm policy`: check, test and explain policies.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::decision::{CaseReport, run_tests};
use crate::policy::{Bundle, Diagnostic, Diagnostics, Inputs, Severity};

mod explain;

/// Arguments of `policy`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a bundle: names, types, guards and bounds of everything in it.
    Check(CheckArgs),
    /// Run the tests of a bundle.
    Test(BundleArgs),
    /// Explain what a policy decides about a record, rule by rule.
    Explain(explain::Args),
}

#[derive(clap::Args)]
struct CheckArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Exit 1 on warnings too.
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(clap::Args)]
struct BundleArgs {
    /// Directory of the bundle; without it the shipped one.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Test(args) => test(args),
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

fn check(args: &CheckArgs) -> ExitCode {
    let dir = args.bundle.dir.as_deref();
    if let Some(exit) = unreadable(dir) {
        return exit;
    }
    let found = findings(dir);
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    for one in &found {
        crate::cli::complain(format_args!("{one}\n"));
    }
    let refused = errors > 0 || (args.deny_warnings && warnings > 0);
    if let (false, Ok(bundle)) = (errors > 0, read(dir)) {
        line(&format!("{} documents, revision {}", bundle.names().count(), bundle.revision()));
    }
    line(&format!("{}, {}", count(errors, "error"), count(warnings, "warning")));
    if refused { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// Everything wrong with a bundle under any profile, each finding once.
fn findings(dir: Option<&Path>) -> Vec<Diagnostic> {
    let bundle = match read(dir) {
        Ok(bundle) => bundle,
        Err(Diagnostics(found)) => return found,
    };
    let mut all: Vec<Diagnostic> = Vec::new();
    for profile in ["dev", "edge", "full"] {
        let inputs = Inputs { profile: profile.to_owned(), environment: BTreeMap::new() };
        let found = match bundle.compile(&inputs) {
            Ok((_, warnings)) => warnings,
            Err(Diagnostics(found)) => found,
        };
        for one in found {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
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

fn test(args: &BundleArgs) -> ExitCode {
    let dir = args.dir.as_deref();
    if let Some(exit) = unreadable(dir) {
        return exit;
    }
    let tested = read(dir).and_then(|bundle| {
        // Tests that drop out are missed nowhere but here.
        bundle.warnings().iter().for_each(|warning| crate::cli::complain(format_args!("{warning}\n")));
        run_tests(&bundle)
    });
    let reports = match tested {
        Ok(reports) => reports,
        Err(diagnostics) => {
            crate::cli::complain(format_args!("{diagnostics}\n"));
            line("the bundle does not load, so no test ran");
            return ExitCode::from(1);
        }
    };
    let failed = reports.iter().filter(|report| !report.faults.is_empty()).count();
    for report in &reports {
        show(report);
    }
    if reports.is_empty() {
        crate::cli::complain(
            "nothing was tested: the bundle has no test; write a document of kind Test for what it decides",
        );
    }
    line(&format!("{} passed, {failed} failed", reports.len() - failed));
    if failed > 0 || reports.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn show(report: &CaseReport) {
    let CaseReport { suite, case, place, faults } = report;
    if faults.is_empty() {
        line(&format!("ok    {suite}: {case}"));
        return;
    }
    line(&format!("FAIL  {suite}: {case}\n      at {place}"));
    for fault in faults {
        line(&format!("      {fault}"));
    }
}
