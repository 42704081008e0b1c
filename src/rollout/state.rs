//! The state of a roll-out: which basis each class is decided by.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Basis;
use super::pace::Log;
use crate::api::DeploymentRecord;
use crate::decision::{BlastRadius, Decision, Difference, difference, unexplained};
use crate::model::{Class, InvalidRecord, parse};
use crate::render::RenderSettings;

/// Name of a class; the order in which classes go over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassKey {
    /// Namespace of its record.
    pub namespace: String,
    /// Name of its record.
    pub name: String,
}

/// A class that runs: its record is there and is not being deleted.
#[derive(Clone, Debug)]
pub struct LiveClass {
    /// Its name.
    pub key: ClassKey,
    /// UID of its record.
    pub uid: String,
    /// Generation of its record.
    pub generation: i64,
    /// The template that it has.
    pub current: Option<String>,
    /// What runs is already what the basis that is offered gives it. It is looked at only where nobody knows what the
    /// class was decided by; the template is compared in any case.
    pub fits: bool,
    /// What its record says; `None` while that can't be read. What runs is left alone then, and nobody knows what it
    /// will be when the record is mended.
    pub class: Option<Class>,
}

/// Whether a change goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More classes than the bundle allows would change: nothing happens until a revision raises the bound.
    Held,
    /// Classes go over at the bundle's pace.
    Paced,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paced => "paced",
        }
    }
}

/// A class that waits, and what it is decided by until its turn.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    pub(super) uid: String,
    /// Generation of the record when the change was offered.
    pub(super) generation: i64,
    /// `None` where that is lost: the class stays as it is.
    pub(super) basis: Option<Arc<Basis>>,
    /// Its turn, from 1.
    pub(super) position: usize,
}

/// A change that is not through.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) verdict: Verdict,
    /// It is paced only because it goes back to what ran before.
    pub(super) back: bool,
    pub(super) since: Timestamp,
    pub(super) live: usize,
    /// Classes that it changes, or may change.
    pub(super) changed: usize,
    /// Of these, classes whose record could not be read when it was offered.
    pub(super) unread: usize,
    /// What the change is, in one line.
    pub(super) summary: String,
    /// The blast radius as JSON.
    pub(super) report: Value,
    pub(super) pins: BTreeMap<ClassKey, Pin>,
}

/// Which basis each class is decided by. A value: every step gives a new one.
#[derive(Clone, Debug)]
pub struct Rollout {
    pub(super) target: Arc<Basis>,
    /// What classes were decided by before the newest change that any of them noticed. To go back to it is not held.
    pub(super) previous: Option<Arc<Basis>>,
    pub(super) since: Timestamp,
    pub(super) pending: Option<Pending>,
    pub(super) released: Log,
}

/// A state that follows from another basis, and its effect.
#[derive(Debug)]
pub struct Offer {
    /// The state to be.
    pub next: Rollout,
    /// What it does to the live classes.
    pub radius: BlastRadius,
}

/// A state in which some classes wait no longer.
#[derive(Debug)]
pub struct Released {
    /// The state to be.
    pub next: Rollout,
    /// Classes that go over now.
    pub classes: Vec<ClassKey>,
}

/// A class as judged by the basis that holds for it.
#[derive(Debug)]
pub struct Judged {
    /// The class.
    pub class: Class,
    /// What was decided.
    pub decision: Decision,
    /// What rendering needs besides.
    pub render: RenderSettings,
    /// The change that waits for it.
    pub pending: Option<PendingChange>,
    /// It is lost what the class was decided by: until its turn it stays as it is, whatever was decided.
    pub frozen: bool,
}

/// What a class is to get that it does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// Whether it comes by itself.
    pub verdict: Verdict,
    /// The rule that makes the difference.
    pub rule: String,
    /// What is to change, why it waits, and for what.
    pub message: String,
}

/// What a class is decided by: a basis, what it decides, and how the newest one differs.
pub(super) struct Standing<'a> {
    pub(super) basis: &'a Arc<Basis>,
    pub(super) decision: Decision,
    pub(super) waits: Option<(Difference, usize)>,
    pub(super) frozen: bool,
}

impl Rollout {
    /// Everything is decided by one basis.
    pub fn new(basis: Arc<Basis>, now: Timestamp) -> Self {
        Self { target: basis, previous: None, since: now, pending: None, released: Log::default() }
    }

    /// The newest basis: new classes and those that would not notice use it.
    pub fn target(&self) -> &Arc<Basis> {
        &self.target
    }

    /// What classes were decided by before the newest change that any of them noticed.
    pub fn previous(&self) -> Option<&Arc<Basis>> {
        self.previous.as_ref()
    }

    /// Since when the newest revision is the newest.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The change that is not through.
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Judges a record, which has the template `current`.
    pub fn judge(&self, record: &DeploymentRecord, current: Option<&str>) -> Result<Judged, InvalidRecord> {
        let class = parse(record)?;
        let Standing { basis, decision, waits, frozen } = self.standing(&class, record.metadata.generation, current);
        let render = basis.render().clone();
        let pending = self.pending.as_ref().zip(waits).map(|(pending, (difference, position))| PendingChange {
            verdict: pending.verdict,
            rule: difference.cause.rule.clone(),
            message: pending.message(&self.target, &difference, position),
        });
        Ok(Judged { class, decision, render, pending, frozen })
    }

