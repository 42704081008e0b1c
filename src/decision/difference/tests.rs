#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::super::{ClusterFacts, Decision, Features, Setting, explain};
use super::{BlastRadius, Change, ClassChange, Difference, difference};
use crate::api::DeploymentRecord;
use crate::model::{Class, parse};
use crate::policy::{Bundle, File, Inputs, Policy};

const HEAD: &str =
    "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: own}\nspec: {extends: builtin, params: {";

/// The shipped policy with these overrides.
fn policy(overrides: &str) -> Policy {
    let own = File { name: "bundle.yaml".to_owned(), text: format!("{HEAD}{overrides}}}}}\n") };
    compile(own.text)
}

fn compile(text: String) -> Policy {
    let file = File { name: "bundle.yaml".to_owned(), text };
    let builtin = crate::policy::Bundle::builtin_files();
    Bundle::read(&[file], &builtin).unwrap().compile(&inputs()).unwrap().0
}

fn inputs() -> Inputs {
    Inputs { profile: "edge".to_owned(), ..Inputs::default() }
}

fn setting() -> Setting {
    let cluster = ClusterFacts { knative: Some(true), ..ClusterFacts::default() };
    Setting { profile: "edge".to_owned(), features: Features { odgm: true, ..Features::default() }, cluster }
}

fn class(spec: &Value) -> Class {
    let record = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "metadata": {"name": "c"}, "spec": spec,
    });
    parse(&serde_json::from_value::<DeploymentRecord>(record).unwrap()).unwrap()
}

fn demanding() -> Value {
    json!({"function": {"image": "nginx"}, "nfr_requirements": {"min_throughput_rps": 1200, "consistency": "strong"}})
}

fn decided(policy: &Policy, class: &Class) -> Decision {
    explain(policy, class, &setting(), Some("edge"))
}

fn between(spec: &Value, before: &Policy, after: &Policy) -> Option<Difference> {
    let class = class(spec);
    difference(&class, &decided(before, &class), &decided(after, &class))
}

#[test]
fn the_same_policy_makes_no_difference() {
    assert_eq!(between(&demanding(), &policy(""), &policy("")), None);
}

#[test]
fn another_template_names_the_score_rule_that_moved_with_the_values_that_it_read() {
    let found = between(&demanding(), &policy(""), &policy("full_rps: 1000")).unwrap();
    assert_eq!(found.change, Change::Template { from: "edge".to_owned(), to: "full".to_owned() });
    assert_eq!(found.cause.rule, "Template/full/throughput");
    let text = found.to_string();
    assert!(text.starts_with("template edge -> full by Template/full/throughput: false -> true ("), "{text}");
    assert!(text.contains("nfr.min_throughput_rps = 1200"), "{text}");
    assert!(text.contains("params.full_rps = 1500 -> 1000"), "{text}");
    assert!(text.contains("replicas 2 -> 3"), "{text}");
    let back = between(&demanding(), &policy("full_rps: 1000"), &policy("")).unwrap();
    assert_eq!(back.cause.rule, "Template/full/throughput");
    assert_eq!(back.cause.before, "true");
}

/// A whole Template document in place of the shipped one.
fn with_edge(workload: &str, enabled: &str) -> Policy {
    compile(format!(
        "{HEAD}}}}}\n---\napiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {{name: edge}}\nspec:\n  \
         {enabled}\n  score: [{{id: profile, when: 'profile == \"edge\"', add: 100}}]\n  \
         workload: {{kind: Deployment, {workload}}}\n"
    ))
}

#[test]
fn another_shape_of_the_same_template_names_its_fields() {
    let spec = json!({"function": {"image": "nginx"}});
    let (two, four) = (with_edge("replicas: '2.0', probes: false", ""), with_edge("replicas: '4.0', probes: true", ""));
    let found = between(&spec, &two, &four).unwrap();
    assert_eq!(found.change.kind(), "shape");
    assert_eq!(found.to_string(), "template edge gives another workload by Template/edge/replicas: 2 -> 4");
}

#[test]
fn another_autoscaler_matters_to_functions_that_are_scaled_and_its_bound_to_those_that_reach_it() {
    let with = |utilization: &str, most: &str| {
        let scaler = format!("autoscaler: {{cpu_utilization: {utilization}, max_replicas: {most}}}");
        with_edge(&format!("replicas: '2.0', resources: {{cpu_request: 100m}}, {scaler}"), "")
    };
    let (before, after) = (with("70.0", "20.0"), with("80.0", "20.0"));
    let scaled = |most: u32| json!({"functions": [{"function_key": "f", "image": "nginx", "max_scale": most}]});
    let found = between(&scaled(8), &before, &after).unwrap();
    assert_eq!(found.cause.rule, "Template/edge/autoscaler.cpu_utilization");
    assert_eq!(between(&json!({"function": {"image": "nginx"}}), &before, &after), None, "it is not scaled");
    let lower = with("70.0", "10.0");
    assert_eq!(between(&scaled(8), &before, &lower), None, "it never gets there");
    let found = between(&scaled(15), &before, &lower).unwrap();
    assert_eq!(found.cause.rule, "Template/edge/autoscaler.max_replicas");
    let without = with_edge("replicas: '2.0', resources: {cpu_request: 100m}", "");
    assert!(between(&scaled(8), &before, &without).is_some());
}

