#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::policy::{Bundle, FactValue, Facts, File, Inputs, Policy, RuleOutcome, RuleTrace, Series, builtin};

const DEV: &str = "apiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {name: dev}\n\
                   spec: {workload: {kind: Deployment, replicas: '1.0'}}\n";

/// Documents of these kinds with these specs, the first of a kind named `a`, beside the signals `cpu` (required) and
/// `rps` (only where a throughput is asked for).
fn policy(specs: &[(&str, &str)]) -> Policy {
    let document = |kind: &str, name: &str, spec: &str| {
        let spec = spec.lines().map(|line| ["  ", line, "\n"].concat()).collect::<String>();
        format!("apiVersion: policy.oaas.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}")
    };
    let signal = |name, when: &str| {
        let spec = "unit: cores\nquery: 'x{$scope}'\njoin: pod\nwindow: 10m\nmax_age: 2m\nrequired_when: ";
        document("Signal", name, &[spec, when].concat())
    };
    let mut texts = vec![DEV.to_owned(), signal("cpu", "true"), signal("rps", "has(nfr.min_throughput_rps)")];
    texts.extend(specs.iter().map(|(kind, spec)| document(kind, "a", spec)));
    let text = texts.join("---\n");
    let files = [File { name: "a.yaml".to_owned(), text }];
    let bundle = Bundle::read(&files, &[]).unwrap_or_else(|found| panic!("{found}"));
    bundle
        .compile(&Inputs { profile: "edge".to_owned(), ..Inputs::default() })
        .unwrap_or_else(|found| panic!("{found}"))
        .0
}

fn recommendation(rules: &str) -> Policy {
    policy(&[("Recommendation", &format!("component: function\ndimension: replicas\n{rules}"))])
}

const STABLE: &str = "dimension: replicas\nstabilize: {up: 15s, down: 3m, dead_band: 10.0}\n";

