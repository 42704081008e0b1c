//! A directory that holds a bundle, looked at again and again: what has changed, once it has settled.
//!
//! Nothing tells of a change that works everywhere (an editor's save by rename, a `git checkout`, a mounted ConfigMap's
//! symlink swap, a network file system), so the caller asks, about once a second. A look costs a few `stat` calls;
//! contents are read only when these differ, or now and then.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bundle::File;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source;

/// Looks after which contents are read even though nothing shows a change: a save within one tick of the file system's
/// clock that keeps the size.
const READ_ANYWAY: u32 = 30;

/// Looks in a row that find a change after which it is told that the directory does not come to rest.
const RESTLESS: u32 = 30;
/// Restless files that are named.
const NAMED: usize = 5;

/// A directory that is watched.
#[derive(Debug)]
pub struct Watched {
    dir: PathBuf,
    seen: Option<Vec<Stat>>,
    content: Option<[u8; 32]>,
    settling: bool,
    /// Looks in a row that found it changing.
    changing: u32,
    looks: u32,
}

/// What one look found.
#[derive(Debug)]
pub enum Look {
    /// Nothing new.
    Same,
    /// Something is being changed: look again.
    Unsettled,
    /// Other contents, or another reason why there are none.
    Changed(Result<Vec<File>, Diagnostics>),
}

/// What tells one state of a file from another without reading it; a file that can't be asked has its error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stat {
    path: PathBuf,
    state: Result<(u64, i64, i64, u64), String>,
}

impl Watched {
    /// Watches a directory; the first look that finds it settled gives its contents.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), seen: None, content: None, settling: true, changing: 0, looks: 0 }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads the contents as they are now, settled or not: for a start, where there is nothing to go on with.
    pub fn read(&mut self) -> Result<Vec<File>, Diagnostics> {
        self.seen = Some(stats(&self.dir));
        let read = source::read(&self.dir);
        self.content = Some(digest(&read));
        self.settling = false;
        read
    }

    /// Looks at the directory. A change is handed on once two looks in a row find the same. A directory that never comes
    /// to that is told once, as what can't be taken over.
    pub fn look(&mut self) -> Look {
        let now = stats(&self.dir);
        if self.seen.as_ref() != Some(&now) {
            return self.changing(now);
        }
        self.looks = self.looks.wrapping_add(1);
        if !self.settling && !self.looks.is_multiple_of(READ_ANYWAY) {
            return Look::Same;
        }
        let read = source::read(&self.dir);
        let after = stats(&self.dir);
        if after != now {
            return self.changing(after);
        }
        self.settling = false;
        self.changing = 0;
        let content = Some(digest(&read));
        if self.content == content {
            return Look::Same;
        }
        self.content = content;
        Look::Changed(read)
    }
}

impl Watched {
    /// Notes a state that is not the one before.
    fn changing(&mut self, now: Vec<Stat>) -> Look {
        let before = self.seen.replace(now).unwrap_or_default();
        self.settling = true;
        self.changing = self.changing.saturating_add(1);
        if self.changing != RESTLESS {
            return Look::Unsettled;
        }
        // Whatever it comes to rest with is news after this.
        self.content = None;
        let now = self.seen.iter().flatten();
        let restless: Vec<&Stat> = now.filter(|one| !before.contains(one)).collect();
        let finding = |file: &Path| {
            let message = format!("it was changing at each of {RESTLESS} looks, so nothing is taken over");
            let finding = Diagnostic::whole(&file.display().to_string(), message);
            finding.help("find out what keeps writing there; a change is taken over once two looks find the same")
        };
        let mut found: Vec<Diagnostic> = restless.iter().take(NAMED).map(|one| finding(&one.path)).collect();
        if found.is_empty() {
            found.push(finding(&self.dir));
        }
        Look::Changed(Err(Diagnostics(found)))
    }
}

/// Every file of the bundle with what tells that it changed, in the order of the paths.
fn stats(dir: &Path) -> Vec<Stat> {
    let (found, faults) = source::walk(dir);
    let mut stats: Vec<Stat> = found
        .into_iter()
        .map(|path| {
            // Through symlinks: what counts is the file that would be read.
            let state = fs::metadata(&path)
                .map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino()))
                .map_err(|error| error.to_string());
            Stat { path, state }
        })
        .collect();
    let faults = faults.into_iter().map(|fault| Stat { path: PathBuf::new(), state: Err(fault.to_string()) });
    stats.extend(faults);
    stats.sort();
    stats
}

