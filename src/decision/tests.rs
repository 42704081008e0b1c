#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::{ClusterFacts, Decision, Features, RuleOutcome, Setting, TemplateProblem, decide, explain, run_tests};
use crate::api::{
    Consistency, DeploymentRecord, DeploymentRecordSpec, FunctionShorthand, FunctionSpec, NfrRequirements, OdgmConfig,
};
use crate::model::{Class, parse};
use crate::policy::{Bundle, File, Inputs, Policy};

fn class(spec: DeploymentRecordSpec) -> Class {
    parse(&DeploymentRecord::new("hello", spec)).unwrap()
}

fn simple() -> DeploymentRecordSpec {
    let function = FunctionShorthand { image: "nginx".to_owned(), port: None };
    DeploymentRecordSpec { function: Some(function), ..DeploymentRecordSpec::default() }
}

fn setting(profile: &str) -> Setting {
    let cluster = ClusterFacts { knative: Some(false), ..ClusterFacts::default() };
    Setting { profile: profile.to_owned(), features: Features { odgm: true, ..Features::default() }, cluster }
}

fn policy(profile: &str) -> Policy {
    Policy::builtin(&Inputs { profile: profile.to_owned(), ..Inputs::default() }).unwrap()
}

fn ask(profile: &str, spec: DeploymentRecordSpec, current: Option<&str>) -> Decision {
    decide(&policy(profile), &class(spec), &setting(profile), current)
}

#[test]
fn the_shipped_tests_pass() {
    let run = run_tests(&Bundle::builtin().unwrap()).unwrap();
    assert!(run.cases.len() > 40);
    assert_eq!((run.coverage.percent(), run.coverage.missing()), (100, Vec::new()));
    for report in run.cases {
        assert_eq!(report.faults, Vec::<String>::new(), "{}: {}", report.suite, report.case);
    }
}

#[test]
fn each_profile_gets_its_own_template() {
    for (profile, replicas) in [("dev", 1), ("edge", 2), ("full", 3)] {
        let decision = ask(profile, simple(), None);
        let chosen = decision.template.unwrap();
        assert_eq!((chosen.plan.name.as_str(), chosen.plan.replicas), (profile, replicas));
        assert!(decision.admission.denials.is_empty());
        assert_eq!(decision.candidates.first().unwrap().name, profile, "best first");
    }
}

#[test]
fn a_function_that_states_a_utilisation_of_its_own_is_scaled_by_it_and_the_others_by_the_classs() {
    let nfr = |target| Some(NfrRequirements { cpu_utilization_target: target, ..NfrRequirements::default() });
    let function = |key: &str, target| FunctionSpec {
        function_key: key.to_owned(),
        image: Some("nginx".to_owned()),
        nfr_requirements: nfr(target),
        ..FunctionSpec::default()
    };
    // As a share, as percent, and beyond all sense.
    let functions = vec![
        function("share", Some(0.5)),
        function("percent", Some(65.0)),
        function("odd", Some(900.0)),
        function("plain", None),
    ];
    let spec = DeploymentRecordSpec { functions, nfr_requirements: nfr(Some(0.7)), ..DeploymentRecordSpec::default() };
    let class = class(spec);
    let scaling = Setting { features: Features { hpa: true, ..Features::default() }, ..setting("edge") };
    let plan = decide(&policy("edge"), &class, &scaling, None).template.unwrap().plan;
    let targets: Vec<_> = class.functions.iter().map(|one| plan.autoscaler_of(one).unwrap().cpu_utilization).collect();
    assert_eq!(targets, [50, 65, 100, 70]);
    let off = decide(&policy("edge"), &class, &setting("edge"), None).template.unwrap().plan;
    assert!(class.functions.iter().all(|one| off.autoscaler_of(one).is_none()));
}

#[test]
fn why_names_the_score_and_the_rules() {
    let nfr =
        NfrRequirements { min_throughput_rps: Some(2000), availability_pct: Some(99.99), ..NfrRequirements::default() };
    let spec = DeploymentRecordSpec { nfr_requirements: Some(nfr), ..simple() };
    assert_eq!(ask("edge", spec, None).template.unwrap().why, "full (score 120): throughput, availability");
    let spec = DeploymentRecordSpec { selected_template: Some("full".to_owned()), ..simple() };
    assert_eq!(ask("dev", spec, None).template.unwrap().why, "named by spec.selected_template");
}

#[test]
fn an_unknown_fact_keeps_the_template_or_leaves_it_undecided() {
    let mut setting = setting("full");
    setting.features.knative = true;
    setting.cluster.knative = None;
    let (policy, class) = (policy("full"), class(simple()));
    let chosen = decide(&policy, &class, &setting, Some("dev")).template.unwrap();
    assert_eq!(chosen.plan.name, "dev");
    let kept = chosen.kept.unwrap();
    assert_eq!(
        (kept.rule.as_str(), kept.message.as_str()),
        ("Template/knative/installed", "cluster.knative is not known")
    );
    for current in [None, Some("gone")] {
        let problem = decide(&policy, &class, &setting, current).template.unwrap_err();
        assert!(matches!(problem, TemplateProblem::Undecided { .. }), "{problem}");
    }
}

