//! What `policy diff` and `policy explain` say of the classes of a cluster is what the controller does with them.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::class::Namespace;
use crate::support::crm::{Crm, environment};
use crate::support::policy::{Bundle, page_where};
use crate::support::{self, executable};
use crate::{IMAGE, start_with};

/// `oprc-crm policy …` with the controller's variables, rights and cluster.
async fn policy(ns: &Namespace, variables: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(executable());
    command.arg("policy").args(args).env_clear().envs(environment(&ns.name, variables));
    command.env("KUBECONFIG", support::cluster().await.crm_kubeconfig());
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Three classes that template full takes over once it wants no more than their 1200 requests a second, and two others.
async fn five(ns: &Namespace) {
    for index in 0..5 {
        let rps = if index < 3 { 1200 } else { 100 };
        let spec = json!({
            "functions": [{"function_key": "f", "image": IMAGE}],
            "nfr_requirements": {"min_throughput_rps": rps, "consistency": "strong"},
        });
        ns.apply(&format!("c{index}"), spec).await;
    }
    for index in 0..5 {
        let name = format!("c{index}");
        ns.status(&name, "edge", |status| status.selected_template.as_deref() == Some("edge")).await;
    }
}

async fn start(bundle: &Bundle, prefix: &str) -> (Crm, Namespace) {
    let (crm, ns) = start_with(prefix, &[("OPRC_CRM_POLICY_DIR", bundle.path())]).await;
    five(&ns).await;
    (crm, ns)
}

#[tokio::test]
async fn the_blast_radius_beforehand_is_the_one_that_the_controller_computes() {
    let before = Bundle::new("full_rps: 1500", "");
    let after = Bundle::new("full_rps: 1000", "");
    let (crm, ns) = start(&before, "radius").await;
    let diff = ["diff", before.path(), after.path(), "--from-cluster"];

    let (code, out, errors) = policy(&ns, &[], &diff).await;
    assert_eq!((code, errors.as_str()), (1, ""), "{out}");
    let facts = "cluster    Knative no, ServiceMonitor no, PodMonitor no, ready nodes 3 of 3";
    for line in ["setting    profile edge, features: odgm", facts, &format!("namespace  {}", ns.name)] {
        assert!(out.lines().any(|one| one == line), "{line} is not in\n{out}");
    }
    let class = format!(
        "\n{}/c1\n  template edge -> full\n  by Template/full/throughput: false -> true (nfr.min_throughput_rps = 1200, \
         params.full_rps = 1500 (bundle.yaml) -> 1000 (bundle.yaml))\n  replicas 2 -> 3\n",
        ns.name
    );
    assert!(out.contains(&class), "{class} is not in\n{out}");
    assert!(!out.contains("/c3"), "{out}");
    assert!(
        out.ends_with(
            "\n3 of 5 classes (60 %) change: template edge -> full (3) by Template/full/throughput (3)\nthey go over at \
             10/m\n"
        ),
        "{out}"
    );
    assert_eq!(policy(&ns, &[], &["diff", before.path(), before.path(), "--from-cluster"]).await.0, 0);

    // With a bound that three classes pass; then the same is offered to the controller.
    after.change("full_rps: 1000", "at_least: 3");
    let (_, out, _) = policy(&ns, &[], &diff).await;
    assert!(out.contains("\nheld, because that is more than 20 %: a revision of the bundle"), "{out}");
    let (code, out, _) = policy(&ns, &[], &[&diff[..], &["--format", "json"]].concat()).await;
    let beforehand = json_of(&out);
    assert_eq!((code, &beforehand["rollout"]["state"]), (1, &json!("held")));
    before.change("full_rps: 1000", "at_least: 3");
    let page = page_where(&crm, "held", |page| page["pending"]["state"] == "held").await;
    let pending = &page["pending"];
    for key in ["live", "changed", "share", "by_rule", "by_change", "setting", "summary"] {
        assert_eq!(beforehand[key], pending[key], "{key}");
    }
    assert_eq!(beforehand["classes"], pending["examples"]);
    assert_eq!(beforehand["classes"].as_array().unwrap().len(), 3);
    assert_eq!(beforehand["after"]["revision"], pending["revision"]);
    for key in ["pace", "hold_above", "at_least"] {
        assert_eq!(beforehand["rollout"][key], pending[key], "{key}");
    }
    crm.stop().await;
}

#[tokio::test]
async fn a_question_that_the_cluster_does_not_fit_is_told() {
    let before = Bundle::new("full_rps: 1500", "");
    let (crm, ns) = start(&before, "question").await;
    let diff = ["diff", before.path(), "builtin", "--from-cluster"];

    // Another profile than the controller's: every class has what BEFORE would not give it.
    let (code, out, errors) = policy(&ns, &[], &[&diff[..], &["--profile", "dev"]].concat()).await;
    assert_eq!(code, 0, "{out}{errors}");
    assert!(errors.contains("note: 5 of 5 classes run on another template than BEFORE gives them"), "{errors}");
    assert!(errors.contains("/c0 has edge, BEFORE gives dev;") && errors.contains("; 2 more): are bundle"), "{errors}");

    // Rights for one namespace are none for all.
    let (code, out, errors) = policy(&ns, &[], &[&diff[..], &["--all-namespaces"]].concat()).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("not allowed: ") && errors.contains("the verbs get and list"), "{errors}");

    // What the controller would not load has no effect to tell.
    let case = "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: wrong}\nspec:\n  target: Template\n  \
                cases:\n    - {name: wrong, given: {profile: edge}, expect: {template: full}}\n";
    before.write("tests.yaml", case);
    let (code, out, errors) = policy(&ns, &[], &["diff", "builtin", before.path(), "--from-cluster"]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("tests.yaml:7:") && errors.contains("expected template full, got edge"), "{errors}");
    crm.stop().await;
}