fn safeguard(rules: &str) -> Policy {
    policy(&[("Safeguard", &format!("{STABLE}{rules}"))])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// One value each 30 s, the last of them now, at ten minutes.
fn series(values: &[f64]) -> Arc<Series> {
    let first = 600 - 30 * (i64::try_from(values.len()).unwrap() - 1);
    Arc::new(Series::new((0..).map(|step| at(first + 30 * step)).zip(values.iter().copied())).unwrap())
}

/// A small class at ten minutes, with a series for `cpu`.
fn facts(cpu: &[f64]) -> Facts {
    let mut facts = Facts::default();
    facts.set("profile", FactValue::Text("edge".to_owned()));
    facts.set_signal("cpu", series(cpu));
    facts.set_now(at(600));
    facts
}

fn outcomes(trace: &[RuleTrace]) -> Vec<String> {
    let shown = |trace: &RuleTrace| match &trace.outcome {
        RuleOutcome::True => "true".to_owned(),
        RuleOutcome::False => "false".to_owned(),
        RuleOutcome::Error(reason) => format!("error: {reason}"),
        RuleOutcome::Inapplicable(reason) => format!("inapplicable: {reason}"),
    };
    trace.iter().map(shown).collect()
}

#[test]
fn the_highest_target_wins_and_the_first_of_equal_ones() {
    let policy = recommendation(
        "rules:\n- {id: low, target: 1.0, basis: '\"l\"'}\n- {id: one, target: 'signals.cpu.last()', confidence: 0.5, \
         basis: '\"of \" + string(signals.cpu.last())'}\n- {id: two, target: 'signals.cpu.last()', basis: '\"t\"'}\n\
         - {id: off, when: 'profile == \"dev\"', target: 9.0, basis: '\"o\"'}",
    );
    let document = &policy.recommendations()[0];
    assert_eq!(
        (document.name(), document.component(), document.dimension()),
        ("a", ComponentKind::Function, Dimension::Replicas)
    );
    let found = document.evaluate(&facts(&[2.0, 3.5]));
    let proposal = found.proposal.unwrap();
    let expected =
        Proposal { target: 3.5, confidence: 0.5, basis: "of 3.5".to_owned(), rule: "Recommendation/a/one".to_owned() };
    assert_eq!((proposal, found.error), (expected, None));
    assert_eq!(outcomes(&found.trace), ["true", "true", "true", "false"]);
    assert_eq!(found.trace[1].effect.as_deref(), Some("target 3.5, confidence 0.5: of 3.5"));
    assert_eq!(document.evaluate(&facts(&[0.5])).proposal.unwrap().rule, "Recommendation/a/low");
}

#[test]
fn the_first_rule_that_applies_answers_where_the_document_says_so() {
    let policy = recommendation(
        "combine: first\nrules:\n- {id: idle, when: 'signals.cpu.last() < 1.0', target: 1.0, basis: '\"i\"'}\n\
         - {id: trial, mode: dry-run, target: 50.0, basis: '\"t\"'}\n- {id: busy, target: 4.0, basis: '\"b\"'}\n\
         - {id: never, target: 90.0, basis: '\"n\"'}",
    );
    let target = |facts: &Facts| policy.recommendations()[0].evaluate(facts).proposal.map(|one| one.target);
    assert_eq!(target(&facts(&[0.5])), Some(1.0));
    assert_eq!(target(&facts(&[2.0])), Some(4.0));
    // What the first would have said is not known, so nothing is.
    let none = policy.recommendations()[0].evaluate(&facts(&[]));
    let (rule, reason) = none.error.unwrap();
    assert_eq!((none.proposal, rule.as_str()), (None, "Recommendation/a/idle"));
    assert_eq!(reason, "signals.cpu has no data in the last 10m");
}

#[test]
fn missing_data_is_an_error_where_the_class_needs_it_and_else_the_rule_does_not_apply() {
    let policy = recommendation(
        "rules:\n- {id: cpu, target: 'signals.cpu.last()', basis: '\"c\"'}\n\
         - {id: rps, target: 'signals.rps.max_over(duration(\"2m\")) / 100.0', basis: '\"r\"'}",
    );
    let document = &policy.recommendations()[0];
    let mut facts = facts(&[3.0]);
    let found = document.evaluate(&facts);
    assert_eq!((found.proposal.map(|one| one.target), found.error), (Some(3.0), None));
    assert_eq!(outcomes(&found.trace), ["true", "inapplicable: signals.rps has no data in the last 2m"]);

    facts.set("nfr.min_throughput_rps", FactValue::Number(100.0));
    let found = document.evaluate(&facts);
    let error = ("Recommendation/a/rps".to_owned(), "signals.rps has no data in the last 2m".to_owned());
    assert_eq!((found.proposal.map(|one| one.target), found.error), (Some(3.0), Some(error)));

    facts.set_signal("rps", series(&[700.0]));
    assert_eq!(document.evaluate(&facts).proposal.map(|one| one.target), Some(7.0));
    // As of before the first sample there is none.
    facts.set_now(at(0));
    assert_eq!(document.evaluate(&facts).proposal, None);
    let signals = policy.signals();
    assert_eq!(signals.iter().map(|one| one.required(&facts)).collect::<Vec<_>>(), [Ok(true), Ok(true)]);
}

#[test]
fn a_failure_behind_a_variable_is_told_like_one_of_the_rule_itself() {
    let policy = recommendation(
        "variables:\n- {name: load, expression: 'signals.rps.last() / 2.0'}\n- {name: twice, expression: 'variables.load * 2.0'}\n\
         rules:\n- {id: r, target: 'variables.twice', basis: '\"r\"'}",
    );
    let found = policy.recommendations()[0].evaluate(&facts(&[1.0]));
    let expected = "inapplicable: variables.twice: variables.load: signals.rps has no data in the last 10m";
    assert_eq!((outcomes(&found.trace), found.error), (vec![expected.to_owned()], None));
}

#[test]
fn a_target_below_zero_and_a_confidence_out_of_bounds_are_errors_and_words_that_fail_are_not() {
    let policy = recommendation(
        "rules:\n- {id: negative, target: 'signals.cpu.last() - 5.0', basis: '\"n\"'}\n\
         - {id: sure, target: 3.0, confidence: 'signals.cpu.last()', basis: '\"s\"'}\n\
         - {id: words, target: 2.0, basis: 'string(1.0 / (signals.cpu.last() - 4.0))'}",
    );
    let found = policy.recommendations()[0].evaluate(&facts(&[4.0]));
    assert_eq!(
        outcomes(&found.trace),
        [
            "error: the target is -1, which is below 0",
            "error: the confidence is 4, which is not between 0 and 1",
            "true"
        ]
    );
    let proposal = found.proposal.unwrap();
    assert_eq!((proposal.target, proposal.basis.as_str()), (2.0, "not known: 1 divided by zero"));
    assert_eq!(found.error.unwrap().0, "Recommendation/a/negative");
}

#[test]
fn rules_that_only_warn_or_run_dry_are_traced_and_count_for_nothing() {
    let policy = recommendation(
        "rules:\n- {id: warned, mode: warn, target: 9.0, basis: '\"w\"'}\n\
         - {id: failed, mode: dry-run, target: 'signals.cpu.min_over(duration(\"1m\")) - 9.0', basis: '\"f\"'}\n\
         - {id: real, target: 2.0, basis: '\"r\"'}",
    );
    let found = policy.recommendations()[0].evaluate(&facts(&[1.0]));
    assert_eq!((found.proposal.unwrap().target, found.error), (2.0, None));
    assert_eq!(found.trace[0].effect.as_deref(), Some("would be target 9"));
    assert!(outcomes(&found.trace)[1].starts_with("error: the target is -8"));
}

#[test]
fn a_glance_gives_the_same_answer_without_words() {
    let policy = recommendation(
        "combine: first\nrules:\n- {id: trial, mode: warn, target: 9.0, basis: '\"t\"'}\n\
         - {id: rps, target: 'signals.rps.last()', basis: '\"r\"'}\n\
         - {id: one, when: 'signals.cpu.last() > 1.0', target: 2.0, confidence: 'signals.cpu.last() / 4.0', basis: '\"o\"'}\n\
         - {id: two, target: 3.0, basis: '\"t\"'}",
    );
    for (cpu, expected) in
        [(2.0, Some(("Recommendation/a/one", 0.5))), (1.0, Some(("Recommendation/a/two", 1.0))), (5.0, None)]
    {
        let found = policy.recommendations()[0].glance(&facts(&[cpu]));
        assert!(found.trace.is_empty());
        assert_eq!(found.error.is_some(), expected.is_none());
        let proposal = found.proposal.as_ref().map(|one| (one.rule.as_str(), one.confidence));
        assert_eq!((proposal, found.proposal.as_ref().is_none_or(|one| one.basis.is_empty())), (expected, true));
    }
}

fn proposed(facts: &mut Facts, current: f64, target: f64) {
    let direction = if target > current { "up" } else { "down" };
    facts.set("current.replicas", FactValue::Number(current));
    facts.set("current.ready_replicas", FactValue::Number(current));
    facts.set("proposal.target", FactValue::Number(target));
    facts.set("proposal.change", FactValue::Number(target - current));
    facts.set("proposal.direction", FactValue::Text(direction.to_owned()));
    facts.set("proposal.confidence", FactValue::Number(1.0));
    facts.set("proposal.rule", FactValue::Text("Recommendation/a/r".to_owned()));
}

#[test]
fn a_safeguard_holds_and_narrows_and_says_what_each_rule_does() {
    let policy = safeguard(
        "rules:\n- {id: cooldown, when: 'has(proposal.since_applied)', hold: 'proposal.since_applied < duration(\"1m\")', \
         message: '\"changed \" + string(proposal.since_applied) + \" ago\"'}\n- {id: plain, hold: 'proposal.target > 50.0'}\n\
         - {id: bound, at_most: 'current.replicas * 2.0', at_least: 'current.replicas / 2.0'}\n\
         - {id: hpa, when: 'has(current.hpa)', at_most: 'current.hpa.max_replicas'}\n\
         - {id: trial, mode: dry-run, at_least: 7.0}\n- {id: rps, hold: 'signals.rps.age() > duration(\"1m\")'}",
    );
    let document = &policy.safeguards()[0];
    let mut facts = facts(&[1.0]);
    proposed(&mut facts, 4.0, 60.0);
    facts.set("proposal.since_applied", FactValue::Duration(Duration::from_secs(30)));
    let said = document.evaluate(&facts);
    let hold = |message: &str| Some(Guard::Hold { message: message.to_owned() });
    let bound = |at_most, at_least| Some(Guard::Bound { at_most, at_least });
    let effects: Vec<Option<Guard>> = said.iter().map(|one| one.effect.clone()).collect();
    let expected =
        [hold("changed 30s ago"), hold("proposal.target > 50.0"), bound(Some(8.0), Some(2.0)), None, None, None];
    assert_eq!(effects, expected);
    let shown: Vec<Option<&str>> = said.iter().map(|one| one.trace.effect.as_deref()).collect();
    let words = [
        Some("hold: changed 30s ago"),
        Some("hold: proposal.target > 50.0"),
        Some("at most 8, at least 2"),
        None,
        Some("at least 7"),
        None,
    ];
    assert_eq!(shown, words);
    assert_eq!(
        &*said[0].trace.condition,
        "(has(proposal.since_applied)) && (proposal.since_applied < duration(\"1m\"))"
    );
    assert!(outcomes(&[said[5].trace.clone()])[0].starts_with("inapplicable: signals.rps has no data"));

    facts.set("proposal.since_applied", FactValue::Duration(Duration::from_secs(60)));
    facts.set_group("current.hpa");
    facts.set("current.hpa.max_replicas", FactValue::Number(6.0));
    let effects: Vec<Option<Guard>> = document.evaluate(&facts).into_iter().map(|one| one.effect).collect();
    assert_eq!((&effects[0], &effects[3]), (&None, &bound(Some(6.0), None)));
}

#[test]
fn a_safeguard_rule_that_cannot_be_evaluated_holds_where_it_counts() {
    let rules = "rules:\n- {id: divides, hold: '1.0 / (proposal.target - 5.0) > 0.0'}\n\
                 - {id: stale, at_most: 'signals.cpu.max_over(duration(\"2m\"))'}\n\
                 - {id: trial, mode: warn, hold: '1.0 / (proposal.target - 5.0) > 0.0'}\n\
                 - {id: words, hold: true, message: 'string(1.0 / (proposal.target - 5.0))'}";
    let policy = safeguard(rules);
    let mut facts = facts(&[]);
    proposed(&mut facts, 4.0, 5.0);
    let said = policy.safeguards()[0].evaluate(&facts);
    let effects: Vec<Option<String>> = said.iter().map(|one| one.effect.as_ref().map(ToString::to_string)).collect();
    let failed = "hold: it could not be evaluated: ";
    assert_eq!(
        effects,
        [
            Some(format!("{failed}1 divided by zero")),
            Some(format!("{failed}signals.cpu has no data in the last 2m")),
            None,
            Some("hold: true (its message could not be evaluated: 1 divided by zero)".to_owned()),
        ]
    );
    assert!(said[2].trace.effect.as_ref().unwrap().starts_with(failed));
}

#[test]
fn stability_is_told_with_the_params_in_effect_and_refused_where_it_makes_no_sense() {
    let policy = policy(&[(
        "Safeguard",
        "dimension: cpu\nparams: {down: {type: duration, default: 3m}, band: {type: percent, default: 10}}\n\
         profiles: {edge: {down: 5m}}\nstabilize: {up: 90s, down: params.down, dead_band: 'params.band + proposal.change'}\n\
         rules: [{id: r, hold: features.hpa}]",
    )]);
    let mut facts = facts(&[]);
    let change = |facts: &mut Facts, change: f64| {
        facts.set("proposal.change", FactValue::Number(change));
        policy.safeguards()[0].stabilize(facts)
    };
    let stable = Stabilize { up: Duration::from_secs(90), down: Duration::from_secs(300), dead_band_pct: 12.0 };
    assert_eq!(change(&mut facts, 2.0), Ok(stable));
    for wrong in [-11.0, 90.0] {
        let (field, reason) = change(&mut facts, wrong).unwrap_err();
        assert_eq!(field, "Safeguard/a/stabilize.dead_band");
        assert!(reason.ends_with("is no percentage from 0 to below 100"), "{reason}");
    }
}

#[test]
fn a_document_tells_how_far_it_looks_back_at_a_signal() {
    let policy = recommendation(
        "params: {peak: {type: duration, default: 2m, max: 9m}}\n\
         variables:\n- {name: calm, expression: 'signals.cpu.avg_over(params.peak + duration(\"1m\")) < 1.0'}\n\
         rules:\n- {id: r, when: variables.calm, target: 'signals.cpu.max_over(duration(\"90s\")) + signals.rps.last()', basis: '\"r\"'}",
    );
    let unit = policy.recommendations()[0].unit();
    assert_eq!(unit.look_back("cpu"), Some(Duration::from_secs(180)));
    assert_eq!((unit.look_back("rps"), unit.look_back("none")), (Some(Duration::ZERO), None));
    assert_eq!(unit.signals().collect::<Vec<_>>(), ["cpu", "rps"]);
}

#[test]
fn an_explained_rule_shows_figures_bounds_and_margins() {
    let policy = recommendation(
        "params: {peak: {type: duration, default: 2m, max: 9m}}\n\
         rules:\n- {id: r, when: 'signals.cpu.max_over(params.peak) > 1.0', target: 'signals.cpu.avg_over(params.peak) + signals.rps.count()', basis: '\"r\"'}",
    );
    let found = policy.recommendations()[0].evaluate(&facts(&[1.0, 4.0]).explained());
    let trace = &found.trace[0];
    let values: Vec<(&str, &str)> = trace.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("params.peak", "2m"),
        ("signals.cpu.max_over(params.peak)", "4"),
        ("signals.cpu.avg_over(params.peak)", "2.5"),
        ("signals.rps.count()", "0"),
    ];
    assert_eq!(values, expected);
    assert_eq!(
        trace.margins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["signals.cpu.max_over(params.peak) > 1.0: holds by 3"]
    );
}

