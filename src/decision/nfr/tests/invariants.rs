//! What holds under any policy: hostile policies, loads with gaps, faults and clocks, all generated.
//!
//! Each property names the line that it guards. Each was seen to fail with that line changed as it says.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::decision::nfr::{Action, By, Direction, Grid, NfrDecision, Question, Range, Samples, State, decide};
use crate::policy::{
    Bundle, ComponentKind, Dimension, FactValue, Facts, File, Inputs, Policy, RuleMode, RuleOutcome, Series,
};

const STEP: i64 = 30;
/// Start of every load; a multiple of the step.
pub(super) const START: i64 = 1_767_225_600;

/// A number, as a policy that means no good would write it: any size, any reading, some that fail when evaluated.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-5_i32..60).prop_map(|value| format!("{value}.0")),
        Just("1.0e300".to_owned()),
        Just("current.replicas".to_owned()),
        (-3_i32..8).prop_map(|value| format!("(current.replicas + {value}.0)").replace("+ -", "- ")),
        Just("proposal.target".to_owned()),
        Just("proposal.change".to_owned()),
        Just("limits.max_replicas".to_owned()),
        Just("signals.cpu.last()".to_owned()),
        Just("signals.cpu.slope_over(duration(\"2m\"))".to_owned()),
        Just("signals.rps.max_over(duration(\"3m\"))".to_owned()),
        Just("exp(current.replicas * 100.0)".to_owned()),
        Just("log(current.replicas - 3.0)".to_owned()),
        Just("(10.0 / (current.replicas - 4.0))".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), prop::sample::select(vec!["+", "-", "*"]))
                .prop_map(|(left, right, op)| format!("({left} {op} {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("min({left}, {right})")),
            (inner.clone(), inner)
                .prop_map(|(left, right)| format!("(proposal.direction == \"up\" ? {left} : {right})")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let compares = (number(), number(), prop::sample::select(vec!["<", ">", "<=", ">="]))
        .prop_map(|(left, right, op)| format!("{left} {op} {right}"));
    prop_oneof![
        3 => compares,
        1 => Just("has(proposal.changed_by)".to_owned()),
        1 => Just("has(proposal.since_applied) && proposal.since_applied < duration(\"3m\")".to_owned()),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let mode = prop::sample::select(vec!["enforce", "enforce", "enforce", "warn", "dry-run"]);
    let does = prop_oneof![
        2 => number().prop_map(|bound| format!("at_most: '{bound}'")),
        2 => number().prop_map(|bound| format!("at_least: '{bound}'")),
        1 => (number(), number()).prop_map(|(most, least)| format!("at_most: '{most}', at_least: '{least}'")),
        1 => condition().prop_map(|condition| format!("hold: '{condition}'")),
    ];
    (mode, does).prop_map(|(mode, does)| format!("mode: {mode}, {does}"))
}

/// What a Recommendation asks for, over signals that may be missing.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("signals.cpu.max_over(duration(\"1m\")) * 2.0".to_owned()),
        Just("signals.cpu.last() * 2.0".to_owned()),
        Just("signals.cpu.max_over(duration(\"8m\")) * 2.0".to_owned()),
        Just("signals.cpu.avg_over(duration(\"2m\")) + signals.cpu.stddev_over(duration(\"3m\"))".to_owned()),
        Just("signals.rps.max_over(duration(\"1m\")) / 3.0".to_owned()),
        Just("max(0.0, signals.cpu.slope_over(duration(\"2m\")) * 100.0)".to_owned()),
        Just("10.0 / signals.cpu.last()".to_owned()),
        Just("1.0e300 * max(1.0, signals.cpu.last())".to_owned()),
        (0_u32..40).prop_map(|value| format!("{value}.0")),
    ]
}

/// A policy that means no good.
fn policy() -> impl Strategy<Value = String> {
    let rules = prop::collection::vec(rule(), 1..4);
    let targets = prop::collection::vec(target(), 1..3);
    (rules, targets, 0_u32..4, 1_u32..8, 0_u32..40, any::<bool>()).prop_map(|(rules, targets, up, down, band, first)| {
        let mut text = include_str!("hostile.yaml").replace("COMBINE", if first { "first" } else { "max" });
        for (index, target) in targets.iter().enumerate() {
            let _ = writeln!(text, "    - {{id: r{index}, target: '{target}', basis: '\"b\"'}}");
        }
        let (up, down) = (up * 30, down * 30);
        let _ = writeln!(
            text,
            "---\napiVersion: policy.oaas.io/v1alpha1\nkind: Safeguard\nmetadata: {{name: replicas}}\nspec:\n  dimension: \
             replicas\n  stabilize: {{up: 'duration(\"{up}s\")', down: 'duration(\"{down}s\")', dead_band: '{band}.0'}}\n  \
             rules:"
        );
        for (index, rule) in rules.iter().enumerate() {
            let _ = writeln!(text, "    - {{id: g{index}, {rule}}}");
        }
        text
    })
}

/// A compiled policy; `None` where the check refuses it, which is as good.
pub(super) fn compiled(text: &str) -> Option<Policy> {
    let file = File { name: "p.yaml".to_owned(), text: text.to_owned() };
    let bundle = Bundle::read(&[file], &[]).ok()?;
    bundle.compile(&Inputs { profile: "dev".to_owned(), ..Inputs::default() }).ok().map(|(policy, _)| policy)
}

/// Samples, most of them on the grid, with gaps.
fn samples() -> impl Strategy<Value = Vec<Option<f64>>> {
    let level = (0.0..8.0_f64, 1_usize..12, 0.0..0.4_f64, 0..10_u8);
    prop::collection::vec(level, 2..6).prop_map(|levels| {
        let mut values = Vec::new();
        for (level, count, noise, gap) in levels {
            for index in 0..count {
                let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
                // Of the gaps some are as long as a sample may be old, some are longer.
                let there = match gap {
                    0 => index % 3 == 0,
                    1 => index % 2 == 0,
                    _ => true,
                };
                values.push(there.then_some(f64::max(0.0, level + sign * noise)));
            }
        }
        values
    })
}

fn series(values: &[Option<f64>]) -> Arc<Series> {
    let at = |index: usize| Timestamp::from_second(START + i64::try_from(index).unwrap() * STEP).unwrap();
    let points = values.iter().enumerate().filter_map(|(index, value)| Some((at(index), (*value)?)));
    Arc::new(Series::new(points).unwrap())
}

/// What a decision is asked with.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) policy: String,
    cpu: Vec<Option<f64>>,
    rps: Vec<Option<f64>>,
    current: u32,
    limit: u32,
    hpa: Option<u32>,
    knative: bool,
    needs_rps: bool,
    /// Seconds from the start: since when spec and policy are what they are, when the field was last set.
    since: (i64, i64, Option<i64>),
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let sizes = (0_u32..30, 1_u32..25, prop::option::of(0_u32..25), any::<bool>(), any::<bool>());
    let since = (-9000_i64..900, -9000_i64..900, prop::option::of(-600_i64..600));
    (policy(), samples(), samples(), sizes, since).prop_map(|(policy, cpu, rps, sizes, since)| {
        let (current, limit, hpa, knative, needs_rps) = sizes;
        World { policy, cpu, rps, current, limit, hpa, knative, needs_rps, since }
    })
}

