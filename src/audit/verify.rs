//! Whether a chain is whole: line by line, over as many files as there are, oldest first.
//!
//! What is found says what was seen, in the words of what most likely happened: two lines that changed places are told as
//! such, though nobody can know that they were not removed and written anew.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::chain::{GENESIS, hash, hex};
use super::journal::STDOUT;
use super::line::Line;

/// Something about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What.
    pub message: String,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: usize,
    /// Lines of the chain.
    pub lines: u64,
    /// Those of them that are decisions.
    pub decisions: u64,
    /// First and last number.
    pub seqs: Option<(u64, u64)>,
    /// First and last time.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Who wrote, in order of appearance.
    pub instances: Vec<String>,
    /// Lines that the log says it lost.
    pub lost: u64,
    /// Torn lines that are marked.
    pub torn: u64,
    /// Hash of the newest line.
    pub head: Option<String>,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong.
    pub findings: Vec<Found>,
    /// What the log says of itself: a torn line that it marked, lines that it lost.
    pub notes: Vec<Found>,
    /// What was looked at.
    pub summary: Summary,
}

/// A line that was there.
struct Last {
    seq: u64,
    hash: String,
    place: Place,
}

#[derive(Clone)]
struct Place {
    file: String,
    line: usize,
}

/// What stands between two lines and is none.
struct Junk {
    place: Place,
    bytes: Sha256,
    why: String,
}

/// Looks at lines, one after the other.
pub struct Verifier {
    report: Report,
    place: Place,
    last: Option<Last>,
    junk: Option<Junk>,
    /// Whether the chain says of itself that it goes to the standard output.
    to_stdout: bool,
    /// Numbers that were missing, and may come later.
    missing: Vec<(u64, u64)>,
    /// The newest word about what is kept, and where it stands.
    kept_since: Option<(u64, Place)>,
    /// A hash that must be there, and the line that has it.
    head: Option<(String, Option<(u64, Place)>)>,
}

impl Verifier {
    /// Begins; `head` is a hash that was noted and that a line must have.
    pub fn new(head: Option<&str>) -> Self {
        Self {
            report: Report::default(),
            place: Place { file: String::new(), line: 0 },
            last: None,
            junk: None,
            to_stdout: true,
            missing: Vec::new(),
            kept_since: None,
            head: head.map(|head| (head.to_owned(), None)),
        }
    }

    /// Another file begins.
    pub fn file(&mut self, name: &str) {
        self.end_of_file();
        self.report.summary.files += 1;
        self.place = Place { file: name.to_owned(), line: 0 };
    }

    /// A line, with its end where it has one.
    pub fn line(&mut self, bytes: &[u8]) {
        self.place.line += 1;
        match Line::read(bytes) {
            Ok(line) => {
                self.marks(&line);
                self.follows(&line, bytes);
            }
            Err(why) => {
                let place = self.place.clone();
                let junk = self.junk.get_or_insert_with(|| Junk { place, bytes: Sha256::new(), why: why.to_string() });
                junk.bytes.update(bytes);
            }
        }
    }

    /// That was all.
    pub fn finish(mut self) -> Report {
        self.end_of_file();
        let first = self.report.summary.seqs.map(|(first, _)| first);
        if let (Some((kept, place)), Some(first)) = (self.kept_since.take(), first)
            && kept < first
        {
            let missing = span(kept, first - 1);
            let said =
                format!("removed: {missing} missing, which the log keeps by what it says here; give all its files");
            self.find_at(place, said);
        }
        match self.head.take() {
            Some((_, Some((seq, place)))) => {
                let newer = self.report.summary.seqs.map_or(0, |(_, last)| last.saturating_sub(seq));
                let newer = if newer == 0 { "the newest".to_owned() } else { format!("{newer} came after it") };
                self.note_at(place, format!("this line has the hash that was noted; {newer}"));
            }
            Some((head, None)) => {
                let place = self.last.as_ref().map_or_else(|| self.place.clone(), |last| last.place.clone());
                self.find_at(
                    place,
                    format!("cut: no line has the hash that was noted, {head}; this is the last one here"),
                );
            }
            None => {}
        }
        self.report
    }

    fn end_of_file(&mut self) {
        if let Some(Junk { place, why, .. }) = self.junk.take() {
            self.find_at(place, format!("torn: this is no line of a decision log ({why}), and no mark follows it"));
        }
        if self.place.line == 0 && !self.place.file.is_empty() {
            self.find_at(Place { line: 1, ..self.place.clone() }, "cut: the file is empty".to_owned());
        }
    }

