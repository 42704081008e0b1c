#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use cel_interpreter::Value;
use cel_interpreter::common::types::CelBool;
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;
use proptest::prelude::*;

use super::{Expression, Names, Type};
use crate::policy::facts;
use crate::policy::{FactValue, Facts};

mod signals;

struct Table;

const SIGNALS: [&str; 4] = ["cpu", "burst", "idle", "none"];

impl Names for Table {
    fn lookup(&self, path: &str) -> Option<(Type, bool)> {
        match path {
            "params" | "signals" => Some((Type::Object(path.to_owned()), false)),
            "params.window" => Some((Type::Duration, false)),
            "params.rps" => Some((Type::Double, false)),
            "signals.cpu" | "signals.burst" | "signals.idle" | "signals.none" => Some((Type::Signal, false)),
            _ => facts::lookup(path),
        }
    }

    fn slot(&self, path: &str) -> Option<super::Slot> {
        let signal = path.strip_prefix("signals.").and_then(|name| SIGNALS.iter().position(|known| *known == name));
        signal.map(super::Slot::Signal).or_else(|| facts::position(path).map(super::Slot::Fact))
    }

    fn constant(&self, path: &str) -> Option<super::Constant> {
        match path {
            "params.window" => Some(super::Constant::Duration(chrono::Duration::seconds(90))),
            "params.rps" => Some(super::Constant::Number(300.0)),
            _ => None,
        }
    }

    fn domain(&self, path: &str) -> Option<super::Known> {
        facts::domain(path)
    }

    fn below(&self, path: &str) -> Vec<String> {
        match path {
            "params" => vec!["rps".to_owned(), "window".to_owned()],
            "signals" => SIGNALS.map(str::to_owned).to_vec(),
            _ => facts::below(path),
        }
    }
}

struct Given {
    facts: Facts,
    allowance: super::Allowance,
    params: HashMap<&'static str, Box<dyn Val>>,
    signals: Vec<super::SignalVal>,
}

impl super::Scope for Given {
    fn allowance(&self) -> &super::Allowance {
        &self.allowance
    }

    fn at(&self, slot: super::Slot) -> Option<&dyn Val> {
        match slot {
            super::Slot::Fact(position) => self.facts.at(position),
            super::Slot::Signal(index) => {
                let path = format!("signals.{}", SIGNALS.get(index)?);
                self.signals.iter().find(|signal| *signal.path == path).map(|signal| signal as &dyn Val)
            }
            super::Slot::Variable(_) => None,
        }
    }

    fn is_there(&self, slot: super::Slot) -> bool {
        matches!(slot, super::Slot::Fact(position) if self.facts.has_at(position))
    }
}

impl VariableResolver for Given {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(path) = name.strip_prefix('?') {
            return Some(CowVal::owned(CelBool::from(self.facts.has(path))));
        }
        if let Some(signal) = self.signals.iter().find(|signal| *signal.path == *name) {
            return Some(CowVal::Borrowed(signal));
        }
        self.facts.get(name).or_else(|| self.params.get(name).map(AsRef::as_ref)).map(CowVal::Borrowed)
    }
}

fn scope() -> Given {
    let mut facts = Facts::default();
    facts.set("profile", FactValue::Text("edge".to_owned()));
    facts.set("features.odgm", FactValue::Bool(true));
    facts.set("nfr.min_throughput_rps", FactValue::Number(500.0));
    facts.set("class.labels", FactValue::TextMap([("team".to_owned(), "a".to_owned())].into()));
    facts.set("class.addons", FactValue::Texts(vec!["odgm".to_owned()]));
    let group = |replicas: f64| {
        [
            ("image".into(), FactValue::Text("nginx".to_owned())),
            ("port".into(), FactValue::Number(80.0)),
            ("replicas".into(), FactValue::Number(replicas)),
        ]
        .into()
    };
    facts.set("class.functions", FactValue::Groups(vec![group(1.0), group(5.0)]));
    let window: Box<dyn Val> =
        Box::new(cel_interpreter::common::types::CelDuration::from(chrono::Duration::seconds(90)));
    let rps: Box<dyn Val> = Box::new(cel_interpreter::common::types::CelDouble::from(300.0));
    Given {
        facts,
        allowance: super::Allowance::default(),
        params: [("params.window", window), ("params.rps", rps)].into(),
        signals: Vec::new(),
    }
}

