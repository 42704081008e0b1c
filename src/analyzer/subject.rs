//! A record as the loop sees it: its class, its components and what is there of them.

use std::sync::Arc;

use jiff::Timestamp;

use super::component::{Part, parts};
use super::now::{Replicas, Since};
use crate::api::{AppliedRecommendation, DeploymentRecordStatus, EnforcementMode};
use crate::cluster::caches::{Caches, LiveObject};
use crate::cluster::pods::PodIndex;
use crate::cluster::record::RawRecord;
use crate::cluster::scale;
use crate::model::Class;
use crate::render::{ObjectKind, RenderSettings, render};
use crate::rollout::{Judged, Rollout};

/// A record that is looked at.
pub struct Subject {
    /// The record.
    pub record: Arc<RawRecord>,
    /// Its status: as cached, or as last written where the cache is behind.
    pub status: DeploymentRecordStatus,
    /// Its class, or why it is not measured.
    pub sighted: Result<Measured, Unmeasured>,
}

/// Why a record is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// Its mode is off: nothing of what was applied is to stand.
    Off,
    /// It is not followed just now (it can't be read, is denied, has no template, waits for its policy), or nothing is
    /// measured at all: what was applied stands. Let go, all of it would fall back at once, past every safeguard.
    NotNow,
}

impl Unmeasured {
    /// What stands applied of what a status says.
    pub fn standing(self, status: &DeploymentRecordStatus) -> Vec<AppliedRecommendation> {
        match self {
            Self::Off => Vec::new(),
            Self::NotNow => status.last_applied_recommendations.clone(),
        }
    }
}

/// A class that is measured.
pub struct Measured {
    /// The class.
    pub class: Class,
    /// Its components, with what is there of each.
    pub parts: Vec<Present>,
    /// Since when spec and policy are what they are.
    pub since: Since,
}

/// A component and what is there of it.
pub struct Present {
    /// The component.
    pub part: Part,
    /// How many replicas it has; `None` where it has no workload yet.
    pub replicas: Option<Replicas>,
    /// The object whose number may be written.
    pub field: Option<LiveObject>,
}

/// What subjects are made from.
pub struct View<'a> {
    /// The policy that holds, and how far a change of it is.
    pub state: &'a Rollout,
    /// What is known of the cluster.
    pub caches: &'a Caches,
    /// The pods.
    pub pods: &'a PodIndex,
    /// The time.
    pub now: Timestamp,
}

impl View<'_> {
    /// The class of a record as it is seen now, with its status as it stands. A record that is not followed (it can't be read, is
    /// denied, has no template) is not measured: what runs of it stays as it is.
    pub fn sighted(&self, record: &RawRecord, status: &DeploymentRecordStatus) -> Result<Measured, Unmeasured> {
        let judged = self.judged(record, status).ok_or(Unmeasured::NotNow)?;
        if judged.class.enforcement == EnforcementMode::Off {
            return Err(Unmeasured::Off);
        }
        self.measured(record, status, judged).ok_or(Unmeasured::NotNow)
    }

    fn judged(&self, record: &RawRecord, status: &DeploymentRecordStatus) -> Option<Judged> {
        if record.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let mut typed = record.typed().ok()?;
        typed.status = Some(status.clone());
        self.state.judge(&typed, status.selected_template.as_deref()).ok()
    }

    fn measured(&self, record: &RawRecord, status: &DeploymentRecordStatus, judged: Judged) -> Option<Measured> {
        let Judged { class, decision, render: settings, frozen, .. } = judged;
        if frozen {
            return None;
        }
        let plan = decision.plan()?;
        let rendered = render(&class, plan, &settings).ok()?;
        let without = RenderSettings { enforcement: false, ..settings };
        let without = render(&class, plan, &without).ok()?;
        let parts =
            parts(&class, &rendered, &without).into_iter().map(|part| self.present(&class, part, status)).collect();
        let since = Since { generation: record.spec_since().unwrap_or(Timestamp::MAX), revision: self.state.since() };
        Some(Measured { class, parts, since })
    }

    fn present(&self, class: &Class, part: Part, status: &DeploymentRecordStatus) -> Present {
        let (replicas, field) = match part.workload {
            ObjectKind::Deployment => {
                let current = scale::current(self.caches, class, &part.key.workload);
                let replicas = current.as_ref().map(|current| Replicas::of_deployment(current, self.now));
                (replicas, current.and_then(|current| current.field))
            }
            kind => {
                let there = self.caches.contains(kind, &part.key.namespace, &part.key.workload);
                let ready = self.pods.ready(&part.key.namespace, &part.key.workload);
                (there.then(|| Replicas::of_knative(&part, ready, status)), None)
            }
        };
        Present { part, replicas, field }
    }
}