impl World {
    pub(super) fn state(&self) -> State {
        let at = |seconds: i64| Timestamp::from_second(START + seconds).unwrap();
        State {
            current: f64::from(self.current),
            applied_at: self.since.2.map(at),
            changed_by: None,
            generation_since: at(self.since.0),
            revision_since: at(self.since.1),
            recommended: None,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.set("limits.max_replicas", FactValue::Number(f64::from(self.limit)));
        if self.needs_rps {
            facts.set("nfr.min_throughput_rps", FactValue::Number(10.0));
        }
        facts
    }

    pub(super) fn range(&self) -> Range {
        Range::replicas(self.knative, f64::from(self.limit), self.hpa.map(f64::from))
    }

    pub(super) fn samples(&self) -> Samples {
        let all = [("cpu", &self.cpu), ("rps", &self.rps)];
        all.into_iter().map(|(name, values)| (name.to_owned(), series(values))).collect()
    }

    /// Floor and cap of the field.
    fn bounds(&self) -> (f64, f64) {
        let cap = f64::from(self.hpa.map_or(self.limit, |hpa| hpa.min(self.limit)));
        (if self.knative { 0.0 } else { 1.0 }, cap)
    }

    fn ask(&self, policy: &Policy, state: &State, samples: &Samples, seconds: i64) -> NfrDecision {
        self.ask_with(policy, self.facts(), state, samples, seconds)
    }

    fn ask_with(
        &self,
        policy: &Policy,
        mut facts: Facts,
        state: &State,
        samples: &Samples,
        seconds: i64,
    ) -> NfrDecision {
        let question = Question {
            component: ComponentKind::Function,
            dimension: Dimension::Replicas,
            state,
            range: self.range(),
            samples,
            grid: Grid::new(Duration::from_secs(30), Duration::from_secs(5)).unwrap(),
            now: Timestamp::from_second(START + seconds).unwrap(),
        };
        decide(policy, &mut facts, &question)
    }

    /// Moments from before the first sample to past the last, off the grid.
    pub(super) fn moments(&self) -> impl Iterator<Item = i64> + use<> {
        let end = i64::try_from(self.cpu.len().max(self.rps.len())).unwrap() * STEP + 200;
        (-40..end).step_by(35)
    }
}

fn target_of(decision: &NfrDecision) -> Option<f64> {
    if let Action::Apply { target } = decision.action { Some(target) } else { None }
}

/// Whether there is a sample of the series in the step that ends with a point.
fn sampled(values: &[Option<f64>], point: i64) -> bool {
    point % STEP == 0 && usize::try_from(point / STEP).ok().and_then(|index| *values.get(index)?).is_some()
}

/// Newest point of the grid of [`World::ask_with`], seconds from the start.
fn newest(seconds: i64) -> i64 {
    (START + seconds - 5).div_euclid(STEP) * STEP - START
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    /// Invariants 2 and 3. Fails without `Bounds::clamp` in `weighed`, without the range's brake, without `one_step` in `settle`, and where `settle` lets a limit widen a change (`*most < size` turned around).
    #[test]
    fn a_target_is_whole_within_one_step_and_on_its_way_into_the_range(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, mut state) = (world.samples(), world.state());
        let (floor, cap) = world.bounds();
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            let Some(target) = target_of(&decision) else { continue };
            let current = state.current;
            prop_assert!(target.fract() == 0.0 && target >= 0.0, "{target}");
            prop_assert!(target != current);
            if current == 0.0 {
                prop_assert!(target == 1.0);
            } else if target == 0.0 {
                prop_assert!(current == 1.0 && (world.knative || cap < 1.0));
            } else {
                prop_assert!(target >= current / 2.0 && target <= current * 2.0);
            }
            let outside = |size: f64| (size - cap).max(floor.min(cap) - size).max(0.0);
            prop_assert!(outside(target) == 0.0 || outside(target) < outside(current), "{current} -> {target} in {floor}..{cap}");
            let raw = decision.recommendation.as_ref().unwrap().raw;
            let asked = raw.ceil().max(floor).min(cap);
            // Only what lies outside of the range is moved by it.
            let bounds = if outside(current) > 0.0 { [floor.min(cap), cap] } else { [asked, asked] };
            let ends = [asked, current].into_iter().chain(bounds);
            let window = decision.trace.window.as_ref().and_then(|window| window.bound).map_or(raw, f64::ceil);
            let furthest = ends.chain([window]).fold(current, |far, end| if target > current { far.max(end) } else { far.min(end) });
            prop_assert!(if target > current { target <= furthest.max(1.0) } else { target >= furthest.min(current) }, "no rule widens it");
            state = state.after(&decision, true, Timestamp::from_second(START + seconds).unwrap());
        }
    }

    /// Invariant 4. Fails without the check of `missing` in `proposed`, with `needs` true for no signal downwards, and
    /// with `from_start`, the share or the gap left out of `fault_over`.
    #[test]
    fn nothing_shrinks_where_a_required_signal_is_not_whole(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, state) = (world.samples(), world.state());
        let reads = |signal: &str| policy.recommendations().iter().any(|one| one.unit().look_back(signal).is_some());
        let down = i64::try_from(policy.safeguards()[0].stabilize(&world.facts()).unwrap().down.as_secs()).unwrap();
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            if target_of(&decision).is_none_or(|target| target > state.current) {
                continue;
            }
            let at = newest(seconds);
            let points: Vec<i64> = (0..down / STEP).map(|back| at - back * STEP).collect();
            for (name, values, required) in [("cpu", &world.cpu, true), ("rps", &world.rps, world.needs_rps)] {
                if !(required && reads(name)) {
                    continue;
                }
                prop_assert!(sampled(values, at), "{name} has no sample at the newest point");
                let there = points.iter().filter(|point| sampled(values, **point)).count();
                prop_assert!(there * 10 >= points.len() * 9 || there + 1 >= points.len(), "{name}: {there} of {}", points.len());
                let look_back = policy.recommendations()[0].unit().look_back(name).unwrap();
                let oldest = at - down - i64::try_from(look_back.as_secs()).unwrap() + STEP;
                prop_assert!(sampled(values, oldest), "{name} has no sample at the oldest point");
                // What the rules look back at belongs to the window.
                let whole: Vec<i64> = (0..=(at - oldest) / STEP).map(|back| at - back * STEP).collect();
                let there = whole.iter().filter(|point| sampled(values, **point)).count();
                prop_assert!(there * 10 >= whole.len() * 9 || there + 1 >= whole.len(), "{name}: {there} of {}", whole.len());
            }
        }
    }

    /// Invariant 5. Fails where a Safeguard's rule that failed has no effect, where `proposed` ignores the failure of a
    /// recommendation, and where `unanswered` gives a number.
    #[test]
    fn an_error_holds_and_is_named(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, state) = (world.samples(), world.state());
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            let failed = |rule: &&crate::policy::RuleTrace| {
                rule.mode == RuleMode::Enforce && matches!(rule.outcome, RuleOutcome::Error(_))
            };
            let target = target_of(&decision);
            prop_assert!(decision.trace.safeguard.iter().find(failed).is_none() || target.is_none(), "{decision:?}");
            let falls = target.is_some_and(|target| target < state.current);
            let window = decision.trace.window.as_ref();
            let considers = window.is_some_and(|window| window.direction == Direction::Down);
            // What a rule that failed would have asked for is not known: a fall is not even considered, and that is said.
            let unknown = decision.trace.recommendation.iter().any(|rule| failed(&rule));
            prop_assert!(!(unknown && (falls || considers)), "{decision:?}");
            prop_assert!(decision.recommendation.is_some() || target.is_none());
            prop_assert!(!decision.reason.is_empty());
        }
    }

    /// Invariant 6. Fails where `State::after` ignores `written`, or takes a hold for an apply.
    #[test]
    fn a_hold_and_a_failed_write_leave_the_state_as_it_was(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, state) = (world.samples(), world.state());
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            let now = Timestamp::from_second(START + seconds).unwrap();
            let unchanged = |next: &State| State { recommended: None, ..next.clone() } == state;
            prop_assert!(unchanged(&state.after(&decision, false, now)));
            let done = state.after(&decision, true, now);
            match target_of(&decision) {
                None => prop_assert!(unchanged(&done)),
                Some(target) => prop_assert!(done.current == target && done.applied_at == Some(now)),
            }
        }
    }

    /// Invariant 7. Fails where a decision depends on what the facts hold from an earlier one (`bind_proposal` without
    /// its `clear`), and where explaining changes an outcome (`whole` without its shortfall first in `window`).
    #[test]
    fn the_same_question_gives_the_same_bytes_explained_brief_or_neither_first_or_last(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, state) = (world.samples(), world.state());
        let mut used = world.facts();
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            let question = Question {
                component: ComponentKind::Function,
                dimension: Dimension::Replicas,
                state: &state,
                range: world.range(),
                samples: &samples,
                grid: Grid::new(Duration::from_secs(30), Duration::from_secs(5)).unwrap(),
                now: Timestamp::from_second(START + seconds).unwrap(),
            };
            let again = decide(&policy, &mut used, &question);
            prop_assert_eq!(decision.json().to_string(), again.json().to_string());
            let explained = world.ask_with(&policy, world.facts().explained(), &state, &samples, seconds);
            prop_assert_eq!(&explained.action, &decision.action);
            prop_assert_eq!((&explained.by, &explained.reason), (&decision.by, &decision.reason));
            let brief = world.ask_with(&policy, world.facts().brief(), &state, &samples, seconds);
            prop_assert_eq!((&brief.action, &brief.by), (&decision.action, &decision.by));
            // What differs in between must leave no mark: another state, without a time of the last change.
            let other = State { applied_at: Some(question.now), changed_by: Some("x".to_owned()), ..state.clone() };
            decide(&policy, &mut used, &Question { state: &other, ..question });
        }
    }

    /// Invariant 8. Fails without the check of `since` in `shortfall`, and where `settled_since` takes the earlier one.
    #[test]
    fn nothing_shrinks_before_a_window_of_the_present_spec_and_policy_is_over(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, state) = (world.samples(), world.state());
        let down = i64::try_from(policy.safeguards()[0].stabilize(&world.facts()).unwrap().down.as_secs()).unwrap();
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            if target_of(&decision).is_some_and(|target| target < state.current) {
                prop_assert!(newest(seconds) - down >= world.since.0.max(world.since.1));
            }
        }
    }

    /// Invariant 9. Fails where `shortfall` does not ask for what the rules look back at (`reaching_back`), for what those
    /// of the Safeguard do (`unguarded`), nor, where no signal is required,
    /// for samples at its start.
    #[test]
    fn stopped_and_started_anywhere_it_decides_the_same_or_shrinks_later(
        world in world(), (lost_cpu, lost_rps) in (0_usize..30, 0_usize..30),
    ) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (whole, mut state) = (world.samples(), world.state());
        // Of a signal that is not required, alone lost and never measured are the same: it is kept as long as the other.
        let lost_rps = if world.needs_rps { lost_rps } else { lost_rps.min(lost_cpu) };
        let kept = |values: &[Option<f64>], lost: usize| -> Vec<Option<f64>> {
            values.iter().enumerate().map(|(index, value)| value.filter(|_| index >= lost)).collect()
        };
        let cut = World { cpu: kept(&world.cpu, lost_cpu), rps: kept(&world.rps, lost_rps), ..world.clone() };
        let cut = cut.samples();
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &whole, seconds);
            // Nothing but the state is carried over: a new process with the samples that were kept says the same.
            prop_assert_eq!(&world.ask(&policy, &state.clone(), &world.samples(), seconds), &decision);
            let without = world.ask(&policy, &state, &cut, seconds);
            if target_of(&without).is_some_and(|target| target < state.current) {
                prop_assert_eq!(&without.action, &decision.action, "an earlier fall: {:?}", without);
            }
            state = state.after(&decision, true, Timestamp::from_second(START + seconds).unwrap());
        }
    }
}