fn any(source: &str) -> Result<Value, String> {
    let expression = Expression::compile(source, &Type::Any, &Table)
        .map_err(|problems| problems.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("; "))?;
    expression.value(&scope()).map_err(|error| error.to_string())
}

#[test]
fn expressions_have_these_values() {
    let text = |text: &str| Value::String(std::sync::Arc::new(text.to_owned()));
    for (source, value) in [
        ("1.0 + 2.0 * 3.0", Value::Float(7.0)),
        ("params.rps > 3", Value::Bool(true)),
        ("profile == 'edge' && features.odgm", Value::Bool(true)),
        ("!features.odgm || profile in ['edge', 'full']", Value::Bool(true)),
        ("has(nfr.max_latency_ms)", Value::Bool(false)),
        ("has(nfr.max_latency_ms) && nfr.max_latency_ms > 1.0", Value::Bool(false)),
        ("!has(nfr.max_latency_ms) || nfr.max_latency_ms > 1.0", Value::Bool(true)),
        ("has(nfr.min_throughput_rps) ? nfr.min_throughput_rps / 100.0 : 0.0", Value::Float(5.0)),
        ("ceil(1.2)", Value::Float(2.0)),
        ("floor(-1.2)", Value::Float(-2.0)),
        ("round(2.5)", Value::Float(3.0)),
        ("abs(-2.0) + exp(0.0) + log(1.0)", Value::Float(3.0)),
        ("max(1.0, 3.0, 2.0) - min(4.0, 2.0)", Value::Float(1.0)),
        ("clamp(9.0, 1.0, 5.0)", Value::Float(5.0)),
        ("7.0 % 4.0", Value::Float(3.0)),
        ("7 / 2", Value::Int(3)),
        ("'a' + string(3.0)", text("a3")),
        ("size(class.functions) == 2", Value::Bool(true)),
        ("class.functions.all(f, f.port > 0.0)", Value::Bool(true)),
        ("class.functions.exists(f, has(f.replicas) && f.replicas > 4.0)", Value::Bool(true)),
        ("class.functions.exists_one(f, has(f.replicas) && f.replicas > 4.0)", Value::Bool(true)),
        ("class.functions.filter(f, has(f.replicas) && f.replicas > 4.0).map(f, f.image)[0]", text("nginx")),
        ("has(class.labels.team) && class.labels.team == 'a'", Value::Bool(true)),
        ("'team' in class.labels && class.labels['team'] == 'a'", Value::Bool(true)),
        ("'none' in class.labels", Value::Bool(false)),
        ("'nginx:1'.matches('^[a-z]+:[0-9]$')", Value::Bool(true)),
        ("5.0 - 2.0 - 1.0", Value::Float(2.0)),
        ("-(2.0 + 1.0) * 2.0", Value::Float(-6.0)),
        ("8.0 / 2.0 / 2.0", Value::Float(2.0)),
        ("-7 % 4", Value::Int(-3)),
        ("round(-2.5)", Value::Float(-3.0)),
        ("ceil(-1.2)", Value::Float(-1.0)),
        ("double('2.5') + double(2)", Value::Float(4.5)),
        ("int(2.9)", Value::Int(2)),
        ("string(2.5) + string(true)", text("2.5true")),
        ("string(duration('90s'))", text("90s")),
        ("size('é')", Value::Int(1)),
        ("size(class.labels)", Value::Int(1)),
        ("'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", Value::Bool(true)),
        ("'a' < 'b' && 'B' < 'a'", Value::Bool(true)),
        ("duration('1h') == duration('60m')", Value::Bool(true)),
        ("duration('1m') - duration('2m') < duration('0s')", Value::Bool(true)),
        ("1.0 == 1", Value::Bool(true)),
        ("0.1 + 0.2 == 0.3", Value::Bool(false)),
        ("[1.0, 2.0] == [1.0, 2.0] && !([1.0] == [2.0])", Value::Bool(true)),
        ("2.0 in [1.0, 2.0]", Value::Bool(true)),
        ("size(['a'] + ['b', 'c'])", Value::Int(3)),
        ("class.addons[0]", text("odgm")),
        ("class.labels.exists(k, k == 'team')", Value::Bool(true)),
        ("[1.0, 2.0].map(x, x * 2.0)[1]", Value::Float(4.0)),
        ("[1.0, 2.0, 3.0].filter(x, x > 1.0) == [2.0, 3.0]", Value::Bool(true)),
        ("class.functions.map(f, has(f.replicas) ? f.replicas : 0.0)[1]", Value::Float(5.0)),
        (
            "class.functions.exists(f, class.functions.exists(g, has(f.replicas) && has(g.replicas) && f.replicas > g.replicas))",
            Value::Bool(true),
        ),
        ("true ? 'a' : 'b'", text("a")),
        ("false ? 1.0 : true ? 2.0 : 3.0", Value::Float(2.0)),
        ("true || false && false", Value::Bool(true)),
        ("!true || true", Value::Bool(true)),
        ("1.0 < 2.0 == true", Value::Bool(true)),
        (r"'\\d' == r'\d'", Value::Bool(true)),
        (r"'a\nb'.matches('^a\\nb$')", Value::Bool(true)),
        ("params.window > duration('1m') && params.window + duration('1m') < duration('3m')", Value::Bool(true)),
    ] {
        assert_eq!(any(source), Ok(value), "{source}");
    }
}