#[test]
fn the_data_grid_is_planned_only_where_asked_for_and_on() {
    let odgm = OdgmConfig { replica_count: Some(3), ..OdgmConfig::default() };
    let spec = DeploymentRecordSpec { odgm_config: Some(odgm), ..simple() };
    let decision = ask("full", spec.clone(), None);
    assert_eq!(decision.template.unwrap().plan.odgm.unwrap().replicas, 3);
    assert!(ask("full", simple(), None).template.unwrap().plan.odgm.is_none());
    let mut off = setting("full");
    off.features.odgm = false;
    let decision = decide(&policy("full"), &class(spec), &off, None);
    assert!(decision.template.unwrap().plan.odgm.is_none());
    assert_eq!(decision.admission.warnings.first().unwrap().rule, "Admission/odgm/feature-off");
    assert!(decision.admission.denials.is_empty());
}

#[test]
fn the_environment_moves_the_replica_limit() {
    let function = FunctionSpec {
        function_key: "f".to_owned(),
        image: Some("nginx".to_owned()),
        replicas: Some(25),
        ..FunctionSpec::default()
    };
    let class = class(DeploymentRecordSpec { functions: vec![function], ..DeploymentRecordSpec::default() });
    let denials = |limit: Option<&str>| {
        let environment = limit.map(|limit| ("OPRC_CRM_LIMITS_MAX_REPLICAS".to_owned(), limit.to_owned()));
        let inputs = Inputs { profile: "dev".to_owned(), environment: environment.into_iter().collect() };
        decide(&Policy::builtin(&inputs).unwrap(), &class, &setting("dev"), None).admission.denials
    };
    assert_eq!(denials(None).first().unwrap().rule, "Admission/scale/replicas");
    assert!(denials(Some("25")).is_empty());
}

