//! Record -> [`Class`]: every field is looked at, every fault is reported, none is corrected in silence.

mod applied;
mod fault;
mod function;
mod odgm;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use fault::Faults;
pub use fault::{FieldError, InvalidRecord};

use super::names::{self, MAX_LABEL};
use super::{ADDON_ODGM, Class, Names, NfrTargets};
use crate::api::{DeploymentRecord, EnforcementDimension, EnforcementMode, NfrRequirements};

/// Longest name of an object, bytes.
const MAX_NAME: usize = 253;

/// Validates a record.
pub fn parse(record: &DeploymentRecord) -> Result<Class, InvalidRecord> {
    let mut faults = Faults::default();
    let name = record.metadata.name.clone().unwrap_or_default();
    if !is_object_name(&name) {
        faults.add(
            "metadata.name",
            &format!(
                "{name:?} is not a name; write 1 to {MAX_NAME} lower-case letters, digits, '-' and '.', \
                 starting and ending with a letter or digit"
            ),
        );
    }
    let namespace = record.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    if namespace.len() > MAX_LABEL || namespace.contains('.') || !is_object_name(&namespace) {
        faults.add(
            "metadata.namespace",
            &format!(
                "{namespace:?} is not a namespace; write 1 to {MAX_LABEL} lower-case letters, digits and '-', \
                 starting and ending with a letter or digit"
            ),
        );
    }
    let mut functions = function::all(&record.spec, &mut faults);
    let odgm = odgm::odgm(&record.spec, &functions, &mut faults);
    let mut addons: BTreeSet<String> = record.spec.addons.iter().cloned().collect();
    for (index, addon) in record.spec.addons.iter().enumerate() {
        if addon != ADDON_ODGM {
            faults.add(&format!("spec.addons[{index}]"), &format!("unknown addon {addon:?}; known: {ADDON_ODGM}"));
        }
    }
    if odgm.is_some() {
        addons.insert(ADDON_ODGM.to_owned());
    }
    let enforcement = record.spec.nfr.clone().unwrap_or_default().enforcement.unwrap_or_default();
    let mut dimensions = enforcement.dimensions;
    dimensions.sort_unstable();
    dimensions.dedup();
    if dimensions.is_empty() {
        dimensions.push(EnforcementDimension::Replicas);
    }
    let mode = enforcement.mode.unwrap_or_default();
    if let (EnforcementMode::Enforce, Some(status)) = (mode, &record.status) {
        for function in &mut functions {
            function.applied = applied::to(&function.key, &status.last_applied_recommendations, &dimensions);
        }
    }
    let class = Class {
        names: Names::new(&name, functions.iter().map(|function| function.key.as_str())),
        name,
        namespace,
        uid: record.metadata.uid.clone().unwrap_or_default(),
        labels: record.metadata.labels.clone().unwrap_or_default(),
        package: identity(record.spec.package_name.as_deref()),
        key: identity(record.spec.class_key.as_deref()),
        selected_template: record.spec.selected_template.clone().filter(|name| !name.trim().is_empty()),
        addons: addons.into_iter().collect(),
        functions,
        odgm,
        nfr: nfr(record.spec.nfr_requirements.as_ref(), "spec.nfr_requirements", &mut faults),
        enforcement: mode,
        dimensions,
    };
    faults.none_or(class)
}

/// A name of the Package Manager's world as a label value; a blank one is none.
fn identity(name: Option<&str>) -> Option<String> {
    name.filter(|name| !name.trim().is_empty()).map(names::label_value)
}

/// A DNS-1123 subdomain, as the API server asks of a record's name.
fn is_object_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_NAME
        && name
            .split('.')
            .all(|part| part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-'))
}

fn nfr(spec: Option<&NfrRequirements>, at: &str, faults: &mut Faults) -> NfrTargets {
    let Some(NfrRequirements {
        min_throughput_rps,
        max_latency_ms,
        availability_pct,
        cpu_utilization_target,
        consistency,
    }) = spec
    else {
        return NfrTargets::default();
    };
    if availability_pct.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        faults.add(&format!("{at}.availability_pct"), "must be a percentage from 0 to 100, such as 99.9");
    }
    if cpu_utilization_target.is_some_and(|target| !target.is_finite() || target < 0.0) {
        faults.add(&format!("{at}.cpu_utilization_target"), "must be a finite number of 0 or more");
    }
    NfrTargets {
        min_throughput_rps: *min_throughput_rps,
        max_latency_ms: *max_latency_ms,
        availability_pct: *availability_pct,
        cpu_utilization_target: *cpu_utilization_target,
        consistency: *consistency,
    }
}
