//! Why there is no data.

use std::fmt;

/// Why there is no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its category, for metrics and reasons.
    pub kind: FaultKind,
    /// What is wrong, in words. Nothing in it changes while the cause stays the same.
    pub message: String,
}

/// A category of faults: few, and stable names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// No connection.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// More of an answer than the server gives or the controller reads.
    TooBig,
    /// An answer that refuses the query, by its status.
    Refused,
    /// The server failed.
    ServerError,
    /// An answer that can't be read.
    Garbage,
    /// An answer that the server itself calls partial or warns about.
    Warnings,
    /// The clocks of server and controller differ too much.
    ClockSkew,
    /// A value that is no finite number.
    NotFinite,
    /// Several series for one pod.
    Duplicate,
    /// Some pods of a component have no sample.
    Partial,
    /// Nothing was measured for a component.
    NoSeries,
}

impl FaultKind {
    /// Every category.
    pub const ALL: [Self; 12] = [
        Self::Unreachable,
        Self::Timeout,
        Self::TooBig,
        Self::Refused,
        Self::ServerError,
        Self::Garbage,
        Self::Warnings,
        Self::ClockSkew,
        Self::NotFinite,
        Self::Duplicate,
        Self::Partial,
        Self::NoSeries,
    ];

    /// Its name, `CamelCase`: a condition's reason and a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Timeout => "Timeout",
            Self::TooBig => "TooBig",
            Self::Refused => "Refused",
            Self::ServerError => "ServerError",
            Self::Garbage => "Garbage",
            Self::Warnings => "Warnings",
            Self::ClockSkew => "ClockSkew",
            Self::NotFinite => "NotFinite",
            Self::Duplicate => "DuplicateSeries",
            Self::Partial => "PartialData",
            Self::NoSeries => "NoSeries",
        }
    }
}

impl Fault {
    /// A fault.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