#[test]
fn a_signal_says_what_is_measured() {
    let policy = Policy::builtin(&Inputs::default()).unwrap();
    let signal = |name: &str| policy.signals().iter().find(|one| one.name() == name).unwrap();
    let cpu = signal("cpu");
    assert_eq!((cpu.measure(), cpu.quantile(), cpu.join(), cpu.combine()), ("cores", None, Join::Pod, Combine::Sum));
    assert!(cpu.query().contains("$scope"));
    let seconds = Duration::from_secs;
    assert_eq!((cpu.window(), cpu.step(), cpu.max_age()), (Some(seconds(2400)), Some(seconds(30)), seconds(120)));
    assert_eq!(signal("latency").quantile(), Some(0.95));
    let mut facts = Facts::default();
    assert_eq!(signal("latency").required(&facts), Ok(false));
    facts.set("nfr.max_latency_ms", FactValue::Number(100.0));
    assert_eq!((signal("latency").required(&facts), signal("oom").required(&facts)), (Ok(true), Ok(false)));
}

#[test]
fn the_shipped_signals_are_all_read_and_every_size_that_is_applied_is_guarded() {
    let policy = Policy::builtin(&Inputs::default()).unwrap();
    for signal in policy.signals() {
        let units = policy.recommendations().iter().map(RecommendationPolicy::unit);
        let mut units = units.chain(policy.safeguards().iter().map(SafeguardPolicy::unit));
        assert!(units.any(|unit| unit.look_back(signal.name()).is_some()), "{}", signal.name());
    }
    for one in policy.recommendations().iter().filter(|one| one.component() == ComponentKind::Function) {
        assert!(policy.safeguards().iter().any(|guard| guard.dimension() == one.dimension()), "{}", one.name());
    }
    assert_eq!(policy.safeguards().len(), 3);
}

