//! Which decisions are told: what changes or would change something, and what holds that, each time it is another.

use std::collections::HashMap;

use crate::decision::nfr::{Action, By, Invariant, NfrDecision};
use crate::policy::Dimension;

use super::entry::{Entry, Outcome};

/// What was last told of each dimension of each component.
#[derive(Debug, Default)]
pub(super) struct News {
    /// By UID of the record, then by component and dimension.
    last: HashMap<String, Vec<Told>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Told {
    component: String,
    dimension: Dimension,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
struct What {
    action: Action,
    by: By,
    outcome: Outcome,
}

impl News {
    /// Whether a decision may have to be told, whatever becomes of it.
    pub(super) fn wants(&self, uid: &str, component: &str, decision: &NfrDecision) -> bool {
        if decision.action != Action::Hold {
            return true;
        }
        let last = self.last_of(uid, component, decision.dimension);
        holds_something(&decision.by) && last.is_none_or(|last| last.outcome != Outcome::Held || last.by != decision.by)
    }

    /// Whether an entry is to be told; from then on it has been.
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        let (uid, dimension, decision) = (&entry.record.uid, entry.decision.dimension, &entry.decision);
        let what = What { action: decision.action, by: decision.by.clone(), outcome: entry.outcome.clone() };
        // What is applied is told each time: something was written.
        let writes = matches!(entry.outcome, Outcome::Begun | Outcome::Applied);
        let told = !writes && self.last_of(uid, &entry.component, dimension) == Some(&what);
        if told || !self.wants(uid, &entry.component, decision) {
            return false;
        }
        let all = self.last.entry(uid.clone()).or_default();
        all.retain(|one| (one.component.as_str(), one.dimension) != (entry.component.as_str(), dimension));
        all.push(Told { component: entry.component.clone(), dimension, what });
        true
    }

    /// Forgets the records that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.last.retain(|uid, _| is_there(uid));
    }

    fn last_of(&self, uid: &str, component: &str, dimension: Dimension) -> Option<&What> {
        let all = self.last.get(uid)?;
        all.iter().find(|one| (one.component.as_str(), one.dimension) == (component, dimension)).map(|one| &one.what)
    }
}

/// Whether there was a change to be held: without one there is nothing to tell, look after look.
fn holds_something(by: &By) -> bool {
    match by {
        By::Rule(_) => true,
        By::Invariant(invariant) => match invariant {
            Invariant::Signals | Invariant::History | Invariant::Range | Invariant::Step => true,
            Invariant::NoRecommendation
            | Invariant::Advice
            | Invariant::NoSafeguard
            | Invariant::DeadBand
            | Invariant::Stability => false,
        },
    }
}
