//! The process that owns the children of a sandbox and its temporary directory.
//!
//! A parent that is killed cannot clean up, so it never owns anything: it starts `oprc-crm sandbox-guard` with a pipe
//! on its standard input, and the end of that pipe, which the kernel guarantees, ends the children and removes the
//! directory. The guard runs in a process group of its own, so that Ctrl-C reaches only the parent. Should the guard
//! itself be killed, Linux ends its children (parent-death signal).

mod client;
mod dir;
mod exec;
mod protocol;
mod serve;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

pub(in crate::sandbox) use client::{Guard, Launch};
pub use client::{Process, all_gone};
pub use protocol::Exit;

/// `program` (this one) as the step before another one, to be added, that then ends with this process, also where this one is killed
/// (on Linux). The thread that starts it must live as long.
pub(in crate::sandbox) fn bound(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(SUBCOMMAND).arg(EXEC).arg(std::process::id().to_string());
    command
}

/// First argument of the form in which the guard starts a child: `sandbox-guard exec PARENT PROGRAM ARGS..`.
const EXEC: &str = "exec";
/// Argument that tells the guard to leave the directory where it is.
const KEEP: &str = "--keep";
/// The hidden subcommand behind which the caller's `main` calls [`run`].
const SUBCOMMAND: &str = "sandbox-guard";

/// The whole of `oprc-crm sandbox-guard ARGS..`. Call it before anything else starts a thread.
pub fn run(args: &[OsString]) -> ExitCode {
    match args.split_first() {
        Some((first, rest)) if first == EXEC => exec::run(rest),
        _ => serve::run(args.iter().any(|arg| arg == KEEP)),
    }
}