fn digest(read: &Result<Vec<File>, Diagnostics>) -> [u8; 32] {
    let mut hash = Sha256::new();
    match read {
        Ok(files) => {
            for File { name, text } in files {
                for part in [name, text] {
                    hash.update(part.len().to_le_bytes());
                    hash.update(part.as_bytes());
                }
            }
        }
        Err(faults) => hash.update(format!("\0{faults}")),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Look, READ_ANYWAY, RESTLESS, Watched};

    /// Looks until it is settled; the texts of the files where something is new, in the order of their names.
    fn settled(watched: &mut Watched) -> Option<Result<Vec<String>, String>> {
        for _ in 0..3 {
            match watched.look() {
                Look::Unsettled => {}
                Look::Same => return None,
                Look::Changed(Ok(files)) => return Some(Ok(files.into_iter().map(|file| file.text).collect())),
                Look::Changed(Err(faults)) => return Some(Err(faults.to_string())),
            }
        }
        panic!("it does not settle");
    }

    fn texts(watched: &mut Watched) -> Vec<String> {
        settled(watched).unwrap().unwrap()
    }

    /// A directory with one file, seen.
    fn one(text: &str) -> (tempfile::TempDir, Watched) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), text).unwrap();
        let mut watched = Watched::new(dir.path());
        watched.read().unwrap();
        (dir, watched)
    }

    #[test]
    fn a_change_is_told_once_and_only_when_two_looks_find_the_same() {
        let (dir, mut watched) = one("a");
        assert!(matches!(watched.look(), Look::Same));
        fs::write(dir.path().join("b.yaml"), "b").unwrap();
        assert!(matches!(watched.look(), Look::Unsettled));
        fs::write(dir.path().join("b.yaml"), "b and more").unwrap();
        assert!(matches!(watched.look(), Look::Unsettled), "still being written");
        assert_eq!(texts(&mut watched), ["a", "b and more"]);
        assert!(matches!(watched.look(), Look::Same));
    }

    #[test]
    fn a_save_by_rename_and_a_removal_are_changes() {
        let (dir, mut watched) = one("a");
        fs::write(dir.path().join(".a.yaml.swp"), "b").unwrap();
        assert!(settled(&mut watched).is_none(), "an editor's copy is none of the bundle's");
        fs::rename(dir.path().join(".a.yaml.swp"), dir.path().join("a.yaml")).unwrap();
        assert_eq!(texts(&mut watched), ["b"]);
        fs::write(dir.path().join("c.yml"), "c").unwrap();
        assert_eq!(texts(&mut watched), ["b", "c"]);
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        assert_eq!(texts(&mut watched), ["c"]);
    }

    /// What the kubelet does with a mounted ConfigMap.
    fn mount(dir: &Path, revision: &str, text: &str) {
        fs::create_dir(dir.join(revision)).unwrap();
        fs::write(dir.join(revision).join("a.yaml"), text).unwrap();
        symlink(revision, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    }

    #[test]
    fn the_symlink_swap_of_a_mounted_configmap_is_one_change() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..2026_01", "a");
        symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
        let mut watched = Watched::new(dir.path());
        assert_eq!(texts(&mut watched), ["a"]);
        mount(dir.path(), "..2026_02", "b");
        assert_eq!(texts(&mut watched), ["b"]);
        assert!(settled(&mut watched).is_none());
    }

    #[test]
    fn what_can_not_be_read_is_told_once_and_its_mending_too() {
        let (dir, mut watched) = one("a");
        let away = dir.path().with_extension("away");
        fs::rename(dir.path(), &away).unwrap();
        let error = settled(&mut watched).unwrap().unwrap_err();
        assert!(error.contains("can't be read"), "{error}");
        assert!(settled(&mut watched).is_none(), "said already");
        fs::rename(&away, dir.path()).unwrap();
        assert_eq!(texts(&mut watched), ["a"]);
        symlink("nowhere", dir.path().join("b.yaml")).unwrap();
        let error = settled(&mut watched).unwrap().unwrap_err();
        assert!(error.contains("b.yaml"), "{error}");
        fs::remove_file(dir.path().join("b.yaml")).unwrap();
        assert_eq!(texts(&mut watched), ["a"]);
        fs::write(dir.path().join("c.yaml"), [0xff, 0xfe]).unwrap();
        assert!(settled(&mut watched).unwrap().unwrap_err().contains("c.yaml"));
    }

    #[test]
    fn a_file_that_never_comes_to_rest_is_told_once_and_by_name_and_its_rest_is_news() {
        let (dir, mut watched) = one("a");
        fs::write(dir.path().join("calm.yaml"), "c").unwrap();
        let mut told = Vec::new();
        for round in 0..RESTLESS * 3 {
            fs::write(dir.path().join("b.yaml"), "b".repeat(round as usize + 1)).unwrap();
            match watched.look() {
                Look::Unsettled => {}
                Look::Changed(Err(faults)) => told.push((round, faults.to_string())),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told.len(), 1, "{told:?}");
        let (round, text) = told.first().unwrap();
        assert_eq!(*round, RESTLESS - 1);
        assert!(text.contains("b.yaml") && text.contains("it was changing at each of 30 looks"), "{text}");
        assert!(!text.contains("a.yaml") && !text.contains("calm.yaml"), "{text}");
        // Back to what was known before: said all the same, so that what was told of it ends.
        fs::remove_file(dir.path().join("b.yaml")).unwrap();
        fs::remove_file(dir.path().join("calm.yaml")).unwrap();
        assert_eq!(texts(&mut watched), ["a"]);
    }

    #[test]
    fn a_file_that_is_touched_and_says_the_same_is_no_change() {
        let (dir, mut watched) = one("a");
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        assert!(settled(&mut watched).is_none());
    }

    #[test]
    fn a_change_that_no_stat_shows_is_found_within_half_a_minute() {
        let (dir, mut watched) = one("a");
        let path = dir.path().join("a.yaml");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "b").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let found = (0..READ_ANYWAY).find_map(|_| match watched.look() {
            Look::Changed(files) => Some(files.unwrap()),
            _ => None,
        });
        assert_eq!(found.unwrap().first().unwrap().text, "b");
    }
}