/// The seed's variables set both sides, up to the longest that the signals are kept for.
#[test]
fn the_seeds_variables_set_the_rising_and_the_falling_side() {
    let with = |name: &str, value: &str| {
        let inputs = Inputs { profile: "full".to_owned(), environment: [(name.to_owned(), value.to_owned())].into() };
        Bundle::builtin().unwrap().compile(&inputs).map(|(policy, _)| policy).map_err(|found| found.to_string())
    };
    let policy = with("OPRC_CRM_ENFORCEMENT_STABILITY_SECS", "1800").unwrap();
    let facts = Facts::default();
    for guard in policy.safeguards() {
        let stable = guard.stabilize(&facts).unwrap();
        assert_eq!(
            (stable.up, stable.down),
            (Duration::from_secs(1800), Duration::from_secs(1800)),
            "{}",
            guard.name()
        );
    }
    assert!(with("OPRC_CRM_ENFORCEMENT_STABILITY_SECS", "1801").unwrap_err().contains("above its max 30m"));
    for (name, param, value) in [
        ("OPRC_CRM_ENFORCEMENT_COOLDOWN_SECS", ["cooldown_up", "cooldown_down"], "45"),
        ("OPRC_CRM_ENFORCEMENT_MAX_REPLICA_DELTA", ["max_rise_pct", "max_fall_pct"], "40"),
    ] {
        let policy = with(name, value).unwrap();
        let guard = policy.safeguards().iter().find(|one| one.name() == "replicas").unwrap();
        for param in param {
            let (_, shown, origin) = guard.unit().params().find(|(known, ..)| *known == param).unwrap();
            assert_eq!((shown.trim_end_matches('s'), origin.as_str()), (value, name));
        }
    }
}

