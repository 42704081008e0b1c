//! HorizontalPodAutoscaler of a function that runs as a Deployment and whose record says how far it may be scaled.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};

use super::parts::Part;
use super::{ObjectKind, RenderError, RenderedObject};
use crate::decision::TemplatePlan;
use crate::model::Function;

/// From where to where a function is scaled, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    least: u32,
    most: u32,
    cpu_utilization: u32,
}

/// `None` where the policy gives no autoscaler, or the record no `max_scale`. The floor is the record's `min_scale`, else
/// its replicas, else the template's; at least 1, because Kubernetes scales to nothing by no means that all clusters have.
pub(super) fn range(plan: &TemplatePlan, function: &Function) -> Option<Range> {
    let (plan_scaler, most) = (plan.autoscaler_of(function)?, function.max_scale?);
    let most = most.min(plan_scaler.max_replicas.unwrap_or(u32::MAX)).max(1);
    let least = function.min_scale.or(function.replicas).unwrap_or(plan.replicas).clamp(1, most);
    Some(Range { least, most, cpu_utilization: plan_scaler.cpu_utilization })
}

impl Range {
    /// What a Deployment starts with that asks for `replicas`.
    pub(super) fn starts_with(self, replicas: u32) -> u32 {
        replicas.clamp(self.least, self.most)
    }

    /// The autoscaler, without its `minReplicas`.
    pub(super) fn object(self, part: &Part<'_>) -> Result<RenderedObject, RenderError> {
        let autoscaler = HorizontalPodAutoscaler {
            metadata: part.metadata(part.workload),
            spec: Some(HorizontalPodAutoscalerSpec {
                scale_target_ref: CrossVersionObjectReference {
                    api_version: Some(ObjectKind::Deployment.api_version().to_owned()),
                    kind: ObjectKind::Deployment.kind().to_owned(),
                    name: part.workload.to_owned(),
                },
                max_replicas: whole(self.most),
                metrics: Some(vec![cpu(self.cpu_utilization)]),
                ..HorizontalPodAutoscalerSpec::default()
            }),
            status: None,
        };
        part.object(ObjectKind::Autoscaler, part.workload, &autoscaler, Some(self.least))
    }
}

fn cpu(utilization: u32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(whole(utilization)),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Records and policies say at most 10,000.
fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::range;
    use crate::decision::{AutoscalerPlan, SecurityPlan, TemplatePlan, WorkloadKind};
    use crate::model::{Applied, Function, NfrTargets, Resources};

    fn plan(max_replicas: Option<u32>) -> TemplatePlan {
        TemplatePlan {
            name: "t".to_owned(),
            workload: WorkloadKind::Deployment,
            replicas: 2,
            resources: Resources::default(),
            termination_grace_seconds: None,
            probes: true,
            security: SecurityPlan::default(),
            autoscaler: Some(AutoscalerPlan { cpu_utilization: 80, max_replicas }),
            odgm: None,
            pdb: None,
            monitor: None,
            max_replicas: None,
            own_autoscalers: std::collections::BTreeMap::new(),
        }
    }

    fn function(replicas: Option<u32>, min_scale: Option<u32>, max_scale: Option<u32>) -> Function {
        Function {
            key: "f".to_owned(),
            image: "i".to_owned(),
            port: 8080,
            port_stated: false,
            replicas,
            min_scale,
            max_scale,
            max_concurrency: None,
            need_http2: false,
            resources: Resources::default(),
            env: std::collections::BTreeMap::new(),
            nfr: NfrTargets::default(),
            applied: Applied::default(),
        }
    }

    #[test]
    fn a_function_is_scaled_from_the_first_number_that_is_stated_to_its_maximum() {
        let cases = [
            ((None, None, Some(8)), (2, 8)),
            ((Some(4), None, Some(8)), (4, 8)),
            ((Some(4), Some(3), Some(8)), (3, 8)),
            ((None, Some(0), Some(8)), (1, 8)),
            ((Some(9), None, Some(5)), (5, 5)),
        ];
        for ((replicas, least, most), expected) in cases {
            let found = range(&plan(None), &function(replicas, least, most)).map(|range| (range.least, range.most));
            assert_eq!(found, Some(expected), "{replicas:?} {least:?} {most:?}");
        }
    }

    #[test]
    fn the_policys_bound_wins_over_the_records() {
        let found = range(&plan(Some(3)), &function(None, Some(5), Some(8))).map(|range| (range.least, range.most));
        assert_eq!(found, Some((3, 3)));
    }

    #[test]
    fn what_has_no_maximum_and_what_the_policy_leaves_alone_is_not_scaled() {
        assert_eq!(range(&plan(None), &function(Some(2), Some(1), None)), None);
        let without = TemplatePlan { autoscaler: None, ..plan(None) };
        assert_eq!(range(&without, &function(None, None, Some(8))), None);
    }

    #[test]
    fn a_deployment_starts_within_its_range() {
        let starts = |replicas| range(&plan(None), &function(None, Some(2), Some(5))).map(|r| r.starts_with(replicas));
        assert_eq!([starts(1), starts(4), starts(9)], [Some(2), Some(4), Some(5)]);
    }
}
