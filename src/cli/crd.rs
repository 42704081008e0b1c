//! `oprc-crm crd`: the definition that the API server needs before the first record, and the page about it.

use std::io::Write as _;
use std::process::ExitCode;

use crate::api::{crd_markdown, crd_yaml};

/// Arguments of `crd`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print the page for people, as Markdown, instead of the definition for the API server.
    #[arg(long)]
    doc: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match if args.doc { crd_markdown() } else { crd_yaml() } {
        Ok(text) => {
            // A reader that went away (`| head`) is no failure.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            crate::cli::complain(format_args!("oprc-crm crd: {error}"));
            ExitCode::from(2)
        }
    }
}
