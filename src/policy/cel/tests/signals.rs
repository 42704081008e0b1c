//! Signals in expressions: what their methods give, what is refused, and that nothing panics.

use std::sync::Arc;

use super::*;
use crate::policy::Series;
use crate::policy::cel::{SignalVal, missing_signal};

/// As of ten minutes: `cpu` has 1 to 20 each 30 s, `burst` one point a minute ago, `idle` none, `none` no series.
fn given() -> Given {
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let cpu = Series::new((1..=20).map(|step| (at(step * 30), f64::from(i32::try_from(step).unwrap())))).unwrap();
    let burst = Series::new([(at(540), 7.0)]).unwrap();
    let named = [("cpu", Some(cpu)), ("burst", Some(burst)), ("idle", Some(Series::default())), ("none", None)];
    let signal = |(name, series): (&str, Option<Series>)| SignalVal {
        path: Arc::from(format!("signals.{name}")),
        series: series.map(Arc::new),
        now: 600_000,
        keeps: 900_000,
    };
    Given { signals: named.into_iter().map(signal).collect(), ..scope() }
}

fn value(source: &str) -> Result<Value, String> {
    let expression = Expression::compile(source, &Type::Any, &Table).map_err(|problems| {
        let shown = problems.iter().map(|one| match &one.help {
            Some(help) => format!("{} [{help}]", one.message),
            None => one.message.clone(),
        });
        shown.collect::<Vec<_>>().join("; ")
    })?;
    expression.value(&given()).map_err(|error| error.to_string())
}

#[test]
fn methods_of_signals_have_these_values() {
    let seconds = |seconds| Value::Duration(chrono::Duration::seconds(seconds));
    for (source, expected) in [
        ("signals.cpu.last()", Value::Float(20.0)),
        ("signals.cpu.age()", seconds(0)),
        ("signals.burst.age()", seconds(60)),
        ("signals.burst.age() > duration('59s')", Value::Bool(true)),
        ("signals.cpu.count()", Value::Float(20.0)),
        ("signals.idle.count()", Value::Float(0.0)),
        ("signals.none.count()", Value::Float(0.0)),
        ("signals.cpu.min_over(duration('1m'))", Value::Float(19.0)),
        ("signals.cpu.max_over(params.window)", Value::Float(20.0)),
        ("signals.cpu.avg_over(params.window)", Value::Float(19.0)),
        ("signals.cpu.avg_over(params.window + duration('30s'))", Value::Float(18.5)),
        ("signals.cpu.quantile_over(0.5, duration('10m'))", Value::Float(10.5)),
        ("signals.cpu.quantile_over(1.0, duration('5m'))", Value::Float(20.0)),
        ("signals.cpu.slope_over(duration('5m')) * 30.0", Value::Float(1.0)),
        ("signals.cpu.mean_step_over(duration('10m'))", Value::Float(1.0)),
        ("signals.cpu.stddev_over(duration('1m'))", Value::Float(0.5)),
        ("signals.burst.max_over(duration('5m')) / max(params.rps, 1.0) < 1.0", Value::Bool(true)),
        ("has_data(signals.cpu, duration('1s'))", Value::Bool(true)),
        ("has_data(signals.burst, duration('1m'))", Value::Bool(false)),
        ("has_data(signals.burst, duration('61s'))", Value::Bool(true)),
        ("has_data(signals.idle, duration('10m'))", Value::Bool(false)),
        ("has_data(signals.none, duration('10m'))", Value::Bool(false)),
        ("has_data(signals.idle, params.window) ? signals.idle.last() : -1.0", Value::Float(-1.0)),
        ("ceil(signals.cpu.avg_over(profile == 'x' ? params.window : params.window))", Value::Float(19.0)),
        ("[1.0, 2.0].map(x, x * signals.cpu.last())[1]", Value::Float(40.0)),
    ] {
        match (source.starts_with("ceil"), value(source)) {
            // How far back must not hang on facts.
            (true, found) => assert!(found.unwrap_err().contains("must follow from params and literals"), "{source}"),
            (false, found) => assert_eq!(found, Ok(expected), "{source}"),
        }
    }
}