#[test]
fn an_overlay_drops_the_shipped_tests_of_all_that_rests_on_what_it_changes() {
    let document = |kind: &str, name: &str, spec: &str| File {
        name: format!("{kind}-{name}.yaml"),
        text: format!("apiVersion: policy.oaas.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"),
    };
    let tests = ["Safeguard/replicas", "Safeguard/memory", "Recommendation/replicas", "Recommendation/cpu"];
    let mut shipped = builtin::files();
    shipped.retain(|file| !file.name.contains("/tests/"));
    let suites = |above: &[File]| {
        let mut sink = crate::policy::diagnostic::Sink::default();
        let above = crate::policy::bundle::documents(above, &mut sink);
        let beneath: Vec<_> = crate::policy::bundle::documents(&shipped, &mut sink);
        tests.map(|target| crate::policy::overlay::dropped(target, &above, &beneath))
    };
    let bundle = |params: &str| [document("Bundle", "mine", &format!("{{extends: builtin, params: {params}}}"))];
    let signal = "{unit: cores, query: 'x{$scope}', join: pod, combine: sum, window: 40m, max_age: 2m}";
    let own = "{component: function, dimension: replicas, rules: [{id: r, target: 3.0, basis: '\"r\"'}]}";
    for (above, expected) in [
        (&bundle("{Safeguard/replicas: {stability_down: 5m}}")[..], [true, false, false, false]),
        (&bundle("{Recommendation/replicas: {jumps: 2}}"), [true, false, true, false]),
        (&bundle("{max_replicas: 40}"), [true, false, false, false]),
        (
            &[document("Bundle", "mine", "{extends: builtin}"), document("Signal", "cpu", signal)],
            [true, false, true, false],
        ),
        (
            &[document("Bundle", "mine", "{extends: builtin}"), document("Signal", "pod_cpu", signal)],
            [false, false, false, true],
        ),
        (
            &[document("Bundle", "mine", "{extends: builtin}"), document("Recommendation", "mine", own)],
            [true, false, false, false],
        ),
    ] {
        assert_eq!(suites(above), expected, "{above:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is measured, the shipped documents give sound answers or say which rule failed.
    #[test]
    fn shipped_documents_answer_soundly_to_any_load(
        cpu in prop::collection::vec(0.0..1e6_f64, 0..40), memory in prop::collection::vec(0.0..1e13_f64, 0..40),
        request in prop::option::of(0.0..64.0_f64), current in 0.0..200.0_f64, target in 0.0..500.0_f64,
        latency in prop::option::of(0.0..5000.0_f64), since in prop::option::of(0_u64..10_000), hpa in any::<bool>(),
    ) {
        let policy = shipped();
        let mut facts = facts(&cpu);
        facts.set_signal("pod_cpu", series(&cpu));
        facts.set_signal("pod_memory", series(&memory));
        let number = FactValue::Number;
        facts.set("limits.req_cpu_per_pod", number(0.5));
        facts.set("limits.max_replicas", number(20.0));
        facts.set("component.replicas", number(current));
        facts.set("features.hpa", FactValue::Bool(true));
        facts.set("class.enforcement.dimensions", FactValue::Texts(vec!["replicas".to_owned(), "cpu".to_owned()]));
        facts.set("current.replicas", number(current));
        proposed(&mut facts, current, target);
        if let Some(request) = request {
            facts.set("component.cpu_request", number(request));
        }
        if let Some(latency) = latency {
            facts.set("nfr.max_latency_ms", number(latency));
            facts.set("component.ready_replicas", number(target));
            facts.set_signal("latency", series(&cpu));
        }
        if let Some(since) = since {
            facts.set("proposal.since_applied", FactValue::Duration(Duration::from_secs(since)));
        }
        if hpa {
            facts.set_group("current.hpa");
            facts.set("current.hpa.max_replicas", number(10.0));
            facts.set("current.hpa.targets_cpu", FactValue::Bool(true));
        }
        for document in policy.recommendations() {
            let (found, glance) = (document.evaluate(&facts), document.glance(&facts));
            let bare = |one: Option<Proposal>| one.map(|one| Proposal { basis: String::new(), ..one });
            prop_assert_eq!((glance.proposal, &glance.error), (bare(found.proposal.clone()), &found.error));
            if let Some(proposal) = found.proposal {
                prop_assert!(proposal.target.is_finite() && proposal.target >= 0.0, "{proposal:?}");
                prop_assert!((0.0..=1.0).contains(&proposal.confidence), "{proposal:?}");
            }
            if let Some((rule, reason)) = found.error {
                prop_assert!(reason.contains("no data") || reason.contains("not known"), "{rule}: {reason}");
            }
        }
        for document in policy.safeguards() {
            for said in document.evaluate(&facts) {
                if let RuleOutcome::Error(reason) = &said.trace.outcome {
                    prop_assert!(reason.contains("no data"), "{}: {reason}", said.trace.rule);
                    let holds = matches!(said.effect, Some(Guard::Hold { .. }));
                    prop_assert!(holds, "{} does not hold", said.trace.rule);
                }
            }
        }
    }
}

fn shipped() -> &'static Policy {
    static POLICY: std::sync::OnceLock<Policy> = std::sync::OnceLock::new();
    POLICY.get_or_init(|| Policy::builtin(&Inputs { profile: "full".to_owned(), ..Inputs::default() }).unwrap())
}
