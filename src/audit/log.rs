//! What the controller writes to: entries go to a thread of their own, so that no decision waits for a disk.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::bundles::{Bundles, beside, identify};
use super::entry::Entry;
use super::file::{FileLog, Limits, OpenError};
use super::journal::{Journal, Output};
use super::line::InlineBundle;
use super::news::News;
use super::stdout::Stdout;
use crate::decision::nfr::NfrDecision;
use crate::rollout::Source;
use crate::telemetry::metrics::Metrics;

/// Entries that wait for the disk; what comes when so many do is lost, and counted.
const WAITING: usize = 4096;
/// Longest wait for a line to be on the disk before what it tells is done all the same.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried again to write a mark that is owed.
const RETRY: Duration = Duration::from_secs(5);

/// Where decisions are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Off,
    /// On the standard output.
    Stdout,
    /// In files.
    File {
        /// The newest of them.
        path: PathBuf,
        /// When another is begun, and how many are kept.
        limits: Limits,
    },
}

/// Why the log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The directory for the policies can't be used.
    #[error("the directory {path} for the policies that the log names can't be used: {source}")]
    Bundles {
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another process writes it.
    #[error("another process writes {path}; each instance needs a log of its own, name another file")]
    Taken {
        /// The file.
        path: String,
    },
    /// The standard output can't be had, or no thread.
    #[error("the decision log can't be started: {0}")]
    Start(std::io::Error),
}

/// How the log does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Number and hash of the newest line.
    pub head: Option<(u64, String)>,
    /// Lines that were lost since the start.
    pub lost: u64,
    /// Why the newest line could not be written, while that is so.
    pub error: Option<String>,
}

/// The decision log.
pub struct DecisionLog {
    target: Target,
    sender: Mutex<Option<SyncSender<Letter>>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    news: Mutex<News>,
}

/// An entry on its way to the disk.
struct Letter {
    entry: Box<Entry>,
    /// Told, by being dropped, when the line is as safe as it will be.
    done: Option<oneshot::Sender<()>>,
}

struct Shared {
    metrics: Arc<Metrics>,
    standing: Mutex<Standing>,
    /// Entries that found no place to wait, not marked yet.
    overflow: AtomicU64,
}

impl DecisionLog {
    /// No log.
    pub fn off() -> Self {
        Self {
            target: Target::Off,
            sender: Mutex::default(),
            shared: Arc::new(Shared::empty()),
            thread: Mutex::default(),
            news: Mutex::default(),
        }
    }

    /// Opens the log; `instance` stands in each of its lines.
    pub fn start(target: Target, instance: &str, metrics: Arc<Metrics>) -> Result<Self, LogError> {
        let log = Self { shared: Arc::new(Shared { metrics, ..Shared::empty() }), target, ..Self::off() };
        match &log.target {
            Target::Off => {}
            Target::Stdout => {
                let output = Stdout::open().map_err(LogError::Start)?;
                log.spawn(Journal::new(output, instance), Keeper::Inline)?;
            }
            Target::File { path, limits } => {
                let keeper = Keeper::beside(path)?;
                let journal = FileLog::open(path, *limits, instance)?;
                log.spawn(journal, keeper)?;
            }
        }
        Ok(log)
    }

    fn spawn<O: Output + Send + 'static>(&self, journal: Journal<O>, keeper: Keeper) -> Result<(), LogError> {
        let (sender, entries) = sync_channel(WAITING);
        let writer = Writer { journal, keeper, known: Vec::new(), shared: Arc::clone(&self.shared) };
        writer.show(None);
        let thread = thread::Builder::new().name("decision-log".to_owned()).spawn(move || writer.run(&entries));
        let thread = thread.map_err(LogError::Start)?;
        *lock(&self.sender) = Some(sender);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Whether anything is logged: without a log nothing needs to be captured.
    pub fn is_on(&self) -> bool {
        self.target != Target::Off
    }