#[test]
fn what_the_record_states_itself_is_no_change() {
    let (two, four) = (with_edge("replicas: '2.0', probes: false", ""), with_edge("replicas: '4.0', probes: true", ""));
    let stated = json!({"functions": [{"function_key": "f", "image": "nginx", "replicas": 3}]});
    assert_eq!(between(&stated, &two, &four), None, "replicas are stated, and probes need a stated port");
    let port = json!({"functions": [{"function_key": "f", "image": "nginx", "replicas": 3, "port": 80}]});
    assert_eq!(between(&port, &two, &four).unwrap().cause.rule, "Template/edge/probes");
}

#[test]
fn a_template_that_may_no_longer_be_used_names_the_rule_that_keeps_it_off() {
    let on = with_edge("replicas: '2.0'", "enabled: [{id: few, when: 'features.odgm'}]");
    let off = with_edge("replicas: '2.0'", "enabled: [{id: few, when: '!features.odgm'}]");
    let spec = json!({"function": {"image": "nginx"}});
    let found = between(&spec, &on, &off).unwrap();
    assert_eq!((found.change.kind(), found.cause.rule.as_str()), ("template", "Template/edge/few"));
    assert_eq!((found.cause.before.as_str(), found.cause.after.as_str()), ("true", "false"));
    let named = json!({"function": {"image": "nginx"}, "selected_template": "edge"});
    let found = between(&named, &on, &off).unwrap();
    assert_eq!(found.change, Change::NoTemplate { from: "edge".to_owned() });
    assert_eq!(found.cause.rule, "Template/edge/few");
    assert_eq!(between(&named, &off, &on).unwrap().change.kind(), "has-template");
    assert_eq!(between(&named, &off, &off), None, "frozen before and after");
}

#[test]
fn a_template_that_is_gone_or_new_says_so() {
    let extra = |score: &str| {
        compile(format!(
            "{HEAD}}}}}\n---\napiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {{name: gold}}\nspec:\n  \
             score: [{{id: all, when: 'true', add: {score}}}]\n  workload: {{kind: Deployment, replicas: '2.0'}}\n"
        ))
    };
    let spec = json!({"function": {"image": "nginx"}});
    let found = between(&spec, &policy(""), &extra("500")).unwrap();
    assert_eq!(found.cause.to_string(), "Template/gold: not there -> there");
    let found = between(&spec, &extra("500"), &extra("50")).unwrap();
    assert_eq!(found.cause.to_string(), "Template/gold/all: true (+500) -> true (+50)");
}

#[test]
fn a_denial_that_comes_or_goes_names_its_rule() {
    let spec = json!({"functions": [{"function_key": "f", "image": "nginx", "replicas": 5}]});
    let found = between(&spec, &policy(""), &policy("max_replicas: 3")).unwrap();
    assert_eq!((found.change, found.cause.rule.as_str()), (Change::Denied, "Admission/scale/replicas"));
    let found = between(&spec, &policy("max_replicas: 3"), &policy("")).unwrap();
    assert_eq!(found.change, Change::Accepted);
    assert_eq!(found.cause.rule, "Admission/scale/replicas");
}

#[test]
fn a_rule_that_can_no_longer_be_evaluated_is_no_change_while_the_class_keeps_its_template() {
    let class = class(&json!({"function": {"image": "nginx"}}));
    let (policy, mut unknown) = (policy(""), setting());
    unknown.features.knative = true;
    let mut known = unknown.clone();
    unknown.cluster.knative = None;
    known.cluster.knative = Some(false);
    let (before, after) =
        (explain(&policy, &class, &known, Some("edge")), explain(&policy, &class, &unknown, Some("edge")));
    assert!(after.template.as_ref().unwrap().kept.is_some());
    assert_eq!(difference(&class, &before, &after), None);
    let moved = explain(&policy, &class, &unknown, Some("dev"));
    assert_eq!(difference(&class, &before, &moved).unwrap().cause.rule, "Template/knative/installed");
}

fn changed(namespace: &str, name: &str, rps: &str) -> ClassChange {
    let difference = between(&demanding(), &policy(""), &policy(rps)).unwrap();
    ClassChange { namespace: namespace.to_owned(), name: name.to_owned(), difference }
}

#[test]
fn a_blast_radius_is_the_same_text_whatever_the_order_of_the_classes() {
    let all = ["b", "a", "c"].map(|name| changed("ns", name, "full_rps: 1000"));
    let mut turned = all.to_vec();
    turned.reverse();
    let (one, two) = (BlastRadius::new(12, all.to_vec()), BlastRadius::new(12, turned));
    assert_eq!((one.to_string(), one.json(2)), (two.to_string(), two.json(2)));
    assert_eq!(
        one.summary(),
        "3 of 12 classes (25 %) change: template edge -> full (3) by Template/full/throughput (3)"
    );
    let json = one.json(2);
    assert_eq!(json["by_rule"], json!([{"rule": "Template/full/throughput", "classes": 3}]));
    let names: Vec<&Value> = json["examples"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("a"), &json!("b")]);
    assert_eq!(BlastRadius::new(0, Vec::new()).share().to_bits(), 0.0_f64.to_bits());
}
