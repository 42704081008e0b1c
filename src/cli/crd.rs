//! `oprc-crm crd`: the definition that the API server needs before the first record.

use std::process::ExitCode;

/// Arguments of `crd`.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> ExitCode {
    match crate::api::crd_yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            crate::cli::complain(format_args!("oprc-crm crd: {error}"));
            ExitCode::from(2)
        }
    }
}
