//! How one state of a roll-out follows from another: another basis is offered, what was kept is lost, classes go over.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Basis;
use super::state::{ClassKey, LiveClass, Offer, Pending, Pin, Released, Rollout, Standing, Verdict};
use crate::decision::{BlastRadius, ClassChange, Difference, difference, unexplained};
use crate::model::Class;
use crate::policy::RolloutPolicy;

/// Classes of a blast radius that are shown in full.
const EXAMPLES: usize = 10;

/// What a basis that is offered does to the live classes.
#[derive(Default)]
struct Effect {
    changes: Vec<ClassChange>,
    unread: usize,
    pins: BTreeMap<ClassKey, Pin>,
}

impl Effect {
    /// A class that is to wait. What it would get, where that is known.
    fn pin(&mut self, one: &LiveClass, basis: Option<&Arc<Basis>>, generation: i64, difference: Option<Difference>) {
        let pin = Pin { uid: one.uid.clone(), generation, basis: basis.cloned(), position: 0 };
        self.pins.insert(one.key.clone(), pin);
        match difference {
            Some(difference) => {
                let ClassKey { namespace, name } = one.key.clone();
                self.changes.push(ClassChange { namespace, name, difference });
            }
            None => self.unread += 1,
        }
    }

    /// The change that is to wait, and its blast radius. `back` is whether it goes back to what ran before: during an
    /// incident that must not wait for a second commit.
    fn pending(self, candidate: &Basis, live: usize, back: bool, now: Timestamp) -> (Option<Pending>, BlastRadius) {
        let Self { changes, unread, mut pins } = self;
        for (index, pin) in pins.values_mut().enumerate() {
            pin.position = index + 1;
        }
        let radius = BlastRadius::new(live, changes).with_unread(unread);
        let above = is_above(&radius, candidate.policy().rollout());
        let pending = (!pins.is_empty()).then(|| Pending {
            verdict: if above && !back { Verdict::Held } else { Verdict::Paced },
            back: above && back,
            since: now,
            live,
            changed: pins.len(),
            unread,
            summary: radius.summary(),
            report: radius.json(EXAMPLES),
            pins,
        });
        (pending, radius)
    }
}

impl Rollout {
    /// The state where it is lost what the live classes were decided by: those that do not have what the basis gives
    /// them stay as they are and wait.
    pub fn regain(basis: &Arc<Basis>, live: &[LiveClass], now: Timestamp) -> Offer {
        let mut effect = Effect::default();
        for one in live {
            lost(&mut effect, basis, one, one.generation);
        }
        let (pending, radius) = effect.pending(basis, live.len(), false, now);
        let next = Self { pending, ..Self::new(Arc::clone(basis), now) };
        Offer { next, radius }
    }

    /// The state with another basis as the newest one. Each live class is compared with what it is decided by now; one
    /// whose record can't be read may change, and keeps the basis that it has.
    pub fn offer(&self, candidate: &Arc<Basis>, live: &[LiveClass], now: Timestamp) -> Offer {
        let mut effect = Effect::default();
        for one in live {
            match self.waiting(&one.key, &one.uid) {
                Some(pin) if pin.basis.is_none() => lost(&mut effect, candidate, one, pin.generation),
                pin => {
                    let basis = pin.and_then(|pin| pin.basis.as_ref()).unwrap_or(&self.target);
                    self.compare(&mut effect, basis, candidate, one);
                }
            }
        }
        let back = self.previous.as_ref().is_some_and(|previous| previous.decides_as(candidate));
        let (pending, radius) = effect.pending(candidate, live.len(), back, now);
        // While a change is not through, what ran before it is still what ran before; and whoever went back does not go
        // forth again without asking.
        let forth = pending.is_some() && self.pending.is_none() && !back;
        let before = if forth { Some(&self.target) } else { self.previous.as_ref() };
        let previous = before.cloned();
        let same = self.target.policy().revision() == candidate.policy().revision();
        let since = if same { self.since } else { now };
        let next = Self { target: Arc::clone(candidate), previous, since, pending, released: self.released.clone() };
        Offer { next, radius }
    }

    /// Compares what a class is decided by now (`basis` where its record can't be read) with what a basis gives it.
    fn compare(&self, effect: &mut Effect, basis: &Arc<Basis>, candidate: &Basis, one: &LiveClass) {
        let Some(class) = &one.class else {
            if basis.id() != candidate.id() {
                effect.pin(one, Some(basis), one.generation, None);
            }
            return;
        };
        let current = one.current.as_deref();
        let Standing { basis, decision, .. } = self.standing(class, Some(one.generation), current);
        if basis.id() == candidate.id() || difference(class, &decision, &candidate.decide(class, current)).is_none() {
            return;
        }
        let (before, after) = (basis.explain(class, current), candidate.explain(class, current));
        if let Some(difference) = difference(class, &before, &after) {
            effect.pin(one, Some(basis), one.generation, Some(difference));
        }
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
                    if notices {
                        classes.push(key.clone());
                        left -= 1;
                    } else {
                        gone.push(key.clone());
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
}

/// A class of which it is lost what it was decided by, and which may not have what a basis gives it.
fn lost(effect: &mut Effect, candidate: &Basis, one: &LiveClass, generation: i64) {
    let difference = match &one.class {
        None => None,
        Some(class) => match strange(candidate, class, one) {
            Some(difference) => Some(difference),
            None => return,
        },
    };
    effect.pin(one, None, generation, difference);
}

/// What a basis gives a class that it does not have, by its template and by what is seen of it.
fn strange(candidate: &Basis, class: &Class, one: &LiveClass) -> Option<Difference> {
    let current = one.current.as_deref();
    let after = candidate.decide(class, current);
    let same = after.plan().is_some_and(|plan| Some(plan.name.as_str()) == current);
    unexplained(current, &after).filter(|_| !(same && one.fits))
}

/// Whether more classes would change than the bundle lets through.
fn is_above(radius: &BlastRadius, policy: RolloutPolicy) -> bool {
    let handful = radius.changes().len() + radius.unread() >= policy.at_least as usize;
    handful && radius.share() * 100.0 > policy.hold_above
}
