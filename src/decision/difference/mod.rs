//! What a class would get under another policy or in another setting, and which rule makes the difference.

mod cause;
mod fields;
mod radius;
#[cfg(test)]
mod tests;

use std::fmt;

pub use cause::{Cause, Reading};
pub use fields::FieldChange;
pub use radius::{BlastRadius, ClassChange};

use super::{Decision, TemplatePlan};
use crate::model::Class;

/// How the outcome of one class differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub change: Change,
    /// Fields of the workload that differ.
    pub fields: Vec<FieldChange>,
    /// Why: the rule that came out another way, else the field of the template.
    pub cause: Cause,
}

/// What differs, in the order of its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The record was accepted and is denied now: what runs is frozen.
    Denied,
    /// The record was denied and is accepted now.
    Accepted,
    /// There was a template and there is none now: what runs is frozen.
    NoTemplate {
        /// The template before.
        from: String,
    },
    /// There was no template and there is one now.
    HasTemplate {
        /// The template now.
        to: String,
    },
    /// Another template.
    Template {
        /// The template before.
        from: String,
        /// The template now.
        to: String,
    },
    /// The same template, which gives another workload.
    Shape {
        /// The template.
        template: String,
    },
}

impl Change {
    /// Stable name of the kind of change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Accepted => "accepted",
            Self::NoTemplate { .. } => "no-template",
            Self::HasTemplate { .. } => "has-template",
            Self::Template { .. } => "template",
            Self::Shape { .. } => "shape",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("denied"),
            Self::Accepted => f.write_str("no longer denied"),
            Self::NoTemplate { from } => write!(f, "template {from} -> none"),
            Self::HasTemplate { to } => write!(f, "template none -> {to}"),
            Self::Template { from, to } => write!(f, "template {from} -> {to}"),
            Self::Shape { template } => write!(f, "template {template} gives another workload"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.change, self.cause)?;
        // The cause of another shape names its first field itself.
        let rest = self.fields.iter().skip(usize::from(matches!(self.change, Change::Shape { .. })));
        let fields: Vec<String> = rest.map(ToString::to_string).collect();
        if fields.is_empty() { Ok(()) } else { write!(f, "; {}", fields.join(", ")) }
    }
}

impl Decision {
    /// What the class gets; `None` where it is denied or has no template, so that what runs stays as it is.
    pub fn plan(&self) -> Option<&TemplatePlan> {
        let accepted = self.admission.denials.is_empty();
        self.template.as_ref().ok().filter(|_| accepted).map(|chosen| &chosen.plan)
    }
}

/// What `after` gives the class that `before` does not; `None` where the class would not notice. Decisions by
/// [`super::explain`] bring the values that the rules read along.
pub fn difference(class: &Class, before: &Decision, after: &Decision) -> Option<Difference> {
    let (change, fields) = match (before.plan(), after.plan()) {
        (None, None) => return None,
        (Some(_), None) if !after.admission.denials.is_empty() => (Change::Denied, Vec::new()),
        (None, Some(_)) if !before.admission.denials.is_empty() => (Change::Accepted, Vec::new()),
        (Some(old), None) => (Change::NoTemplate { from: old.name.clone() }, Vec::new()),
        (None, Some(new)) => (Change::HasTemplate { to: new.name.clone() }, Vec::new()),
        (Some(old), Some(new)) => {
            let fields = fields::between(class, old, new);
            if old.name != new.name {
                (Change::Template { from: old.name.clone(), to: new.name.clone() }, fields)
            } else if fields.is_empty() {
                return None;
            } else {
                (Change::Shape { template: old.name.clone() }, fields)
            }
        }
    };
    let cause = cause::of(&change, &fields, before, after);
    Some(Difference { change, fields, cause })
}

/// What `after` gives a class that has the template `current`, where nobody knows what that was decided by: another
/// template, else, perhaps, another workload. `None` where it gives nothing, so that what runs stays as it is.
pub fn unexplained(current: Option<&str>, after: &Decision) -> Option<Difference> {
    let plan = after.plan()?;
    let to = plan.name.clone();
    let why = after.template.as_ref().map(|chosen| chosen.why.clone()).unwrap_or_default();
    let rule = format!("Template/{to}");
    let change = match current {
        None => Change::HasTemplate { to },
        Some(from) if from == to => Change::Shape { template: to },
        Some(from) => Change::Template { from: from.to_owned(), to },
    };
    let cause = Cause { rule, before: "not known any more".to_owned(), after: why, values: Vec::new() };
    Some(Difference { change, fields: Vec::new(), cause })
}