/// Fails without `unguarded`, whatever the luck of the property above.
#[test]
fn a_fall_waits_for_what_the_safeguard_alone_looks_back_at() {
    let mut text = include_str!("hostile.yaml").replace("COMBINE", "max");
    text.push_str("    - {id: r, target: '1.0', basis: '\"b\"'}\n---\napiVersion: policy.oaas.io/v1alpha1\n");
    text.push_str("kind: Safeguard\nmetadata: {name: replicas}\nspec:\n  dimension: replicas\n");
    text.push_str("  stabilize: {up: 'duration(\"0s\")', down: 'duration(\"30s\")', dead_band: '0.0'}\n  rules:\n");
    text.push_str("    - {id: borne, at_least: 'signals.rps.max_over(duration(\"3m\"))'}\n");
    let policy = compiled(&text).unwrap();
    let rps: Vec<Option<f64>> = (0..30).map(|index| Some(if index < 14 { 6.0 } else { 1.0 })).collect();
    let of = |rps| World {
        policy: text.clone(),
        cpu: vec![Some(1.0); 30],
        rps,
        current: 8,
        limit: 20,
        hpa: None,
        knative: false,
        needs_rps: true,
        since: (-9000, -9000, None),
    };
    let (whole, lost) = (of(rps.clone()), of(rps.iter().enumerate().map(|(i, one)| one.filter(|_| i >= 14)).collect()));
    let ask = |world: &World, seconds| world.ask(&policy, &world.state(), &world.samples(), seconds);
    let early = 16 * STEP + 10;
    assert_eq!(target_of(&ask(&whole, early)), Some(6.0));
    let held = ask(&lost, early);
    assert!(matches!(held.action, Action::Hold) && held.reason.contains("signals.rps has no sample at "), "{held:?}");
    // Three minutes after the first sample that was kept, nothing is missing.
    let late = 20 * STEP + 10;
    assert_eq!((target_of(&ask(&whole, late)), target_of(&ask(&lost, late))), (Some(4.0), Some(4.0)));
}

