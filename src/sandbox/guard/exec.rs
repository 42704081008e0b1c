//! The step between the guard and a child: a process that binds itself to the guard's life, then becomes the child.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::signal::SigSet;
use nix::unistd::getppid;

/// `sandbox-guard exec PARENT PROGRAM ARGS..`; returns only when the program could not be started.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let [parent, program, args @ ..] = args else {
        eprintln!("sandbox-guard exec needs the guard's process id and a program");
        return ExitCode::from(2);
    };
    if let Err(error) = bind_to_parent() {
        eprintln!("cannot bind {} to the guard's life: {error}", program.display());
        return ExitCode::from(126);
    }
    // The guard may have died before the line above: then nobody is left to end this process.
    if parent.to_str() != Some(getppid().to_string().as_str()) {
        return ExitCode::from(126);
    }
    // The guard blocks some signals for itself, and a signal mask is inherited.
    if let Err(error) = SigSet::all().thread_unblock() {
        eprintln!("cannot unblock the signals of {}: {error}", program.display());
    }
    let error = Command::new(program).args(args).exec();
    eprintln!("cannot start {}: {error}", program.display());
    ExitCode::from(127)
}

#[cfg(target_os = "linux")]
fn bind_to_parent() -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
}

/// Elsewhere the guard's own end is covered by the parent, which ends the guard's process group.
#[cfg(not(target_os = "linux"))]
fn bind_to_parent() -> nix::Result<()> {
    Ok(())
}