    /// What the line says about what stands before it, or about lines that are nowhere.
    fn marks(&mut self, line: &Line<'_>) {
        match (self.junk.take(), &line.torn) {
            (Some(junk), Some(torn)) if hex(&junk.bytes.clone().finalize()) == torn.sha256 => {
                self.report.summary.torn += 1;
                self.note_at(junk.place, "torn: this line was not written to its end, as the next one says".to_owned());
            }
            (Some(Junk { place, why, .. }), _) => {
                self.find_at(place, format!("edited: this is no line of a decision log ({why}), and no mark says so"));
            }
            (None, Some(_)) => self.find("removed: the torn line that this one marks is not before it"),
            (None, None) => {}
        }
        if let Some(lost) = &line.lost {
            self.report.summary.lost += lost.lines;
            let (lines, since, because) = (lost.lines, lost.since, &lost.because);
            self.note_at(self.place.clone(), format!("lost: {lines} could not be written since {since}: {because}"));
        }
    }

    /// Whether the line goes on where the one before ended.
    fn follows(&mut self, line: &Line<'_>, bytes: &[u8]) {
        let own = hash(bytes);
        let begins = line.seq == 1 && line.prev == GENESIS;
        let goes_on = match &self.last {
            None => {
                if !begins && line.opened.is_none() {
                    self.find("removed: a file opens with a line that says so (`opened`), and this is none");
                } else if line.seq == 1 && !begins || line.seq != 1 && line.prev == GENESIS {
                    self.find("edited: only line 1 of a chain has nothing before it");
                }
                true
            }
            Some(_) if begins && line.opened.is_some() => {
                self.begins_anew(line);
                true
            }
            Some(last) => {
                let (seq, same) = (last.seq, last.hash == line.prev);
                self.compare(line, seq, same)
            }
        };
        self.count(line, &own);
        if let Some(opened) = &line.opened {
            self.to_stdout = opened.file == STDOUT;
        }
        if goes_on {
            self.report.summary.head = Some(own.clone());
            self.report.summary.seqs = self.report.summary.seqs.map(|(first, _)| (first, line.seq));
            self.last = Some(Last { seq: line.seq, hash: own, place: self.place.clone() });
        }
    }

    /// Another chain in the same file: a process whose log is its standard output has one of its own. A chain of files
    /// goes on in them, so another one behind it hides what was cut off.
    fn begins_anew(&mut self, line: &Line<'_>) {
        if self.to_stdout && line.opened.as_ref().is_some_and(|opened| opened.file == STDOUT) {
            let instance = line.instance.to_string();
            self.note_at(self.place.clone(), format!("a new chain: {instance} was started"));
        } else {
            self.find("removed: a chain begins here, and none goes on from the line before");
        }
    }

    /// Compares a line with the one before; whether the chain goes on from it.
    fn compare(&mut self, line: &Line<'_>, before: u64, same: bool) -> bool {
        let seq = line.seq;
        match (same, seq.checked_sub(before)) {
            (true, Some(1)) => true,
            (true, _) => {
                self.find(&format!("edited: its seq is {seq}, and it goes on from the line with seq {before}"));
                true
            }
            (false, Some(1)) => {
                if let Some(last) = &self.last {
                    let said = format!("edited: line {before} is not what it was when line {seq} was written after it");
                    self.find_at(last.place.clone(), said);
                }
                true
            }
            (false, Some(gap)) if gap > 1 => {
                self.find(&format!("removed: {} missing before this line", span(before + 1, seq - 1)));
                self.missing.push((before + 1, seq - 1));
                true
            }
            (false, _) => {
                let moved = self.missing.iter().any(|(from, to)| (*from..=*to).contains(&seq));
                let what = if moved { "reordered" } else { "repeated" };
                self.find(&format!("{what}: line {seq} stands after line {before}"));
                false
            }
        }
    }

    fn count(&mut self, line: &Line<'_>, own: &str) {
        let place = self.place.clone();
        let summary = &mut self.report.summary;
        summary.lines += 1;
        summary.decisions += u64::from(line.decided().is_some());
        summary.seqs.get_or_insert((line.seq, line.seq));
        let (since, _) = *summary.times.get_or_insert((line.time, line.time));
        summary.times = Some((since, line.time));
        if !summary.instances.iter().any(|known| *known == line.instance) {
            summary.instances.push(line.instance.to_string());
        }
        if let Some(opened) = &line.opened {
            self.kept_since = Some((opened.kept_since, place.clone()));
        }
        if let Some((head, at @ None)) = &mut self.head
            && head == own
        {
            *at = Some((line.seq, place));
        }
    }

    fn find(&mut self, message: &str) {
        self.find_at(self.place.clone(), message.to_owned());
    }

    fn find_at(&mut self, Place { file, line }: Place, message: String) {
        self.report.findings.push(Found { file, line, message });
    }

    fn note_at(&mut self, Place { file, line }: Place, message: String) {
        self.report.notes.push(Found { file, line, message });
    }
}

/// Numbers of lines in words.
fn span(from: u64, to: u64) -> String {
    if from == to { format!("line {from} is") } else { format!("lines {from} to {to} are") }
}
