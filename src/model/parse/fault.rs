//! Faults of a record, each with the path of its field.

use std::fmt;

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `spec.functions[1].port`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All faults of a record, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidRecord(pub Vec<FieldError>);

/// Faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, message: &str) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }

    /// A value that becomes an environment variable.
    pub(super) fn nul(&mut self, value: &str, field: &str) {
        if let Some(place) = value.find('\0') {
            self.add(field, &format!("byte {place} is a NUL, and no process takes one in its environment; remove it"));
        }
    }

    /// The parsed value, unless there are faults.
    pub(super) fn none_or<T>(self, value: T) -> Result<T, InvalidRecord> {
        if self.0.is_empty() { Ok(value) } else { Err(InvalidRecord(self.0)) }
    }
}