#[test]
fn a_single_equals_sign_is_answered_with_the_double_one() {
    let help = |source: &str| {
        let problems = Expression::compile(source, &Type::Bool, &Table).unwrap_err();
        problems.into_iter().find_map(|problem| problem.help)
    };
    for source in ["profile = 'full'", "profile='full'", "profile != 'a' && profile = \"it's\""] {
        assert_eq!(help(source).as_deref(), Some("write == to compare"), "{source}");
    }
    for source in ["profile == 'a = b' 1.0", "params.rps <= 1.0 1.0", "'\\' = ' +"] {
        assert_eq!(help(source), None, "{source}");
    }
}

#[test]
fn wrong_expressions_are_refused_at_load_with_the_fix() {
    for (source, message) in [
        ("nfr.max_latency_ms > 1.0", "`nfr.max_latency_ms` may be absent"),
        ("has(nfr.max_latency_ms) || nfr.max_latency_ms > 1.0", "`nfr.max_latency_ms` may be absent"),
        ("class.odgm.replica_count > 1.0", "`class.odgm` may be absent"),
        ("class.functions.exists(f, f.replicas > 1.0)", "`f.replicas` may be absent"),
        ("class.functions.exists(f, has(f.replicas) && class.functions.exists(f, f.replicas > 1.0))", "may be absent"),
        ("class.labels.team == 'a'", "`class.labels.team` may be absent"),
        ("has(profile.x)", "a string has no fields"),
        ("has(class.name)", "`class.name` is always there"),
        ("nfr.max_latency == 1.0", "`nfr` has no `max_latency`"),
        ("profil == 'edge'", "there is no `profil` here"),
        ("params.rsp > 1.0", "`params` has no `rsp`"),
        ("ciel(1.0) > 1.0", "there is no function `ciel`"),
        ("params.rps + 1", "a whole number where every number is a double"),
        ("max(params.rps, 1)", "a whole number where every number is a double"),
        ("params.window > 90.0", "a duration can't be compared with a number"),
        ("profile == 1.0", "a string can't be compared with a number"),
        ("profile && true", "&& needs conditions on both sides, this is a string"),
        ("true ? 1.0 : 'a'", "both sides must be of one type"),
        ("features", "the group `features` is no value by itself"),
        ("profile.matches(class.name)", "the pattern of matches() must be a literal string"),
        ("profile.matches('[')", "this is no regular expression"),
        ("ceil(1.0, 2.0)", "ceil() takes one argument"),
        ("1.0 +", "the expression ends too early"),
        ("1.0 1.0", "no CEL expression"),
        ("{'a': 1.0}", "maps and messages can't be built"),
        ("null == null", "no fact is ever null"),
        ("'a' + 1.0", "does not exist"),
        ("string(class.functions[0]) == ''", "string() does not take the group"),
        ("class.functions.map(profile, profile)", "`profile` is a fact"),
        (
            "class.addons.all(a, class.addons.all(b, class.addons.all(c, a == c && b == c)))",
            "more than 2 loops within each other",
        ),
        ("", "an empty expression"),
    ] {
        let error = any(source).expect_err(source);
        assert!(error.contains(message), "{source}: {error}");
    }
}

