//! A line of a decision log, as it is read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::bundles::{BundleError, checked};
use super::entry::{Outcome, RecordRef};
use crate::rollout::Source;

/// A line as it is read. Which of the parts are there says what it tells.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// Number in the chain, from 1.
    pub seq: u64,
    /// Hash of the line before.
    #[serde(borrow)]
    pub prev: Cow<'a, str>,
    /// When it was written.
    pub time: Timestamp,
    /// Who wrote it.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// A file begins.
    #[serde(default)]
    pub(super) opened: Option<Opened>,
    /// What stands before it is the rest of a line.
    #[serde(default)]
    pub(super) torn: Option<Torn>,
    /// Lines could not be written.
    #[serde(default)]
    pub(super) lost: Option<Lost>,
    /// A bundle, where there is no directory for them.
    #[serde(borrow, default)]
    bundle: Option<InlineBundle<'a>>,
    #[serde(borrow, default)]
    decision: Option<&'a RawValue>,
    #[serde(borrow, default)]
    inputs: Option<&'a RawValue>,
    #[serde(default)]
    record: Option<RecordRef>,
    #[serde(borrow, default)]
    component: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    revision: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    bundle_id: Option<Cow<'a, str>>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(borrow, default)]
    decided_otherwise: Option<&'a RawValue>,
}

/// A policy that stands in the log itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct InlineBundle<'a> {
    /// Hash of the source.
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    /// Its revision.
    #[serde(borrow)]
    pub(super) revision: Cow<'a, str>,
    /// What it was compiled from, as JSON.
    #[serde(borrow)]
    pub(super) source: &'a RawValue,
}

/// A file begins, or a process whose log is its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    /// Form of the lines.
    pub(super) form: u32,
    /// The program that writes.
    pub(super) program: String,
    /// Name of the file, or `stdout`.
    pub(super) file: String,
    /// Name of the file before, where that is known.
    pub(super) previous: Option<String>,
    /// Number of the oldest line that is kept at this time.
    pub(super) kept_since: u64,
}

/// What stands before a line is the rest of one that could not be written to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Torn {
    /// Hash of all that stands between the last good line and this one.
    pub(super) sha256: String,
    /// Its length.
    pub(super) bytes: u64,
}

/// Lines that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lost {
    /// How many.
    pub(super) lines: u64,
    /// Since when.
    pub(super) since: Timestamp,
    /// Why, in words.
    pub(super) because: String,
}

/// A decision as a line has it.
#[derive(Debug)]
pub struct Decided<'a> {
    /// The record.
    pub record: RecordRef,
    /// Name of the component.
    pub component: Cow<'a, str>,
    /// Revision of the policy that decided.
    pub revision: Cow<'a, str>,
    /// Hash of what it was compiled from.
    pub bundle_id: Cow<'a, str>,
    /// What became of it.
    pub outcome: Outcome,
    /// What was asked, as JSON.
    pub inputs: &'a str,
    /// What was decided, as JSON.
    pub decision: &'a str,
    /// What the controller had decided, where deciding again to explain it gave something else.
    pub decided_otherwise: Option<&'a str>,
}

/// Why bytes are no line of a decision log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALine {
    /// They have no end.
    #[error("it has no end")]
    Unended,
    /// They are no JSON, or lack what every line has.
    #[error("{0}")]
    Unreadable(String),
}

impl<'a> Line<'a> {
    /// Reads a line with its end.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NotALine> {
        let text = bytes.strip_suffix(b"\n").ok_or(NotALine::Unended)?;
        serde_json::from_slice(text).map_err(|error| NotALine::Unreadable(error.to_string()))
    }

    /// What the policy with this hash was compiled from, where the line holds that one.
    pub fn source(&self, id: &str) -> Option<Result<Source, BundleError>> {
        let bundle = self.bundle.as_ref().filter(|bundle| bundle.id == id)?;
        Some(checked(bundle.source.get().as_bytes(), id, &format!("the policy in line {}", self.seq)))
    }

    /// The decision that it tells, where it tells one.
    pub fn decided(&self) -> Option<Decided<'a>> {
        Some(Decided {
            record: self.record.clone()?,
            component: self.component.clone()?,
            revision: self.revision.clone()?,
            bundle_id: self.bundle_id.clone()?,
            outcome: self.outcome.clone()?,
            inputs: self.inputs?.get(),
            decision: self.decision?.get(),
            decided_otherwise: self.decided_otherwise.map(RawValue::get),
        })
    }
}
