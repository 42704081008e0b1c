//! The rules engine as mechanism: documents, bundle and revision, params, guarded CEL, facts, traces.
//!
//! It knows nothing of Kubernetes objects or of classes; `crate::decision` puts the questions.

use std::collections::BTreeMap;
use std::path::Path;

mod diagnostic;
mod trace;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use trace::{RuleMode, RuleOutcome, RuleTrace};

/// What a bundle is resolved for. The environment reaches the engine only through here; tests pass none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Profile: `dev`, `edge` or `full`.
    pub profile: String,
    /// Environment variables that params may name.
    pub environment: BTreeMap<String, String>,
}

/// A compiled bundle with its params resolved for one profile and environment. Immutable.
#[derive(Debug)]
pub struct Policy {
    revision: String,
}

impl Policy {
    /// Compiles the bundle that is part of the binary.
    pub fn builtin(_inputs: &Inputs) -> Result<Self, Diagnostics> {
        Ok(Self { revision: String::new() })
    }

    /// Reads and compiles the bundle in a directory; also gives what its author should look at.
    pub fn load(_dir: &Path, inputs: &Inputs) -> Result<(Self, Vec<Diagnostic>), Diagnostics> {
        Self::builtin(inputs).map(|policy| (policy, Vec::new()))
    }

    /// Short hash of the canonical bundle: the same whatever the order of files, comments and white space.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}
