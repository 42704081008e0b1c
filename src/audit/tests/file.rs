//! Files: continued after a restart and after a kill, put aside when full, and never mixed up with others.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{at, body, messages, verified};
use crate::audit::{FileLog, Journal, Limits, OpenError, Report, beside};

const LARGE: Limits = Limits { bytes: 1 << 20, kept: 4 };

fn open(path: &Path, limits: Limits) -> Journal<FileLog> {
    FileLog::open(path, limits, "one").unwrap()
}

/// All files of a log, oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(path.parent().unwrap()).unwrap().map(|one| one.unwrap().path()).collect();
    all.sort();
    let newest = all.remove(0);
    all.push(newest);
    all
}

fn report(path: &Path, head: Option<&str>) -> Report {
    let files: Vec<(String, Vec<u8>)> =
        files(path).iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect();
    verified(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())), head)
}

#[test]
fn a_log_goes_on_where_it_ended_over_restarts_and_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let limits = Limits { bytes: 2000, kept: 100 };
    let mut head = String::new();
    for run in 0..10 {
        let mut journal = open(&path, limits);
        assert_eq!(journal.head().map(|(_, hash)| hash.to_owned()).unwrap_or_default(), head, "{run}");
        (0..7).for_each(|number| journal.append(at(number), &body(1, 80)).unwrap());
        journal.head().unwrap().1.clone_into(&mut head);
    }
    let report = report(&path, Some(&head));
    assert_eq!(messages(&report), Vec::<String>::new());
    let files = files(&path);
    assert!(files.len() > 5 && files[0].ends_with("decisions.jsonl.000001"), "{files:?}");
    assert_eq!(report.summary.lines, 70 + files.len() as u64, "each file has one line of its own");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 2000));
}

#[test]
fn only_so_many_files_are_kept_and_what_is_left_is_still_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let mut journal = open(&path, Limits { bytes: 1500, kept: 3 });
    (0..60).for_each(|number| journal.append(at(number), &body(1, 80)).unwrap());
    let files = files(&path);
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(!files[0].ends_with("decisions.jsonl.000001"));
    let whole = report(&path, None);
    assert_eq!(messages(&whole), Vec::<String>::new());
    assert!(whole.summary.seqs.unwrap().0 > 1);
    fs::remove_file(&files[0]).unwrap();
    let cut = messages(&report(&path, None));
    assert!(cut.len() == 1 && cut[0].contains("removed: lines "), "{cut:?}");
    assert!(cut[0].contains("which the log keeps by what it says here"), "{cut:?}");
}

#[test]
fn a_file_that_somebody_moved_away_is_begun_anew_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    let mut journal = open(&path, LARGE);
    journal.append(at(0), &body(0, 1)).unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    journal.append(at(1), &body(1, 1)).unwrap();
    let both = ["moved", "decisions.jsonl"].map(|name| fs::read(dir.path().join(name)).unwrap());
    let report = verified([("moved", both[0].as_slice()), ("decisions.jsonl", both[1].as_slice())], None);
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(report.summary.lines, 4);
}

#[test]
fn a_file_that_is_no_decision_log_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passwd");
    for foreign in ["root:x:0:0\n", "{\"a\": 1}\n", "x"] {
        fs::write(&path, foreign).unwrap();
        let error = FileLog::open(&path, LARGE, "one").unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().ends_with("is no decision log; name another file, or move it away"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
    let error = FileLog::open(&dir.path().join("none/decisions.jsonl"), LARGE, "one").unwrap_err().to_string();
    assert!(error.contains("none/decisions.jsonl can't be written: No such file"), "{error}");
}

#[test]
fn policies_stand_beside_the_newest_file_whatever_file_is_read() {
    for (log, dir) in [
        ("a/decisions.jsonl", "a/decisions.jsonl.bundles"),
        ("a/decisions.jsonl.000012", "a/decisions.jsonl.bundles"),
        ("decisions", "decisions.bundles"),
        ("decisions.2026", "decisions.2026.bundles"),
    ] {
        assert_eq!(beside(Path::new(log)), Path::new(dir));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A kill can end the log at any byte. Fails where `tail` takes a line without its end for whole, where the rest is
    /// overwritten or not marked, and where the newest line is only looked for in the newest file.
    #[test]
    fn a_log_that_was_cut_off_anywhere_goes_on_and_says_so(at_byte in any::<usize>(), lines in 1_i64..20, limit in 600_u64..3000) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        let limits = Limits { bytes: limit, kept: 100 };
        let mut journal = open(&path, limits);
        (0..lines).for_each(|number| journal.append(at(number), &body(1, 80)).unwrap());
        drop(journal);
        let bytes = fs::read(&path).unwrap();
        let cut = &bytes[..at_byte % (bytes.len() + 1)];
        fs::write(&path, cut).unwrap();
        let mut journal = open(&path, limits);
        (0..3).for_each(|number| journal.append(at(number), &body(2, 80)).unwrap());
        let head = journal.head().unwrap().1.to_owned();
        let report = report(&path, Some(&head));
        prop_assert_eq!(messages(&report), Vec::<String>::new());
        let whole = bytes.get(cut.len()) == Some(&b'\n');
        let torn = !cut.is_empty() && !cut.ends_with(b"\n") && !whole;
        prop_assert_eq!(report.summary.torn, u64::from(torn));
        let all = files(&path).iter().flat_map(|file| fs::read(file).unwrap()).collect::<Vec<u8>>();
        prop_assert!(all.windows(cut.len().max(1)).any(|window| window == cut) || cut.is_empty(), "nothing of it is gone");
    }
}