#[test]
fn a_failed_rule_acts_by_its_mode() {
    let text = |mode: &str, verb: &str| {
        format!(
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {{name: b}}\nspec: {{extends: builtin}}\n---\n\
             apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {{name: a}}\nspec:\n  rules:\n  \
             - {{id: r, mode: {mode}, {verb}: cluster.nodes < 1.0, message: \"'m'\"}}\n"
        )
    };
    for (mode, verb, denials, warnings) in
        [("enforce", "deny", 1, 0), ("warn", "deny", 0, 1), ("dry-run", "deny", 0, 0), ("enforce", "warn", 0, 1)]
    {
        let shipped: Vec<File> = shipped();
        let own = File { name: "own.yaml".to_owned(), text: text(mode, verb) };
        let policy = Bundle::read(&[own], &shipped).unwrap().compile(&Inputs::default()).unwrap().0;
        let admission = decide(&policy, &class(simple()), &setting("dev"), None).admission;
        assert_eq!((admission.denials.len(), admission.warnings.len()), (denials, warnings), "{mode} {verb}");
        let trace = admission.trace.iter().find(|trace| *trace.rule == *"Admission/a/r").unwrap();
        assert!(trace.effect.as_ref().unwrap().contains("cluster.nodes is not known"), "{trace:?}");
    }
}

#[test]
fn a_rule_without_effect_takes_no_steps_from_those_that_decide_and_neither_does_explaining() {
    let list: Vec<String> = (0..110).map(|n| format!("{n}.0")).collect();
    let list = format!("[{}]", list.join(","));
    // Each of these spends an eighth of what a document may.
    let rule = |number: usize, mode: &str| {
        format!(
            "  - {{id: r{number}, mode: {mode}, deny: '{list}.exists(i, {list}.exists(j, i + j < -{number}.5))', message: \
             \"'m'\"}}\n"
        )
    };
    let bundle = |mode: &str, number: usize| {
        let rules: String = (0..number).map(|number| rule(number, mode)).collect();
        let text = format!(
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {{name: b}}\nspec: {{extends: builtin}}\n---\n\
             apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {{name: a}}\nspec:\n  rules:\n{rules}  \
             - {{id: last, deny: 'class.name == \"x\"', message: \"'m'\"}}\n"
        );
        let own = File { name: "own.yaml".to_owned(), text };
        Bundle::read(&[own], &shipped()).unwrap().compile(&Inputs::default()).unwrap().0
    };
    let class = class(simple());
    for (mode, number, denials) in [("dry-run", 12, 0), ("enforce", 2, 0)] {
        let policy = bundle(mode, number);
        let decided = decide(&policy, &class, &setting("dev"), None);
        assert_eq!(decided.admission.denials.len(), denials, "{mode}: {:?}", decided.admission.denials);
        let explained = explain(&policy, &class, &setting("dev"), None);
        assert_eq!(explained.admission.denials, decided.admission.denials, "{mode}");
        let outcomes = |decision: &Decision| -> Vec<RuleOutcome> {
            decision.admission.trace.iter().map(|trace| trace.outcome.clone()).collect()
        };
        assert_eq!(outcomes(&explained), outcomes(&decided), "{mode}");
    }
}

/// The shipped files from the repository.
fn shipped() -> Vec<File> {
    let read = |dir: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect::<Vec<_>>()
    };
    let paths = [read("policies"), read("policies/templates"), read("policies/tests")].concat();
    paths
        .iter()
        .map(|path| File { name: path.display().to_string(), text: std::fs::read_to_string(path).unwrap() })
        .collect()
}

fn requirements() -> impl Strategy<Value = NfrRequirements> {
    let consistency = prop::option::of(prop::sample::select(vec![Consistency::Eventual, Consistency::Strong]));
    (prop::option::of(0_u32..3000), prop::option::of(0_u32..300), prop::option::of(99.0..100.0_f64), consistency)
        .prop_map(|(min_throughput_rps, max_latency_ms, availability_pct, consistency)| NfrRequirements {
            min_throughput_rps,
            max_latency_ms,
            availability_pct,
            cpu_utilization_target: None,
            consistency,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_same_question_has_the_same_answer_whatever_the_order_of_files(
        nfr in requirements(), profile in prop::sample::select(vec!["dev", "edge", "full"]), rotate in 0_usize..8,
    ) {
        let mut files = shipped();
        let count = files.len();
        files.rotate_left(rotate % count);
        for (index, file) in files.iter_mut().enumerate() {
            file.name = format!("{index}.yaml");
        }
        let inputs = Inputs { profile: profile.to_owned(), ..Inputs::default() };
        let rotated = Bundle::read(&files, &[]).unwrap().compile(&inputs).unwrap().0;
        let class = class(DeploymentRecordSpec { nfr_requirements: Some(nfr), ..simple() });
        let one = decide(&policy(profile), &class, &setting(profile), None);
        prop_assert_eq!(&one, &decide(&rotated, &class, &setting(profile), None));
    }

    #[test]
    fn a_named_template_wins_or_is_an_error_never_another(
        nfr in requirements(), knative in any::<bool>(), installed in prop::option::of(any::<bool>()),
        profile in prop::sample::select(vec!["dev", "edge", "full"]),
        asked in prop::sample::select(vec!["dev", "edge", "full", "knative", "none"]),
    ) {
        let mut setting = setting(profile);
        setting.features.knative = knative;
        setting.cluster.knative = installed;
        let spec = DeploymentRecordSpec {
            nfr_requirements: Some(nfr), selected_template: Some(asked.to_owned()), ..simple()
        };
        match decide(&policy(profile), &class(spec), &setting, None).template {
            Ok(chosen) => prop_assert_eq!(chosen.plan.name.as_str(), asked),
            Err(_) => prop_assert!(asked == "none" || asked == "knative"),
        }
    }
}

#[test]
fn a_rule_that_was_not_asked_covers_nothing_of_its_condition() {
    let text = r#"apiVersion: policy.oaas.io/v1alpha1
kind: Bundle
metadata: {name: own}
spec: {extends: builtin}
---
apiVersion: policy.oaas.io/v1alpha1
kind: Safeguard
metadata: {name: replicas}
spec:
  dimension: replicas
  stabilize: {up: 0s, down: 0s, dead_band: 0}
  rules:
    - {id: x, when: 'proposal.direction == "up"', hold: 'current.replicas >= 4.0'}
---
apiVersion: policy.oaas.io/v1alpha1
kind: Test
metadata: {name: rises}
spec:
  target: Safeguard/replicas
  now: 2026-01-01T00:00:00Z
  given: {profile: edge, component: {cpu_request: 0.5}, current: {replicas: REPLICAS}}
  step: 30s
  series: [{signal: cpu, values: 'CORESx4'}]
  expect: [{at: 0s, EXPECT}]
"#;
    let missing = |replicas: &str, cores: &str, expect: &str| {
        let text = text.replace("REPLICAS", replicas).replace("CORES", cores).replace("EXPECT", expect);
        let files = [File { name: "own.yaml".to_owned(), text }];
        let run = run_tests(&Bundle::of(&files).unwrap()).unwrap();
        run.coverage.missing().into_iter().filter(|one| one.starts_with("Safeguard/replicas/")).collect::<Vec<_>>()
    };
    let raised = [
        "Safeguard/replicas/x is never false in any case",
        "Safeguard/replicas/x (its when) is never false in any case",
    ];
    assert_eq!(missing("4", "3.0", "action: hold, by: x"), raised);
    let lowered =
        ["Safeguard/replicas/x is never evaluated", "Safeguard/replicas/x (its when) never holds in any case"];
    assert_eq!(missing("8", "1.2", "action: apply, target: 4"), lowered);
}
