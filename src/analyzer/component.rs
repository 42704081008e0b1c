//! The components of a class: what is measured, and what of them is sized. Pure.

use crate::decision::Setting;
use crate::model::{ADDON_ODGM, Class, Function, Quantity};
use crate::policy::{ComponentKind, Dimension, FactValue, Facts};
use crate::render::{Component, ObjectKind, Rendered, RenderedObject, min_scale};
use crate::signals::ComponentKey;
use crate::{api, decision};

/// Name of the data grid beside a function that is called like it.
const GRID_BESIDE: &str = "odgm+grid";
/// The only container of a workload.
const RESOURCES: &str = "/spec/template/spec/containers/0/resources";

/// A component of a class, as it is rendered now.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Function or data grid.
    pub component: Component,
    /// Its name in a record's status; no two of a class have the same.
    pub name: String,
    /// Kind of its workload.
    pub workload: ObjectKind,
    /// How measurements know it.
    pub key: ComponentKey,
    /// Sizes of a pod, as they are rendered.
    pub sizes: Sizes,
    /// Fewest pods, of a Knative Service.
    pub min_scale: Option<u32>,
    /// What record and template say, where enforcement may say more.
    pub base: Base,
}

/// What record and template say of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// CPU request, as a quantity.
    pub cpu: Option<String>,
    /// Memory request, as a quantity.
    pub memory: Option<String>,
    /// Replicas: of a Deployment, of its autoscaler's minimum, or of a Knative Service's.
    pub replicas: Option<u32>,
}

/// Sizes of a pod: cores and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    /// CPU request.
    pub cpu_request: Option<f64>,
    /// Memory request.
    pub memory_request: Option<f64>,
    /// CPU limit.
    pub cpu_limit: Option<f64>,
    /// Memory limit.
    pub memory_limit: Option<f64>,
}

/// Bounds that hold under any policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Most replicas of a component.
    pub max_replicas: f64,
    /// CPU request that stands in where none is stated, cores.
    pub cpu_per_pod: f64,
}

/// The components of a class, in the order in which they are rendered: as they are rendered now, and as they would be
/// without what enforcement applied.
pub fn parts(class: &Class, rendered: &Rendered, plain: &Rendered) -> Vec<Part> {
    let workloads = rendered.objects.iter().filter(|object| object.kind.is_workload());
    workloads.map(|object| part(class, object, base(plain, object))).collect()
}

fn base(plain: &Rendered, workload: &RenderedObject) -> Base {
    let named = |kind: ObjectKind| plain.objects.iter().find(|one| one.kind == kind && one.name == workload.name);
    let Some(object) = named(workload.kind) else { return Base::default() };
    let text = |path: &str| Some(object.manifest.pointer(RESOURCES)?.pointer(path)?.as_str()?.to_owned());
    let number = named(ObjectKind::Autoscaler).and_then(|scaler| scaler.replicas).or(object.replicas);
    Base {
        cpu: text("/requests/cpu"),
        memory: text("/requests/memory"),
        replicas: number.or_else(|| min_scale(&object.manifest)),
    }
}

fn part(class: &Class, object: &RenderedObject, base: Base) -> Part {
    let resources = object.manifest.pointer(RESOURCES);
    let size = |path: &str| {
        let text = resources?.pointer(path)?.as_str()?;
        Quantity::parse(text).ok().map(|quantity| quantity.value())
    };
    let sizes = Sizes {
        cpu_request: size("/requests/cpu"),
        memory_request: size("/requests/memory"),
        cpu_limit: size("/limits/cpu"),
        memory_limit: size("/limits/memory"),
    };
    Part {
        component: object.component.clone(),
        name: name(class, &object.component),
        workload: object.kind,
        key: ComponentKey::new(&class.namespace, &object.name),
        sizes,
        min_scale: min_scale(&object.manifest),
        base,
    }
}

/// A function has its key. The data grid is `odgm`, where no function is called so.
fn name(class: &Class, component: &Component) -> String {
    let mut name = match component {
        Component::Function(key) => return key.clone(),
        Component::Odgm => ADDON_ODGM.to_owned(),
    };
    if class.functions.iter().any(|function| function.key == name) {
        GRID_BESIDE.clone_into(&mut name);
    }
    while class.functions.iter().any(|function| function.key == name) {
        name.push('+');
    }
    name
}

impl Part {
    /// Its kind, as policies know it.
    pub fn kind(&self) -> ComponentKind {
        match self.component {
            Component::Function(_) => ComponentKind::Function,
            Component::Odgm => ComponentKind::Odgm,
        }
    }

    /// Its name in a record's status.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What of it can be sized.
    pub fn dimensions(&self) -> &'static [Dimension] {
        match self.component {
            Component::Function(_) => &[Dimension::Replicas, Dimension::Cpu, Dimension::Memory],
            Component::Odgm => &[Dimension::Replicas, Dimension::Partitions],
        }
    }

    /// The function, where it is one.
    pub fn function<'a>(&self, class: &'a Class) -> Option<&'a Function> {
        let Component::Function(key) = &self.component else { return None };
        class.functions.iter().find(|function| function.key == *key)
    }
}

/// The facts of a component, as they are the same for all its dimensions.
pub fn facts(class: &Class, setting: &Setting, part: &Part, limits: Limits) -> Facts {
    let mut facts = decision::facts(class, setting);
    if let Some(function) = part.function(class) {
        decision::bind_nfr_of(&mut facts, class, function);
    }
    let name = if part.component == Component::Odgm { class.name.as_str() } else { part.name() };
    facts.set("component.name", FactValue::Text(name.to_owned()));
    facts.set("component.kind", FactValue::Text(part.kind().name().to_owned()));
    let workload = if part.workload == ObjectKind::KnativeService { "KnativeService" } else { "Deployment" };
    facts.set("component.workload", FactValue::Text(workload.to_owned()));
    let Sizes { cpu_request, memory_request, cpu_limit, memory_limit } = part.sizes;
    for (path, value) in [
        ("component.cpu_request", cpu_request),
        ("component.memory_request", memory_request),
        ("component.cpu_limit", cpu_limit),
        ("component.memory_limit", memory_limit),
        ("limits.max_replicas", Some(limits.max_replicas)),
        ("limits.req_cpu_per_pod", Some(limits.cpu_per_pod)),
    ] {
        if let Some(value) = value {
            facts.set(path, FactValue::Number(value));
        }
    }
    facts
}

/// The dimension of enforcement, where a record can list it.
pub fn enforced(dimension: Dimension) -> Option<api::EnforcementDimension> {
    match dimension {
        Dimension::Replicas => Some(api::EnforcementDimension::Replicas),
        Dimension::Cpu => Some(api::EnforcementDimension::Cpu),
        Dimension::Memory => Some(api::EnforcementDimension::Memory),
        Dimension::Partitions => None,
    }
}