    /// Whether a decision is to be logged, as far as that can be told before it is known what became of it: then its
    /// inputs are worth capturing. `uid` is the record's.
    pub fn wants(&self, uid: &str, component: &str, decision: &NfrDecision) -> bool {
        self.is_on() && lock(&self.news).wants(uid, component, decision)
    }

    /// Forgets the records that are gone.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.news).retain(is_there);
    }

    /// Logs a decision, unless that was the last that was logged of this dimension of the component and nothing has been
    /// written. It returns at once; where too many wait the line is lost, counted, and marked in the log.
    pub fn record(&self, entry: Entry) {
        self.send(entry, None);
    }

    /// Logs a decision that is about to be carried out, and returns once the line is on the disk: if the process is killed
    /// between this and the write, the log still has it. A disk that does not answer holds nothing up for longer than
    /// [`PATIENCE`].
    pub async fn record_first(&self, entry: Entry) {
        let (done, written) = oneshot::channel();
        self.send(entry, Some(done));
        // Told by being dropped; and what is lost is counted there.
        let _ = tokio::time::timeout(PATIENCE, written).await;
    }

    fn send(&self, entry: Entry, done: Option<oneshot::Sender<()>>) {
        let sender = lock(&self.sender);
        let Some(sender) = sender.as_ref() else { return };
        if !lock(&self.news).take(&entry) {
            return;
        }
        let uid = entry.record.uid.clone();
        if sender.try_send(Letter { entry: Box::new(entry), done }).is_err() {
            self.shared.overflow.fetch_add(1, Ordering::Relaxed);
            self.shared.lost(1, "too many lines wait for the disk");
            // What nobody was told is news at the next look.
            lock(&self.news).retain(|known| known != uid);
        }
    }

    /// How it does.
    pub fn standing(&self) -> Standing {
        lock(&self.shared.standing).clone()
    }

    /// What `/policy` says of it.
    pub fn page(&self) -> Value {
        let Standing { head, lost, error } = self.standing();
        let target = match &self.target {
            Target::Off => return Value::Null,
            Target::Stdout => "stdout".to_owned(),
            Target::File { path, .. } => path.display().to_string(),
        };
        let (seq, head) = head.unzip();
        json!({"target": target, "seq": seq, "head": head, "lost": lost, "error": error})
    }

    /// Writes what waits and ends. `false` where that was not done in time.
    pub fn close(&self, patience: Duration) -> bool {
        drop(lock(&self.sender).take());
        let Some(thread) = lock(&self.thread).take() else { return true };
        let end = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        thread.is_finished() && thread.join().is_ok()
    }
}

impl Shared {
    fn empty() -> Self {
        Self { metrics: Arc::default(), standing: Mutex::default(), overflow: AtomicU64::default() }
    }

    fn lost(&self, lines: u64, because: &str) {
        self.metrics.log.lost(lines);
        let mut standing = lock(&self.standing);
        standing.lost += lines;
        let first = standing.error.is_none();
        standing.error = Some(because.to_owned());
        drop(standing);
        if first {
            tracing::error!(
                error = because,
                "the decision log loses lines; they are marked in it when it is written again"
            );
        }
    }
}

/// Where policies are kept.
enum Keeper {
    /// In the log itself, each once.
    Inline,
    /// In a directory, which is locked: two that write one log would break its chain.
    Dir { bundles: Bundles, _lock: File },
}

impl Keeper {
    fn beside(log: &Path) -> Result<Self, LogError> {
        let dir = beside(log);
        let unusable = |source| LogError::Bundles { path: dir.display().to_string(), source };
        if !dir.exists() {
            fs::create_dir(&dir).map_err(unusable)?;
        }
        let lock = File::open(&dir).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Taken { path: log.display().to_string() }),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "whether another process writes the decision log can't be told here");
            }
        }
        Ok(Self::Dir { bundles: Bundles::in_dir(&dir), _lock: lock })
    }
}

/// A policy that is logged once, where there is no directory for it.
#[derive(Serialize)]
pub(super) struct BundleLine<'a> {
    pub(super) bundle: InlineBundle<'a>,
}

struct Writer<O> {
    journal: Journal<O>,
    keeper: Keeper,
    /// Policies with their hashes, and whether they are kept.
    known: Vec<Known>,
    shared: Arc<Shared>,
}

