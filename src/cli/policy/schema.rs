//! `oprc-crm policy schema`: the language for editors and readers.

use std::process::ExitCode;

use crate::policy::{facts_markdown, json_schema};

/// Arguments of `policy schema`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print the table of facts as Markdown instead of the JSON Schema of the documents.
    #[arg(long)]
    facts: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args.facts {
        super::print(&facts_markdown());
    } else {
        super::line(&format!("{:#}", json_schema()));
    }
    ExitCode::SUCCESS
}
