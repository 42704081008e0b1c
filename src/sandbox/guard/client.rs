//! The parent's side of the guard: handles for it and for each child process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{self, Signal as NixSignal};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::timeout;

use super::dir::remove;
use super::protocol::{Command, Event, Exit, Signal, Start};
use super::{KEEP, SUBCOMMAND};
use crate::sandbox::error::SandboxError;
use crate::sandbox::logs;

/// The guard answers at once; a loaded machine gets this long.
const ANSWER: Duration = Duration::from_secs(20);
/// Its grace for the children, twice, and the directory.
const END: Duration = Duration::from_secs(20);

/// How many guards of this process there still are.
static GUARDS: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until every guard that this process started is gone, and with it all that it owned. A guard ends when its
/// handle is dropped, wherever that happens; who is about to exit waits here, so that nothing is left when it has.
pub async fn all_gone() -> bool {
    matches!(timeout(END, GUARDS.subscribe().wait_for(|&guards| guards == 0)).await, Ok(Ok(_)))
}

/// A running guard. Dropping it, in whatever way, ends all its children and removes its directory.
#[derive(Debug)]
pub(in crate::sandbox) struct Guard {
    stdin: Mutex<Option<ChildStdin>>,
    state: watch::Receiver<State>,
    next_id: AtomicU64,
    dir: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    dir: Option<Result<PathBuf, String>>,
    children: BTreeMap<u64, ChildState>,
    gone: bool,
}

#[derive(Debug, Clone)]
enum ChildState {
    Running(u32),
    NotStarted(String),
    Exited(Exit),
}

impl Guard {
    /// Starts `program sandbox-guard`.
    pub(in crate::sandbox) async fn start(program: &Path, keep: bool) -> Result<Arc<Self>, SandboxError> {
        let failed = |reason: String| SandboxError::Guard { program: program.to_owned(), reason };
        let mut command = Program::new(program);
        command.arg(SUBCOMMAND).args(keep.then_some(KEEP));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let (sender, mut state) = watch::channel(State::default());
        GUARDS.send_modify(|guards| *guards += 1);
        std::thread::spawn(move || {
            listen(stdout, &sender);
            // Not reaped yet, so the number still names the guard's own group: whatever of it is left ends here.
            if let Ok(group) = i32::try_from(child.id()) {
                let _ = signal::killpg(Pid::from_raw(group), NixSignal::SIGKILL);
            }
            let _ = child.wait();
            // Gone already where the guard had the time to do it.
            let dir = sender.borrow().dir.clone();
            if let Some(Ok(dir)) = dir.filter(|_| !keep) {
                remove(&dir);
            }
            sender.send_modify(|state| state.gone = true);
            GUARDS.send_modify(|guards| *guards -= 1);
        });
        let answered = async { state.wait_for(|state| state.dir.is_some() || state.gone).await.map(|s| s.dir.clone()) };
        let Ok(Ok(dir)) = timeout(ANSWER, answered).await else {
            return Err(failed(format!("it did not answer within {} s", ANSWER.as_secs())));
        };
        match dir {
            Some(Ok(dir)) => {
                Ok(Arc::new(Self { stdin: Mutex::new(Some(stdin)), state, next_id: AtomicU64::new(1), dir }))
            }
            Some(Err(reason)) => Err(failed(reason)),
            None => Err(failed("it ended at once; is it this program?".to_owned())),
        }
    }

    /// The temporary directory, which goes with the guard.
    pub(in crate::sandbox) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a child with its log in `logs/NAME.log`.
    pub(in crate::sandbox) async fn spawn(self: &Arc<Self>, launch: Launch) -> Result<Process, SandboxError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.join("logs").join(format!("{}.log", launch.name));
        let start = Start {
            id,
            program: launch.program,
            args: launch.args,
            env: launch.env,
            log: log.clone(),
            polite: launch.polite,
        };
        self.send(&Command::Start(start))?;
        let process = Process { guard: Arc::clone(self), id, name: launch.name, log };
        let mut state = self.state.clone();
        let known = timeout(ANSWER, state.wait_for(|state| state.children.contains_key(&id) || state.gone)).await;
        match known {
            Ok(Ok(state)) => match state.children.get(&id) {
                Some(ChildState::NotStarted(reason)) => Err(process.not_started(reason.clone())),
                Some(_) => Ok(process),
                None => Err(SandboxError::GuardGone),
            },
            _ => Err(process.not_started(format!("the guard did not answer within {} s", ANSWER.as_secs()))),
        }
    }

    /// Ends everything and waits until it is gone.
    pub(in crate::sandbox) async fn stop(&self) -> Result<(), SandboxError> {
        self.close();
        let mut state = self.state.clone();
        match timeout(END, state.wait_for(|state| state.gone)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(SandboxError::NotStopped { dir: self.dir.clone(), seconds: END.as_secs() }),
        }
    }

    /// Orders the end of everything without waiting for it.
    pub(in crate::sandbox) fn close(&self) {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn send(&self, command: &Command) -> Result<(), SandboxError> {
        let mut line = serde_json::to_vec(command).map_err(|_| SandboxError::GuardGone)?;
        line.push(b'\n');
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = stdin.as_mut().ok_or(SandboxError::GuardGone)?;
        pipe.write_all(&line).and_then(|()| pipe.flush()).map_err(|_| SandboxError::GuardGone)
    }
}

