//! Looks at the policy's directory and loads what is new there, on a thread of its own: neither a file system that does
//! not answer nor a fault of this program ends the looking or holds up anything else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::policy::{Diagnostic, Diagnostics, File, Look, Watched};
use crate::rollout::{Loaded, Origin};

/// Longest wait for an answer in one round; the thread goes on meanwhile.
const ROUND: Duration = Duration::from_secs(1);
/// How long a look and a load may take before that is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a policy of files.
pub type Load = Arc<dyn Fn(Origin, Vec<File>) -> Result<Loaded, Diagnostics> + Send + Sync>;

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing new.
    Nothing,
    /// Something that does not load, or no answer.
    Wrong(Diagnostics),
    /// A policy.
    Policy(Box<Loaded>),
}

/// A directory that is looked at.
pub struct Lookout {
    dir: PathBuf,
    load: Load,
    watched: Option<Watched>,
    under_way: Option<UnderWay>,
    patience: Duration,
}

/// A look that has begun.
struct UnderWay {
    task: JoinHandle<(Watched, Found)>,
    since: Instant,
    /// It was said that there is no answer.
    said: bool,
}

impl Lookout {
    /// Looks at a directory, and reads it now, settled or not: there is nothing to go on with.
    pub async fn start(dir: &Path, load: Load) -> (Self, Result<Loaded, Diagnostics>) {
        let mut lookout = Self::new(dir, load, PATIENCE);
        let (mut watched, load) = (Watched::new(dir), Arc::clone(&lookout.load));
        let read = spawn_blocking(move || {
            let read = caught(watched.dir().to_owned().as_path(), || {
                let files = watched.read()?;
                load(origin(watched.dir()), files)
            });
            (watched, read)
        });
        match timeout(lookout.patience, read).await {
            Ok(Ok((watched, read))) => {
                lookout.watched = Some(watched);
                (lookout, read)
            }
            Ok(Err(error)) => {
                let fault = fault(dir, &error.to_string());
                (lookout, Err(fault))
            }
            Err(_) => {
                let silent = silent(dir, lookout.patience);
                (lookout, Err(silent))
            }
        }
    }

    fn new(dir: &Path, load: Load, patience: Duration) -> Self {
        Self { dir: dir.to_owned(), load, watched: None, under_way: None, patience }
    }

    /// Looks once, or goes on waiting for the look before.
    pub(super) async fn look(&mut self) -> Found {
        let mut look = match self.under_way.take() {
            Some(look) => look,
            None => self.begin(),
        };
        match timeout(ROUND.min(self.patience), &mut look.task).await {
            // What was said of its silence is true no longer: everything is read anew, and said anew.
            Ok(Ok((_, Found::Nothing))) if look.said => Found::Nothing,
            Ok(Ok((watched, found))) => {
                self.watched = Some(watched);
                found
            }
            Ok(Err(error)) => Found::Wrong(fault(&self.dir, &error.to_string())),
            Err(_) => {
                let news = !look.said && look.since.elapsed() >= self.patience;
                look.said |= news;
                self.under_way = Some(look);
                if news { Found::Wrong(silent(&self.dir, self.patience)) } else { Found::Nothing }
            }
        }
    }

    fn begin(&mut self) -> UnderWay {
        let watched = self.watched.take().unwrap_or_else(|| Watched::new(&self.dir));
        let load = Arc::clone(&self.load);
        UnderWay { task: spawn_blocking(move || look(watched, &load)), since: Instant::now(), said: false }
    }
}

/// One look, with what it leads to. A fault costs this change, never the looking.
fn look(mut watched: Watched, load: &Load) -> (Watched, Found) {
    let dir = watched.dir().to_owned();
    let found = caught(&dir, || match watched.look() {
        Look::Same | Look::Unsettled => Ok(None),
        Look::Changed(files) => files.and_then(|files| load(origin(&dir), files)).map(Some),
    });
    let found = match found {
        Ok(None) => Found::Nothing,
        Ok(Some(loaded)) => Found::Policy(Box::new(loaded)),
        Err(diagnostics) => Found::Wrong(diagnostics),
    };
    (watched, found)
}

fn origin(dir: &Path) -> Origin {
    Origin::Directory(dir.display().to_string())
}

/// Does something; a panic in it is a finding.
fn caught<T>(dir: &Path, work: impl FnOnce() -> Result<T, Diagnostics>) -> Result<T, Diagnostics> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(fault(dir, said(panic.as_ref()))))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

fn fault(dir: &Path, what: &str) -> Diagnostics {
    let finding =
        Diagnostic::whole(&dir.display().to_string(), format!("reading it failed by a fault of this program: {what}"));
    Diagnostics(vec![finding.help("report it together with these files; any change of them is tried again")])
}

fn silent(dir: &Path, patience: Duration) -> Diagnostics {
    let finding = Diagnostic::whole(&dir.display().to_string(), format!("there is no answer after {patience:?}"));
    Diagnostics(vec![finding.help("is it on a file system that hangs? it is read as soon as it answers")])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    use super::{Found, Load, Lookout};
    use crate::policy::{Diagnostic, Diagnostics, File};
    use crate::rollout::Origin;

    /// What a look found, as text; `None` where it is nothing.
    async fn next(lookout: &mut Lookout) -> String {
        for _ in 0..200 {
            match lookout.look().await {
                Found::Nothing => tokio::time::sleep(Duration::from_millis(5)).await,
                Found::Wrong(diagnostics) => return diagnostics.to_string(),
                Found::Policy(_) => return "a policy".to_owned(),
            }
        }
        panic!("nothing is found");
    }

    fn refused(files: &[File]) -> Diagnostics {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        Diagnostics(vec![Diagnostic::whole("x", format!("refused: {}", texts.join("; ")))])
    }

    fn directory(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), text).unwrap();
        dir
    }

    #[tokio::test]
    async fn a_panic_is_a_refused_load_and_the_next_change_is_seen_all_the_same() {
        let dir = directory("panic");
        let load: Load = Arc::new(|_: Origin, files: Vec<File>| {
            assert!(files.iter().all(|file| file.text != "panic"), "cannot cope with {}", files.len());
            Err(refused(&files))
        });
        let (mut lookout, first) = Lookout::start(dir.path(), Arc::clone(&load)).await;
        let first = first.unwrap_err().to_string();
        assert!(first.contains("by a fault of this program: cannot cope with 1"), "{first}");
        fs::write(dir.path().join("a.yaml"), "fine").unwrap();
        assert!(next(&mut lookout).await.contains("refused: fine"));
        fs::write(dir.path().join("a.yaml"), "panic").unwrap();
        assert!(next(&mut lookout).await.contains("cannot cope with 1"));
        assert!(matches!(lookout.look().await, Found::Nothing), "said once");
        fs::write(dir.path().join("a.yaml"), "fine again").unwrap();
        assert!(next(&mut lookout).await.contains("refused: fine again"));
    }

    #[tokio::test]
    async fn a_look_that_gets_no_answer_is_said_once_and_what_it_finds_in_the_end_too() {
        let dir = directory("a");
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let load: Load = Arc::new(move |_: Origin, files: Vec<File>| {
            wait.lock().unwrap().recv().unwrap();
            Err(refused(&files))
        });
        let mut lookout = Lookout::new(dir.path(), load, Duration::from_millis(50));
        let text = next(&mut lookout).await;
        assert!(text.contains("there is no answer after 50ms"), "{text}");
        assert!(matches!(lookout.look().await, Found::Nothing), "said once, and nobody waits");
        go_on.send(()).unwrap();
        assert!(next(&mut lookout).await.contains("refused: a"));
    }
}
