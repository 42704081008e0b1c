//! What can go wrong with a sandbox, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use super::binaries::BinariesError;
use super::guard::Exit;
use super::install::InstallError;

/// Why a control plane could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The programs are not there and could not be built.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// The guard process did not come up.
    #[error("cannot start the guard `{} sandbox-guard`: {reason}", .program.display())]
    Guard {
        /// The executable that was started.
        program: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The guard is gone, and with it all that it had started.
    #[error("the sandbox is no longer running: its guard process has ended")]
    GuardGone,
    /// The guard did not end in time.
    #[error("the sandbox in {} did not end within {seconds} s", .dir.display())]
    NotStopped {
        /// Its directory.
        dir: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A child could not be started.
    #[error("cannot start {name}: {reason}")]
    NotStarted {
        /// The child.
        name: String,
        /// What happened.
        reason: String,
    },
    /// A child ended that should run.
    #[error("{name} ended with {exit}; its last words:\n{log}")]
    Exited {
        /// The child.
        name: String,
        /// How it ended.
        exit: Exit,
        /// The end of its log.
        log: String,
    },
    /// A child runs that should have ended.
    #[error("{name} still runs after {limit:?}; its last words:\n{log}")]
    StillRunning {
        /// The child.
        name: String,
        /// How long was waited.
        limit: Duration,
        /// The end of its log.
        log: String,
    },
    /// Something did not become ready in time.
    #[error("{what} not ready after {limit:?}: {last}; last words of {name}:\n{log}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long was waited.
        limit: Duration,
        /// The last state seen.
        last: String,
        /// The child that is answerable.
        name: String,
        /// The end of its log.
        log: String,
    },
    /// A file or directory of the sandbox.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// No free port.
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Port(std::io::Error),
    /// Keys and certificates.
    #[error("cannot make the certificates of the API server: {0}")]
    Certificates(#[from] rcgen::Error),
    /// A kubeconfig of the sandbox cannot be used.
    #[error("the sandbox's kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A request to the API server failed.
    #[error("{what}: {source}")]
    Api {
        /// What was tried.
        what: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
    /// Manifests could not be applied.
    #[error(transparent)]
    Install(#[from] InstallError),
}

impl SandboxError {
    /// Whether another process took a port between its choice and its use: worth a second try with other ports.
    pub(super) fn is_port_conflict(&self) -> bool {
        match self {
            Self::Exited { log, .. } => log.to_lowercase().contains("address already in use"),
            _ => false,
        }
    }
}