#[test]
fn an_error_is_never_masked() {
    // cluster.knative is not known in this scope.
    for source in [
        "cluster.knative && false",
        "cluster.knative || true",
        "!cluster.knative",
        "true && cluster.knative",
        "false || cluster.knative",
        "cluster.knative ? true : true",
        "class.addons.all(a, cluster.knative && false)",
        "class.addons.exists(a, cluster.knative || true)",
        "1.0 / (params.rps - 300.0) > 5.0 || true",
        "exp(10000.0) > 1.0",
        "1 / (size(class.addons) - 1) == 1",
        "clamp(1.0, 3.0, 2.0) == 3.0",
    ] {
        let expression = Expression::compile(source, &Type::Bool, &Table).expect(source);
        assert!(expression.condition(&scope()).is_err(), "{source}");
    }
    // Looked at from the left, and no further than needed.
    for (source, value) in [("false && cluster.knative", false), ("true || cluster.knative", true)] {
        let expression = Expression::compile(source, &Type::Bool, &Table).unwrap();
        assert_eq!(expression.condition(&scope()).ok(), Some(value), "{source}");
    }
}

#[test]
fn hostile_expressions_are_refused_or_stopped_in_time() {
    let deep = |open: &str, close: &str, times: usize| format!("{}true{}", open.repeat(times), close.repeat(times));
    let hostile = [
        deep("(", ")", 900),
        deep("!", "", 2000),
        deep("[", "]", 900),
        format!("{}1.0", "1.0+".repeat(500)),
        format!("{}true", "true&&".repeat(300)),
        format!("{}true", "true?true:".repeat(200)),
        "-".repeat(2000),
        "a.".repeat(900) + "b",
        "x".repeat(3000),
        format!("'{}' == ''", "é".repeat(900)),
        "class.functions.all(f, class.functions.all(g, f.port == g.port))".to_owned(),
    ];
    // It is enough that they end, without a panic; how soon is measured by the benchmarks.
    for source in hostile {
        if let Ok(expression) = Expression::compile(&source, &Type::Any, &Table) {
            let _ = expression.value(&scope());
        }
    }
}

#[test]
fn patterns_go_with_the_last_expression_that_uses_them() {
    let source = "profile.matches('^patterns_go_with_[a-z]+$')";
    let pattern = "^patterns_go_with_[a-z]+$";
    let first = Expression::compile(source, &Type::Bool, &Table).unwrap();
    let second = Expression::compile(source, &Type::Bool, &Table).unwrap();
    drop(first);
    assert!(super::env::is_alive(pattern));
    assert_eq!(second.condition(&scope()).ok(), Some(false));
    drop(second);
    assert!(!super::env::is_alive(pattern));
}

