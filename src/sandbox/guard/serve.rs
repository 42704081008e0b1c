//! The guard's own side: start children as told, report their ends, and end everything with the parent.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, SigSet};
use nix::unistd::Pid;

use super::bound;
use super::dir::{self, SandboxDir};
use super::protocol::{Command, Event, Exit, Signal, Start};

/// How often the ends of children are looked for.
const POLL: Duration = Duration::from_millis(50);
/// How long a child that is asked to end may take before it is made to.
const GRACE: Duration = Duration::from_secs(5);

/// Serves standard input until it ends, then leaves nothing behind.
pub(super) fn run(keep: bool) -> ExitCode {
    // Only the end of the parent ends the guard: what a session manager sends to every process must not stop it from
    // cleaning up. Before the first thread, so that all of them inherit it.
    let blocked: SigSet = [signal::SIGTERM, signal::SIGINT, signal::SIGHUP].into_iter().collect();
    if let Err(error) = blocked.thread_block() {
        return fail(&format!("the guard cannot block its signals: {error}"));
    }
    dir::sweep();
    let dir = match SandboxDir::create(keep) {
        Ok(dir) => dir,
        Err(error) => {
            let place = std::env::temp_dir();
            return fail(&format!(
                "cannot create a directory in {}: {error}; set TMPDIR to one that can be written",
                place.display()
            ));
        }
    };
    send(&Event::Ready { dir: dir.path.clone() });

    let children = Arc::new(Mutex::new(Children::default()));
    let reaper = Arc::clone(&children);
    thread::spawn(move || {
        loop {
            lock(&reaper).reap();
            thread::sleep(POLL);
        }
    });
    // The parent-death signal of a child hangs on the thread that starts it: this one, which lives to the end.
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Command::Start(start)) => lock(&children).start(start),
            Ok(Command::Signal { id, signal }) => lock(&children).signal(id, signal),
            Err(error) => eprintln!("sandbox-guard: a command that is none: {error}: {line}"),
        }
    }
    end_all(&children);
    if keep || dir::remove(&dir.path) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(error: &str) -> ExitCode {
    send(&Event::Failed { error: error.to_owned() });
    ExitCode::FAILURE
}

fn lock(children: &Mutex<Children>) -> MutexGuard<'_, Children> {
    children.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A parent that no longer listens is about to close the other pipe too, so a failed write is of no interest.
fn send(event: &Event) {
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

#[derive(Default)]
struct Children {
    /// By id, hence in the order in which they were started.
    running: BTreeMap<u64, Running>,
    ending: bool,
}

struct Running {
    child: Child,
    polite: bool,
}

impl Children {
    fn start(&mut self, start: Start) {
        let (id, polite) = (start.id, start.polite);
        match spawn(start) {
            Ok(child) => {
                send(&Event::Started { id, pid: child.id() });
                self.running.insert(id, Running { child, polite });
            }
            Err(error) => send(&Event::NotStarted { id, error: error.to_string() }),
        }
    }

    fn signal(&mut self, id: u64, signal: Signal) {
        if let Some(running) = self.running.get_mut(&id) {
            running.signal(signal);
        }
    }

    /// Reports the children that ended since the last call.
    fn reap(&mut self) {
        let quiet = self.ending;
        self.running.retain(|&id, running| match running.child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !quiet {
                    send(&Event::Exited { id, exit: Exit { code: status.code(), signal: status.signal() } });
                }
                false
            }
            Err(error) => {
                eprintln!("sandbox-guard: child {id} is lost: {error}");
                false
            }
        });
    }
}

impl Running {
    /// Not yet reaped, so the process id still is this child's.
    fn signal(&mut self, signal: Signal) {
        let sent = match signal {
            Signal::Kill => self.child.kill(),
            Signal::Terminate => match i32::try_from(self.child.id()) {
                Ok(pid) => signal::kill(Pid::from_raw(pid), signal::SIGTERM).map_err(io::Error::from),
                Err(_) => self.child.kill(),
            },
        };
        if let Err(error) = sent {
            eprintln!("sandbox-guard: cannot signal process {}: {error}", self.child.id());
        }
    }
}

fn spawn(start: Start) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&start.log)?;
    let mut command = bound(&own_executable()?);
    command.arg(start.program).args(start.args).envs(start.env);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn()
}

/// The link still works when the file behind it was replaced by a new build.
fn own_executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// Asks those that want to be asked, while the others still answer them; then kills what is left.
fn end_all(children: &Mutex<Children>) {
    lock(children).ending = true;
    for running in lock(children).running.values_mut().filter(|running| running.polite) {
        running.signal(Signal::Terminate);
    }
    wait_until(children, GRACE, |children| !children.running.values().any(|running| running.polite));
    for running in lock(children).running.values_mut().rev() {
        running.signal(Signal::Kill);
    }
    wait_until(children, GRACE, |children| children.running.is_empty());
}

fn wait_until(children: &Mutex<Children>, limit: Duration, done: impl Fn(&Children) -> bool) {
    let start = Instant::now();
    while start.elapsed() < limit {
        let mut locked = lock(children);
        locked.reap();
        if done(&locked) {
            return;
        }
        drop(locked);
        thread::sleep(Duration::from_millis(5));
    }
}
