//! Whether a change is made, and how far it goes.

use crate::policy::{ComponentKind, Dimension, Guard, Proposal, SafeguardPolicy, Stabilize};

use super::bind::bind_proposal;
use super::clamp::{Bounds, Quantum, down, one_step, up};
use super::outcome::{BoundTrace, By, Direction, Invariant, LimitTrace, NfrTrace};
use super::timeline::{Asked, Failure, Timeline, Window};
use super::{Question, size_text};

/// Why nothing is done.
pub(super) struct Held {
    pub(super) by: By,
    pub(super) reason: String,
}

/// A size to write, what had the last word about it, and why.
pub(super) type Applied = (f64, By, String);

fn held(by: Invariant, reason: impl Into<String>) -> Held {
    Held { by: By::Invariant(by), reason: reason.into() }
}

fn failed((rule, reason): &Failure) -> Held {
    Held { by: By::Rule(rule.clone()), reason: format!("{rule} could not be evaluated: {reason}") }
}

/// Which way a size lies outside the dead-band around another: above it, or below it and also below after rounding up.
pub(super) fn direction(size: f64, around: f64, band: f64) -> Option<Direction> {
    if size > around * (1.0 + band) && up(size) > around {
        Some(Direction::Up)
    } else if up(size) < around && size < around * (1.0 - band) {
        Some(Direction::Down)
    } else {
        None
    }
}

/// The field, and what moves it; sizes in units.
struct Field {
    current: f64,
    bounds: Bounds,
    band: f64,
}

impl Field {
    /// Which way the range moves the field, whatever the rules say.
    fn out_of_range(&self) -> Option<Direction> {
        if self.current > self.bounds.cap {
            Some(Direction::Down)
        } else if self.current < self.bounds.floor.min(self.bounds.cap) {
            Some(Direction::Up)
        } else {
            None
        }
    }

    fn direction(&self, size: f64) -> Option<Direction> {
        direction(size, self.current, self.band)
    }
}

/// A change as it is proposed; sizes in units.
struct Change {
    direction: Direction,
    wanted: f64,
    /// The range alone asks for it.
    ranged: bool,
    /// Whether its window lets it happen.
    confirmed: Result<(), Held>,
}

/// Where a policy's rules let a change end; in units, each with its rule.
#[derive(Default)]
struct Limits {
    at_most: Option<(f64, String)>,
    at_least: Option<(f64, String)>,
}

/// Makes the change that the newest point asks for, or says why not. Also gives the dead-band, as a share.
pub(super) fn change(
    safeguard: Option<&SafeguardPolicy>,
    timeline: &mut Timeline<'_>,
    question: &Question<'_>,
    newest: &Asked,
    trace: &mut NfrTrace,
) -> (f64, Result<Applied, Held>) {
    if question.component == ComponentKind::Odgm || question.dimension == Dimension::Partitions {
        // Noise is no news of it either: what would be too little for a change is too little for other advice.
        let stabilize = safeguard.and_then(|one| one.stabilize(timeline.facts(question.now)).ok());
        let band = stabilize.map_or(0.0, |one| one.dead_band_pct / 100.0);
        return (band, Err(held(Invariant::Advice, "a data grid is not resized by the controller: this is advice")));
    }
    let Some(safeguard) = safeguard else {
        return (0.0, Err(held(Invariant::NoSafeguard, "the policy has no Safeguard for this, so nothing is applied")));
    };
    let Some((proposal, raw)) = &newest.proposal else {
        return (0.0, Err(unanswered(timeline, newest)));
    };
    let stabilize = match safeguard.stabilize(timeline.facts(question.now)) {
        Ok(stabilize) => stabilize,
        Err(failure) => return (0.0, Err(failed(&failure))),
    };
    let band = stabilize.dead_band_pct / 100.0;
    let quantum = Quantum::of(question.dimension);
    let current = quantum.count(question.state.current);
    // Replicas may start from none; a request that nobody states is not known.
    let known = current > 0.0 || (current == 0.0 && question.dimension == Dimension::Replicas);
    if !known {
        return (band, Err(held(Invariant::NoRecommendation, "there is no size to start from")));
    }
    let field = Field { current, bounds: question.range.counted(quantum), band };
    let outcome =
        proposed(&field, &stabilize, question, (newest, proposal, *raw), (timeline, trace)).and_then(|change| {
            guard(safeguard, timeline, question, &change, (proposal, trace)).and_then(|limits| {
                change.confirmed?;
                let asked = (change.direction, change.wanted, change.ranged);
                settle(&field, question, asked, &limits, (proposal, trace))
            })
        });
    (band, outcome)
}

