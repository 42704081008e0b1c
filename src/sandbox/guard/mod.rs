//! The process that owns the children of a sandbox and its temporary directory.
//!
//! A parent that is killed cannot clean up, so it never owns anything: it starts `oprc-crm sandbox-guard` with a pipe
//! on its standard input, and the end of that pipe, which the kernel guarantees, ends the children and removes the
//! directory. The guard runs in a process group of its own, so that Ctrl-C reaches only the parent. Should the guard
//! itself be killed, Linux ends its children (parent-death signal).

mod client;
mod exec;
mod protocol;
mod serve;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

pub use client::Process;
pub(in crate::sandbox) use client::{Guard, Launch};
pub use protocol::Exit;

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

/// Removes the directory of a sandbox whose processes are told to end; false where something of it stays.
fn remove(dir: &Path) -> bool {
    // A process that was just killed may still be closing its files.
    for _ in 0..40 {
        match fs::remove_dir_all(dir) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
    eprintln!("oprc-crm: cannot remove {}; remove it by hand", dir.display());
    false
}
