#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chain;
mod file;
mod log;
mod sample;

use std::io;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::journal::Begun;
use super::{Journal, Output, Report, Verifier};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// A line's content, about as long as it is told to be.
fn body(number: usize, length: usize) -> Value {
    json!({"number": number, "filled": "x".repeat(length)})
}

/// Verifies texts as files.
fn verified<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>, head: Option<&str>) -> Report {
    let mut verifier = Verifier::new(head);
    for (name, bytes) in files {
        verifier.file(name);
        bytes.split_inclusive(|byte| *byte == b'\n').for_each(|line| verifier.line(line));
    }
    verifier.finish()
}

fn messages(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// Files in memory, on a disk that takes as much as it is told to.
#[derive(Debug, Default)]
struct Memory {
    files: Vec<Vec<u8>>,
    /// Bytes of a file.
    limit: usize,
    /// Bytes that the disk still takes; `None` takes all.
    room: Option<usize>,
}

impl Output for &mut Memory {
    fn prepare(&mut self, bytes: usize) -> io::Result<Option<Begun>> {
        if self.files.last().is_some_and(|file| file.is_empty() || file.len() + bytes <= self.limit) {
            return Ok(None);
        }
        if self.room == Some(0) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room for a file"));
        }
        let name = |index: usize| format!("log.{index}");
        let previous = self.files.len().checked_sub(1).map(name);
        self.files.push(Vec::new());
        Ok(Some(Begun { file: name(self.files.len() - 1), previous, kept_since: Some(1) }))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if taken == 0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room left"));
        }
        self.room = self.room.map(|room| room - taken);
        self.files.last_mut().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn of(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn verified(&self, head: Option<&str>) -> Report {
        verified(self.files.iter().map(|file| ("log", file.as_slice())), head)
    }
}

/// A log of so many lines in one file, and its newest hash.
fn log(lines: usize) -> (Vec<u8>, String) {
    let mut memory = Memory::of(usize::MAX);
    let mut journal = Journal::new(&mut memory, "one");
    for number in 0..lines {
        journal.append(at(i64::try_from(number).unwrap()), &body(number, number % 7)).unwrap();
    }
    let head = journal.head().unwrap().1.to_owned();
    (memory.files.remove(0), head)
}
