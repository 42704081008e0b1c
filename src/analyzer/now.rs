//! What is there now: the size of each dimension, since when, and by whom. Pure.

use jiff::Timestamp;

use super::component::Part;
use crate::api::{DeploymentRecordStatus, NfrRecommendation};
use crate::cluster::scale::{self, Enforced, Holder};
use crate::decision::nfr::{Range, State};
use crate::model::{Class, Quantity};
use crate::policy::{Dimension, FactValue, Facts};
use crate::render::ObjectKind;

/// Since when spec and policy are what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The spec.
    pub generation: Timestamp,
    /// The policy.
    pub revision: Timestamp,
}

/// Replicas of a component as the cluster has them.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// The number that is to be written: a Deployment's, an autoscaler's minimum, a Knative Service's minimum.
    pub current: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// When the number was set, where that is known.
    pub set_at: Option<Timestamp>,
    /// Who set it, where it was somebody else.
    pub changed_by: Option<String>,
    /// What enforcement wrote beside it.
    pub enforced: Option<Enforced>,
    /// The autoscaler that targets the workload.
    pub hpa: Option<Hpa>,
    /// The workload is a Knative Service, which has an autoscaler of its own.
    pub knative: bool,
}

/// An autoscaler that targets a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hpa {
    /// Its lower bound.
    pub min_replicas: u32,
    /// Its upper bound.
    pub max_replicas: u32,
    /// Pods that it asks for, where it has said so yet.
    pub desired: Option<u32>,
    /// It scales on CPU utilisation.
    pub targets_cpu: bool,
}

impl Replicas {
    /// Of a Deployment, as it was seen. What somebody else set at a time that nobody noted yet was set `now`.
    pub fn of_deployment(current: &scale::Current, now: Timestamp) -> Self {
        let (holder, since) = current.field.as_ref().map_or((Holder::Nobody, None), scale::holder);
        // An annotation that somebody made unreadable says nothing: the number then counts from when it was set.
        let enforced = current.field.as_ref().and_then(|field| Enforced::read(field).ok().flatten());
        let ours = holder == Holder::Ours;
        let hpa = current.hpa.as_ref().map(|scaler| Hpa {
            min_replicas: scaler.min_replicas,
            max_replicas: scaler.max_replicas,
            desired: scaler.last,
            targets_cpu: scaler.targets_cpu,
        });
        Self {
            current: current.replicas,
            ready: current.ready_replicas,
            set_at: enforced.as_ref().filter(|_| ours).map(|enforced| enforced.at).or(since).or((!ours).then_some(now)),
            changed_by: holder.changed_by().filter(|_| current.field.is_some()).map(str::to_owned),
            enforced: enforced.filter(|_| ours),
            hpa,
            knative: false,
        }
    }

    /// Of a Knative Service, whose minimum is rendered.
    pub fn of_knative(part: &Part, ready: usize, status: &DeploymentRecordStatus) -> Self {
        Self {
            current: part.min_scale.unwrap_or(0),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            set_at: rolled_at(part, status),
            changed_by: None,
            enforced: None,
            hpa: None,
            knative: true,
        }
    }

    /// Binds the facts `current`, and how many pods there are.
    pub fn bind(&self, facts: &mut Facts) {
        facts.set("current.replicas", FactValue::Number(f64::from(self.current)));
        facts.set("component.replicas", FactValue::Number(f64::from(self.current)));
        facts.set("current.ready_replicas", FactValue::Number(f64::from(self.ready)));
        // Elsewhere the number that is written says it, and a roll-out's extra pods are none to count on.
        if self.knative || self.hpa.is_some() {
            facts.set("component.ready_replicas", FactValue::Number(f64::from(self.ready)));
        }
        if let Some(hpa) = self.hpa {
            facts.set_group("current.hpa");
            facts.set("current.hpa.min_replicas", FactValue::Number(f64::from(hpa.min_replicas)));
            facts.set("current.hpa.max_replicas", FactValue::Number(f64::from(hpa.max_replicas)));
            if let Some(desired) = hpa.desired {
                facts.set("current.hpa.desired_replicas", FactValue::Number(f64::from(desired)));
            }
            facts.set("current.hpa.targets_cpu", FactValue::Bool(hpa.targets_cpu));
        }
    }
}

/// The state of a dimension; `None` where there is nothing that could be sized yet.
pub fn state(
    class: &Class,
    part: &Part,
    dimension: Dimension,
    (replicas, status, since): (Option<&Replicas>, &DeploymentRecordStatus, Since),
) -> Option<State> {
    // All of these live in the pod template: whichever changes restarts the pods, so they share a cooldown.
    let applied = || (rolled_at(part, status), None);
    let (current, (applied_at, changed_by)) = match dimension {
        Dimension::Replicas => {
            let replicas = replicas?;
            (f64::from(replicas.current), (replicas.set_at, replicas.changed_by.clone()))
        }
        // What nobody states is nothing, and that is told.
        Dimension::Cpu => (part.sizes.cpu_request.unwrap_or(0.0), applied()),
        Dimension::Memory => (part.sizes.memory_request.unwrap_or(0.0), applied()),
        Dimension::Partitions => (class.odgm.as_ref().map(|odgm| f64::from(odgm.partition_count))?, (None, None)),
    };
    Some(State {
        current,
        applied_at,
        changed_by,
        generation_since: since.generation,
        revision_since: since.revision,
        recommended: recommended(status, part.name(), dimension),
    })
}

/// Between what a dimension may be.
pub fn range(part: &Part, dimension: Dimension, replicas: Option<&Replicas>, max_replicas: f64) -> Range {
    match dimension {
        Dimension::Replicas | Dimension::Partitions => {
            let hpa_max = replicas.and_then(|replicas| replicas.hpa).map(|hpa| f64::from(hpa.max_replicas));
            let range = Range::replicas(part.workload == ObjectKind::KnativeService, max_replicas, hpa_max);
            part.base.replicas.map_or(range, |base| range.at_least(f64::from(base)))
        }
        Dimension::Cpu => Range::request(part.sizes.cpu_limit),
        Dimension::Memory => Range::request(part.sizes.memory_limit),
    }
}

/// When enforcement last changed the pod template of a component.
fn rolled_at(part: &Part, status: &DeploymentRecordStatus) -> Option<Timestamp> {
    let replicas_too = part.workload == ObjectKind::KnativeService;
    let rolls = |dimension: &str| dimension != Dimension::Replicas.name() || replicas_too;
    let all = status.last_applied_recommendations.iter();
    let of_part = all.filter(|one| one.component == part.name() && rolls(&one.dimension));
    of_part.filter_map(|one| one.applied_at.as_ref().map(|time| time.0)).max()
}

fn recommended(status: &DeploymentRecordStatus, component: &str, dimension: Dimension) -> Option<(f64, Timestamp)> {
    let mut all = status.nfr_recommendations.iter();
    let NfrRecommendation { target, since, .. } =
        all.find(|one| one.component == component && one.dimension == dimension.name())?;
    Some((Quantity::parse(target).ok()?.value(), since.as_ref()?.0))
}
