//! What rendering gives: manifests with what the controller must know about each.

use serde_json::Value;

/// What rendering needs besides the class and its template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderSettings {
    /// Image of the data grid that the operator set for all classes; wins over the template's.
    pub odgm_image: Option<String>,
    /// What enforcement applied is rendered; without it everything is as record and template say.
    pub enforcement: bool,
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
}

impl ObjectKind {
    /// Every kind, so that nothing that was ever rendered is left out when pruning.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::Service, Self::KnativeService, Self::Autoscaler];

    /// API version, as in a manifest.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment => "apps/v1",
            Self::Service => "v1",
            Self::KnativeService => "serving.knative.dev/v1",
            Self::Autoscaler => "autoscaling/v2",
        }
    }

    /// Kind, as in a manifest.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service | Self::KnativeService => "Service",
            Self::Autoscaler => "HorizontalPodAutoscaler",
        }
    }

    /// What people call it; unlike the kind, no two have the same.
    pub fn title(self) -> &'static str {
        match self {
            Self::Deployment | Self::Service | Self::Autoscaler => self.kind(),
            Self::KnativeService => "Knative Service",
        }
    }

    /// Whether objects of this kind run pods.
    pub fn is_workload(self) -> bool {
        match self {
            Self::Deployment | Self::KnativeService => true,
            Self::Service | Self::Autoscaler => false,
        }
    }

    /// The field of `spec` that says how many replicas there are to be, and that has an owner of its own.
    pub fn scale_field(self) -> Option<&'static str> {
        match self {
            Self::Deployment => Some("replicas"),
            Self::Autoscaler => Some("minReplicas"),
            Self::Service | Self::KnativeService => None,
        }
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
    /// Objects in the order in which they are applied: the data grid before the functions that use it.
    pub objects: Vec<RenderedObject>,
    /// Functions in the record's order.
    pub functions: Vec<RenderedFunction>,
}