#[test]
fn loops_stop_at_the_budget() {
    let mut facts = Facts::default();
    facts.set("class.addons", FactValue::Texts((0..2000).map(|n| n.to_string()).collect()));
    let scope = Given { facts, allowance: super::Allowance::default(), params: HashMap::new(), signals: Vec::new() };
    let source = "class.addons.all(a, class.addons.exists(b, a + b == a + b + 'x') || true)";
    let expression = Expression::compile(source, &Type::Bool, &Table).unwrap();
    assert!(expression.condition(&scope).unwrap_err().to_string().contains("too many steps"));
}

#[test]
fn what_grows_with_its_operands_is_charged_for_their_size() {
    let stopped = |source: &str| {
        let mut facts = Facts::default();
        facts.set("class.addons", FactValue::Texts(vec!["x".repeat(4_000); 900]));
        let expression = Expression::compile(source, &Type::Bool, &Table).expect(source);
        let result = expression.condition(&Given {
            facts,
            allowance: super::Allowance::default(),
            params: HashMap::new(),
            signals: Vec::new(),
        });
        result.is_err_and(|error| error.to_string().contains("too many steps"))
    };
    for source in [
        "class.addons == class.addons",
        "class.addons != class.addons",
        "'y' in class.addons",
        "class.addons.exists(a, a.contains('y'))",
        "class.addons.exists(a, a.matches('y'))",
        "size(class.addons.map(a, a + 'y')) == 0",
    ] {
        assert!(stopped(source), "{source}");
    }
    // One look at each of 900 items is nothing, and appending does not copy what is there.
    for source in ["size(class.addons.map(a, size(a))) == 900", "size(class.addons.filter(a, size(a) > 1)) == 900"] {
        assert!(!stopped(source), "{source}");
    }
}

#[test]
fn the_rules_of_one_class_share_a_budget() {
    let mut facts = Facts::default();
    facts.set("class.addons", FactValue::Texts((0..100).map(|n| n.to_string()).collect()));
    let scope = Given { facts, allowance: super::Allowance::default(), params: HashMap::new(), signals: Vec::new() };
    let source = "class.addons.all(a, class.addons.all(b, true))";
    let expression = Expression::compile(source, &Type::Bool, &Table).unwrap();
    let outcomes: Vec<bool> = (0..12).map(|_| expression.condition(&scope).is_ok()).collect();
    assert!(outcomes.first() == Some(&true) && outcomes.last() == Some(&false), "{outcomes:?}");
}

#[test]
fn the_deepest_allowed_expression_runs_on_a_small_stack() {
    let source = format!("{}1.0{}", "(1.0 + ".repeat(22), ")".repeat(22)) + &" + 1.0".repeat(24);
    let expression = Expression::compile(&source, &Type::Double, &Table).unwrap();
    let run = move || expression.number(&scope()).unwrap();
    let value = std::thread::Builder::new().stack_size(64 << 10).spawn(run).unwrap().join().unwrap();
    assert!((value - 47.0).abs() < 1e-9);
}

#[test]
fn problems_point_at_the_place() {
    for (source, at) in [
        ("profile == 'edge' && nfr.max_latency_ms > 1.0", "nfr.max_latency_ms"),
        ("params.rps + 1 > 2.0", "1"),
        ("true || profil == 'a'", "profil"),
        ("ceil(  params.nope  ) > 1.0", "params.nope"),
        ("'é' == class.nam", "class.nam"),
    ] {
        let problems = Expression::compile(source, &Type::Bool, &Table).unwrap_err();
        let first = problems.first().unwrap();
        let found: String = source.chars().skip(first.start).take(first.len).collect();
        assert_eq!(found, at, "{source}");
    }
}

