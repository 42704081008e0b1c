//! What the children of a class say about themselves. Pure.

use std::collections::BTreeMap;

use super::autoscaler;
use super::memory::ChildKey;
use super::workload::{Workload, workload};
use crate::api::{Health, ResourceRef};
use crate::cluster::caches::LiveObject;
use crate::render::ObjectKind;

/// Everything that a class consists of, as it stands.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Objects with their health.
    pub refs: Vec<ResourceRef>,
    /// Workloads.
    pub workloads: BTreeMap<ChildKey, Workload>,
    /// What is not ready, for people.
    pub waiting_for: Vec<String>,
    /// What people should know though nothing waits for it.
    pub notes: Vec<String>,
}

impl Observation {
    /// Reads every expected object; `find` gives the newest state that is known of one.
    pub fn of(namespace: &str, expected: &[ChildKey], find: impl Fn(ObjectKind, &str) -> Option<LiveObject>) -> Self {
        let mut seen = Self::default();
        for (kind, name) in expected {
            seen.add(namespace, *kind, name, find(*kind, name).as_ref());
        }
        seen
    }

    fn add(&mut self, namespace: &str, kind: ObjectKind, name: &str, live: Option<&LiveObject>) {
        let workload = workload(kind, live);
        let simple = if live.is_some() { Health::Healthy } else { Health::Missing };
        // An autoscaler that can't measure leaves the pods as they are: they serve all the same.
        let idle = live.filter(|_| kind == ObjectKind::Autoscaler).and_then(|live| autoscaler::idle(&live.content));
        self.notes.extend(idle.iter().map(|why| format!("{} {name} {why}", kind.title())));
        let health = workload.as_ref().map_or(simple, |workload| workload.health);
        if health != Health::Healthy {
            let problem = workload.as_ref().and_then(|workload| workload.problem.as_deref());
            let problem = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
            self.waiting_for.push(format!("{} {name}{problem}", kind.title()));
        }
        if let Some(workload) = workload {
            self.workloads.insert((kind, name.to_owned()), workload);
        }
        self.refs.push(ResourceRef {
            api_version: kind.api_version().to_owned(),
            kind: kind.kind().to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: live.and_then(|live| live.meta.uid.clone()),
            health: if idle.is_some() { Health::Degraded } else { health },
        });
    }

    /// A workload as it stands; the default for one that was not expected.
    pub fn workload(&self, kind: ObjectKind, name: &str) -> Workload {
        self.workloads.get(&(kind, name.to_owned())).cloned().unwrap_or_default()
    }

    /// Every workload serves, or another one in its place; not so where there is none.
    pub fn available(&self, replaced: impl Fn(&ChildKey) -> bool) -> bool {
        !self.workloads.is_empty() && self.workloads.iter().all(|(key, workload)| workload.available || replaced(key))
    }

    /// Every object is there and every workload rolled out.
    pub fn rolled_out(&self) -> bool {
        !self.refs.is_empty() && self.waiting_for.is_empty()
    }

    /// The first workload that failed, and how.
    pub fn failed(&self) -> Option<(&ChildKey, &str)> {
        self.workloads
            .iter()
            .find(|(_, workload)| workload.health == Health::Degraded)
            .map(|(key, workload)| (key, workload.problem.as_deref().unwrap_or("failed")))
    }
}