/// Why there is nothing to act upon.
fn unanswered(timeline: &Timeline<'_>, newest: &Asked) -> Held {
    let missing = timeline.missing();
    match &newest.failure {
        _ if !missing.is_empty() => held(Invariant::Signals, missing.join("; ")),
        Some(failure) => failed(failure),
        None => held(Invariant::NoRecommendation, "no rule recommends anything"),
    }
}

/// The change that the newest point and the range ask for, with what its window says.
fn proposed(
    field: &Field,
    stabilize: &Stabilize,
    question: &Question<'_>,
    (newest, proposal, raw): (&Asked, &Proposal, f64),
    (timeline, trace): (&mut Timeline<'_>, &mut NfrTrace),
) -> Result<Change, Held> {
    let (by_range, by_rules) = (field.out_of_range(), field.direction(raw));
    let Some(direction) = by_range.or(by_rules) else {
        if timeline.is_brief() {
            return Err(held(Invariant::DeadBand, ""));
        }
        let text = |size| size_text(question.dimension, size);
        let (asks, is) = (text(proposal.target), text(question.state.current));
        return Err(held(Invariant::DeadBand, format!("{asks} is asked for and {is} is there: too near for a change")));
    };
    let missing = timeline.missing();
    if direction == Direction::Down && !missing.is_empty() {
        return Err(held(Invariant::Signals, format!("nothing shrinks: {}", missing.join("; "))));
    }
    if let (Direction::Down, Some(failure)) = (direction, &newest.failure) {
        return Err(failed(failure));
    }
    let rules_ask = by_rules == Some(direction);
    let length = if direction == Direction::Up { stabilize.up } else { stabilize.down };
    // A rise to the floor needs no window; anything that shrinks does.
    let window = (rules_ask || direction == Direction::Down).then(|| {
        let agrees = |size: f64| !rules_ask || field.direction(size) == Some(direction);
        let whole = by_range.is_some();
        timeline.window(direction, length, (newest, question.state.settled_since()), (agrees, whole))
    });
    let change = weighed(field, direction, (raw, rules_ask, by_range.is_some()), window.as_ref(), question);
    trace.window = window.map(|window| window.trace);
    Ok(change)
}

/// Where a change goes: to the window's bound where the window agrees, else only back into the range.
fn weighed(
    field: &Field,
    direction: Direction,
    (raw, rules_ask, by_range): (f64, bool, bool),
    window: Option<&Window>,
    question: &Question<'_>,
) -> Change {
    let shortfall = window.and_then(|window| window.trace.shortfall.as_ref());
    let against = window.and_then(|window| window.against);
    let agreed = rules_ask && shortfall.is_none() && against.is_none();
    let bound = window.filter(|_| agreed).and_then(|window| window.bound);
    let confirmed = match (shortfall, against) {
        (Some(fault), _) if direction == Direction::Down || !by_range => Err(held(Invariant::History, fault.clone())),
        (None, Some((at, value))) if !by_range => {
            let value = size_text(question.dimension, value);
            let reason = format!("the window {} does not agree: at {at} the rules asked for {value}", direction.name());
            Err(held(Invariant::Stability, reason))
        }
        _ => Ok(()),
    };
    let wanted = match bound {
        Some(bound) => up(bound),
        // Not agreed upon, so it is not made; rules that hold it are told all the same.
        None if rules_ask && !by_range => up(raw),
        None => field.bounds.clamp(field.current),
    };
    Change { direction, wanted, ranged: by_range && bound.is_none(), confirmed }
}

/// Asks the Safeguard's rules about a change: the first that holds it, or where they let it end.
fn guard(
    safeguard: &SafeguardPolicy,
    timeline: &mut Timeline<'_>,
    question: &Question<'_>,
    change: &Change,
    (proposal, trace): (&Proposal, &mut NfrTrace),
) -> Result<Limits, Held> {
    let quantum = Quantum::of(question.dimension);
    let facts = timeline.facts(question.now);
    bind_proposal(facts, question, (change.direction, quantum.value(change.wanted)), proposal);
    let (mut first, mut limits) = (None, Limits::default());
    for guarded in safeguard.evaluate(facts) {
        let rule = &guarded.trace.rule;
        let holds = match guarded.effect {
            // So does a rule that can't be evaluated.
            Some(Guard::Hold { message }) => Some(Held { by: By::Rule(rule.to_string()), reason: message }),
            Some(Guard::Bound { at_most, at_least }) => {
                let counted =
                    (at_most.map(|most| down(quantum.count(most))), at_least.map(|least| up(quantum.count(least))));
                let binds = change.is_bound_by(counted);
                trace.bounds.push(BoundTrace { rule: rule.to_string(), at_most, at_least, binds });
                limits.narrow(counted, rule);
                None
            }
            None => None,
        };
        first = first.or(holds);
        trace.asked.extend(guarded.asked.map(|asked| (rule.to_string(), asked)));
        trace.safeguard.push(guarded.trace);
    }
    first.map_or(Ok(limits), Err)
}

impl Change {
    /// Whether a bound, at most and at least, is where it ends at the furthest.
    fn is_bound_by(&self, (most, least): (Option<f64>, Option<f64>)) -> bool {
        match self.direction {
            Direction::Up => most.is_some_and(|most| most <= self.wanted),
            Direction::Down => least.is_some_and(|least| least >= self.wanted),
        }
    }
}

impl Limits {
    /// The lowest of what is at most, the highest of what is at least; of equal bounds the first.
    fn narrow(&mut self, (most, least): (Option<f64>, Option<f64>), rule: &str) {
        if let Some(most) = most.filter(|most| self.at_most.as_ref().is_none_or(|(lowest, _)| most < lowest)) {
            self.at_most = Some((most, rule.to_owned()));
        }
        if let Some(least) = least.filter(|least| self.at_least.as_ref().is_none_or(|(highest, _)| least > highest)) {
            self.at_least = Some((least, rule.to_owned()));
        }
    }
}

/// Holds a confirmed change to the policy's limits, to the range and to one step.
///
/// A limit is a brake: a rise ends at what is at most, a fall at what is at least, and none turns a change around or
/// makes it larger. So bounds that contradict each other hold, and where both lie ahead the nearer one counts: a cap
/// that was lowered, or a floor that was raised, is reached in the steps that another rule allows. The range brakes in
/// the same way; what lies outside of it was set on its way into it before.
fn settle(
    field: &Field,
    question: &Question<'_>,
    (direction, wanted, ranged): (Direction, f64, bool),
    limits: &Limits,
    (proposal, trace): (&Proposal, &mut NfrTrace),
) -> Result<Applied, Held> {
    let text = |size: f64| size_text(question.dimension, Quantum::of(question.dimension).value(size));
    let (by, reason) = if ranged {
        let reason = format!("{} is there, {} is the bound", text(field.current), text(wanted));
        (By::Invariant(Invariant::Range), reason)
    } else {
        let asks = size_text(question.dimension, proposal.target);
        (By::Rule(proposal.rule.clone()), format!("{} asks for {asks}", proposal.rule))
    };
    let mut settling =
        Settling { direction, current: field.current, size: wanted, by, reason, dimension: question.dimension, trace };
    let (brake, other) = match direction {
        Direction::Up => (&limits.at_most, &limits.at_least),
        Direction::Down => (&limits.at_least, &limits.at_most),
    };
    if let Some((bound, rule)) = brake {
        let against = other.as_ref().filter(|(other, _)| match direction {
            Direction::Up => other > bound,
            Direction::Down => other < bound,
        });
        settling.brake(*bound, By::Rule(rule.clone())).map_err(|mut held| {
            if let Some((bound, other)) = against {
                held.reason = format!("{}, and {other} contradicts it with {}", held.reason, text(*bound));
            }
            held
        })?;
    }
    let Bounds { floor, cap } = field.bounds;
    settling.brake(if direction == Direction::Up { cap } else { floor.min(cap) }, By::Invariant(Invariant::Range))?;
    let stepped = one_step(field.current, settling.size, field.bounds.takes_none());
    settling.brake(stepped, By::Invariant(Invariant::Step))?;
    let Settling { size, by, reason, .. } = settling;
    Ok((Quantum::of(question.dimension).value(size), by, reason))
}

/// A confirmed change on its way through what it is held to; sizes in units.
struct Settling<'a> {
    direction: Direction,
    current: f64,
    size: f64,
    by: By,
    reason: String,
    dimension: Dimension,
    trace: &'a mut NfrTrace,
}

impl Settling<'_> {
    /// Lets the change go no further than a bound; where nothing is left of it, that holds.
    fn brake(&mut self, bound: f64, by: By) -> Result<(), Held> {
        let (further, moves) = match self.direction {
            Direction::Up => (self.size > bound, bound > self.current),
            Direction::Down => (self.size < bound, bound < self.current),
        };
        if !further {
            return Ok(());
        }
        let quantum = Quantum::of(self.dimension);
        let (from, to) = (quantum.value(self.size), quantum.value(bound));
        let text = |size: f64| size_text(self.dimension, size);
        if !moves {
            let end = if self.direction == Direction::Up { "at most" } else { "at least" };
            let reason = format!("{}; {by}: {end} {}", self.reason, text(to));
            return Err(Held { by, reason });
        }
        self.reason = format!("{}; {by}: {} instead of {}", self.reason, text(to), text(from));
        self.trace.limits.push(LimitTrace { by: by.clone(), from, to });
        (self.size, self.by) = (bound, by);
        Ok(())
    }
}
