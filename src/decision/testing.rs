//! Runs the tests of a bundle through the very code that decides about classes.

use std::collections::BTreeMap;

use crate::policy::{Bundle, Case, Diagnostics, Effect, Expect, Inputs, Policy, Suite, TemplateExpect};

use super::coverage::Coverage;
use super::template::choose;
use super::{Chosen, TemplateProblem};

mod sizes;

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// Name of the suite.
    pub suite: String,
    /// Name of the case.
    pub case: String,
    /// Where it stands, as `file:line:column`.
    pub place: String,
    /// What was expected and what came out instead; empty where the case passes.
    pub faults: Vec<String>,
}

/// How all suites of a bundle ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRun {
    /// Every case, in the order of the suites' names.
    pub cases: Vec<CaseReport>,
    /// What the cases have seen of the rules.
    pub coverage: Coverage,
}

/// Runs all suites of a bundle, in the order of their names. The environment is never seen.
pub fn run_tests(bundle: &Bundle) -> Result<TestRun, Diagnostics> {
    let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
    let mut run = TestRun::default();
    let inputs = Inputs { profile: "dev".to_owned(), environment: BTreeMap::new() };
    run.coverage.expect(&bundle.compile(&inputs)?.0);
    for (name, suite) in bundle.suites() {
        for case in suite.cases() {
            // Cases share a policy where they give it the same: most give it nothing.
            let key = case.policy_key(suite.target_name());
            if !policies.contains_key(&key) {
                policies.insert(key.clone(), bundle.compile_case(suite, case)?);
            }
            let policy = policies.get(&key);
            let faults = policy.map(|policy| one(policy, suite, case, &mut run.coverage)).unwrap_or_default();
            let (case, place) = (case.name().to_owned(), case.place());
            run.cases.push(CaseReport { suite: name.to_owned(), case, place, faults });
        }
    }
    Ok(run)
}

fn one(policy: &Policy, suite: &Suite, case: &Case, seen: &mut Coverage) -> Vec<String> {
    match case.expect() {
        Expect::Admission { deny, warn } => admission(policy, suite.target_name(), case, (deny, warn), seen),
        Expect::Template(expect) => template(policy, case, expect, seen),
        Expect::Signal { required } => sizes::signal(policy, suite, case, *required, seen),
        Expect::Recommendation(expect) => sizes::recommendation(policy, suite, case, expect, seen),
        Expect::Safeguard(steps) => sizes::safeguard(policy, suite, case, steps, seen),
    }
}

fn admission(
    policy: &Policy,
    target: &str,
    case: &Case,
    (deny, warn): (&[String], &[String]),
    seen: &mut Coverage,
) -> Vec<String> {
    let Some(document) = policy.admissions().iter().find(|document| document.unit().name() == target) else {
        return vec![format!("there is no document {target}")];
    };
    let facts = case.facts();
    let verdicts: Vec<_> = document.evaluate(&facts).collect();
    for verdict in &verdicts {
        seen.see(&verdict.trace);
    }
    let id = |rule: &str| rule.rsplit('/').next().unwrap_or(rule).to_owned();
    let mut faults = Vec::new();
    for wanted in deny.iter().chain(warn) {
        if !verdicts.iter().any(|verdict| id(&verdict.trace.rule) == *wanted) {
            faults.push(format!("{target} has no rule `{wanted}`"));
        }
    }
    for verdict in verdicts {
        let id = id(&verdict.trace.rule);
        let expected = if deny.contains(&id) {
            "deny"
        } else if warn.contains(&id) {
            "warn"
        } else {
            "nothing"
        };
        let (got, message) = match &verdict.effect {
            None => ("nothing", String::new()),
            Some((Effect::Deny, message)) => ("deny", format!(" ({message})")),
            Some((Effect::Warn, message)) => ("warn", format!(" ({message})")),
        };
        if expected != got {
            faults.push(format!("rule `{id}`: expected {expected}, got {got}{message}"));
        }
    }
    faults
}

fn template(policy: &Policy, case: &Case, expect: &TemplateExpect, seen: &mut Coverage) -> Vec<String> {
    let facts = case.facts();
    let (chosen, candidates) = choose(policy, &facts, case.selected_template(), case.current_template());
    for trace in candidates.iter().flat_map(|one| &one.trace) {
        seen.see(trace);
    }
    let mut faults = Vec::new();
    match (&chosen, &expect.template, &expect.problem) {
        (Ok(chosen), Some(wanted), _) => {
            if chosen.plan.name != *wanted {
                faults.push(format!("expected template {wanted}, got {} ({})", chosen.plan.name, chosen.why));
            }
            let score = candidates.iter().find(|one| one.name == chosen.plan.name).and_then(|one| one.score);
            compare("score", expect.score, score, &mut faults);
            details(chosen, expect, &mut faults);
        }
        (Err(problem), Some(wanted), _) => faults.push(format!("expected template {wanted}, got: {problem}")),
        (Ok(chosen), None, wanted) => {
            let wanted = wanted.as_deref().unwrap_or_default();
            faults.push(format!("expected the problem {wanted}, got template {} ({})", chosen.plan.name, chosen.why));
        }
        (Err(problem), None, wanted) => {
            let got = match problem {
                TemplateProblem::Unknown { .. } => "unknown",
                TemplateProblem::NotEnabled { .. } => "not-enabled",
                TemplateProblem::Undecided { .. } => "undecided",
            };
            if wanted.as_deref() != Some(got) {
                let wanted = wanted.as_deref().unwrap_or_default();
                faults.push(format!("expected the problem {wanted}, got {got}: {problem}"));
            }
        }
    }
    faults
}

fn details(chosen: &Chosen, expect: &TemplateExpect, faults: &mut Vec<String>) {
    compare("replicas", expect.replicas, Some(f64::from(chosen.plan.replicas)), faults);
    let pods = chosen.plan.odgm.as_ref().map_or(0.0, |odgm| f64::from(odgm.replicas));
    compare("odgm_replicas", expect.odgm_replicas, Some(pods), faults);
    let utilization = chosen.plan.autoscaler.map_or(0.0, |scaler| f64::from(scaler.cpu_utilization));
    compare("cpu_utilization", expect.cpu_utilization, Some(utilization), faults);
    if let Some(wanted) = expect.kept
        && wanted != chosen.kept.is_some()
    {
        faults.push(format!("expected kept: {wanted}, got {} ({})", !wanted, chosen.why));
    }
}

fn compare(what: &str, wanted: Option<f64>, got: Option<f64>, faults: &mut Vec<String>) {
    let Some(wanted) = wanted else { return };
    let same = got.is_some_and(|got| (got - wanted).abs() <= 1e-9 * wanted.abs().max(1.0));
    if !same {
        let got = got.map_or_else(|| "none".to_owned(), |got| got.to_string());
        faults.push(format!("expected {what} {wanted}, got {got}"));
    }
}
