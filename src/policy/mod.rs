//! The rules engine as mechanism: documents, bundle and revision, params, guarded CEL, facts, traces.
//!
//! It knows nothing of Kubernetes objects or of classes; `crate::decision` puts the questions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod addons;
mod autoscaler;
mod builtin;
mod bundle;
mod caret;
mod cel;
mod compare;
mod compiler;
mod condition;
mod diagnostic;
mod document;
mod facts;
mod fields;
mod form;
mod kept;
mod kinds;
mod nfr;
mod outline;
mod overlay;
mod params;
pub mod report;
mod revision;
mod rollout;
mod schema;
mod series;
mod source;
mod store;
mod suite;
mod trace;
mod unit;
mod units;
mod unread;
mod values;
mod yaml;

use revision::Revision;

pub use addons::{AddonShapes, Budget, MonitorShape, PdbShape};
pub use autoscaler::AutoscalerShape;
pub use bundle::{Bundle, FALLBACK_TEMPLATE, File};
pub use cel::watch;
pub use compare::{Change, Comparison, Part, Stated, compare};
pub use condition::Condition;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::{ResourceTexts, Security};
pub use facts::{FACTS, Fact, FactKind, FactValue, Facts, Reader, readers};
pub use kept::KeptFacts;
pub use kinds::{AdmissionPolicy, Effect, OdgmShape, Shape, Standing, TemplatePolicy, Verdict};
pub use nfr::{
    Combine, ComponentKind, Dimension, Guard, Guarded, Join, Proposal, RecommendationPolicy, Recommended,
    SafeguardPolicy, SignalPolicy, Stabilize,
};
pub use outline::{DocumentOutline, Entry, Outline, Said};
pub use params::{ParamOutline, ParamStated};
pub use revision::check_commit;
pub use rollout::{Pace, RolloutPolicy};
pub use schema::{facts_markdown, json_schema};
pub use series::{Series, SeriesError, Window};
pub use source::{MAX_BYTES, MAX_FILES, MAX_TOTAL, is_policy_file};
pub use store::{Look, Watched};
pub use suite::{Case, Expect, Given, RecommendationExpect, Scene, Step, Suite, TemplateExpect, Timeline, Turn};
pub use trace::{Margin, RuleMode, RuleOutcome, RuleTrace};
pub use unit::{Rule, Scope, Unit};

/// What a bundle is resolved for. The environment reaches the engine only through here; tests pass none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Profile: `dev`, `edge` or `full`.
    pub profile: String,
    /// Environment variables that params may name.
    pub environment: BTreeMap<String, String>,
}

/// A compiled bundle with its params resolved for one profile and environment. Immutable.
#[derive(Debug)]
pub struct Policy {
    /// Name of the bundle, where a Bundle document gives it one.
    name: Option<String>,
    revision: Revision,
    rollout: RolloutPolicy,
    /// Variables of the environment that set one of its params.
    variables: BTreeSet<String>,
    /// Facts that its expressions read, by path.
    reads: BTreeSet<String>,
    admissions: Vec<AdmissionPolicy>,
    templates: Vec<TemplatePolicy>,
    signals: Arc<[SignalPolicy]>,
    recommendations: Vec<RecommendationPolicy>,
    safeguards: Vec<SafeguardPolicy>,
}

impl Policy {
    /// Compiles the bundle that is part of the binary.
    pub fn builtin(inputs: &Inputs) -> Result<Self, Diagnostics> {
        Bundle::builtin()?.compile(inputs).map(|(policy, _)| policy)
    }

    /// The same policy, of a bundle that came from this commit; it is shown in the revision.
    #[must_use]
    pub fn with_commit(mut self, commit: Option<&str>) -> Self {
        if let Some(commit) = commit {
            self.revision = self.revision.with_commit(commit);
        }
        self
    }

    /// What decides, as decisions show it: `BUNDLE`, `BUNDLE+PARAMS` where the environment sets params,
    /// `BUNDLE@COMMIT` where the commit is known. `BUNDLE` is [`Bundle::revision`].
    pub fn revision(&self) -> &str {
        self.revision.shown()
    }

    /// Name of the bundle, where a Bundle document gives it one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How a change that this bundle brings reaches the classes that run.
    pub fn rollout(&self) -> RolloutPolicy {
        self.rollout
    }

    /// Variables of the environment that set one of its params.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// Whether any of its expressions reads a fact, or something above or below it.
    pub fn reads(&self, path: &str) -> bool {
        let below = |part: &str, whole: &str| {
            part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.reads.iter().any(|read| below(read, path) || below(path, read))
    }

    /// The Admission documents, by name.
    pub fn admissions(&self) -> &[AdmissionPolicy] {
        &self.admissions
    }

    /// The templates, by name.
    pub fn templates(&self) -> &[TemplatePolicy] {
        &self.templates
    }

    /// The signals, by name.
    pub fn signals(&self) -> &[SignalPolicy] {
        &self.signals
    }

    /// The Recommendation documents, by name. Where several answer for one component and dimension, the highest
    /// proposal wins: asking for too little breaks promises, asking for too much is seen in the bill.
    pub fn recommendations(&self) -> &[RecommendationPolicy] {
        &self.recommendations
    }

    /// The Safeguard documents, by name; at most one a dimension.
    pub fn safeguards(&self) -> &[SafeguardPolicy] {
        &self.safeguards
    }
}

impl Bundle {
    /// The bundle that is part of the binary.
    pub fn builtin() -> Result<Self, Diagnostics> {
        Self::read(&builtin::files(), &[])
    }

    /// The files of the bundle that is part of the binary.
    pub fn builtin_files() -> Vec<File> {
        builtin::files()
    }

    /// Reads a bundle from texts; `extends: builtin` means the bundle that is part of the binary.
    pub fn over_builtin(files: &[File]) -> Result<Self, Diagnostics> {
        Self::read(files, &builtin::files())
    }

    /// Reads the bundle in a directory.
    pub fn load(dir: &Path) -> Result<Self, Diagnostics> {
        Self::of(&source::read(dir)?)
    }

    /// The bundle in these files, wherever they come from.
    pub fn of(files: &[File]) -> Result<Self, Diagnostics> {
        Self::read(files, &builtin::files())
    }
}

#[cfg(test)]
mod tests;
