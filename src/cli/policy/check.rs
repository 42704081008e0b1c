//! `oprc-crm policy check`: names, types, guards and bounds of everything in a bundle.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::origin::Refused;
use crate::policy::{Bundle, Diagnostic, Diagnostics, Inputs, report};

/// Arguments of `policy check`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    bundle: super::BundleArgs,
    /// Exit 1 on warnings too.
    #[arg(long)]
    deny_warnings: bool,
    /// Check again whenever a file of the directory changes; Ctrl-C ends.
    #[arg(long)]
    watch: bool,
    /// Form of the findings.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people; findings go to the standard error.
    Text,
    /// One JSON document.
    Json,
    /// Annotations for GitHub Actions.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args.watch {
        let text = matches!(args.format, Format::Text);
        return super::watch::watch(&args.bundle.bundle, text, |read| check(args, read));
    }
    check(args, args.bundle.bundle.read())
}

fn check(args: &Args, read: Result<Bundle, Refused>) -> ExitCode {
    let (found, bundle) = match read {
        Ok(bundle) => (findings(&bundle), Some(bundle)),
        Err(Refused::Wrong(Diagnostics(found))) => (found, None),
        Err(unreadable) => return unreadable.exit(),
    };
    let (errors, warnings) = report::counts(&found);
    let bundle = bundle.filter(|_| errors == 0);
    let right = bundle.as_ref().map(|bundle| (bundle.names().count(), bundle.revision()));
    match args.format {
        Format::Text => text(&found, right),
        Format::Json => super::line(&format!("{:#}", report::json(&found, right))),
        Format::Github => super::print(&report::github(&found)),
        Format::Sarif => super::line(&format!("{:#}", report::sarif(&found, env!("CARGO_PKG_VERSION")))),
    }
    let refused = errors > 0 || (args.deny_warnings && warnings > 0);
    if refused { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn text(found: &[Diagnostic], bundle: Option<(usize, &str)>) {
    for one in found {
        crate::cli::complain(format_args!("{one}\n"));
    }
    if let Some((documents, revision)) = bundle {
        super::line(&format!("{documents} documents, revision {revision}"));
    }
    let (errors, warnings) = report::counts(found);
    super::line(&format!("{}, {}", super::count(errors, "error"), super::count(warnings, "warning")));
}

/// Everything wrong with a bundle under any profile, each finding once.
fn findings(bundle: &Bundle) -> Vec<Diagnostic> {
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