/// Expressions over the real names, most of them wrong in some way.
fn generated() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1.0",
        "0.0",
        "-3.5",
        "1",
        "true",
        "false",
        "'a'",
        "profile",
        "nfr.max_latency_ms",
        "nfr.min_throughput_rps",
        "has(nfr.max_latency_ms)",
        "class.functions",
        "class.addons",
        "class.labels",
        "cluster.knative",
        "params.rps",
        "params.window",
        "(profile == 'edge')",
        "(params.rps > 2.0)",
        "(params.rps <= 2.0)",
        "nope",
        "f",
        "class",
        "[1.0, 2.0]",
        "duration('1m')",
        "null",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 48, 3, |inner| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "%", "&&", "||", "==", "!=", "<", ">=", "in"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            inner.clone().prop_map(|x| format!("!({x})")),
            inner.clone().prop_map(|x| format!("ceil({x})")),
            inner.clone().prop_map(|x| format!("size({x})")),
            inner.clone().prop_map(|x| format!("string({x})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.all(f, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(f, {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a}[{b}]")),
        ]
    })
}

/// What is computed directly comes out as the interpreter has it, errors included.
fn agree(source: &str, given: &Given) -> Result<bool, TestCaseError> {
    let mut native = false;
    for wanted in [Type::Bool, Type::Double, Type::Duration, Type::Text] {
        let Ok(expression) = Expression::compile(source, &wanted, &Table) else { continue };
        let (interpreted, direct) = expression.interpreted(given);
        native |= direct;
        match (interpreted, expression.with(given, Some)) {
            (Ok(left), Ok(right)) => {
                // What is no number equals nothing, not even itself.
                let same = left == right || format!("{left:?}") == format!("{right:?}");
                prop_assert!(same, "{source}: {left:?} is not {right:?}");
            }
            (Err(left), Err(right)) => {
                let (left, right) = (left.to_string(), right.to_string());
                prop_assert!(
                    left == right || right.contains("no number can't be compared"),
                    "{source}: {left} / {right}"
                );
            }
            (left, right) => prop_assert!(false, "{}: {:?} is not {:?}", source, left, right),
        }
    }
    Ok(native)
}

#[test]
fn what_rules_are_made_of_needs_no_interpreter() {
    for (source, native) in [
        ("has(nfr.min_throughput_rps) && nfr.min_throughput_rps >= params.rps", true),
        ("profile in ['edge', 'full'] || !features.odgm", true),
        ("clamp(max(params.rps, 1.0) % 7.0, 0.0, 5.0) / exp(1.0) - -3.0", true),
        ("signals.cpu.quantile_over(0.9, params.window) * 2.0", true),
        ("params.window > duration('1m')", true),
        ("params.rps > 3", true),
        ("profile", true),
        ("class.addons.exists(a, a == 'odgm')", true),
        ("class.functions.all(f, has(f.replicas) && f.replicas < params.rps)", true),
        ("class.functions.exists(f, !f.image.matches('^[a-m]') && f.port == 80.0)", true),
        ("class.functions.exists(f, f.port > 1.0 && class.addons.all(a, a != f.image))", true),
        ("class.functions.exists(f, f.need_http2)", true),
        ("class.functions.exists_one(f, f.port > 1.0)", false),
        ("class.functions.filter(f, f.port > 1.0).exists(f, f.image == 'nginx')", false),
        ("size(class.addons) > 1", false),
        ("'odgm' in class.addons", false),
        ("exp(1000.0) > 1.0", true),
        ("3 < params.rps && -params.rps <= -1.0 && 'a' != profile", true),
        ("(features.odgm ? params.window : duration('1m')) >= duration('90s')", true),
        ("params.window + params.window > duration('1m')", false),
        ("1 < 2", false),
        ("1e308 * 10.0 - 1e308 * 10.0 < 1.0", true),
    ] {
        assert_eq!(agree(source, &scope()).unwrap(), native, "{source}");
    }
}

