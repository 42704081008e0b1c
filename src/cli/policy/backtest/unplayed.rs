//! What of a bundle a backtest can't play: a change of it makes no difference here, and that is said.

use super::Compiled;
use crate::backtest::Unit;
use crate::policy::{
    self, ComponentKind, Diagnostics, Dimension, Policy, RecommendationPolicy, SafeguardPolicy, compare,
};

/// Signals that a load gives data of.
fn given(unit: Unit) -> &'static [&'static str] {
    match unit {
        Unit::Cores => &["cpu", "pod_cpu"],
        Unit::Rps => &["cpu", "pod_cpu", "rps"],
    }
}

/// What is not played, in lines for people.
pub(super) fn told(candidate: &Compiled, base: Option<&Compiled>, unit: Unit) -> Result<Vec<String>, Diagnostics> {
    let mut told = Vec::new();
    let silent = without_data(&candidate.policy, unit);
    if !silent.is_empty() {
        told.push(format!("no data of {}: rules on these say nothing", silent.join(", ")));
    }
    if let Some(base) = base {
        let apart = never_asked(candidate, base, unit)?;
        if !apart.is_empty() {
            told.push(format!("not as in the base, and never asked here: {}", apart.join(", ")));
        }
    }
    Ok(told)
}

/// Signals that the documents read which are asked, but which a load gives no data of.
fn without_data(policy: &Policy, unit: Unit) -> Vec<&str> {
    let sizes = policy
        .recommendations()
        .iter()
        .filter(|one| one.dimension() == Dimension::Replicas && one.component() == ComponentKind::Function);
    let guards = policy.safeguards().iter().filter(|one| one.dimension() == Dimension::Replicas);
    let units = sizes.map(RecommendationPolicy::unit).chain(guards.map(SafeguardPolicy::unit));
    let mut silent: Vec<&str> =
        units.flat_map(policy::Unit::signals).filter(|name| !given(unit).contains(name)).collect();
    silent.sort_unstable();
    silent.dedup();
    silent
}

/// Documents that differ between two bundles and decide nothing about the replicas of a function.
fn never_asked(candidate: &Compiled, base: &Compiled, unit: Unit) -> Result<Vec<String>, Diagnostics> {
    let found = compare(&base.bundle, &candidate.bundle)?;
    let is_asked =
        |document: &str| [&candidate.policy, &base.policy].iter().any(|policy| is_asked(policy, document, unit));
    let mut apart: Vec<String> =
        found.changes.into_iter().map(|change| change.document).filter(|document| !is_asked(document)).collect();
    apart.dedup();
    Ok(apart)
}

fn is_asked(policy: &Policy, document: &str, unit: Unit) -> bool {
    // What all documents share may be read by those that are asked.
    let Some((kind, name)) = document.split_once('/') else { return true };
    match kind {
        "Recommendation" => policy.recommendations().iter().any(|one| {
            one.name() == name && one.dimension() == Dimension::Replicas && one.component() == ComponentKind::Function
        }),
        "Safeguard" => {
            policy.safeguards().iter().any(|one| one.name() == name && one.dimension() == Dimension::Replicas)
        }
        "Signal" => given(unit).contains(&name),
        _ => false,
    }
}
