//! The state of a roll-out: which basis each class is decided by, and how one state follows from another.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Basis;
use super::pace::Log;
use crate::api::DeploymentRecord;
use crate::decision::{BlastRadius, ClassChange, Decision, Difference, difference};
use crate::model::{Class, InvalidRecord, parse};
use crate::policy::RolloutPolicy;
use crate::render::RenderSettings;

/// Classes of a blast radius that are shown in full.
const EXAMPLES: usize = 10;

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
    pub(super) basis: Arc<Basis>,
    /// Its turn, from 1.
    pub(super) position: usize,
}

/// A change that is not through.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) verdict: Verdict,
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
struct Standing<'a> {
    basis: &'a Arc<Basis>,
    decision: Decision,
    waits: Option<(Difference, usize)>,
}

impl Rollout {
    /// Everything is decided by one basis.
    pub fn new(basis: Arc<Basis>, now: Timestamp) -> Self {
        Self { target: basis, since: now, pending: None, released: Log::default() }
    }

    /// The newest basis: new classes and those that would not notice use it.
    pub fn target(&self) -> &Arc<Basis> {
        &self.target
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
        let Standing { basis, decision, waits } = self.standing(&class, record.metadata.generation, current);
        let render = basis.render().clone();
        let pending = self.pending.as_ref().zip(waits).map(|(pending, (difference, position))| PendingChange {
            verdict: pending.verdict,
            rule: difference.cause.rule.clone(),
            message: pending.message(&self.target, &difference, position),
        });
        Ok(Judged { class, decision, render, pending })
    }

