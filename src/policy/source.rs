//! Reading the files of a bundle: the one place of this room that does I/O.

use std::ffi::OsStr;
use std::fs;
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

fn text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| format!("can't be read: {error}"))?.len();
    if size > MAX_BYTES {
        return Err(format!("{size} bytes are too long for a policy file; at most {MAX_BYTES}"));
    }
    fs::read_to_string(path).map_err(|error| format!("can't be read: {error}"))
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