#[test]
fn missing_data_is_an_error_that_names_the_signal() {
    for (source, signal, message) in [
        ("signals.idle.last()", Some("idle"), "signals.idle has no data in the last 15m"),
        ("signals.none.age()", Some("none"), "signals.none has no data in the last 15m"),
        ("signals.burst.max_over(duration('1m'))", Some("burst"), "signals.burst has no data in the last 1m"),
        ("signals.burst.slope_over(duration('5m'))", Some("burst"), "has 1 sample in the last 5m, 2 are needed"),
        ("signals.burst.stddev_over(duration('5m'))", Some("burst"), "2 are needed"),
        ("signals.burst.mean_step_over(duration('5m'))", Some("burst"), "2 are needed"),
        ("signals.cpu.max_over(duration('16m'))", None, "signals.cpu keeps 15m, which is less than 16m"),
        ("signals.cpu.max_over(params.window - params.window)", None, "a window is longer than nothing"),
        ("signals.cpu.quantile_over(params.rps, duration('5m'))", None, "300 is no share between 0 and 1"),
        ("signals.idle.last() > 1.0 || true", Some("idle"), "no data"),
        ("signals.idle.last() > 1.0 && false", Some("idle"), "no data"),
        ("!(signals.idle.last() > 1.0)", Some("idle"), "no data"),
    ] {
        let expression = Expression::compile(source, &Type::Any, &Table).expect(source);
        let error = expression.value(&given()).expect_err(source);
        assert_eq!(missing_signal(&error), signal, "{source}: {error}");
        assert!(error.to_string().contains(message), "{source}: {error}");
    }
}

#[test]
fn wrong_uses_of_signals_are_refused_with_what_to_write() {
    for (source, message) in [
        ("signals.cpuu.last()", "`signals` has no `cpuu` [did you mean `cpu`?]"),
        ("signals.cpu", "a signal is no value by itself [ask for a figure: signals.cpu.last(), "),
        ("signals.cpu > 1.0", "a signal is no value by itself"),
        ("signals.cpu == signals.cpu", "a signal is no value by itself"),
        ("[signals.cpu]", "a signal is no value by itself"),
        ("profile == 'a' ? signals.cpu : signals.idle", "a signal is no value by itself"),
        ("signals", "the group `signals` is no value by itself"),
        ("has(signals.cpu)", "`signals.cpu` is always there, its data may not be [write has_data(signals.cpu, "),
        ("signals.cpu.max_ovr(params.window)", "a signal has no method `max_ovr` [did you mean `max_over`?]"),
        ("signals.cpu.value()", "a signal has no method `value`"),
        ("max_over(signals.cpu, params.window)", "max_over() is a method of signals and takes how far back to look: "),
        ("params.rps.max_over(params.window)", "max_over() is a method of signals"),
        ("ceil(params.rps).last()", "last() is a method of signals"),
        ("signals.cpu.last().last()", "last() is a method of signals"),
        (
            "signals.cpu.max_over()",
            "max_over() takes how far back to look: signals.cpu.max_over(duration(\"5m\")); here it has 0",
        ),
        ("signals.cpu.last(params.window)", "last() takes nothing: signals.cpu.last(); here it has 1"),
        ("signals.cpu.quantile_over(0.5)", "quantile_over() takes a share and how far back to look"),
        (
            "signals.cpu.max_over(120)",
            "how far back to look is a duration, this is a whole number [write duration(\"120s\")]",
        ),
        (
            "signals.cpu.max_over(120.0)",
            "how far back to look is a duration, this is a number [write duration(\"120s\")]",
        ),
        ("signals.cpu.max_over('2m')", "how far back to look is a duration, this is a string [write duration(\"2m\")]"),
        (
            "signals.cpu.max_over(params.rps)",
            "how far back to look is a duration, this is a number [write a duration, ",
        ),
        ("signals.cpu.max_over(signals.cpu.age())", "must follow from params and literals alone"),
        ("signals.cpu.quantile_over(95.0, params.window)", "a share lies between 0 and 1 [write 0.95]"),
        ("signals.cpu.quantile_over(1, params.window)", "a whole number where every number is a double [write 1.0]"),
        (
            "signals.cpu.quantile_over(params.window, 0.5)",
            "a share comes first, a number from 0 to 1; this is a duration",
        ),
        ("signals.cpu.age() > 120.0", "a duration can't be compared with a number"),
        ("signals.cpu.last() > 1.0 && signals.cpu.age()", "&& needs conditions on both sides, this is a duration"),
        ("has_data(signals.cpu)", "has_data() takes a signal and how far back to look"),
        ("has_data(params.rps, params.window)", "has_data() takes a signal and how far back to look"),
        ("signals.cpu.has_data(params.window)", "a signal has no method `has_data`"),
        (
            "has_data(signals.cpu, 60.0)",
            "how far back to look is a duration, this is a number [write duration(\"60s\")]",
        ),
        ("[1.0].map(x, signals.cpu.max_over(x))[0]", "how far back to look is a duration, this is a number"),
    ] {
        let error = value(source).expect_err(source);
        assert!(error.contains(message), "{source}: {error}");
    }
}

