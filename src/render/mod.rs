//! Class + chosen template -> Kubernetes objects. Pure: the same class and plan give the same bytes.

mod addon;
mod autoscaler;
mod env;
mod function;
mod knative;
mod object;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use addon::{KNATIVE_SERVICE, MAX_COLLECTION, ODGM_COLLECTION, ODGM_ENABLED, ODGM_PORT, ODGM_SERVICE};
pub use knative::min_scale;
pub use object::{Component, Monitors, ObjectKind, RenderSettings, Rendered, RenderedFunction, RenderedObject, Scrape};
pub use parts::{ANNOTATION_TEMPLATE, service_url};

use crate::decision::{TemplatePlan, WorkloadKind};
use crate::model::{Applied, Class, FieldError};

/// Why a class cannot be rendered. Every message names the field and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A function wants what Knative keeps for itself in every pod.
    #[error(
        "{field}: {what} is Knative's own in every pod of template {template:?}; use another one, \
         or name another template in spec.selected_template"
    )]
    KnativeOwn {
        /// Name of the template.
        template: String,
        /// Path of the field in the record.
        field: String,
        /// What it wants.
        what: String,
    },
    /// A function sets a variable that an addon sets.
    #[error(
        "{field}: {variable} is set by the addon {addon:?} to {ours:?}; remove it from the function's env, or leave out the addon"
    )]
    ReservedVariable {
        /// Path of the variable in the record.
        field: String,
        /// Its name.
        variable: String,
        /// Name of the addon.
        addon: &'static str,
        /// The value that the addon gives it.
        ours: String,
    },
    /// The collections do not fit into one environment variable.
    #[error(
        "spec.odgm_config: the collections make an ODGM_COLLECTION of {length} bytes, and a process takes at most {limit}; \
         use fewer collections, options, routes or assignments"
    )]
    CollectionTooLong {
        /// Bytes of the value.
        length: usize,
        /// Bytes that are possible.
        limit: usize,
    },
    /// Two parts of the class would have the same object.
    #[error("spec.functions: two functions map to {kind} {name:?}; rename one of them")]
    NameClash {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A function without names: a class that was not made by `model::parse`.
    #[error("spec.functions: function {key:?} has no object names; the class was not made from its record")]
    Unnamed {
        /// Key of the function.
        key: String,
    },
    /// An object does not serialise: a fault of the program, never of its user.
    #[error("a rendered {kind} does not serialise: {source}")]
    Serialise {
        /// Kind of the object.
        kind: &'static str,
        /// What the serialiser says.
        source: serde_json::Error,
    },
}

impl RenderError {
    /// The fault of the record that it is; `None` where it is a fault of the program.
    pub fn fault(&self) -> Option<FieldError> {
        let field = match self {
            Self::KnativeOwn { field, .. } | Self::ReservedVariable { field, .. } => field,
            Self::CollectionTooLong { .. } => "spec.odgm_config",
            Self::NameClash { .. } => "spec.functions",
            Self::Unnamed { .. } | Self::Serialise { .. } => return None,
        };
        let said = self.to_string();
        let message = said.strip_prefix(field).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&said);
        Some(FieldError { field: field.to_owned(), message: message.to_owned() })
    }
}

/// Renders everything that a class consists of: what its functions use, then they, then what is about them.
pub fn render(class: &Class, plan: &TemplatePlan, settings: &RenderSettings) -> Result<Rendered, RenderError> {
    let stripped;
    let class = if settings.enforcement || class.functions.iter().all(|function| function.applied == Applied::default())
    {
        class
    } else {
        stripped = without_applied(class);
        &stripped
    };
    let scene = addon::Scene { class, plan, settings };
    let mut rendered = Rendered::default();
    let added = addon::beneath(scene, &mut rendered)?;
    for function in &class.functions {
        let (objects, reached) = match plan.workload {
            WorkloadKind::Deployment => function::objects(class, plan, function, &added.env)?,
            WorkloadKind::KnativeService => knative::objects(class, plan, function, &added.env)?,
        };
        rendered.objects.extend(objects);
        rendered.functions.push(reached);
    }
    addon::about(scene, added, &mut rendered)?;
    unique(&rendered)?;
    Ok(rendered)
}

/// The class as its record and template have it.
fn without_applied(class: &Class) -> Class {
    let mut class = class.clone();
    for function in &mut class.functions {
        function.applied = Applied::default();
    }
    class
}

/// Names are unique by construction but for a collision of hashes: that must not become one object with two masters.
fn unique(rendered: &Rendered) -> Result<(), RenderError> {
    let mut seen = BTreeSet::new();
    for object in &rendered.objects {
        if !seen.insert((object.kind, object.name.as_str())) {
            return Err(RenderError::NameClash { kind: object.kind.kind(), name: object.name.clone() });
        }
    }
    Ok(())
}
