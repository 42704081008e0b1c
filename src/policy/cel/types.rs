//! Types of expressions, as far as the check needs them.

use std::fmt;

/// Type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    /// Every number among facts and params.
    Double,
    /// Whole literals and what `size()` gives.
    Int,
    Text,
    Duration,
    List(Box<Type>),
    /// From text to a type.
    Map(Box<Type>),
    /// A group of facts, by its path.
    Object(String),
    /// What was measured over time: it has methods, and no value by itself.
    Signal,
    /// Not known (an empty list's elements); compatible with everything.
    Any,
}

impl Type {
    pub(crate) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Double | Self::Int | Self::Any)
    }

    /// Whether values of the two types can be equal.
    pub(crate) fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(left), Self::List(right)) | (Self::Map(left), Self::Map(right)) => left.comparable(right),
            (left, right) => left == right || (left.is_number() && right.is_number()),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("a bool"),
            Self::Double => f.write_str("a number"),
            Self::Int => f.write_str("a whole number"),
            Self::Text => f.write_str("a string"),
            Self::Duration => f.write_str("a duration"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a map"),
            Self::Signal => f.write_str("a signal"),
            Self::Object(path) => write!(f, "the group `{path}`"),
            Self::Any => f.write_str("a value"),
        }
    }
}
