//! What an evaluation may cost: steps, which are the same on every machine, and behind them a watchdog with a clock.
//!
//! Every part of an expression is a step, each time a loop goes through it; what takes longer the larger its operands
//! are (concatenation, comparison of lists, searches, patterns) is charged for their size. The budget is what makes an
//! evaluation end, always at the same step. The watchdog catches what nobody thought of: it can be absent, and a pure
//! caller never notices.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cel_interpreter::ExecutionError;

/// Steps of one evaluation: far above any sensible rule over 64 functions. `cargo bench --bench hostile` measures that
/// they take less than [`DEADLINE`].
pub(super) const EVALUATION: u32 = 200_000;
/// Steps of all evaluations that share an allowance.
const ALLOWANCE: u32 = 400_000;
/// How long one evaluation may take by the watchdog's clock.
pub(crate) const DEADLINE: Duration = Duration::from_millis(50);
/// Steps between two looks at the clock.
const LOOK_EVERY: u32 = 2_048;
/// Bytes or items that are compared or copied in one step.
const BYTES_A_STEP: usize = 16;

static CLOCK: OnceLock<fn() -> Duration> = OnceLock::new();

/// Gives the watchdog a clock: time since some moment, never going back. Without one only steps are counted. The first
/// clock stays.
pub fn watch(clock: fn() -> Duration) {
    let _ = CLOCK.set(clock);
}

/// Steps that are left for several evaluations.
#[derive(Debug)]
pub(crate) struct Allowance(AtomicU32);

impl Default for Allowance {
    fn default() -> Self {
        Self(AtomicU32::new(ALLOWANCE))
    }
}

/// What an evaluation is for. Each has steps of its own, so that what only looks on never takes any from what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It decides.
    Decide,
    /// It is a rule that has no effect: `warn` or `dry-run`.
    Observe,
    /// It tells people what a rule read.
    Explain,
}

/// Steps that are left, by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    decide: Allowance,
    observe: Allowance,
    explain: Allowance,
}

impl Allowances {
    pub(crate) fn of(&self, purpose: Purpose) -> &Allowance {
        match purpose {
            Purpose::Decide => &self.decide,
            Purpose::Observe => &self.observe,
            Purpose::Explain => &self.explain,
        }
    }
}

impl Allowance {
    /// Takes the steps of one evaluation out, at most [`EVALUATION`]; what is not used comes back by [`Self::give`].
    fn take(&self) -> u32 {
        self.0.load(Ordering::Relaxed).min(EVALUATION)
    }

    fn give(&self, used: u32) {
        // Facts are evaluated by one thread at a time; a race would only lose count.
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(used), Ordering::Relaxed);
    }
}

// Overloads are plain function pointers without state of their own, so the budget of the evaluation that runs on this
// thread is kept here. It is set at the start of each evaluation and read by nothing else.
thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static UNTIL_LOOK: Cell<u32> = const { Cell::new(LOOK_EVERY) };
    static STARTED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs one evaluation of an expression with so many parts under its budget.
pub(super) fn within<T>(
    allowance: &Allowance,
    parts: u32,
    evaluate: impl FnOnce() -> Result<T, ExecutionError>,
) -> Result<T, ExecutionError> {
    let start = allowance.take();
    LEFT.set(start);
    UNTIL_LOOK.set(LOOK_EVERY);
    STARTED.set(None);
    let result = charge(parts as usize).and_then(|()| evaluate());
    allowance.give(start - LEFT.get());
    result
}

/// Charges steps to the evaluation that runs on this thread.
pub(super) fn charge(steps: usize) -> Result<(), ExecutionError> {
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    let Some(rest) = LEFT.get().checked_sub(steps) else {
        LEFT.set(0);
        return Err(ExecutionError::function_error("budget", "the rule takes too many steps"));
    };
    LEFT.set(rest);
    match UNTIL_LOOK.get().checked_sub(steps) {
        Some(until) => UNTIL_LOOK.set(until),
        None => look()?,
    }
    Ok(())
}

/// Charges for going through so many bytes.
pub(super) fn charge_bytes(bytes: usize) -> Result<(), ExecutionError> {
    charge(bytes / BYTES_A_STEP + 1)
}

fn look() -> Result<(), ExecutionError> {
    UNTIL_LOOK.set(LOOK_EVERY);
    let Some(clock) = CLOCK.get() else { return Ok(()) };
    let now = clock();
    let started = STARTED.get().unwrap_or(now);
    STARTED.set(Some(started));
    if now.saturating_sub(started) > DEADLINE {
        LEFT.set(0);
        return Err(ExecutionError::function_error("budget", "the rule takes too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_evaluation_ends_at_its_budget_and_the_rules_of_one_class_share_a_larger_one() {
        let allowance = Allowance::default();
        let spend = |steps: usize| within(&allowance, 1, || charge(steps)).map_err(|error| error.to_string());
        assert!(spend(EVALUATION as usize).unwrap_err().contains("too many steps"));
        assert_eq!(spend(EVALUATION as usize - 1), Ok(()));
        // Both took their whole budget: nothing is left for a third.
        assert!(spend(1).unwrap_err().contains("too many steps"));
    }

    #[test]
    fn the_watchdog_stops_what_the_steps_do_not() {
        thread_local! { static NOW: Cell<u64> = const { Cell::new(0) }; }
        watch(|| Duration::from_millis(NOW.get()));
        let run = |millis_a_step: u64| {
            within(&Allowance::default(), 1, || {
                for _ in 0..20 {
                    charge(LOOK_EVERY as usize)?;
                    NOW.set(NOW.get() + millis_a_step);
                }
                Ok(())
            })
        };
        assert_eq!(run(1), Ok(()));
        assert!(run(10).unwrap_err().to_string().contains("too long"));
    }
}