    /// What a class is decided by. A pinned one whose record changed since keeps its old basis, unless that gives it
    /// nothing where the newest one does.
    pub(super) fn standing(&self, class: &Class, generation: Option<i64>, current: Option<&str>) -> Standing<'_> {
        let after = self.target.decide(class, current);
        let newest = |decision| Standing { basis: &self.target, decision, waits: None, frozen: false };
        let Some(pin) = self.pin(class) else { return newest(after) };
        let changed = generation.is_none_or(|generation| generation != pin.generation);
        let Some(basis) = &pin.basis else { return self.lost(class, current, pin, changed, after) };
        let before = basis.decide(class, current);
        let rescued = changed && before.plan().is_none() && after.plan().is_some();
        if rescued || difference(class, &before, &after).is_none() {
            return newest(after);
        }
        let (explained, target) = (basis.explain(class, current), self.target.explain(class, current));
        let waits = difference(class, &explained, &target).map(|difference| (difference, pin.position));
        Standing { basis, decision: before, waits, frozen: false }
    }

    /// A class of which it is lost what it was decided by stays as it is. One whose record changed since is followed by
    /// the newest basis, but keeps its template as long as that has it.
    fn lost(&self, class: &Class, current: Option<&str>, pin: &Pin, changed: bool, after: Decision) -> Standing<'_> {
        let basis = &self.target;
        let waits = unexplained(current, &after).map(|difference| (difference, pin.position));
        if waits.is_none() || !changed {
            let frozen = waits.is_some();
            return Standing { basis, decision: after, waits, frozen };
        }
        let kept = Class { selected_template: current.map(str::to_owned), ..class.clone() };
        let mut decision = basis.decide(&kept, current);
        match decision.template.as_mut() {
            Ok(chosen) => {
                chosen.why = format!("{} is kept until the class's turn", chosen.plan.name);
                Standing { basis, decision, waits, frozen: false }
            }
            Err(_) => Standing { basis, decision: after, waits: None, frozen: false },
        }
    }

    /// A record without UID (one that a Deploy is about to write) is known by its name.
    fn pin(&self, class: &Class) -> Option<&Pin> {
        let key = ClassKey { namespace: class.namespace.clone(), name: class.name.clone() };
        self.waiting(&key, &class.uid)
    }

    /// The pin of a class that waits, by its name and UID.
    pub(super) fn waiting(&self, key: &ClassKey, uid: &str) -> Option<&Pin> {
        let pin = self.pending.as_ref()?.pins.get(key)?;
        (uid.is_empty() || uid == pin.uid).then_some(pin)
    }

    /// Whether this class waits.
    pub fn waits(&self, key: &ClassKey, uid: &str) -> bool {
        self.waiting(key, uid).is_some()
    }

    /// How long until the next class may go over; `None` where none will by itself.
    pub fn wait(&self, now: Timestamp) -> Option<std::time::Duration> {
        let pending = self.pending.as_ref()?;
        if pending.verdict == Verdict::Held {
            return None;
        }
        let wait = self.released.wait(self.target.policy().rollout().pace, now.as_millisecond());
        Some(std::time::Duration::from_millis(wait.max(0).unsigned_abs()))
    }
}

impl Pending {
    /// Whether it goes on by itself.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether it is paced only because it goes back to what ran before.
    pub fn is_back(&self) -> bool {
        self.back
    }

    /// Since when it waits.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Classes that ran when it was offered.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Classes that it changes, or may change because their records can't be read.
    pub fn changed(&self) -> usize {
        self.changed
    }

    /// Classes that still wait.
    pub fn waiting(&self) -> usize {
        self.pins.len()
    }

    /// Classes of which it is lost what they were decided by: they stay as they are until their turn.
    pub fn lost(&self) -> usize {
        self.pins.values().filter(|pin| pin.basis.is_none()).count()
    }

    /// The whole effect in one line.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Revisions that waiting classes are decided by, with their number, most first.
    pub fn on(&self) -> Vec<(Arc<Basis>, usize)> {
        let mut counts: BTreeMap<&str, (Arc<Basis>, usize)> = BTreeMap::new();
        for basis in self.pins.values().filter_map(|pin| pin.basis.as_ref()) {
            counts.entry(basis.id()).or_insert_with(|| (Arc::clone(basis), 0)).1 += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.id().cmp(right.0.id())));
        counts
    }

    /// What a waiting class is told. Nothing in it changes while others go over.
    fn message(&self, target: &Basis, difference: &Difference, position: usize) -> String {
        let revision = target.policy().revision();
        let rollout = target.policy().rollout();
        let rest = match self.verdict {
            Verdict::Held => {
                let perhaps = match self.unread {
                    0 => String::new(),
                    unread => format!(", {unread} of them perhaps (their records can't be read)"),
                };
                format!(
                    "held because {} of {} classes would change{perhaps}, more than {} %: the class stays as it is until \
                     a revision of the bundle allows it (rollout.hold_above)",
                    self.changed, self.live, rollout.hold_above
                )
            }
            Verdict::Paced => format!("position {position} of {} at {}", self.changed, rollout.pace),
        };
        format!("policy {revision}: {difference}; {rest}")
    }
}
