//! Every way to tamper with a log is found; what the log itself went through is told.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{Memory, at, body, log, messages, verified};
use crate::audit::{GENESIS, Journal, Line};

fn lines(log: &[u8]) -> Vec<Vec<u8>> {
    log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn findings(lines: &[Vec<u8>], head: Option<&str>) -> Vec<String> {
    messages(&verified([("log", lines.concat().as_slice())], head))
}

#[test]
fn a_line_holds_the_hash_of_all_bytes_of_the_line_before() {
    let (log, head) = log(3);
    let lines = lines(&log);
    assert_eq!(lines.len(), 4, "a file opens with a line that says so");
    let sha256 =
        |bytes: &[u8]| Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let read: Vec<Line<'_>> = lines.iter().map(|line| Line::read(line).unwrap()).collect();
    assert_eq!(read.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(read[0].prev, GENESIS);
    for (before, line) in lines.iter().zip(&read[1..]) {
        assert_eq!(line.prev, sha256(before));
    }
    assert_eq!(head, sha256(&lines[3]));
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_told_in_short() {
    let (log, head) = log(20);
    let report = verified([("log", log.as_slice())], Some(&head));
    assert_eq!(messages(&report), Vec::<String>::new());
    let summary = report.summary;
    assert_eq!((summary.lines, summary.files, summary.seqs), (21, 1, Some((1, 21))));
    assert_eq!(summary.times, Some((at(0), at(19))));
    assert_eq!((summary.instances, summary.head), (vec!["one".to_owned()], Some(head)));
    assert_eq!(
        report.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["log:21: this line has the hash that was noted; the newest"]
    );
}

/// What is found, and how it must begin.
type Case<'a> = (Vec<String>, &'a [&'a str]);

#[test]
fn each_kind_of_tampering_is_named_where_it_was_done() {
    let (log, head) = log(9);
    let whole = lines(&log);
    let tampered = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        findings(&lines, None)
    };
    let replace = |lines: &mut Vec<Vec<u8>>, index: usize, from: &str, to: &str| {
        let text = String::from_utf8(lines[index].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        lines[index] = text.replace(from, to).into_bytes();
    };
    let cases: [Case<'_>; 11] = [
        (tampered(&|lines| drop(lines.remove(4))), &["log:5: removed: line 5 is missing before this line"]),
        (tampered(&|lines| drop(lines.drain(2..5))), &["log:3: removed: lines 3 to 5 are missing before this line"]),
        (tampered(&|lines| drop(lines.remove(0))), &["log:1: removed: a file opens with a line that says so"]),
        (
            tampered(&|lines| replace(lines, 4, "\"number\":3", "\"number\":8")),
            &["log:5: edited: line 5 is not what it was when line 6 was written after it"],
        ),
        (
            tampered(&|lines| replace(lines, 4, "\"filled\"", " \"filled\"")),
            &["log:5: edited: line 5 is not what it was"],
        ),
        (
            tampered(&|lines| lines.swap(4, 5)),
            &["log:5: removed: line 5 is missing before this line", "log:6: reordered: line 5 stands after line 6"],
        ),
        (tampered(&|lines| lines.insert(5, lines[4].clone())), &["log:6: repeated: line 5 stands after line 5"]),
        (
            tampered(&|lines| lines[4] = b"gone\n".to_vec()),
            &["log:5: edited: this is no line of a decision log", "log:6: removed: line 5 is missing"],
        ),
        (tampered(&|lines| lines.insert(4, b"\n".to_vec())), &["log:5: edited: this is no line of a decision log"]),
        (
            tampered(&|lines| assert!(lines[9].pop().is_some())),
            &["log:10: torn: this is no line of a decision log (it has no end), and no mark follows it"],
        ),
        (
            tampered(&|lines| replace(lines, 4, "\"seq\":5", "\"seq\":50")),
            &["log:5: edited: its seq is 50, and it goes on from the line with seq 4"],
        ),
    ];
    for (index, (found, expected)) in cases.iter().enumerate() {
        assert!(found.len() >= expected.len(), "case {index}: {found:?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "case {index}: {found} / {expected}");
        }
    }
    assert_eq!(findings(&whole[..8], None), Vec::<String>::new(), "a cut tail looks like a log that is shorter");
    let cut = findings(&whole[..8], Some(&head));
    assert_eq!(cut, [format!("log:8: cut: no line has the hash that was noted, {head}; this is the last one here")]);
    assert_eq!(findings(&[], None), ["log:1: cut: the file is empty"]);
}

#[test]
fn a_hash_that_was_noted_earlier_still_stands_in_a_log_that_went_on() {
    let (log, _) = log(9);
    let whole = lines(&log);
    let noted = Line::read(&whole[6]).unwrap().prev.to_string();
    let report = verified([("log", log.as_slice())], Some(&noted));
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(report.notes[0].to_string(), "log:6: this line has the hash that was noted; 4 came after it");
}

#[test]
fn files_that_follow_each_other_are_one_chain_and_a_missing_one_is_found() {
    let mut memory = Memory::of(1500);
    let mut journal = Journal::new(&mut memory, "one");
    (0..40).for_each(|number| journal.append(at(0), &body(number, 40)).unwrap());
    let files = std::mem::take(&mut memory.files);
    assert!(files.len() > 5, "{}", files.len());
    let names: Vec<String> = (0..files.len()).map(|index| format!("log.{index}")).collect();
    let over = |left_out: Option<usize>| {
        let all = names.iter().zip(&files).enumerate().filter(|(index, _)| Some(*index) != left_out);
        messages(&verified(all.map(|(_, (name, file))| (name.as_str(), file.as_slice())), None))
    };
    assert_eq!(over(None), Vec::<String>::new());
    for file in files.iter().skip(1) {
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(text.lines().next().unwrap().contains("\"opened\":{"), "each opens with a line that says so: {text}");
    }
    let middle = over(Some(2));
    assert!(middle.len() == 1 && middle[0].starts_with("log.3:1: removed: lines "), "{middle:?}");
    let oldest = over(Some(0));
    assert!(oldest.len() == 1 && oldest[0].contains("removed: lines 1 to "), "{oldest:?}");
    assert!(oldest[0].contains("which the log keeps by what it says here; give all its files"), "{oldest:?}");
}

#[test]
fn another_chain_goes_on_only_where_the_one_before_went_to_the_standard_output() {
    let started = super::sample::written();
    let twice = [started.as_slice(), &started].concat();
    let report = verified([("pod.log", twice.as_slice())], None);
    assert_eq!(messages(&report), Vec::<String>::new());
    assert!(report.notes.iter().any(|note| note.message.contains("a new chain")), "{:?}", report.notes);
    // Behind a chain of files it would hide what was cut off.
    let (log, _) = log(9);
    let cut = lines(&log)[..4].concat();
    let found = messages(&verified([("log", [cut.as_slice(), &started].concat().as_slice())], None));
    assert!(found.len() == 1 && found[0].starts_with("log:5: removed: a chain begins here"), "{found:?}");
}

/// A way to tamper with a log.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Swap(usize, usize),
    Repeat(usize, usize),
    Byte(usize, u8),
    Insert(usize, u8),
    Erase(usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<usize>;
    prop_oneof![
        place().prop_map(Edit::Remove),
        (place(), place()).prop_map(|(one, other)| Edit::Swap(one, other)),
        (place(), place()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        place().prop_map(Edit::Erase),
        place().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, log: &mut Vec<u8>) {
        let mut all = lines(log);
        let (count, size) = (all.len().max(1), log.len().max(1));
        match *self {
            Self::Byte(at, byte) => log[at % size] = byte,
            Self::Insert(at, byte) => log.insert(at % size, byte),
            Self::Erase(at) => drop(log.remove(at % size)),
            Self::Cut(at) => log.truncate(at % size),
            Self::Remove(at) => {
                all.remove(at % count);
                *log = all.concat();
            }
            Self::Swap(one, other) => {
                all.swap(one % count, other % count);
                *log = all.concat();
            }
            Self::Repeat(from, to) => {
                let line = all[from % count].clone();
                all.insert(to % count, line);
                *log = all.concat();
            }
        }
    }
}

proptest! {
    /// Fails where `follows` does not compare the hash or the number, where junk without its mark is let through, and
    /// where `finish` does not ask for the head.
    #[test]
    fn whatever_is_done_to_a_log_is_found(count in 1_usize..12, edits in prop::collection::vec(edit(), 1..4)) {
        let (whole, head) = log(count);
        let mut log = whole.clone();
        for edit in &edits {
            if log.is_empty() {
                break;
            }
            edit.apply(&mut log);
        }
        prop_assume!(log != whole);
        let with_head = messages(&verified([("log", log.as_slice())], Some(&head)));
        prop_assert!(!with_head.is_empty(), "{edits:?}");
        // Without a hash that was noted only the end can have been changed unseen: a cut, or an edit of the last line.
        let without = messages(&verified([("log", log.as_slice())], None));
        if without.is_empty() {
            let (left, before) = (lines(&log), lines(&whole));
            let same = left.iter().zip(&before).take_while(|(one, other)| one == other).count();
            prop_assert!(same + 1 >= left.len(), "{edits:?}: only the last line differs");
        }
    }

    /// A disk that is full again and again: the chain stays whole, and every line is there or counted as lost.
    #[test]
    fn what_a_full_disk_took_is_marked_and_counted(
        rooms in prop::collection::vec((0_usize..900, 1_usize..4), 1..6), limit in 600_usize..3000,
    ) {
        let mut memory = Memory::of(limit);
        let (mut number, mut failed) = (0, 0);
        let mut journal = Journal::new(&mut memory, "one");
        let mut append = |journal: &mut Journal<&mut Memory>| {
            number += 1;
            failed += u64::from(journal.append(at(number), &body(1, 30)).is_err());
        };
        for (room, lines) in &rooms {
            let chain = journal.head().map(|(seq, hash)| (seq, hash.to_owned()));
            journal.output().room = Some(*room);
            (0..*lines).for_each(|_| append(&mut journal));
            prop_assert!(chain.is_none_or(|(seq, _)| journal.head().unwrap().0 >= seq));
            journal.output().room = None;
            append(&mut journal);
        }
        prop_assert!(!journal.owes());
        let head = journal.head().unwrap().1.to_owned();
        let report = memory.verified(Some(&head));
        prop_assert_eq!(messages(&report), Vec::<String>::new());
        prop_assert_eq!(report.summary.lost, failed);
        let text = memory.files.concat();
        let whole = lines(&text).iter().filter(|line| Line::read(line).is_ok() && contains(line, b"\"number\":1}")).count();
        prop_assert_eq!(u64::try_from(whole).unwrap() + failed, u64::try_from(number).unwrap());
    }
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}
