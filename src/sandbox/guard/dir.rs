//! The temporary directory of a sandbox, from its creation to its removal.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const PREFIX: &str = "oprc-sandbox-";
/// Locked by the guard as long as it lives. What it names is nobody's once the lock is free.
const LOCK: &str = "guard.lock";

/// A directory of this guard's own. It stays when this is dropped; [`remove`] removes it.
#[derive(Debug)]
pub(super) struct SandboxDir {
    pub(super) path: PathBuf,
    /// Without it the directory is meant to stay.
    _lock: Option<File>,
}

impl SandboxDir {
    pub(super) fn create(keep: bool) -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        let lock = if keep { None } else { Some(lock(&path)?) };
        Ok(Self { path, _lock: lock })
    }
}

/// Under its name only when it is locked: nobody may take it for one that was left behind.
fn lock(dir: &Path) -> io::Result<File> {
    let unlocked = dir.join("guard.unlocked");
    let file = File::create(&unlocked)?;
    file.lock()?;
    fs::rename(unlocked, dir.join(LOCK))?;
    Ok(file)
}

/// Removes what guards left behind that were killed together with their parents.
pub(super) fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(file) = File::options().write(true).open(entry.path().join(LOCK)) else { continue };
        match file.try_lock() {
            Ok(()) => drop(remove(&entry.path())),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// Removes the directory of a sandbox whose processes are told to end; false where something of it stays.
pub(super) fn remove(dir: &Path) -> bool {
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
