//! From files to a policy that may be used: read, checked, compiled, and passing its own tests.

use std::sync::Arc;

use super::{Origin, Source};
use crate::decision::{CaseReport, run_tests};
use crate::policy::{Bundle, Diagnostic, Diagnostics, File, Inputs, Policy};

/// A policy that may be used.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Arc<Policy>,
    /// What it was compiled from.
    pub source: Arc<Source>,
    /// What its author should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Makes a policy of files. A bundle that fails one of its own tests is refused like one that does not compile.
pub fn load(
    origin: Origin,
    files: Vec<File>,
    builtin: Vec<File>,
    inputs: &Inputs,
    commit: Option<&str>,
) -> Result<Loaded, Diagnostics> {
    let bundle = Bundle::read(&files, &builtin)?;
    let (policy, warnings) = bundle.compile(inputs)?;
    let failed: Vec<Diagnostic> = run_tests(&bundle)?.cases.iter().filter_map(failure).collect();
    if !failed.is_empty() {
        return Err(Diagnostics(failed));
    }
    let builtin = if bundle.extends() { builtin } else { Vec::new() };
    // Of the environment only what decides: the rest may hold secrets, and the source is kept.
    let mut environment = inputs.environment.clone();
    environment.retain(|name, _| policy.variables().any(|variable| variable == name));
    let inputs = Inputs { profile: inputs.profile.clone(), environment };
    let commit = commit.map(str::to_owned);
    let policy = Arc::new(policy.with_commit(commit.as_deref()));
    Ok(Loaded { policy, source: Arc::new(Source { origin, files, builtin, inputs, commit }), warnings })
}

impl Source {
    /// Makes the policy again; whether its tests pass was seen when it was loaded.
    pub fn compile(&self) -> Result<Policy, Diagnostics> {
        let bundle = Bundle::read(&self.files, &self.builtin)?;
        bundle.compile(&self.inputs).map(|(policy, _)| policy.with_commit(self.commit.as_deref()))
    }
}

/// A case that failed, as a finding about its place.
fn failure(report: &CaseReport) -> Option<Diagnostic> {
    let CaseReport { suite, case, place, faults, .. } = report;
    if faults.is_empty() {
        return None;
    }
    let mut parts = place.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    let message = format!("test `{suite}`, case `{case}` fails: {}", faults.join("; "));
    let mut finding = Diagnostic::whole(file.unwrap_or(place), message);
    (finding.line, finding.column) = (number(line), number(column));
    Some(finding.help("a bundle that fails its own tests is not loaded; mend the rule or the test"))
}