#[test]
fn the_check_of_deeply_nested_choices_is_as_quick_as_that_of_any_other() {
    // Twice the work a level would be a million times the work of one.
    let numbers = (1..20).fold("params.rps".to_owned(), |inner, n| format!("(params.rps > {inner} ? {n}.0 : 2.5)"));
    let conditions = (0..20).fold("features.odgm".to_owned(), |inner, _| format!("({inner} ? features.hpa : true)"));
    for source in [format!("{numbers} > 1.0"), conditions] {
        assert!(Expression::compile(&source, &Type::Bool, &Table).is_ok(), "{source}");
    }
}

#[test]
fn an_entry_that_is_known_to_be_there_may_be_read() {
    for source in [
        "class.name in class.labels && class.labels[class.name] == 'a'",
        "class.labels.exists(k, class.labels[k] == 'a')",
        "'a/b' in class.labels && class.labels['a/b'] == 'c'",
        "has(class.functions[0].replicas) && class.functions[0].replicas > 1.0",
    ] {
        let found = Expression::compile(source, &Type::Bool, &Table);
        assert!(found.is_ok(), "{source}: {:?}", found.err());
    }
}

#[test]
fn a_match_is_charged_for_the_length_of_the_text_and_the_size_of_the_pattern() {
    let mut scope = scope();
    scope.facts.set("class.name", FactValue::Text("01".repeat(2_000)));
    scope.facts.set("class.addons", FactValue::Texts((0..20).map(|n| n.to_string()).collect()));
    let condition = |source: &str| {
        Expression::compile(source, &Type::Bool, &Table).unwrap().condition(&scope).map_err(|error| error.to_string())
    };
    assert_eq!(condition("class.name.matches('x')"), Ok(false));
    let heavy = "class.addons.exists(a, class.name.matches('^[01]*1[01]{300}x$') && a == \"none\")";
    assert!(condition(heavy).unwrap_err().contains("too many steps"));
    let light = "class.addons.exists(a, class.name.matches('^[01]*x$') && a == \"none\")";
    assert_eq!(condition(light), Ok(false));
}

#[test]
fn what_needs_the_interpreter_at_the_bottom_is_not_tried_again_at_every_level() {
    let nested = |bottom: &str| (0..20).fold(bottom.to_owned(), |inner, _| format!("({inner} < 1.0 ? 1.0 : 2.0)"));
    // To try each side twice would take a million attempts for each of these, three times a billion.
    assert!(!agree(&nested("double(size(profile))"), &scope()).unwrap());
    assert!(agree(&nested("params.rps"), &scope()).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn expressions_without_the_interpreter_come_out_like_those_with_it(source in generated()) {
        agree(&source, &scope())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_expression_panics_and_what_is_accepted_has_its_type(source in generated()) {
        for wanted in [Type::Bool, Type::Double, Type::Text, Type::Any] {
            let Ok(expression) = Expression::compile(&source, &wanted, &Table) else { continue };
            let scope = scope();
            if let (Some((always, _)), Ok(value)) = (expression.always(), expression.condition(&scope)) {
                prop_assert_eq!(*always, value, "{} was said to be always {}", source, always);
            }
            match (&wanted, expression.value(&scope)) {
                (_, Err(error)) => {
                    // The only errors left to run time: facts that are not known, arithmetic, indexes.
                    let text = error.to_string();
                    prop_assert!(!text.contains("overload"), "{source}: {text}");
                }
                (Type::Bool, Ok(value)) => prop_assert!(matches!(value, Value::Bool(_)), "{source}: {value:?}"),
                (Type::Double, Ok(value)) => prop_assert!(matches!(value, Value::Float(_)), "{source}: {value:?}"),
                (Type::Text, Ok(value)) => prop_assert!(matches!(value, Value::String(_)), "{source}: {value:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn no_text_panics(source in "\\PC{0,80}") {
        let _ = Expression::compile(&source, &Type::Any, &Table);
    }
}