    /// What a class is decided by. A pinned one whose record changed since keeps its old basis, unless that gives it
    /// nothing where the newest one does.
    fn standing(&self, class: &Class, generation: Option<i64>, current: Option<&str>) -> Standing<'_> {
        let after = self.target.decide(class, current);
        let newest = |decision| Standing { basis: &self.target, decision, waits: None };
        let Some(pin) = self.pin(class) else { return newest(after) };
        let before = pin.basis.decide(class, current);
        let changed = generation.is_none_or(|generation| generation != pin.generation);
        let rescued = changed && before.plan().is_none() && after.plan().is_some();
        if rescued || difference(class, &before, &after).is_none() {
            return newest(after);
        }
        let (explained, target) = (pin.basis.explain(class, current), self.target.explain(class, current));
        let waits = difference(class, &explained, &target).map(|difference| (difference, pin.position));
        Standing { basis: &pin.basis, decision: before, waits }
    }

    /// A record without UID (one that a Deploy is about to write) is known by its name.
    fn pin(&self, class: &Class) -> Option<&Pin> {
        let key = ClassKey { namespace: class.namespace.clone(), name: class.name.clone() };
        self.waiting(&key, &class.uid)
    }

    /// The pin of a class that waits, by its name and UID.
    fn waiting(&self, key: &ClassKey, uid: &str) -> Option<&Pin> {
        let pin = self.pending.as_ref()?.pins.get(key)?;
        (uid.is_empty() || uid == pin.uid).then_some(pin)
    }

    /// Whether this class waits.
    pub fn waits(&self, key: &ClassKey, uid: &str) -> bool {
        self.waiting(key, uid).is_some()
    }

    /// The state with another basis as the newest one. Each live class is compared with what it is decided by now; one
    /// whose record can't be read may change, and keeps the basis that it has.
    pub fn offer(&self, candidate: &Arc<Basis>, live: &[LiveClass], now: Timestamp) -> Offer {
        let (mut changes, mut unread) = (Vec::new(), 0);
        let mut pins = BTreeMap::new();
        for one in live {
            let basis = match &one.class {
                Some(class) => match self.change(candidate, class, one) {
                    Some((basis, change)) => {
                        changes.push(change);
                        basis
                    }
                    None => continue,
                },
                None => {
                    let basis = self.waiting(&one.key, &one.uid).map_or(&self.target, |pin| &pin.basis);
                    if basis.id() == candidate.id() {
                        continue;
                    }
                    unread += 1;
                    basis
                }
            };
            let (uid, generation) = (one.uid.clone(), one.generation);
            pins.insert(one.key.clone(), Pin { uid, generation, basis: Arc::clone(basis), position: 0 });
        }
        for (index, pin) in pins.values_mut().enumerate() {
            pin.position = index + 1;
        }
        let radius = BlastRadius::new(live.len(), changes).with_unread(unread);
        let pending = (!pins.is_empty()).then(|| Pending {
            verdict: verdict(&radius, candidate.policy().rollout()),
            since: now,
            live: radius.live,
            changed: pins.len(),
            unread,
            summary: radius.summary(),
            report: radius.json(EXAMPLES),
            pins,
        });
        let same = self.target.policy().revision() == candidate.policy().revision();
        let since = if same { self.since } else { now };
        let next = Self { target: Arc::clone(candidate), since, pending, released: self.released.clone() };
        Offer { next, radius }
    }

    /// What a basis would change for a class, and the basis that it is decided by now.
    fn change(&self, candidate: &Basis, class: &Class, one: &LiveClass) -> Option<(&Arc<Basis>, ClassChange)> {
        let current = one.current.as_deref();
        let Standing { basis, decision, .. } = self.standing(class, Some(one.generation), current);
        if basis.id() == candidate.id() {
            return None;
        }
        difference(class, &decision, &candidate.decide(class, current))?;
        let (before, after) = (basis.explain(class, current), candidate.explain(class, current));
        let difference = difference(class, &before, &after)?;
        let ClassKey { namespace, name } = one.key.clone();
        Some((basis, ClassChange { namespace, name, difference }))
    }

    /// The state after those went over whose turn it is, and without classes that are gone; `None` where there are none.
    /// `find` gives the class of a record that is still there, by its name and UID; one whose record can't be read now is
    /// there, and takes its turn.
    pub fn release(&self, find: impl Fn(&ClassKey, &str) -> Option<LiveClass>, now: Timestamp) -> Option<Released> {
        let pending = self.pending.as_ref()?;
        let pace = self.target.policy().rollout().pace;
        let mut left = match pending.verdict {
            Verdict::Held => 0,
            Verdict::Paced => self.released.allowed(pace, now.as_millisecond()),
        };
        let (mut classes, mut gone) = (Vec::new(), Vec::new());
        for (key, pin) in &pending.pins {
            match find(key, &pin.uid) {
                None => gone.push(key.clone()),
                Some(live) if left > 0 => {
                    // One whose record changed so that it would not notice any more takes up nobody's turn.
                    let notices = live.class.as_ref().is_none_or(|class| {
                        self.standing(class, Some(live.generation), live.current.as_deref()).waits.is_some()
                    });
                    if !notices {
                        gone.push(key.clone());
                    } else {
                        classes.push(key.clone());
                        left -= 1;
                    }
                }
                Some(_) => {}
            }
        }
        if classes.is_empty() && gone.is_empty() {
            return None;
        }
        let mut next = self.clone();
        if let Some(pending) = &mut next.pending {
            pending.pins.retain(|key, _| !classes.contains(key) && !gone.contains(key));
        }
        next.pending = next.pending.filter(|pending| !pending.pins.is_empty());
        if let (false, Ok(count)) = (classes.is_empty(), u32::try_from(classes.len())) {
            next.released.note(pace, now.as_millisecond(), count);
        }
        Some(Released { next, classes })
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

fn verdict(radius: &BlastRadius, policy: RolloutPolicy) -> Verdict {
    let handful = radius.changes().len() + radius.unread() >= policy.at_least as usize;
    if handful && radius.share() * 100.0 > policy.hold_above { Verdict::Held } else { Verdict::Paced }
}

impl Pending {
    /// Whether it goes on by itself.
    pub fn verdict(&self) -> Verdict {
        self.verdict
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

    /// The whole effect in one line.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Revisions that waiting classes are decided by, with their number, most first.
    pub fn on(&self) -> Vec<(Arc<Basis>, usize)> {
        let mut counts: BTreeMap<&str, (Arc<Basis>, usize)> = BTreeMap::new();
        for pin in self.pins.values() {
            counts.entry(pin.basis.id()).or_insert_with(|| (Arc::clone(&pin.basis), 0)).1 += 1;
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
