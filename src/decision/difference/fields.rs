//! Fields of a workload that two plans give differently, as far as the class lets its template say them.

use std::fmt;

use super::super::{AutoscalerPlan, Budget, MonitorPlan, OdgmPlan, PdbPlan, SecurityPlan, TemplatePlan, WorkloadKind};
use crate::model::{Class, Quantity, Resources};

/// One field of the workload that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Name of the field, as in a Template's `workload`.
    pub field: String,
    /// Its value before.
    pub before: String,
    /// Its value now.
    pub after: String,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.field, self.before, self.after)
    }
}

/// What differs. What every function of the record states itself is none of the template's: a change of it is no
/// change of the class.
pub(super) fn between(class: &Class, before: &TemplatePlan, after: &TemplatePlan) -> Vec<FieldChange> {
    let (old, new) = (listed(class, before), listed(class, after));
    let value = |fields: &[(String, String)], name: &str| {
        fields.iter().find(|(field, _)| field == name).map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
    };
    let gone = old.iter().filter(|(field, _)| !new.iter().any(|(other, _)| other == field));
    new.iter()
        .chain(gone)
        .map(|(field, _)| FieldChange { field: field.clone(), before: value(&old, field), after: value(&new, field) })
        .filter(|change| change.before != change.after)
        .collect()
}

/// The fields of a plan that this class takes from it, in the order of a Template document.
fn listed(class: &Class, plan: &TemplatePlan) -> Vec<(String, String)> {
    let TemplatePlan {
        name: _,
        workload,
        replicas,
        max_replicas: bound,
        resources,
        termination_grace_seconds,
        probes,
        security,
        autoscaler,
        own_autoscalers,
        odgm,
        pdb,
        monitor,
    } = plan;
    let kind = match workload {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::KnativeService => "KnativeService",
    };
    let mut fields = vec![("kind".to_owned(), kind.to_owned())];
    if class.functions.iter().any(|function| function.replicas.is_none()) {
        fields.push(("replicas".to_owned(), replicas.to_string()));
    }
    fields.extend(bound.map(|bound| ("max_replicas".to_owned(), bound.to_string())));
    let taken = |stated: fn(&Resources) -> &Option<Quantity>| {
        class.functions.iter().any(|function| stated(&function.resources).is_none())
    };
    let given = quantities("resources", resources).into_iter().zip([
        taken(|all| &all.cpu_request),
        taken(|all| &all.memory_request),
        taken(|all| &all.cpu_limit),
        taken(|all| &all.memory_limit),
    ]);
    fields.extend(given.filter(|(_, taken)| *taken).filter_map(|(field, _)| field));
    fields.extend(termination_grace_seconds.map(|grace| ("termination_grace_seconds".to_owned(), grace.to_string())));
    if class.functions.iter().any(|function| function.port_stated) {
        fields.push(("probes".to_owned(), probes.to_string()));
    }
    fields.extend(switches("security", *security));
    // Only functions that say how far they may be scaled are; the bound matters to those that say farther.
    let farthest = class.functions.iter().filter_map(|function| function.max_scale).max();
    if let Some((AutoscalerPlan { cpu_utilization, max_replicas }, farthest)) = autoscaler.zip(farthest) {
        fields.push(("autoscaler.cpu_utilization".to_owned(), cpu_utilization.to_string()));
        let bound = max_replicas.filter(|most| *most < farthest);
        fields.extend(bound.map(|most| ("autoscaler.max_replicas".to_owned(), most.to_string())));
    }
    for (key, AutoscalerPlan { cpu_utilization, .. }) in own_autoscalers {
        fields.push((format!("autoscaler.cpu_utilization of {key}"), cpu_utilization.to_string()));
    }
    if let Some(OdgmPlan { image, replicas, resources, security }) = odgm.as_ref().filter(|_| class.odgm.is_some()) {
        fields.push(("odgm.image".to_owned(), image.clone()));
        fields.push(("odgm.replicas".to_owned(), replicas.to_string()));
        fields.extend(quantities("odgm.resources", resources).into_iter().flatten());
        fields.extend(switches("odgm.security", *security));
    }
    fields.extend(pdb.iter().flat_map(|pdb| budgets(class, plan, *pdb)));
    if let Some(MonitorPlan { path, interval_seconds }) = monitor {
        fields.push(("addons.monitor.path".to_owned(), path.clone()));
        fields.push(("addons.monitor.interval".to_owned(), format!("{interval_seconds}s")));
    }
    fields
}

/// What a class gets of budgets: nothing where no workload of it is large enough, and no bound where none is too small.
fn budgets(class: &Class, plan: &TemplatePlan, pdb: PdbPlan) -> Vec<(String, String)> {
    let functions = class.functions.iter().map(|function| plan.replicas_of(function));
    let functions = functions.filter(|_| plan.workload == WorkloadKind::Deployment);
    let grid = plan.odgm.iter().filter(|_| class.odgm.is_some()).map(|odgm| odgm.replicas);
    let replicas: Vec<u32> = functions.chain(grid).filter(|replicas| *replicas > 0).collect();
    if !replicas.iter().any(|replicas| pdb.guards(*replicas)) {
        return Vec::new();
    }
    let (name, pods) = match pdb.budget {
        Budget::MaxUnavailable(most) => ("max_unavailable", most),
        Budget::MinAvailable(least) => ("min_available", least),
    };
    let bound =
        (!replicas.iter().all(|replicas| pdb.guards(*replicas))).then_some(("from_replicas", pdb.from_replicas));
    let stated = [Some((name, pods)), bound].into_iter().flatten();
    stated.map(|(name, value)| (format!("addons.pdb.{name}"), value.to_string())).collect()
}

/// The four quantities in their order; `None` where the template leaves one out.
fn quantities(prefix: &str, resources: &Resources) -> [Option<(String, String)>; 4] {
    let Resources { cpu_request, memory_request, cpu_limit, memory_limit } = resources;
    [
        ("cpu_request", cpu_request),
        ("memory_request", memory_request),
        ("cpu_limit", cpu_limit),
        ("memory_limit", memory_limit),
    ]
    .map(|(name, value)| value.as_ref().map(|value| (format!("{prefix}.{name}"), value.to_string())))
}

fn switches(prefix: &str, security: SecurityPlan) -> [(String, String); 2] {
    let SecurityPlan { drop_capabilities, run_as_non_root } = security;
    [
        (format!("{prefix}.drop_capabilities"), drop_capabilities.to_string()),
        (format!("{prefix}.run_as_non_root"), run_as_non_root.to_string()),
    ]
}
