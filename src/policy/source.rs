//! Reading the files of a bundle: the one place of this room that does I/O.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::bundle::File;
use super::diagnostic::{Diagnostic, Diagnostics};

/// Most files of a bundle; far above any real one.
pub const MAX_FILES: usize = 500;
/// Most bytes of one file.
pub const MAX_BYTES: u64 = 1 << 20;
/// Most bytes of all files together.
pub const MAX_TOTAL: usize = 8 << 20;
const MAX_DEPTH: usize = 8;
/// Most entries of all directories, whatever they are.
const MAX_ENTRIES: usize = 10_000;
/// Most faults that are told.
const MAX_FAULTS: usize = 20;

/// Reads every `*.yaml` and `*.yml` under a directory. Hidden entries are left out: editors keep copies there, and
/// a mounted `ConfigMap` its revisions.
pub(super) fn read(dir: &Path) -> Result<Vec<File>, Diagnostics> {
    let (found, mut faults) = walk(dir);
    let mut files = Vec::new();
    let mut total = 0;
    for path in &found {
        let name = path.display().to_string();
        match text(path) {
            Ok(text) => {
                total += text.len();
                files.push(File { name, text });
            }
            Err(error) => faults.push(Diagnostic::whole(&name, error)),
        }
        if total > MAX_TOTAL {
            let message = format!("the files have more than {MAX_TOTAL} bytes together; a bundle has at most that");
            faults.push(Diagnostic::whole(&dir.display().to_string(), message));
            break;
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    if faults.is_empty() && files.is_empty() {
        let error = Diagnostic::whole(&dir.display().to_string(), "there is no *.yaml file in this directory");
        faults.push(error.help("name the directory that holds the bundle"));
    }
    if faults.is_empty() { Ok(files) } else { Err(Diagnostics(faults)) }
}

/// Whether a file of this path, relative to the bundle's directory, is part of the bundle.
pub fn is_policy_file(path: &Path) -> bool {
    let visible = path.iter().all(|part| !is_hidden(part));
    visible && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn is_hidden(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with('.')
}

/// The text of a regular file. Whatever else has such a name (a FIFO, a device) is not waited for, and one that is
/// longer than its size says is not read to its end.
fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("can't be read: {error}");
    let irregular = || "is no regular file; remove it, or let its name not end with .yaml or .yml".to_owned();
    let regular = |meta: &fs::Metadata| if meta.is_file() { Ok(()) } else { Err(irregular()) };
    let too_long = |size: u64| format!("{size} bytes are too long for a policy file; at most {MAX_BYTES}");
    // Asked before, because to open a device may set something off; and again, because it may be another one by then.
    regular(&fs::metadata(path).map_err(unreadable)?)?;
    let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    regular(&meta)?;
    if meta.len() > MAX_BYTES {
        return Err(too_long(meta.len()));
    }
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > MAX_BYTES {
        return Err(too_long(read as u64));
    }
    String::from_utf8(bytes).map_err(|error| format!("can't be read: it is no UTF-8: {}", error.utf8_error()))
}

/// The files of a bundle in the order of their paths, and what is wrong with its directories.
pub(super) fn walk(dir: &Path) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    let mut walk = Walk::default();
    walk.directory(dir, 0);
    let Walk { mut found, mut faults, .. } = walk;
    found.sort();
    if found.len() > MAX_FILES {
        faults.push(Diagnostic::whole(&dir.display().to_string(), format!("more than {MAX_FILES} files")));
        found.clear();
    }
    (found, faults)
}

#[derive(Default)]
struct Walk {
    found: Vec<PathBuf>,
    faults: Vec<Diagnostic>,
    /// Device and inode of every directory so far: one that links lead to again is not walked again.
    seen: HashSet<(u64, u64)>,
    entries: usize,
}

impl Walk {
    fn directory(&mut self, dir: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return self.fault(dir, format!("directories within each other more than {MAX_DEPTH} deep"));
        }
        let unreadable = |error: io::Error| format!("the directory can't be read: {error}");
        let entries = fs::metadata(dir).and_then(|meta| {
            let fresh = self.seen.insert((meta.dev(), meta.ino()));
            fresh.then(|| fs::read_dir(dir)).transpose()
        });
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fault(dir, unreadable(error)),
        };
        let mut paths = Vec::new();
        for entry in entries.into_iter().flatten().take(MAX_ENTRIES + 1) {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.fault(dir, unreadable(error)),
            }
        }
        // In one order everywhere: a directory with two names goes by the first.
        paths.sort();
        for path in paths {
            if self.is_over(dir) {
                return;
            }
            self.entry(path, depth);
        }
    }

    fn entry(&mut self, path: PathBuf, depth: usize) {
        self.entries += 1;
        let Some(name) = path.file_name().filter(|name| !is_hidden(name)) else { return };
        if path.is_dir() {
            self.directory(&path, depth + 1);
        } else if is_policy_file(Path::new(name)) {
            self.found.push(path);
        }
    }

    /// Whether there is no point in going on.
    fn is_over(&mut self, dir: &Path) -> bool {
        if self.entries == MAX_ENTRIES {
            // Said once: nothing is counted any more.
            self.entries += 1;
            let message =
                format!("more than {MAX_ENTRIES} files and directories; name the directory of the bundle alone");
            self.fault(dir, message);
        }
        self.entries > MAX_ENTRIES || self.found.len() > MAX_FILES || self.faults.len() >= MAX_FAULTS
    }

    fn fault(&mut self, dir: &Path, message: String) {
        self.faults.push(Diagnostic::whole(&dir.display().to_string(), message));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::{MAX_ENTRIES, MAX_FAULTS, MAX_TOTAL, read};

    /// What reading a directory gives: names of files, or what is wrong. It must give it soon.
    fn soon(dir: &Path) -> Result<Vec<String>, String> {
        let (tell, told) = mpsc::channel();
        let dir = dir.to_owned();
        thread::spawn(move || {
            let files = read(&dir).map_err(|error| error.to_string());
            let name = |name: &str| Path::new(name).strip_prefix(&dir).unwrap().display().to_string();
            tell.send(files.map(|files| files.iter().map(|file| name(&file.name)).collect())).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        assert!(Command::new("mkfifo").arg(dir.path().join("z.yaml")).status().unwrap().success());
        let error = soon(dir.path()).unwrap_err();
        assert!(error.contains("z.yaml") && error.contains("is no regular file; remove it"), "{error}");
        fs::remove_file(dir.path().join("z.yaml")).unwrap();
        symlink("/dev/zero", dir.path().join("y.yaml")).unwrap();
        let error = soon(dir.path()).unwrap_err();
        assert!(error.contains("y.yaml") && error.contains("is no regular file"), "{error}");
    }

    #[test]
    fn links_that_lead_back_are_walked_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/x.yaml"), "x").unwrap();
        for name in ["a", "c", "d", "e", "f", "g", "h"] {
            symlink(".", dir.path().join(name)).unwrap();
            symlink("..", dir.path().join("b").join(name)).unwrap();
        }
        assert_eq!(soon(dir.path()).unwrap(), ["b/x.yaml"]);
        // By the first of its names, whatever the order in which the file system tells them.
        symlink("b", dir.path().join("a2")).unwrap();
        assert_eq!(soon(dir.path()).unwrap(), ["a2/x.yaml"]);
    }

    #[test]
    fn a_directory_that_is_no_bundle_is_not_walked_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        for index in 0..=MAX_ENTRIES {
            fs::File::create(dir.path().join(format!("{index}.txt"))).unwrap();
        }
        let error = soon(dir.path()).unwrap_err();
        assert!(error.contains("more than 10000 files and directories; name the directory of the bundle"), "{error}");
    }

    #[test]
    fn all_files_together_are_bounded_and_so_is_what_is_said_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = "#".repeat(1 << 20);
        for index in 0..=MAX_TOTAL >> 20 {
            fs::write(dir.path().join(format!("{index}.yaml")), &file).unwrap();
        }
        let error = soon(dir.path()).unwrap_err();
        assert!(error.contains("more than 8388608 bytes together"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        for index in 0..MAX_FAULTS * 2 {
            symlink("nowhere", dir.path().join(format!("{index}.yaml"))).unwrap();
        }
        assert_eq!(read(dir.path()).unwrap_err().0.len(), MAX_FAULTS);
    }
}