/// Takes in what the guard says until it is gone.
fn listen(stdout: ChildStdout, state: &watch::Sender<State>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        let Ok(event) = serde_json::from_str(&line) else { continue };
        state.send_modify(|state| match event {
            Event::Ready { dir } => state.dir = Some(Ok(dir)),
            Event::Failed { error } => state.dir = Some(Err(error)),
            Event::Started { id, pid } => {
                state.children.insert(id, ChildState::Running(pid));
            }
            Event::NotStarted { id, error } => {
                state.children.insert(id, ChildState::NotStarted(error));
            }
            Event::Exited { id, exit } => {
                state.children.insert(id, ChildState::Exited(exit));
            }
        });
    }
}

/// What to start.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Launch {
    pub(in crate::sandbox) name: String,
    pub(in crate::sandbox) program: PathBuf,
    pub(in crate::sandbox) args: Vec<String>,
    pub(in crate::sandbox) env: BTreeMap<String, String>,
    /// At the end it is asked (SIGTERM) before it is killed.
    pub(in crate::sandbox) polite: bool,
}

/// A child of the guard. Dropping the handle leaves it running until the guard ends.
#[derive(Debug, Clone)]
pub struct Process {
    guard: Arc<Guard>,
    id: u64,
    name: String,
    log: PathBuf,
}

impl Process {
    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds its standard output and error.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        logs::tail(&self.log, lines)
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        match self.guard.state.borrow().children.get(&self.id) {
            Some(ChildState::Running(pid)) => Some(*pid),
            _ => None,
        }
    }

    /// How it ended, once it has.
    pub fn exited(&self) -> Option<Exit> {
        match self.guard.state.borrow().children.get(&self.id) {
            Some(ChildState::Exited(exit)) => Some(*exit),
            _ => None,
        }
    }

    /// Asks it to end (SIGTERM); [`wait`](Self::wait) tells when it has.
    pub fn terminate(&self) -> Result<(), SandboxError> {
        self.guard.send(&Command::Signal { id: self.id, signal: Signal::Terminate })
    }

    /// Ends it without asking (SIGKILL); [`wait`](Self::wait) tells when it has.
    pub fn kill(&self) -> Result<(), SandboxError> {
        self.guard.send(&Command::Signal { id: self.id, signal: Signal::Kill })
    }

    /// Waits for its end.
    pub async fn wait(&self, limit: Duration) -> Result<Exit, SandboxError> {
        let mut state = self.guard.state.clone();
        let ended = timeout(limit, async {
            loop {
                if let Some(exit) = self.exited() {
                    return Ok(exit);
                }
                if self.guard.state.borrow().gone || state.changed().await.is_err() {
                    return Err(SandboxError::GuardGone);
                }
            }
        });
        ended.await.unwrap_or_else(|_| {
            Err(SandboxError::StillRunning { name: self.name.clone(), limit, log: self.log_tail(20) })
        })
    }

    /// Waits for an end that nobody asked for, and tells of it.
    pub async fn failure(&self) -> SandboxError {
        let mut state = self.guard.state.clone();
        loop {
            if let Err(error) = self.check_running() {
                return error;
            }
            if state.changed().await.is_err() {
                return SandboxError::GuardGone;
            }
        }
    }

    /// Asks it to end and waits; kills it when it takes longer than `limit`, which is an error.
    pub async fn stop(&self, limit: Duration) -> Result<Exit, SandboxError> {
        self.terminate()?;
        let ended = self.wait(limit).await;
        if matches!(ended, Err(SandboxError::StillRunning { .. })) {
            self.kill()?;
        }
        ended
    }

    /// An error where the process is no longer running.
    pub(in crate::sandbox) fn check_running(&self) -> Result<(), SandboxError> {
        if let Some(exit) = self.exited() {
            return Err(SandboxError::Exited { name: self.name.clone(), exit, log: self.log_tail(20) });
        }
        if self.guard.state.borrow().gone { Err(SandboxError::GuardGone) } else { Ok(()) }
    }

    fn not_started(&self, reason: String) -> SandboxError {
        SandboxError::NotStarted { name: self.name.clone(), reason }
    }
}