/// The generated policies do decide something: all ways to end are seen, so that no property holds for want of cases.
#[test]
fn the_generated_worlds_see_every_way_to_end() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, TestRng, TestRunner};

    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..600 {
        let world = world().new_tree(&mut runner).unwrap().current();
        let Some(policy) = compiled(&world.policy) else {
            *seen.entry("refused".to_owned()).or_default() += 1;
            continue;
        };
        let (samples, mut state) = (world.samples(), world.state());
        for seconds in world.moments() {
            let decision = world.ask(&policy, &state, &samples, seconds);
            let by = match &decision.by {
                By::Rule(rule) if rule.starts_with("Safeguard/") => "safeguard",
                By::Rule(_) => "recommendation",
                By::Invariant(invariant) => invariant.name(),
            };
            let does = match target_of(&decision) {
                None => "hold",
                Some(target) if target > state.current => "rise",
                Some(_) => "fall",
            };
            *seen.entry(format!("{does} {by}")).or_default() += 1;
            state = state.after(&decision, true, Timestamp::from_second(START + seconds).unwrap());
        }
    }
    for wanted in [
        "rise recommendation",
        "rise safeguard",
        "rise range",
        "rise step",
        "fall recommendation",
        "fall safeguard",
        "fall range",
        "fall step",
        "hold safeguard",
        "hold recommendation",
        "hold signals",
        "hold history",
        "hold stability",
        "hold dead-band",
        "hold range",
        "hold no-recommendation",
    ] {
        assert!(seen.get(wanted).is_some_and(|count| *count >= 5), "{wanted}: {seen:#?}");
    }
}
