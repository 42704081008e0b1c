//! PodDisruptionBudgets: a node that is drained takes the pods of a workload in turns, not all at once.
//!
//! One for each Deployment, of a function or of the data grid. None for a Knative Service: how many pods it has, and of
//! which version, follows its requests, and Knative starts new ones by itself.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Addon, Scene};
use crate::decision::Budget;
use crate::model::ADDON_PDB;
use crate::render::{ObjectKind, RenderError, RenderedObject};

/// Pods that are not ready may be taken at any time: what does not serve can't be kept serving, and would hold up a
/// drain for as long as it does not.
const UNHEALTHY: &str = "AlwaysAllow";

pub(super) struct Budgets;

impl Addon for Budgets {
    fn name(&self) -> &'static str {
        ADDON_PDB
    }

    fn about(&self, scene: Scene<'_>, workloads: &[RenderedObject]) -> Result<Vec<RenderedObject>, RenderError> {
        let Some(plan) = scene.plan.pdb else { return Ok(Vec::new()) };
        let deployments = workloads.iter().filter(|one| one.kind == ObjectKind::Deployment);
        deployments
            .filter_map(|one| Some((one, one.replicas.filter(|replicas| plan.guards(*replicas))?)))
            .map(|(one, replicas)| budget(scene, one, most(plan.budget, replicas)))
            .collect()
    }
}

/// Pods that may be taken at once, always at least one. A number that must stay is turned into one that may go, by the
/// replicas as they begin: stated as `minAvailable` it would hold up every drain once somebody scales down to it.
fn most(budget: Budget, replicas: u32) -> u32 {
    match budget {
        Budget::MaxUnavailable(most) => most.max(1),
        Budget::MinAvailable(least) => replicas.saturating_sub(least).max(1),
    }
}

fn budget(scene: Scene<'_>, workload: &RenderedObject, most: u32) -> Result<RenderedObject, RenderError> {
    let (name, part) = (workload.name.as_str(), scene.about(workload));
    let budget = PodDisruptionBudget {
        metadata: part.metadata(name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(i32::try_from(most).unwrap_or(i32::MAX))),
            selector: Some(LabelSelector { match_labels: Some(part.selector()), ..LabelSelector::default() }),
            unhealthy_pod_eviction_policy: Some(UNHEALTHY.to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    part.object(ObjectKind::PodDisruptionBudget, name, &budget, None)
}

#[cfg(test)]
mod tests {
    use super::most;
    use crate::decision::Budget::{MaxUnavailable, MinAvailable};

    #[test]
    fn one_pod_may_always_be_taken() {
        for (budget, replicas, expected) in [
            (MaxUnavailable(1), 1, 1),
            (MaxUnavailable(2), 5, 2),
            (MinAvailable(1), 1, 1),
            (MinAvailable(2), 5, 3),
            (MinAvailable(7), 5, 1),
            (MinAvailable(0), 5, 5),
        ] {
            assert_eq!(most(budget, replicas), expected, "{budget:?} of {replicas}");
        }
    }
}
