//! What is kept of a decision gives the same decision again, to the last byte.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::invariants::{START, World, compiled, world};
use crate::decision::nfr::{Grid, Inputs, Question, Range, Samples, State, decide};
use crate::policy::{ComponentKind, Dimension, FactValue, Facts, Policy, Series};

fn question<'a>(world: &World, state: &'a State, samples: &'a Samples, seconds: i64) -> Question<'a> {
    Question {
        component: ComponentKind::Function,
        dimension: Dimension::Replicas,
        state,
        range: world.range(),
        samples,
        grid: Grid::new(Duration::from_secs(30), Duration::from_secs(5)).unwrap(),
        now: Timestamp::from_millisecond((START + seconds) * 1000 + 7).unwrap(),
    }
}

/// Printed and read again.
fn through_text(inputs: &Inputs) -> Inputs {
    let text = serde_json::to_string(inputs).unwrap();
    let read: Inputs = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    read
}

/// The same number to the last bit, or no number both.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
}

/// Samples at odd times, with any finite value.
fn odd() -> impl Strategy<Value = Arc<Series>> {
    prop::collection::vec((1_i64..90_000, any::<f64>()), 0..60).prop_map(|points| {
        let mut at = START * 1000;
        let points = points.into_iter().filter(|(_, value)| value.is_finite()).map(|(gap, value)| {
            at += gap;
            (Timestamp::from_millisecond(at).unwrap(), value)
        });
        Arc::new(Series::new(points).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    /// Fails where `Inputs::capture` leaves out a fact, a signal that only the Safeguard reads, the state or the grid,
    /// and where facts that one question has bound are seen by the next.
    #[test]
    fn a_decision_that_is_kept_is_decided_again_to_the_same_bytes(world in world()) {
        let Some(policy) = compiled(&world.policy) else { return Err(TestCaseError::reject("refused")) };
        let (samples, mut state) = (world.samples(), world.state());
        let (mut facts, mut explained) = (world.facts(), world.facts().explained());
        for seconds in world.moments() {
            let (at, kept) = {
                let question = question(&world, &state, &samples, seconds);
                let before = Inputs::capture(&facts, &question, &policy);
                let made = decide(&policy, &mut facts, &question);
                let after = Inputs::capture(&facts, &question, &policy);
                let original = decide(&policy, &mut explained, &question);
                for inputs in [before, after] {
                    let again = through_text(&inputs).replay(&policy);
                    prop_assert_eq!(again.json().to_string(), original.json().to_string());
                    prop_assert_eq!((again.action, &again.by, &again.reason), (made.action, &made.by, &made.reason));
                    prop_assert_eq!(&again.recommendation, &made.recommendation);
                }
                (question.now, made)
            };
            state = state.after(&kept, true, at);
        }
    }

    /// Fails where `exact` or the facts lose a bit, and without `float_roundtrip` of serde_json.
    #[test]
    fn numbers_and_moments_come_back_to_the_last_bit(
        current in prop::num::f64::ANY, recommended in prop::num::f64::ANY, cap in prop::option::of(prop::num::f64::ANY),
        fact in prop::num::f64::ANY,
        series in odd(), nanos in 0_i32..1_000_000_000, extreme in any::<bool>(),
    ) {
        let policy = Policy::builtin(&crate::policy::Inputs { profile: "full".to_owned(), ..Default::default() }).unwrap();
        let at = Timestamp::new(START, nanos).unwrap();
        let state = State {
            current,
            applied_at: Some(if extreme { Timestamp::MIN } else { at }),
            changed_by: Some("kubectl \"scale\"\u{2028}".to_owned()),
            generation_since: if extreme { Timestamp::MIN } else { at },
            revision_since: if extreme { Timestamp::MAX } else { at },
            recommended: Some((recommended, at)),
        };
        let mut facts = Facts::default();
        facts.set("limits.max_replicas", FactValue::Number(fact));
        facts.set("component.cpu_request", FactValue::Number(fact));
        let samples = Samples::from([("cpu".to_owned(), Arc::clone(&series)), ("read_by_none".to_owned(), series)]);
        let question = Question {
            component: ComponentKind::Function,
            dimension: Dimension::Replicas,
            state: &state,
            range: Range::replicas(false, cap.unwrap_or(f64::NAN), cap),
            samples: &samples,
            grid: Grid::new(Duration::from_millis(30_001), Duration::from_secs(5)).unwrap(),
            now: at,
        };
        let inputs = Inputs::capture(&facts, &question, &policy);
        let read = through_text(&inputs);
        prop_assert!(same(read.state().current, current), "{current}");
        prop_assert_eq!((read.state().applied_at, read.state().revision_since), (state.applied_at, state.revision_since));
        let text = serde_json::to_string(&inputs).unwrap();
        prop_assert!(text.contains("\"cpu\":") && !text.contains("read_by_none"));
        prop_assert_eq!(read.replay(&policy).json().to_string(), inputs.replay(&policy).json().to_string());
    }
}

#[test]
fn samples_a_step_apart_are_written_without_their_times() {
    let points = |times: &[i64]| {
        let at = |time: &i64| Timestamp::from_millisecond(START * 1000 + time).unwrap();
        Arc::new(Series::new(times.iter().map(|time| (at(time), 0.5))).unwrap())
    };
    let policy = Policy::builtin(&crate::policy::Inputs { profile: "full".to_owned(), ..Default::default() }).unwrap();
    let state = State {
        current: 1.0,
        applied_at: None,
        changed_by: None,
        generation_since: Timestamp::MIN,
        revision_since: Timestamp::MIN,
        recommended: None,
    };
    let samples = Samples::from([("cpu".to_owned(), points(&[0, 30_000, 60_000, 90_000, 150_000, 150_001]))]);
    let question = Question {
        component: ComponentKind::Function,
        dimension: Dimension::Replicas,
        state: &state,
        range: Range::replicas(false, 20.0, None),
        samples: &samples,
        grid: Grid::new(Duration::from_secs(30), Duration::ZERO).unwrap(),
        now: Timestamp::from_second(START).unwrap(),
    };
    let text = serde_json::to_string(&Inputs::capture(&Facts::default(), &question, &policy)).unwrap();
    let runs = "[{\"from\":1767225600000,\"step\":30000,\"values\":[0.5,0.5,0.5,0.5]},\
                {\"from\":1767225750000,\"step\":1,\"values\":[0.5,0.5]}]";
    assert!(text.contains(runs), "{text}");
}

#[test]
fn inputs_that_nobody_can_have_kept_are_refused_and_said() {
    let good = r#"{"component":"function","dimension":"replicas","now":"2026-01-01T00:00:00Z",
        "grid":{"step_ms":30000,"settle_ms":0},"range":{"takes_none":false,"floor":null,"cap":20.0},
        "state":{"current":1.0,"applied_at":null,"changed_by":null,"generation_since":"2026-01-01T00:00:00Z",
        "revision_since":"2026-01-01T00:00:00Z","recommended":null},
        "facts":{},"signals":{"cpu":[{"from":0,"step":1000,"values":[1.0,2.0]}]}}"#;
    serde_json::from_str::<Inputs>(good).unwrap();
    for (part, instead, says) in [
        ("\"step_ms\":30000", "\"step_ms\":0", "a grid has a step_ms of at least 1000"),
        ("\"step\":1000", "\"step\":0", "samples of cpu: the point at"),
        ("\"step\":1000", "\"step\":9223372036854775807", "samples of cpu: "),
        ("\"current\":1.0", "\"current\":\"one\"", "\"one\" is no number"),
        ("\"facts\":{}", "\"facts\":{\"x\":1}", "there is no fact `x`"),
        ("\"component\":\"function\"", "\"component\":\"pod\"", "unknown variant `pod`"),
        ("\"facts\":{}", "\"facts\":{},\"more\":1", "unknown field `more`"),
    ] {
        let bad = good.replace(part, instead);
        assert_ne!(bad, good, "{part}");
        let error = serde_json::from_str::<Inputs>(&bad).unwrap_err().to_string();
        assert!(error.contains(says), "{instead}: {error}");
    }
}
