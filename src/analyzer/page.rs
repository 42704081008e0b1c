//! What was decided last about every class, for people: the page `/nfr`.
//!
//! The decision log has what changes or would change something; this has what stands, and so the answer to "why does
//! nothing happen?".

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::component::Part;
use super::decide::Decided;
use crate::audit::Outcome;
use crate::decision::nfr::{Action, Samples, size_text};
use crate::policy::Series;

/// The page; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Page(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    /// When the last look began.
    at: Option<Timestamp>,
    /// By UID of the record.
    classes: HashMap<String, ClassShown>,
}

/// Everything that the page has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// When the last look began; nothing before the first.
    pub at: Option<Timestamp>,
    /// The classes that are measured, by namespace and name.
    pub classes: Vec<ClassShown>,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassShown {
    /// Namespace of its record.
    pub namespace: String,
    /// Name of its record.
    pub name: String,
    /// Its components, as they are rendered.
    pub components: Vec<ComponentShown>,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentShown {
    /// Key of the function, or `odgm`.
    pub name: String,
    /// The newest sample of each signal that has any, by its name.
    pub signals: BTreeMap<String, Sample>,
    /// What was decided about each dimension.
    pub decisions: Vec<DecisionShown>,
}

/// A sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// In the signal's unit.
    pub value: f64,
}

/// A decision about one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionShown {
    /// `replicas`, `cpu`, `memory` or `partitions`.
    pub dimension: String,
    /// What there was, as a quantity.
    pub current: String,
    /// What is recommended, whatever is done about it.
    pub recommended: Option<String>,
    /// The rule that recommends it, `Recommendation/name/id`.
    pub recommended_by: Option<String>,
    /// What it rests on.
    pub basis: Option<String>,
    /// What is to be written; nothing where the decision is to hold.
    pub target: Option<String>,
    /// What had the last word: a rule, `Safeguard/name/id`, or a bound of the controller's own.
    pub by: String,
    /// Why, in a sentence.
    pub reason: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Revision of the policy that decided.
    pub revision: String,
}

impl Page {
    /// Begins a look: classes whose records are gone, by their UIDs, are forgotten.
    pub(super) fn begin(&self, at: Timestamp, is_there: impl Fn(&str) -> bool) {
        let mut shown = self.shown();
        shown.at = Some(at);
        shown.classes.retain(|uid, _| is_there(uid));
    }

    /// Shows the components of a class from now on; none where it is not measured.
    pub(super) fn note(&self, uid: &str, class: ClassShown) {
        let mut shown = self.shown();
        if class.components.is_empty() {
            shown.classes.remove(uid);
        } else {
            shown.classes.insert(uid.to_owned(), class);
        }
    }

    /// All of it, as of now.
    pub fn whole(&self) -> Whole {
        let shown = self.shown();
        let (at, mut classes) = (shown.at, shown.classes.values().cloned().collect::<Vec<_>>());
        drop(shown);
        classes.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        Whole { at, classes }
    }

    // Whole after every statement, so a panic elsewhere cannot have left it half-changed.
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A component as it is shown, with what became of each of its decisions.
pub(super) fn component<'a>(
    part: &Part,
    samples: &Samples,
    decided: impl Iterator<Item = (&'a Decided, Outcome)>,
) -> ComponentShown {
    let newest = |series: &Arc<Series>| {
        let (at, value) = *series.points().last()?;
        Some(Sample { at: Timestamp::from_millisecond(at).ok()?, value })
    };
    let signals = samples.iter().filter_map(|(name, series)| Some((name.clone(), newest(series)?))).collect();
    let decisions = decided.map(|(one, outcome)| decision(one, outcome)).collect();
    ComponentShown { name: part.name().to_owned(), signals, decisions }
}

fn decision(one: &Decided, outcome: Outcome) -> DecisionShown {
    let size = |size| size_text(one.dimension, size);
    let found = one.decision.recommendation.as_ref();
    DecisionShown {
        dimension: one.dimension.name().to_owned(),
        current: size(one.state.current),
        recommended: found.map(|found| size(found.target)),
        recommended_by: found.map(|found| found.rule.clone()),
        basis: found.map(|found| found.basis.clone()).filter(|basis| !basis.is_empty()),
        target: match one.decision.action {
            Action::Apply { target } => Some(size(target)),
            Action::Hold => None,
        },
        by: one.decision.by.to_string(),
        reason: one.decision.reason.clone(),
        outcome,
        revision: one.decision.revision.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn shown(namespace: &str, name: &str, components: usize) -> ClassShown {
        let component = ComponentShown { name: "cart".to_owned(), signals: BTreeMap::new(), decisions: Vec::new() };
        let components = vec![component; components];
        ClassShown { namespace: namespace.to_owned(), name: name.to_owned(), components }
    }

    #[test]
    fn the_page_has_the_classes_that_are_measured_and_no_others() {
        let page = Page::default();
        assert_eq!(page.whole(), Whole::default());
        for (uid, namespace, name) in [("1", "b", "shop"), ("2", "a", "shop"), ("3", "a", "gone"), ("4", "a", "off")] {
            page.note(uid, shown(namespace, name, 1));
        }
        page.note("4", shown("a", "off", 0));
        page.begin(Timestamp::UNIX_EPOCH, |uid| uid != "3");
        let whole = page.whole();
        let names: Vec<_> = whole.classes.iter().map(|one| (one.namespace.as_str(), one.name.as_str())).collect();
        assert_eq!((names, whole.at), (vec![("a", "shop"), ("b", "shop")], Some(Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        let page = Page::default();
        let mut class = shown("a", "shop", 1);
        let sample = Sample { at: Timestamp::UNIX_EPOCH, value: 1.5 };
        class.components[0].signals.insert("cpu".to_owned(), sample);
        page.note("1", class);
        let text = serde_json::to_string(&page.whole()).unwrap();
        assert_eq!(serde_json::from_str::<Whole>(&text).unwrap(), page.whole());
    }
}