#[test]
fn a_trace_shows_figures_of_signals_and_how_far_they_are_from_flipping() {
    let source = "signals.cpu.max_over( params.window ) > 12.0 && signals.none.last() > 1.0";
    let expression = Expression::compile(source, &Type::Bool, &Table).unwrap();
    let given = given();
    let values: Vec<(String, Option<String>)> = expression.values(&given);
    let shown: Vec<(&str, Option<&str>)> =
        values.iter().map(|(label, value)| (label.as_str(), value.as_deref())).collect();
    let expected = [
        ("params.window", Some("1m 30s")),
        ("signals.cpu.max_over( params.window )", Some("20")),
        ("signals.none.last()", None),
    ];
    assert_eq!(shown, expected);
    let margins = expression.margins(&given);
    let [margin] = margins.as_slice() else { panic!("{margins:?}") };
    assert!((margin.distance() - 8.0).abs() < 1e-9, "{margin:?}");
}

#[test]
fn a_look_tells_signal_place_and_length() {
    let source = "signals.cpu.max_over(params.window + duration('30s')) > signals.idle.count()";
    let expression = Expression::compile(source, &Type::Bool, &Table).unwrap();
    let [look] = expression.looks() else { panic!("{:?}", expression.looks()) };
    let text: String = source.chars().skip(look.start).take(look.len).collect();
    assert_eq!((look.signal.as_str(), text.trim()), ("cpu", "params.window + duration('30s')"));
    assert_eq!(super::super::length_of(look, &given()), Some(chrono::Duration::seconds(120)));
    assert!(expression.reads().contains("signals.cpu") && expression.reads().contains("signals.idle"));
}

/// Expressions over signals, most of them wrong in some way.
fn generated() -> impl Strategy<Value = String> {
    let signal =
        prop::sample::select(vec!["cpu", "burst", "idle", "none", "nope"]).prop_map(|name| format!("signals.{name}"));
    let length = prop::sample::select(vec![
        "duration('1m')",
        "params.window",
        "duration('20m')",
        "duration('-1s')",
        "params.window + params.window",
        "60.0",
        "params.rps",
        "'1m'",
        "signals.cpu.age()",
    ]);
    let share = prop::sample::select(vec!["0.5", "1.0", "1", "2.0", "params.rps", "-0.1", "signals.burst.last()"]);
    let method = prop::sample::select(vec![
        "min_over",
        "max_over",
        "avg_over",
        "slope_over",
        "stddev_over",
        "mean_step_over",
        "last",
        "age",
        "count",
        "quantile_over",
        "nope",
    ]);
    let leaf = (signal, method, share, length, 0..6_u8).prop_map(|(signal, method, share, length, form)| match form {
        0 => format!("{signal}.{method}()"),
        1 => format!("{signal}.{method}({share}, {length})"),
        2 => format!("has_data({signal}, {length})"),
        3 => signal,
        _ => format!("{signal}.{method}({length})"),
    });
    leaf.prop_recursive(4, 24, 3, |inner| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "&&", "||", "==", "<", ">="]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            inner.clone().prop_map(|x| format!("ceil({x})")),
            inner.clone().prop_map(|x| format!("string({x})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}].exists(f, {b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn figures_without_the_interpreter_come_out_like_those_with_it(source in generated()) {
        agree(&source, &given())?;
    }

    #[test]
    fn no_expression_over_signals_panics_and_what_is_accepted_has_its_type(source in generated()) {
        let given = given();
        for wanted in [Type::Bool, Type::Double, Type::Duration, Type::Text] {
            let Ok(expression) = Expression::compile(&source, &wanted, &Table) else { continue };
            let _ = (expression.values(&given), expression.margins(&given));
            match (&wanted, expression.value(&given)) {
                (_, Err(error)) => {
                    let text = error.to_string();
                    prop_assert!(!text.contains("overload") && !text.contains("unexpected type"), "{}: {}", source, text);
                }
                (Type::Bool, Ok(value)) => prop_assert!(matches!(value, Value::Bool(_)), "{}: {:?}", source, value),
                (Type::Double, Ok(value)) => {
                    prop_assert!(matches!(value, Value::Float(number) if number.is_finite()), "{}: {:?}", source, value);
                }
                (Type::Duration, Ok(value)) => prop_assert!(matches!(value, Value::Duration(_)), "{}: {:?}", source, value),
                (_, Ok(value)) => prop_assert!(matches!(value, Value::String(_)), "{}: {:?}", source, value),
            }
        }
    }
}
