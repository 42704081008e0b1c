//! What contract.md says of Knative Services, to the byte.

use serde_json::{Value, json};

use super::{class, env, manifest, plan};
use crate::decision::{TemplatePlan, WorkloadKind};
use crate::render::{ObjectKind, RenderSettings, Rendered, render};

const SCALE: &str = "/spec/template/metadata/annotations";

fn knative() -> TemplatePlan {
    TemplatePlan { name: "knative".to_owned(), workload: WorkloadKind::KnativeService, replicas: 0, ..plan() }
}

fn rendered(spec: Value) -> Rendered {
    render(&class(spec), &knative(), &RenderSettings::default()).unwrap()
}

/// The only object that a class of one function has.
fn only(function: Value) -> Value {
    let mut function = function;
    function["function_key"] = json!("f");
    function["image"] = json!("i");
    let mut rendered = rendered(json!({"functions": [function]}));
    assert_eq!(rendered.objects.len(), 1);
    rendered.objects.remove(0).manifest
}

#[test]
fn a_function_is_one_knative_service() {
    let rendered = rendered(json!({"function": {"image": "img:1"}}));
    let pods = json!({
        "app.kubernetes.io/component": "function",
        "app.kubernetes.io/instance": "hello",
        "app.kubernetes.io/name": "function",
        "app.kubernetes.io/part-of": "hello",
        "oaas.io/owner": "hello",
    });
    let mut labels = pods.clone();
    labels["app"] = json!("hello");
    labels["app.kubernetes.io/managed-by"] = json!("oprc-crm");
    let expected = json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": "hello", "namespace": "team", "labels": labels,
            "annotations": {"oaas.io/template": "knative"},
            "ownerReferences": [{
                "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "name": "hello", "uid": "u-1",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "template": {
                "metadata": {"labels": pods, "annotations": {"autoscaling.knative.dev/min-scale": "0"}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "containers": [{
                        "name": "function",
                        "image": "img:1",
                        "ports": [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                    }],
                },
            },
            "traffic": [{"latestRevision": true, "percent": 100}],
        },
    });
    assert_eq!(manifest(&rendered, "Service", "hello"), &expected);
    let [object] = rendered.objects.as_slice() else { panic!("{:?}", rendered.objects) };
    assert_eq!((object.kind, object.replicas), (ObjectKind::KnativeService, None));
    assert_eq!(rendered.functions[0].url, "http://hello.team.svc");
}

#[test]
fn concurrency_http2_and_a_stated_port_reach_the_version() {
    let service = only(json!({"max_concurrency": 7, "need_http2": true, "port": 9000}));
    assert_eq!(service["spec"]["template"]["spec"]["containerConcurrency"], 7);
    let container = &service["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"], json!([{"name": "h2c", "containerPort": 9000, "protocol": "TCP"}]));
    assert_eq!(container["livenessProbe"]["tcpSocket"]["port"], 9000);
    assert!(container.get("readinessProbe").is_none(), "Knative's own is better for a cold start");
    let unlimited = only(json!({"max_concurrency": 0}));
    assert!(unlimited["spec"]["template"]["spec"].get("containerConcurrency").is_none());
}

#[test]
fn the_floor_is_min_scale_then_replicas_then_the_templates() {
    for (function, expected) in [
        (json!({}), json!({"min-scale": "0"})),
        (json!({"replicas": 3}), json!({"min-scale": "3"})),
        (json!({"min_scale": 2, "max_scale": 5}), json!({"min-scale": "2", "max-scale": "5"})),
        (json!({"min_scale": 0, "replicas": 3}), json!({"min-scale": "0", "initial-scale": "3"})),
        (json!({"replicas": 9, "max_scale": 4}), json!({"min-scale": "4", "max-scale": "4"})),
        (json!({"min_scale": 2, "replicas": 1}), json!({"min-scale": "2"})),
        (json!({"max_scale": 0}), json!({"min-scale": "0"})),
    ] {
        let service = only(function.clone());
        let annotations = service.pointer(SCALE).unwrap().as_object().unwrap();
        let short = |key: &String| key.trim_start_matches("autoscaling.knative.dev/").to_owned();
        let seen: serde_json::Map<_, _> = annotations.iter().map(|(key, value)| (short(key), value.clone())).collect();
        assert_eq!(Value::from(seen), expected, "{function}");
    }
}