struct Known {
    source: Arc<Source>,
    revision: String,
    id: String,
    kept: bool,
}

impl<O: Output> Writer<O> {
    fn run(mut self, entries: &Receiver<Letter>) {
        loop {
            let letter = if self.owes() {
                match entries.recv_timeout(RETRY) {
                    Ok(letter) => Some(letter),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match entries.recv() {
                    Ok(letter) => Some(letter),
                    Err(_) => break,
                }
            };
            let mut written = self.write(letter.as_ref().map(|letter| &*letter.entry));
            let mut waiting = vec![letter.and_then(|letter| letter.done)];
            while let Ok(letter) = entries.try_recv() {
                written = self.write(Some(&letter.entry));
                waiting.push(letter.done);
            }
            if written.is_ok() {
                written = self.journal.sync();
            }
            self.show(written.err());
            drop(waiting);
        }
        let last = self.write(None).and_then(|()| self.journal.sync());
        self.show(last.err());
    }

    fn owes(&self) -> bool {
        self.journal.owes() || self.shared.overflow.load(Ordering::Relaxed) > 0
    }

    /// Writes an entry, or only what is owed.
    fn write(&mut self, entry: Option<&Entry>) -> std::io::Result<()> {
        let now = Timestamp::now();
        let overflow = self.shared.overflow.swap(0, Ordering::Relaxed);
        if overflow > 0 {
            self.journal.lose(overflow, now, "too many lines waited for the disk");
        }
        let Some(entry) = entry else { return self.journal.mend(now) };
        let written = self.keep(entry, now).and_then(|id| {
            let body = entry.body(&id);
            if body.differs() {
                let record = &entry.record;
                tracing::error!(
                    namespace = record.namespace,
                    name = record.name,
                    component = entry.component,
                    "a decision came out otherwise when it was explained; the decision log has both"
                );
            }
            self.journal.append(now, &body)
        });
        match &written {
            Ok(()) => self.shared.metrics.log.written(),
            Err(error) => self.shared.lost(1, &error.to_string()),
        }
        written
    }

    /// Keeps the policy that decided, before the first line that names it. Its hash.
    fn keep(&mut self, entry: &Entry, now: Timestamp) -> std::io::Result<String> {
        let revision = entry.policy.revision();
        let same = |known: &&Known| Arc::ptr_eq(&known.source, &entry.source) && known.revision == revision;
        if let Some(known) = self.known.iter().find(same).filter(|known| known.kept) {
            return Ok(known.id.clone());
        }
        let (id, json) = identify(&entry.source)?;
        let kept = match &self.keeper {
            Keeper::Dir { bundles, .. } => bundles.keep(revision, &id, &json),
            Keeper::Inline => {
                let source: &RawValue = serde_json::from_slice(&json)?;
                self.journal.append(
                    now,
                    &BundleLine { bundle: InlineBundle { id: id.as_str().into(), revision: revision.into(), source } },
                )
            }
        };
        // A decision without its policy is worth more than none: it is kept with the next line that names it.
        if let Err(error) = &kept {
            tracing::error!(%error, revision, "the policy that decides can't be kept for the decision log");
        }
        self.known.retain(|known| !(Arc::ptr_eq(&known.source, &entry.source) && known.revision == revision));
        let (source, revision) = (Arc::clone(&entry.source), revision.to_owned());
        self.known.push(Known { source, revision, id: id.clone(), kept: kept.is_ok() });
        Ok(id)
    }

    fn show(&self, error: Option<std::io::Error>) {
        let head = self.journal.head().map(|(seq, hash)| (seq, hash.to_owned()));
        self.shared.metrics.log.ends(head.as_ref().map(|(_, hash)| hash.as_str()), error.is_some());
        let mut standing = lock(&self.shared.standing);
        if standing.error.is_some() && error.is_none() {
            tracing::info!(lost = standing.lost, "the decision log is written again");
        }
        standing.head = head;
        standing.error = error.map(|error| error.to_string());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
