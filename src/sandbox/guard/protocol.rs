//! What the guard and the process that started it say to each other: one JSON document a line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// From the parent, on the guard's standard input. Its end is the order to end everything.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    Start(Start),
    Signal { id: u64, signal: Signal },
}

/// A child to start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) id: u64,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// Standard output and error are appended to this file.
    pub(super) log: PathBuf,
    /// Whether it is asked to end (SIGTERM) before it is made to: what keeps nothing of value is killed at once.
    pub(super) polite: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

/// From the guard, on its standard output. Its end means that the guard is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    Ready { dir: PathBuf },
    Failed { error: String },
    Started { id: u64, pid: u32 },
    NotStarted { id: u64, error: String },
    Exited { id: u64, exit: Exit },
}

/// How a child process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Whether it ended by itself with exit code 0.
    pub fn success(self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown exit status"),
        }
    }
}
