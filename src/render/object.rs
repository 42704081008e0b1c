//! What rendering gives: manifests with what the controller must know about each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::{ClusterFacts, ScrapeKind};

/// What rendering needs besides the class and its template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderSettings {
    /// Image of the data grid that the operator set for all classes; wins over the template's.
    pub odgm_image: Option<String>,
    /// What enforcement applied is rendered; without it everything is as record and template say.
    pub enforcement: bool,
    /// What Prometheus' operator is to be told by.
    pub monitors: Monitors,
}

/// What Prometheus' operator is told by where to scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitors {
    /// Deployments are scraped through their Services.
    pub services: bool,
    /// Pods are scraped by themselves: those of Deployments only where their Services are not, those of Knative always.
    pub pods: bool,
    /// Labels that the operator's Prometheus selects monitors by.
    pub labels: BTreeMap<String, String>,
    /// What is asked for and can't be had, for people.
    pub lack: Option<String>,
}

/// Which monitors the operator asked for, and with which labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scrape {
    /// Kind of monitor.
    pub kind: ScrapeKind,
    /// Labels of all monitors.
    pub labels: BTreeMap<String, String>,
}

impl Scrape {
    /// Which of them there can be in a cluster. What is not known of it is taken as not there.
    pub fn within(&self, cluster: &ClusterFacts) -> Monitors {
        let has = |known: Option<bool>| known == Some(true);
        let (services, pods) = (has(cluster.service_monitor), has(cluster.pod_monitor));
        let lack = |kind: &str, word: &str| {
            format!(
                "OPRC_CRM_PROM_SCRAPE_KIND is {word:?}, and this cluster has no {kind}: nothing is scraped by it; install the \
                 Prometheus operator"
            )
        };
        let (services, pods, lack) = match self.kind {
            ScrapeKind::Auto => (services, pods, None),
            ScrapeKind::Service => (services, false, (!services).then(|| lack("ServiceMonitor", "service"))),
            ScrapeKind::Pod => (false, pods, (!pods).then(|| lack("PodMonitor", "pod"))),
        };
        Monitors { services, pods, labels: self.labels.clone(), lack }
    }
}

/// Kinds of rendered objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `v1` Service.
    Service,
    /// `serving.knative.dev/v1` Service; only where the cluster has Knative Serving.
    KnativeService,
    /// `autoscaling/v2` HorizontalPodAutoscaler; named like the Deployment that it scales.
    Autoscaler,
    /// `policy/v1` PodDisruptionBudget.
    PodDisruptionBudget,
    /// `monitoring.coreos.com/v1` ServiceMonitor; only where the cluster has the Prometheus operator's kinds.
    ServiceMonitor,
    /// `monitoring.coreos.com/v1` PodMonitor; the same.
    PodMonitor,
}

impl ObjectKind {
    /// Every kind, so that nothing that was ever rendered is left out when pruning.
    pub const ALL: [Self; 7] = [
        Self::Deployment,
        Self::Service,
        Self::KnativeService,
        Self::Autoscaler,
        Self::PodDisruptionBudget,
        Self::ServiceMonitor,
        Self::PodMonitor,
    ];

    /// API version, as in a manifest.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment => "apps/v1",
            Self::Service => "v1",
            Self::KnativeService => "serving.knative.dev/v1",
            Self::Autoscaler => "autoscaling/v2",
            Self::PodDisruptionBudget => "policy/v1",
            Self::ServiceMonitor | Self::PodMonitor => "monitoring.coreos.com/v1",
        }
    }

    /// Kind, as in a manifest.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service | Self::KnativeService => "Service",
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
        }
    }

    /// What people call it; unlike the kind, no two have the same.
    pub fn title(self) -> &'static str {
        match self {
            Self::KnativeService => "Knative Service",
            Self::Deployment
            | Self::Service
            | Self::Autoscaler
            | Self::PodDisruptionBudget
            | Self::ServiceMonitor
            | Self::PodMonitor => self.kind(),
        }
    }

    /// Whether objects of this kind run pods.
    pub fn is_workload(self) -> bool {
        match self {
            Self::Deployment | Self::KnativeService => true,
            Self::Service | Self::Autoscaler | Self::PodDisruptionBudget | Self::ServiceMonitor | Self::PodMonitor => {
                false
            }
        }
    }

    /// The field of `spec` that says how many replicas there are to be, and that has an owner of its own.
    pub fn scale_field(self) -> Option<&'static str> {
        match self {
            Self::Deployment => Some("replicas"),
            Self::Autoscaler => Some("minReplicas"),
            Self::Service
            | Self::KnativeService
            | Self::PodDisruptionBudget
            | Self::ServiceMonitor
            | Self::PodMonitor => None,
        }
    }

    /// Whether objects of this kind have a part in serving requests, so that nothing must be removed before another
    /// serves in its place.
    pub fn serves(self) -> bool {
        match self {
            Self::Deployment | Self::Service | Self::KnativeService => true,
            Self::Autoscaler | Self::PodDisruptionBudget | Self::ServiceMonitor | Self::PodMonitor => false,
        }
    }

    /// Whether a class can do without: then it is left out where the cluster does not have the kind.
    pub fn is_dispensable(self) -> bool {
        matches!(self, Self::ServiceMonitor | Self::PodMonitor)
    }
}

/// Part of a class that an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The function with this key.
    Function(String),
    /// The data grid.
    Odgm,
}

/// One object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name; unique within its kind.
    pub name: String,
    /// Part of the class that it belongs to.
    pub component: Component,
    /// The whole manifest but for [`ObjectKind::scale_field`], which has an owner of its own.
    pub manifest: Value,
    /// Base of that field: the record's number, else the template's; `None` where the kind has none. Of a Deployment that
    /// is rendered with an autoscaler: what it starts with.
    pub replicas: Option<u32>,
}

/// Where a function is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFunction {
    /// Key of the function.
    pub key: String,
    /// Kind of its workload.
    pub kind: ObjectKind,
    /// Name of its workload.
    pub workload: String,
    /// URL inside the cluster; known before anything runs.
    pub url: String,
}

/// Everything that a class consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Objects in the order in which they are applied: the data grid before the functions that use it, what is about
    /// workloads after them.
    pub objects: Vec<RenderedObject>,
    /// Functions in the record's order.
    pub functions: Vec<RenderedFunction>,
    /// What people should know of what was rendered.
    pub hints: Vec<String>,
    /// Names of the addons that are asked for and add nothing: the template leaves them out, or there is nothing for them.
    pub without: Vec<String>,
}

impl Rendered {
    /// What people should know though nothing is wrong.
    pub fn notes(&self, template: &str) -> Vec<String> {
        let note = |addon: &String| {
            format!("addon {addon:?} is asked for, and template {template:?} has nothing of it for this class")
        };
        self.without.iter().map(note).chain(self.hints.iter().cloned()).collect()
    }
}
