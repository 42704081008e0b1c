//! Explains a line of the decision log: decided again by the policy that it names, which must give the same bytes.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{Format, Text};
use crate::audit::{Bundles, Decided, Line, Replayed, beside, replay};
use crate::decision::nfr::{State, size_text};
use crate::rollout::Source;

/// A line of the decision log that is to be explained.
#[derive(clap::Args)]
pub(super) struct Logged {
    /// Line of the decision log: FILE:SEQ, or a file (- is the standard input) with one decision. It is decided again by
    /// the policy that was kept with it; exit 1 where that gives other bytes.
    #[arg(long, value_name = "LINE", conflicts_with_all = ["record", "from_cluster", "target"])]
    decision: Option<String>,
    /// Directory with the policies that were kept; without it FILE.bundles beside the file.
    #[arg(long, value_name = "DIR", requires = "decision")]
    bundles: Option<PathBuf>,
}

/// What is asked for.
pub(super) struct Asked<'a> {
    line: &'a str,
    bundles: Option<&'a Path>,
}

impl Logged {
    pub(super) fn asked(&self) -> Option<Asked<'_>> {
        Some(Asked { line: self.decision.as_deref()?, bundles: self.bundles.as_deref() })
    }
}

/// A place for a line: a file, and its number there.
struct Place<'a> {
    file: &'a str,
    seq: Option<u64>,
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Self {
        let numbered = text.rsplit_once(':').and_then(|(file, seq)| Some((file, seq.parse().ok()?)));
        match numbered {
            Some((file, seq)) if !Path::new(text).exists() => Self { file, seq: Some(seq) },
            _ => Self { file: text, seq: None },
        }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        let unreadable = |error: std::io::Error| format!("{}: {error}", self.file);
        if self.file != "-" {
            return fs::read(self.file).map_err(unreadable);
        }
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// Explains a line; whether it was decided as it says.
pub(super) fn explain(asked: &Asked<'_>, form: (Format, bool)) -> Result<bool, String> {
    let place = Place::of(asked.line);
    let mut bytes = place.read()?;
    if !bytes.ends_with(b"\n") {
        // Of a pipe: a line that somebody cut out may have lost its end.
        bytes.push(b'\n');
    }
    let lines: Vec<Line<'_>> =
        bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| Line::read(line).ok()).collect();
    let line = find(&place, &lines)?;
    let told = format!("{}: line {}", place.file, line.seq);
    let decided = line.decided().ok_or_else(|| format!("{told} is no decision; it tells of the log itself"))?;
    let source = source(asked, &place, &lines, &decided).map_err(|error| format!("{told}: {error}"))?;
    let replayed = replay(&decided, &source).map_err(|error| format!("{told}: {error}"))?;
    let answer = match form {
        (Format::Json, _) => as_json(line, &decided, &replayed),
        (Format::Text, colour) => as_text(&Text { colour }, (line, place.file), &decided, &replayed),
    };
    crate::cli::policy::print(&answer);
    Ok(replayed.difference.is_none())
}

/// The line that is meant.
fn find<'a, 'b>(place: &Place<'_>, lines: &'a [Line<'b>]) -> Result<&'a Line<'b>, String> {
    let file = place.file;
    if let Some(seq) = place.seq {
        return lines.iter().find(|line| line.seq == seq).ok_or_else(|| match (lines.first(), lines.last()) {
            (Some(first), Some(last)) => format!("{file} has no line {seq}; it has {} to {}", first.seq, last.seq),
            _ => format!("{file} has no line of a decision log"),
        });
    }
    let decisions: Vec<&Line<'_>> = lines.iter().filter(|line| line.decided().is_some()).collect();
    match decisions.as_slice() {
        [line] => Ok(line),
        [] => Err(format!("{file} has no decision")),
        [first, ..] => {
            Err(format!("{file} has {} decisions; say which one, such as {file}:{}", decisions.len(), first.seq))
        }
    }
}

/// What the policy that decided was compiled from: it stands in the log itself, or beside it.
fn source(asked: &Asked<'_>, place: &Place<'_>, lines: &[Line<'_>], decided: &Decided<'_>) -> Result<Source, String> {
    if let Some(found) = lines.iter().find_map(|line| line.source(&decided.bundle_id)) {
        return found.map_err(|error| error.to_string());
    }
    let dir = match (asked.bundles, place.file) {
        (Some(dir), _) => dir.to_owned(),
        (None, "-") => return Err("say with --bundles where the policies are kept".to_owned()),
        (None, file) => beside(Path::new(file)),
    };
    let found = Bundles::in_dir(&dir).find(&decided.revision, &decided.bundle_id);
    found.map_err(|error| error.to_string())
}

fn as_json(line: &Line<'_>, decided: &Decided<'_>, replayed: &Replayed) -> String {
    let answer = json!({
        "line": {"seq": line.seq, "time": line.time, "instance": line.instance},
        "record": decided.record, "component": decided.component, "outcome": decided.outcome,
        "revision": decided.revision, "bundle_id": decided.bundle_id, "now": replayed.inputs.now(),
        "current": replayed.inputs.state().current, "decision": replayed.decision.json(),
        "same": replayed.difference.is_none(), "difference": replayed.difference,
    });
    format!("{answer:#}\n")
}

fn as_text(text: &Text, (line, file): (&Line<'_>, &str), decided: &Decided<'_>, replayed: &Replayed) -> String {
    let head = |name: &str| text.paint("1", &format!("{name:<11}"));
    let (record, inputs) = (&decided.record, &replayed.inputs);
    let (dimension, state) = (inputs.dimension(), inputs.state());
    let mut out = String::new();
    let _ = writeln!(out, "{}{} of {file}, {} by {}", head("line"), line.seq, line.time, line.instance);
    let _ = writeln!(
        out,
        "{}{}/{}, generation {}, UID {}",
        head("record"),
        record.namespace,
        record.name,
        record.generation,
        record.uid
    );
    let _ = writeln!(out, "{}{}", head("component"), decided.component);
    let _ = writeln!(out, "{}revision {}", head("policy"), decided.revision);
    let (size, set) = (size_text(dimension, state.current), set(state, inputs.now()));
    let _ = writeln!(out, "{}{size} {}{set}", head("field"), dimension.name());
    let _ = writeln!(out, "{}{}", head("outcome"), decided.outcome.text());
    text.size(&replayed.decision, &mut out);
    let verdict = match &replayed.difference {
        None => text.paint("1;32", "the same bytes"),
        Some(difference) => format!("{} {difference}", text.paint("1;31", "not as the line says:")),
    };
    let _ = writeln!(out, "\n{}{verdict}", head("replay"));
    out
}

/// How long ago the field got its value, and from whom.
fn set(state: &State, now: jiff::Timestamp) -> String {
    let Some(at) = state.applied_at else { return String::new() };
    let ago = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    let by = state.changed_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    format!(", set {} ago{by}", humantime::format_duration(ago))
}
