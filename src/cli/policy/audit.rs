//! `oprc-crm policy audit`: whether a decision log is what was written.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::audit::{Line, Report, Verifier};

/// Arguments of `policy audit`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Tell whether a line of a decision log was removed, edited or put elsewhere. Exit 0: it is whole, 1: it is not,
    /// 2: could not read it.
    Verify(Verify),
}

#[derive(clap::Args)]
struct Verify {
    /// Files of one log, in any order; - is the standard input. Directories named *.bundles are left out.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Hash that was noted of the newest line (oprc_crm_decision_log_head of /metrics, decision_log.head of /policy): a
    /// line must have it. Without it a tail that was cut off can't be seen.
    #[arg(long, value_name = "HASH", value_parser = head)]
    head: Option<String>,
}

/// A hash, as `/metrics` and `sha256sum` print it.
fn head(text: &str) -> Result<String, String> {
    let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex { Ok(text.to_ascii_lowercase()) } else { Err("write the 64 hexadecimal digits of a line's hash".to_owned()) }
}

pub(super) fn run(args: &Args) -> ExitCode {
    let Command::Verify(args) = &args.command;
    match verify(args) {
        Ok(report) => {
            super::print(&text(&report));
            ExitCode::from(u8::from(!report.findings.is_empty()))
        }
        Err(error) => {
            crate::cli::complain(error);
            ExitCode::from(2)
        }
    }
}

fn verify(args: &Verify) -> Result<Report, String> {
    let is_kept = |path: &&PathBuf| !(path.is_dir() && path.extension().is_some_and(|end| end == "bundles"));
    let mut files = args.files.iter().filter(is_kept).map(|path| Ok((first(path)?, path)));
    let mut files: Vec<(u64, &PathBuf)> = files.by_ref().collect::<Result<_, String>>()?;
    if files.is_empty() {
        return Err("no file is named; name the files of a decision log".to_owned());
    }
    // Oldest first, however the shell has put them; what has no line goes last.
    files.sort_by_key(|(seq, _)| *seq);
    let mut verifier = Verifier::new(args.head.as_deref());
    for (_, path) in files {
        let name = path.display().to_string();
        verifier.file(&name);
        lines(path, |line| verifier.line(line)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(verifier.finish())
}

/// Number of the first line of a file that has one.
fn first(path: &Path) -> Result<u64, String> {
    if path == Path::new("-") {
        return Ok(u64::MAX);
    }
    let mut first = None;
    let read = lines_while(path, |line| {
        first = Line::read(line).ok().map(|line| line.seq);
        first.is_none()
    });
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(first.unwrap_or(u64::MAX))
}

fn lines(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    lines_while(path, |line| {
        each(line);
        true
    })
}

/// Goes through a file line by line, as long as there is reason to.
fn lines_while(path: &Path, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut reader: Box<dyn io::BufRead> =
        if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(BufReader::new(File::open(path)?)) };
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 || !each(&line) {
            return Ok(());
        }
    }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = writeln!(out, "{finding}");
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let summary = &report.summary;
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let verdict = match report.findings.len() {
        0 => "whole".to_owned(),
        found => format!("not whole, {}", super::count(found, "finding")),
    };
    let _ = write!(out, "{verdict}: {}", count(summary.lines, "line"));
    if let Some((first, last)) = summary.seqs {
        let _ = write!(out, " (seq {first} to {last})");
    }
    let _ = write!(out, ", {} in {}", count(summary.decisions, "decision"), super::count(summary.files, "file"));
    if let Some((since, until)) = summary.times {
        let _ = write!(out, ", {since} to {until}");
    }
    if !summary.instances.is_empty() {
        let _ = write!(out, ", by {}", summary.instances.join(", "));
    }
    if summary.torn > 0 {
        let _ = write!(out, ", {} torn", summary.torn);
    }
    if summary.lost > 0 {
        let _ = write!(out, ", {} lost", summary.lost);
    }
    if let Some(head) = &summary.head {
        let _ = write!(out, "; head {head}");
    }
    out.push('\n');
    out
}
