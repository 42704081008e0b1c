//! Reading the files of a bundle: the one place of this room that does I/O.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::bundle::File;
use super::diagnostic::{Diagnostic, Diagnostics};

/// Most files of a bundle; far above any real one.
pub const MAX_FILES: usize = 500;
/// Most bytes of one file.
pub const MAX_BYTES: u64 = 1 << 20;
const MAX_DEPTH: usize = 8;

/// Reads every `*.yaml` and `*.yml` under a directory. Hidden entries are left out: editors keep copies there, and
/// a mounted `ConfigMap` its revisions.
pub(super) fn read(dir: &Path) -> Result<Vec<File>, Diagnostics> {
    let mut faults = Vec::new();
    let mut found = Vec::new();
    walk(dir, 0, &mut found, &mut faults);
    found.sort();
    if found.len() > MAX_FILES {
        faults.push(Diagnostic::whole(&dir.display().to_string(), format!("more than {MAX_FILES} files")));
        found.clear();
    }
    let mut files = Vec::new();
    for path in &found {
        let name = path.display().to_string();
        match text(path) {
            Ok(text) => files.push(File { name, text }),
            Err(error) => faults.push(Diagnostic::whole(&name, error)),
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
    let regular = |meta: &fs::Metadata| match meta.is_file() {
        true => Ok(()),
        false => Err("is no regular file; remove it, or let its name not end with .yaml or .yml".to_owned()),
    };
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

pub(super) fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, faults: &mut Vec<Diagnostic>) {
    let name = dir.display().to_string();
    if depth > MAX_DEPTH {
        return faults
            .push(Diagnostic::whole(&name, format!("directories within each other more than {MAX_DEPTH} deep")));
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return faults.push(Diagnostic::whole(&name, format!("the directory can't be read: {error}"))),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                faults.push(Diagnostic::whole(&name, format!("the directory can't be read: {error}")));
                continue;
            }
        };
        let Some(name) = path.file_name().filter(|name| !is_hidden(name)) else { continue };
        if found.len() > MAX_FILES {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, found, faults);
        } else if is_policy_file(Path::new(name)) {
            found.push(path);
        }
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

    use super::read;

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
}
