//! A decision log whose writer is killed, also in the middle of a write, goes on as one chain, loses nothing that was written,
//! and says what was cut off. Run as a program of its own, so that it can be the one that is killed: with `write PATH` it
//! writes until that happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use oprc_crm::audit::{FileLog, Limits, Report, Verifier};
use serde_json::json;

/// Small, so that files are put aside while it is killed.
const LIMITS: Limits = Limits { bytes: 3_000_000, kept: 1000 };
const KILLS: u64 = 25;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1..) {
        Some([write, path]) if write == "write" => write_on(Path::new(path)),
        _ => a_log_whose_writer_is_killed_goes_on_as_one_chain(),
    }
}

/// Writes long lines and says how many, until it is killed.
fn write_on(path: &Path) {
    let mut journal = FileLog::open(path, LIMITS, "writer").unwrap();
    let filled = "x".repeat(400_000);
    let mut out = std::io::stdout();
    loop {
        journal.append(Timestamp::now(), &json!({"filled": filled})).unwrap();
        writeln!(out, "{}", journal.head().unwrap().0).unwrap();
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(path.parent().unwrap()).unwrap().map(|one| one.unwrap().path()).collect();
    all.sort();
    // The newest has no number.
    all.rotate_left(1);
    all
}

fn verified(path: &Path) -> Report {
    let mut verifier = Verifier::new(None);
    for file in files(path) {
        verifier.file(&file.display().to_string());
        fs::read(&file).unwrap().split_inclusive(|byte| *byte == b'\n').for_each(|line| verifier.line(line));
    }
    verifier.finish()
}

/// The kernel cuts the write at a limit of the file's size and then kills the writer.
fn cut_in_the_middle_of_a_write(path: &Path) {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c 0; ulimit -f 1500; exec \"$0\" write \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(!child.wait().unwrap().success(), "it is killed");
    let report = verified(path);
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(found.len() == 1 && found[0].contains(": torn: ") && found[0].contains("no mark follows it"), "{found:?}");
}

fn a_log_whose_writer_is_killed_goes_on_as_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.jsonl");
    cut_in_the_middle_of_a_write(&path);
    let mut said = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("write")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        said = lines.next().unwrap().unwrap().parse().unwrap();
        // Some way into the lines that follow, another way each time.
        let end = Instant::now() + Duration::from_micros(700 * kill);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it was killed is written, too.
        for line in lines.map_while(Result::ok) {
            said = line.parse().unwrap_or(said);
        }
        // Before anybody goes on with it at most the last line is torn.
        let report = verified(&path);
        let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(found.len() <= 1 && found.iter().all(|one| one.contains(": torn: ")), "after kill {kill}: {found:?}");
        assert!(report.summary.seqs.unwrap().1 >= said, "line {said} was written and is not there: {report:?}");
    }
    let mut journal = FileLog::open(&path, LIMITS, "last").unwrap();
    journal.append(Timestamp::now(), &json!({"filled": ""})).unwrap();
    let report = verified(&path);
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{found:?}");
    let summary = &report.summary;
    assert_eq!(summary.lines, summary.seqs.unwrap().1, "every number is there");
    assert!(summary.torn >= 1, "what was cut is marked: {summary:?}");
    println!(
        "killed {KILLS} times: {} lines in {} files are one chain, {} torn and marked; the last one said was {said}",
        summary.lines, summary.files, summary.torn
    );
}
