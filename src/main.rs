//! The `oprc-crm` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    oprc_crm::cli::main()
}
