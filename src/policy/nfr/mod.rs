//! The kinds of documents behind the NFR loop: what is measured, what follows from it, how far it is applied.

use serde::{Deserialize, Serialize};

mod check;
mod form;
mod promql;
mod recommendation;
mod safeguard;
mod signal;

pub(super) use check::{check, unused};
pub(super) use form::{RecommendationForm, SafeguardForm, SignalForm, whole};
pub use recommendation::{Proposal, RecommendationPolicy, Recommended};
pub use safeguard::{Guard, Guarded, SafeguardPolicy, Stabilize};
pub use signal::{Combine, Join, SignalPolicy};

/// Kind of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// A function.
    Function,
    /// The data grid.
    Odgm,
}

/// What of a component is sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// Number of pods.
    Replicas,
    /// CPU request of a pod, cores.
    Cpu,
    /// Memory request of a pod, bytes.
    Memory,
    /// Partitions of a data grid's collections; advice only.
    Partitions,
}

impl ComponentKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Function, Self::Odgm];

    /// As documents and facts name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Odgm => "odgm",
        }
    }
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Replicas, Self::Cpu, Self::Memory, Self::Partitions];

    /// As documents name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Partitions => "partitions",
        }
    }
}

#[cfg(test)]
mod tests;