#[tokio::test]
async fn a_record_of_the_cluster_is_explained_with_what_it_runs_on() {
    let bundle = Bundle::new("full_rps: 1500", "");
    let (crm, ns) = start(&bundle, "explain").await;
    let status = ns.available("c0").await;
    let revision = status.decision.unwrap().policy_revision;
    let variables = [("OPRC_CRM_POLICY_DIR", bundle.path())];
    let explain = ["explain", "--from-cluster", "c0"];

    let (code, out, errors) = policy(&ns, &variables, &explain).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let head = format!(
        "class      {}/c0\nruns       template edge, Available, decided by policy {revision}\nsetting    profile edge, \
         features: odgm\ncluster    Knative no, ServiceMonitor no, PodMonitor no, ready nodes 3 of 3\npolicy     revision \
         {revision}\n\ntemplate   edge (score 120): profile, throughput",
        ns.name
    );
    assert!(out.starts_with(&head), "{head}\nis not the head of\n{out}");
    assert!(out.contains("nfr.min_throughput_rps >= params.full_rps: 300 short"), "{out}");
    let (_, out, _) = policy(&ns, &variables, &[&explain[..], &["--format", "json"]].concat()).await;
    let answer = json_of(&out);
    assert_eq!(answer["running"]["template"], "edge");
    assert_eq!(answer["running"]["policy_revision"], revision.as_str());
    assert_eq!(answer["setting"]["cluster"]["ready_nodes"], 3);
    assert_eq!(answer["revision"], revision.as_str());

    // While the choice can't be evaluated the class keeps what it has: that is part of what is asked.
    let broken = Bundle::new("full_rps: 1500", "");
    let template = "apiVersion: policy.oaas.io/v1alpha1\nkind: Template\nmetadata: {name: zero}\nspec:\n  enabled: \
                    'double(class.name) > 0.0'\n  workload: {kind: Deployment, replicas: 1.0}\n";
    broken.write("zero.yaml", template);
    let kept = [&explain[..], &["--bundle", broken.path(), "--format", "json"]].concat();
    let (code, out, errors) = policy(&ns, &variables, &kept).await;
    assert_eq!(code, 0, "{errors}");
    let template = &json_of(&out)["template"];
    assert_eq!((&template["name"], &template["kept"]["rule"]), (&json!("edge"), &json!("Template/zero/enabled")));

    // One that waits for a change says so.
    bundle.change("full_rps: 1000", "at_least: 1");
    page_where(&crm, "held", |page| page["pending"]["state"] == "held").await;
    ns.status("c0", "it waits", |status| crate::support::class::condition(status, "PolicyChangePending").0 == "True")
        .await;
    let (_, out, _) = policy(&ns, &variables, &explain).await;
    assert!(out.contains("\nwaits for  policy ") && out.contains("\ntemplate   full (score "), "{out}");

    let (code, out, errors) = policy(&ns, &variables, &["explain", "--from-cluster", "nobody"]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains(&format!("namespace {} has no DeploymentRecord \"nobody\"", ns.name)), "{errors}");
    crm.stop().await;
}