#[test]
fn the_templates_bound_is_the_ceiling_of_whatever_the_record_says() {
    let plan = TemplatePlan { max_replicas: Some(20), ..knative() };
    for (function, expected) in [
        (json!({}), ["0", "20"]),
        (json!({"max_scale": 5}), ["0", "5"]),
        (json!({"max_scale": 50}), ["0", "20"]),
        (json!({"min_scale": 30, "max_scale": 50}), ["20", "20"]),
    ] {
        let mut spec = function.clone();
        spec["function_key"] = json!("f");
        spec["image"] = json!("a");
        let class = class(json!({"functions": [spec]}));
        let rendered = render(&class, &plan, &RenderSettings::default()).unwrap();
        let annotations = manifest(&rendered, "Service", "hello").pointer(SCALE).unwrap();
        let of = |name: &str| annotations[format!("autoscaling.knative.dev/{name}")].as_str().unwrap();
        assert_eq!([of("min-scale"), of("max-scale")], expected, "{function}");
    }
}

#[test]
fn the_data_grid_stands_beside_as_ever_and_routes_to_the_knative_services() {
    let rendered = rendered(json!({
        "functions": [{"function_key": "save", "image": "a"}, {"function_key": "load", "image": "b"}],
        "odgm_config": {"collections": ["c"], "invocations": {"fn_routes": {"store": {"function_key": "save"}}}},
    }));
    let names: Vec<_> = rendered.objects.iter().map(|object| (object.kind.title(), object.name.as_str())).collect();
    let expected = [
        ("Deployment", "hello-odgm"),
        ("Service", "hello-odgm-svc"),
        ("Knative Service", "hello-save"),
        ("Knative Service", "hello-load"),
    ];
    assert_eq!(names, expected);
    let grid = env(&rendered, "hello-odgm");
    let (_, collection) = grid.iter().find(|(name, _)| *name == "ODGM_COLLECTION").unwrap();
    assert!(collection.contains(r#""store":{"url":"http://hello-save.team.svc","#), "{collection}");
    let container = &manifest(&rendered, "Service", "hello-save")["spec"]["template"]["spec"]["containers"][0];
    let variables: Vec<_> = container["env"].as_array().unwrap().iter().map(|var| &var["name"]).collect();
    assert_eq!(variables, ["ODGM_ENABLED", "ODGM_SERVICE", "ODGM_COLLECTION"]);
}

#[test]
fn security_of_the_pod_stands_on_the_container() {
    let mut plan = knative();
    plan.security.run_as_non_root = true;
    let rendered = render(&class(json!({"function": {"image": "i"}})), &plan, &RenderSettings::default()).unwrap();
    let pod = &manifest(&rendered, "Service", "hello")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["securityContext"]["runAsNonRoot"], true);
    for refused in ["securityContext", "terminationGracePeriodSeconds"] {
        assert!(pod.get(refused).is_none(), "Knative takes no {refused}");
    }
}

#[test]
fn what_knative_keeps_for_itself_is_refused_with_what_to_do() {
    let refused = |function: Value| {
        let spec = json!({"functions": [{"function_key": "g", "image": "a"}, function]});
        render(&class(spec), &knative(), &RenderSettings::default()).unwrap_err().to_string()
    };
    let variable = refused(json!({"function_key": "f", "image": "a", "env": {"PORT": "1"}}));
    assert!(variable.starts_with("spec.functions[1].env[\"PORT\"]: the variable PORT is Knative's own"), "{variable}");
    let port = refused(json!({"function_key": "f", "image": "a", "port": 9090}));
    assert!(port.starts_with("spec.functions[1].port: port 9090 of function \"f\" is Knative's own"), "{port}");
    assert!(port.contains("name another template in spec.selected_template"), "{port}");
}

#[test]
fn another_template_of_the_same_kind_makes_no_new_version() {
    let class = class(json!({"function": {"image": "a"}}));
    let first = render(&class, &knative(), &RenderSettings::default()).unwrap();
    let other = TemplatePlan { name: "other".to_owned(), termination_grace_seconds: Some(1), ..knative() };
    let second = render(&class, &other, &RenderSettings::default()).unwrap();
    assert_eq!(first.objects[0].manifest["spec"], second.objects[0].manifest["spec"]);
}
