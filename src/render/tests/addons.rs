//! Addons: what each adds, and to what.

use serde_json::{Value, json};

use super::{class, manifest, plan};
use crate::decision::{Budget, ClusterFacts, MonitorPlan, PdbPlan, ScrapeKind, TemplatePlan, WorkloadKind};
use crate::render::{ObjectKind, RenderSettings, Rendered, Scrape, render};

fn guarded(budget: Budget, from_replicas: u32) -> TemplatePlan {
    TemplatePlan { pdb: Some(PdbPlan { budget, from_replicas }), ..plan() }
}

fn with(plan: &TemplatePlan, spec: Value) -> Rendered {
    render(&class(spec), plan, &RenderSettings::default()).unwrap()
}

fn budgets(rendered: &Rendered) -> Vec<&str> {
    let budgets = rendered.objects.iter().filter(|object| object.kind == ObjectKind::PodDisruptionBudget);
    budgets.map(|object| object.name.as_str()).collect()
}

#[test]
fn every_deployment_of_the_class_gets_a_budget_that_selects_its_pods_alone() {
    let spec = json!({"function": {"image": "a"}, "addons": ["odgm"]});
    let rendered = with(&guarded(Budget::MaxUnavailable(1), 1), spec);
    assert_eq!(budgets(&rendered), ["hello-odgm", "hello"]);
    let kinds: Vec<_> = rendered.objects.iter().map(|object| object.kind).collect();
    assert_eq!(kinds[4..], [ObjectKind::PodDisruptionBudget; 2], "after what they are about");
    let budget = manifest(&rendered, "PodDisruptionBudget", "hello");
    let expected = json!({
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app": "hello", "oaas.io/owner": "hello"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    });
    assert_eq!(budget["spec"], expected);
    assert_eq!((&budget["apiVersion"], &budget["kind"]), (&json!("policy/v1"), &json!("PodDisruptionBudget")));
    let deployment = manifest(&rendered, "Deployment", "hello");
    for field in ["labels", "ownerReferences", "namespace"] {
        assert_eq!(budget["metadata"][field], deployment["metadata"][field], "{field}");
    }
    for name in ["hello", "hello-odgm"] {
        let selector = &manifest(&rendered, "Deployment", name)["spec"]["selector"];
        assert_eq!(&manifest(&rendered, "PodDisruptionBudget", name)["spec"]["selector"], selector);
    }
}

#[test]
fn small_workloads_get_a_budget_only_where_the_policy_counts_them() {
    let spec = json!({"functions": [
        {"function_key": "none", "image": "a", "replicas": 0}, {"function_key": "one", "image": "a", "replicas": 1},
        {"function_key": "two", "image": "a", "replicas": 2}, {"function_key": "scaled", "image": "a", "min_scale": 4},
    ]});
    let two = with(&guarded(Budget::MaxUnavailable(1), 2), spec.clone());
    assert_eq!(budgets(&two), ["hello-two", "hello-scaled"]);
    let all = with(&guarded(Budget::MaxUnavailable(1), 0), spec);
    assert_eq!(budgets(&all), ["hello-one", "hello-two", "hello-scaled"], "without pods there is nothing to guard");
}

#[test]
fn whatever_must_stay_one_pod_may_go() {
    for (replicas, least, expected) in [(5, 3, 2), (3, 3, 1), (1, 1, 1), (2, 9, 1)] {
        let spec = json!({"functions": [{"function_key": "f", "image": "a", "replicas": replicas}]});
        let rendered = with(&guarded(Budget::MinAvailable(least), 1), spec);
        let budget = &manifest(&rendered, "PodDisruptionBudget", "hello")["spec"];
        assert_eq!((&budget["maxUnavailable"], budget.get("minAvailable")), (&json!(expected), None));
    }
}

#[test]
fn of_a_class_on_knative_the_data_grid_alone_gets_a_budget() {
    let plan = TemplatePlan { workload: WorkloadKind::KnativeService, ..guarded(Budget::MaxUnavailable(1), 1) };
    let spec = json!({"function": {"image": "a"}, "addons": ["odgm", "pdb"]});
    assert_eq!(budgets(&with(&plan, spec)), ["hello-odgm"]);
    let rendered = with(&plan, json!({"function": {"image": "a"}, "addons": ["pdb"]}));
    assert!(budgets(&rendered).is_empty());
    assert_eq!(rendered.without, ["pdb"]);
}

#[test]
fn an_addon_that_is_asked_for_and_adds_nothing_is_told() {
    let spec = json!({"function": {"image": "a"}, "addons": ["odgm", "pod-disruption-budget"]});
    let both = with(&guarded(Budget::MaxUnavailable(1), 1), spec.clone());
    assert!(both.without.is_empty() && both.notes("edge").is_empty());
    let neither = with(&TemplatePlan { odgm: None, ..plan() }, spec);
    assert_eq!(neither.without, ["odgm", "pdb"]);
    assert!(
        neither.notes("edge")[1].contains("\"pdb\" is asked for, and template \"edge\""),
        "{:?}",
        neither.notes("edge")
    );
    let unasked = with(&TemplatePlan { odgm: None, ..plan() }, json!({"function": {"image": "a"}}));
    assert!(unasked.without.is_empty());
}

/// The monitors of a class of two functions and a data grid, `Kind/name`, with what is said of them.
fn monitors(workload: WorkloadKind, kind: ScrapeKind, services: bool, pods: bool) -> (Vec<String>, Vec<String>) {
    let plan =
        TemplatePlan { workload, monitor: Some(MonitorPlan { path: "/m".to_owned(), interval_seconds: 15 }), ..plan() };
    let cluster = ClusterFacts { service_monitor: Some(services), pod_monitor: Some(pods), ..ClusterFacts::default() };
    let scrape = Scrape { kind, labels: [("oaas.io/owner".to_owned(), "stranger".to_owned())].into() };
    let settings = RenderSettings { monitors: scrape.within(&cluster), ..RenderSettings::default() };
    let functions = ["a", "b"].map(|key| json!({"function_key": key, "image": "i"}));
    let spec = json!({"functions": functions, "addons": ["odgm"]});
    let rendered = render(&class(spec), &plan, &settings).unwrap();
    let found = rendered.objects.iter().filter(|object| object.kind.is_dispensable());
    for one in found.clone() {
        assert_eq!(one.manifest["metadata"]["labels"]["oaas.io/owner"], "hello", "ours stay ours");
    }
    let names = found.map(|object| format!("{}/{}", object.kind.kind(), object.name)).collect();
    (names, rendered.notes("edge"))
}

#[test]
fn each_function_gets_the_monitor_that_was_asked_for_as_far_as_the_cluster_has_it() {
    let (deployment, knative) = (WorkloadKind::Deployment, WorkloadKind::KnativeService);
    let services = ["ServiceMonitor/hello-a", "ServiceMonitor/hello-b"];
    let pods = ["PodMonitor/hello-a", "PodMonitor/hello-b"];
    for (workload, kind, (has_services, has_pods), expected) in [
        (deployment, ScrapeKind::Auto, (true, true), &services[..]),
        (deployment, ScrapeKind::Auto, (false, true), &pods[..]),
        (deployment, ScrapeKind::Auto, (false, false), &[]),
        (deployment, ScrapeKind::Service, (true, true), &services[..]),
        (deployment, ScrapeKind::Pod, (true, true), &pods[..]),
        (knative, ScrapeKind::Auto, (true, true), &pods[..]),
        (knative, ScrapeKind::Auto, (true, false), &[]),
    ] {
        let (found, notes) = monitors(workload, kind, has_services, has_pods);
        assert_eq!(found, expected, "{workload:?} {kind:?} {has_services} {has_pods}");
        assert_eq!(notes, Vec::<String>::new());
    }
    for (kind, lack) in [(ScrapeKind::Service, "ServiceMonitor"), (ScrapeKind::Pod, "PodMonitor")] {
        let (found, notes) = monitors(deployment, kind, kind != ScrapeKind::Service, kind != ScrapeKind::Pod);
        assert!(found.is_empty() && notes.len() == 1 && notes[0].contains(&format!("has no {lack}")), "{notes:?}");
    }
}

#[test]
fn pods_of_knative_are_scraped_at_the_port_that_counts_their_requests() {
    let monitor = Some(MonitorPlan { path: "/m".to_owned(), interval_seconds: 15 });
    let plan = TemplatePlan { workload: WorkloadKind::KnativeService, monitor, ..plan() };
    let cluster = ClusterFacts { pod_monitor: Some(true), ..ClusterFacts::default() };
    let settings = RenderSettings { monitors: Scrape::default().within(&cluster), ..RenderSettings::default() };
    let rendered = render(&class(json!({"function": {"image": "a"}})), &plan, &settings).unwrap();
    let found = manifest(&rendered, "PodMonitor", "hello");
    let expected = json!({
        "selector": {"matchLabels": {"serving.knative.dev/service": "hello"}},
        "podMetricsEndpoints": [{"port": "http-usermetric", "interval": "15s"}],
    });
    assert_eq!(found["spec"], expected);
}
