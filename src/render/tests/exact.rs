//! What contract.md says of names, ports, labels and environment, to the byte.

use serde_json::{Value, json};

use super::{class, container, env, manifest, plan, refused, rendered};
use crate::decision::{AutoscalerPlan, TemplatePlan};
use crate::render::{Component, MAX_COLLECTION, ObjectKind, RenderError, RenderSettings, render};

#[test]
fn a_function_is_a_deployment_and_a_service() {
    let rendered = rendered(json!({"function": {"image": "img:1"}}));
    let labels = json!({
        "app": "hello",
        "app.kubernetes.io/component": "function",
        "app.kubernetes.io/instance": "hello",
        "app.kubernetes.io/managed-by": "oprc-crm",
        "app.kubernetes.io/name": "function",
        "app.kubernetes.io/part-of": "hello",
        "oaas.io/owner": "hello",
    });
    let owner = json!([{
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "name": "hello", "uid": "u-1",
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let selector = json!({"app": "hello", "oaas.io/owner": "hello"});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "hello", "namespace": "team", "labels": labels, "ownerReferences": owner,
            "annotations": {"oaas.io/template": "edge"},
        },
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "terminationGracePeriodSeconds": 20,
                    "containers": [{
                        "name": "function",
                        "image": "img:1",
                        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    }],
                },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello-svc", "namespace": "team", "labels": labels, "ownerReferences": owner},
        "spec": {
            "selector": selector,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    });
    assert_eq!(manifest(&rendered, "Deployment", "hello"), &deployment);
    assert_eq!(manifest(&rendered, "Service", "hello-svc"), &service);
    let replicas: Vec<_> = rendered.objects.iter().map(|object| (object.kind, object.replicas)).collect();
    assert_eq!(replicas, [(ObjectKind::Deployment, Some(2)), (ObjectKind::Service, None)]);
    assert_eq!(rendered.functions[0].url, "http://hello-svc.team.svc");
}

#[test]
fn a_function_that_says_how_far_it_may_be_scaled_has_an_autoscaler_of_its_workloads_name() {
    let plan =
        TemplatePlan { autoscaler: Some(AutoscalerPlan { cpu_utilization: 75, max_replicas: Some(20) }), ..plan() };
    let spec = json!({"functions": [
        {"function_key": "a", "image": "i", "min_scale": 3, "max_scale": 8}, {"function_key": "b", "image": "i"},
    ]});
    let rendered = render(&class(spec), &plan, &RenderSettings::default()).unwrap();
    let scalers: Vec<_> = rendered.objects.iter().filter(|object| object.kind == ObjectKind::Autoscaler).collect();
    assert_eq!(scalers.len(), 1);
    let scaler = &scalers[0].manifest;
    assert_eq!((scalers[0].name.as_str(), scalers[0].replicas), ("hello-a", Some(3)));
    let deployment = manifest(&rendered, "Deployment", "hello-a");
    assert_eq!(scaler["metadata"]["labels"], deployment["metadata"]["labels"]);
    assert_eq!(scaler["metadata"]["ownerReferences"], deployment["metadata"]["ownerReferences"]);
    let metric = json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 75}},
    });
    let expected = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-a"},
        "maxReplicas": 8,
        "metrics": [metric],
    });
    assert_eq!(scaler["spec"], expected);
}

#[test]
fn what_is_rendered_tells_its_package_and_class_and_is_selected_by_neither() {
    let plain = rendered(json!({"function": {"image": "img"}, "addons": ["odgm"]}));
    let named = json!({
        "function": {"image": "img"}, "addons": ["odgm"], "package_name": "Shop & more", "class_key": "Cart_v1",
    });
    let named = rendered(named);
    for (object, before) in named.objects.iter().zip(&plain.objects) {
        let labels = &object.manifest["metadata"]["labels"];
        assert_eq!(labels["oaas.io/package"], "shop-more-fb733797ba", "{}", object.name);
        assert_eq!(labels["oaas.io/class"], "Cart_v1", "{}", object.name);
        if object.kind == ObjectKind::Deployment {
            assert_eq!(&object.manifest["spec"]["template"]["metadata"]["labels"], labels);
        }
        assert_eq!(object.manifest["spec"]["selector"], before.manifest["spec"]["selector"], "{}", object.name);
        assert_eq!(before.manifest["metadata"]["labels"].get("oaas.io/package"), None);
    }
    let blank = json!({"function": {"image": "img"}, "addons": ["odgm"], "package_name": "", "class_key": " "});
    assert_eq!(rendered(blank), plain);
}

#[test]
fn the_data_grid_comes_first_and_the_functions_are_told_of_it() {
    let rendered = rendered(json!({"function": {"image": "img"}, "odgm_config": {
        "collections": ["users"], "node_id": 7, "log": "info",
        "env_node_ids": {"b": {"ids": [9, 7]}, "a": {"ids": [8]}},
    }}));
    let names: Vec<_> = rendered.objects.iter().map(|object| (object.kind.kind(), object.name.as_str())).collect();
    let expected = [
        ("Deployment", "hello-odgm"),
        ("Service", "hello-odgm-svc"),
        ("Deployment", "hello"),
        ("Service", "hello-svc"),
    ];
    assert_eq!(names, expected);
    assert_eq!(rendered.objects[0].component, Component::Odgm);
    assert_eq!(rendered.objects[0].replicas, Some(3));
    let collection = r#"[{"name":"users","partition_count":1,"replica_count":1,"shard_type":"mst","shard_assignments":[],"options":{},"invocations":{"fn_routes":{}}}]"#;
    let function = [("ODGM_ENABLED", "true"), ("ODGM_SERVICE", "hello-odgm-svc:8081"), ("ODGM_COLLECTION", collection)];
    assert_eq!(env(&rendered, "hello"), function);
    let grid = [
        ("ODGM_HTTP_PORT", "8081"),
        ("ODGM_CLUSTER_ID", "hello"),
        ("ODGM_COLLECTION", collection),
        ("ODGM_NODE_ID", "7"),
        ("ODGM_MEMBERS", "7,8,9"),
        ("ODGM_LOG", "info"),
    ];
    assert_eq!(env(&rendered, "hello-odgm"), grid);
    let odgm = container(&rendered, "hello-odgm");
    assert_eq!((&odgm["name"], &odgm["image"]), (&json!("odgm"), &json!("ghcr.io/example/odgm:1")));
    assert_eq!(odgm["readinessProbe"]["tcpSocket"]["port"], "http");
    assert_eq!(odgm["ports"][0]["containerPort"], 8081);
    let port = json!({"name": "http", "port": 8081, "targetPort": 8081, "protocol": "TCP"});
    assert_eq!(manifest(&rendered, "Service", "hello-odgm-svc")["spec"]["ports"], json!([port]));
}

#[test]
fn odgm_collection_is_exact_to_the_byte() {
    let spec = json!({
        "functions": [{"function_key": "save", "image": "a"}, {"function_key": "load", "image": "b"}],
        "odgm_config": {
            "collections": ["users", "carts"],
            "partition_count": 4, "replica_count": 2, "shard_type": "raft",
            "options": {"z": "1", "a": "\"2\""},
            "invocations": {
                "disabled_fn": ["drop"],
                "fn_routes": {
                    "store": {"function_key": "save", "stateless": true, "active_group": [1, 2]},
                    "load": {},
                    "far": {"url": "http://far.example", "standby": true},
                },
            },
            "collection_assignments": {"users": {"assignments": [{"primary": 1, "replica": [1, 2], "shard_ids": [5]}, {}]}},
        },
    });
    let shared = concat!(
        r#""options":{"a":"\"2\"","z":"1"},"invocations":{"fn_routes":{"#,
        r#""far":{"url":"http://far.example","stateless":false,"standby":true,"active_group":[]},"#,
        r#""load":{"url":"http://hello-load-svc.team.svc","stateless":false,"standby":false,"active_group":[]},"#,
        r#""store":{"url":"http://hello-save-svc.team.svc","stateless":true,"standby":false,"active_group":[1,2]}},"#,
        r#""disabled_fn":["drop"]}}"#,
    );
    let assigned = r#"[{"primary":1,"replica":[1,2],"shard_ids":[5]},{"replica":[],"shard_ids":[]}]"#;
    let counts = r#""partition_count":4,"replica_count":2,"shard_type":"raft""#;
    let expected = format!(
        r#"[{{"name":"users",{counts},"shard_assignments":{assigned},{shared},{{"name":"carts",{counts},"shard_assignments":[],{shared}]"#
    );
    let rendered = rendered(spec);
    for workload in ["hello-odgm", "hello-save", "hello-load"] {
        let env = env(&rendered, workload);
        let (_, value) = env.iter().find(|(name, _)| *name == "ODGM_COLLECTION").unwrap();
        assert_eq!(*value, expected, "{workload}");
    }
}

#[test]
fn collections_that_no_process_could_take_are_refused() {
    let options: serde_json::Map<String, Value> = (0..64).map(|n| (format!("k{n}"), "x".repeat(1024).into())).collect();
    let spec = json!({"function": {"image": "a"}, "odgm_config": {"collections": ["a", "b"], "options": options}});
    let error = refused(spec);
    assert!(matches!(error, RenderError::CollectionTooLong { limit: MAX_COLLECTION, .. }), "{error}");
    assert!(error.to_string().starts_with("spec.odgm_config: "), "{error}");
}

#[test]
fn no_data_grid_where_the_policy_leaves_it_out() {
    let spec = json!({"function": {"image": "a"}, "addons": ["odgm"]});
    let mut plan = plan();
    plan.odgm = None;
    let rendered = render(&class(spec), &plan, &RenderSettings::default()).unwrap();
    assert_eq!(rendered.objects.len(), 2);
    assert_eq!(env(&rendered, "hello"), []);
}

#[test]
fn the_operators_data_grid_image_wins_over_the_templates() {
    let settings = RenderSettings { odgm_image: Some("own:2".to_owned()), ..RenderSettings::default() };
    let rendered = render(&class(json!({"function": {"image": "a"}, "addons": ["odgm"]})), &plan(), &settings).unwrap();
    assert_eq!(container(&rendered, "hello-odgm")["image"], "own:2");
}

#[test]
fn a_number_in_the_record_wins_over_the_templates() {
    let function = |replicas: Value| json!({"functions": [{"function_key": "f", "image": "a", "replicas": replicas}]});
    assert_eq!(rendered(function(json!(5))).objects[0].replicas, Some(5));
    assert_eq!(rendered(function(json!(0))).objects[0].replicas, Some(0));
    assert_eq!(rendered(function(Value::Null)).objects[0].replicas, Some(2));
}

#[test]
fn probes_only_where_the_record_states_the_port() {
    let with_port = rendered(json!({"function": {"image": "a", "port": 9000}}));
    let container_with = container(&with_port, "hello");
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container_with[probe]["tcpSocket"]["port"], "http", "{probe}");
    }
    assert_eq!(container_with["ports"][0]["containerPort"], 9000);
    assert_eq!(manifest(&with_port, "Service", "hello-svc")["spec"]["ports"][0]["targetPort"], 9000);
    let without = rendered(json!({"function": {"image": "a"}}));
    assert!(container(&without, "hello").get("readinessProbe").is_none());
    let mut plan = plan();
    plan.probes = false;
    let off = render(&class(json!({"function": {"image": "a", "port": 9000}})), &plan, &RenderSettings::default());
    assert!(container(&off.unwrap(), "hello").get("livenessProbe").is_none());
}

#[test]
fn http2_without_tls_is_told_by_the_service() {
    let function = |http2: bool| json!({"functions": [{"function_key": "f", "image": "a", "need_http2": http2}]});
    let port = |http2: bool| manifest(&rendered(function(http2)), "Service", "hello-svc")["spec"]["ports"][0].clone();
    assert_eq!(port(true)["appProtocol"], "kubernetes.io/h2c");
    assert!(port(false).get("appProtocol").is_none());
}

#[test]
fn own_variables_follow_by_name_and_reach_the_process_as_they_are() {
    let spec = json!({
        "functions": [{"function_key": "f", "image": "a", "env": {"Z": "1", "A": "$(Z) $$ $x", "M": "$x", "ODGM_ENABLED": "true"}}],
        "addons": ["odgm"],
    });
    let rendered = rendered(spec);
    let env = env(&rendered, "hello");
    let names: Vec<&str> = env.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ODGM_ENABLED", "ODGM_SERVICE", "ODGM_COLLECTION", "A", "M", "Z"]);
    // `$$` is what Kubernetes makes one `$` of.
    assert_eq!((env[3].1, env[4].1), ("$$(Z) $$$$ $$x", "$x"));
}

#[test]
fn a_variable_that_the_data_grid_sets_otherwise_is_refused_by_name() {
    let spec = json!({
        "functions": [
            {"function_key": "f", "image": "a"},
            {"function_key": "g", "image": "a", "env": {"ODGM_SERVICE": "elsewhere:1"}},
        ],
        "addons": ["odgm"],
    });
    let message = refused(spec.clone()).to_string();
    assert!(message.starts_with("spec.functions[1].env[\"ODGM_SERVICE\"]: "), "{message}");
    let without: Value = json!({"functions": spec["functions"]});
    assert_eq!(env(&rendered(without), "hello-g"), [("ODGM_SERVICE", "elsewhere:1")]);
}

#[test]
fn resources_of_the_record_win_and_the_templates_give_way() {
    let resources = |stated: Value| {
        let spec = json!({"functions": [{"function_key": "f", "image": "a", "resources": stated}]});
        container(&rendered(spec), "hello")["resources"].clone()
    };
    // The template: cpu 100m, memory 64Mi, memory limit 256Mi.
    let lowered = resources(json!({"cpu_limit": "50m", "memory_limit": "32Mi"}));
    let both = json!({"cpu": "50m", "memory": "32Mi"});
    assert_eq!(lowered, json!({"requests": both, "limits": both}));
    let raised = resources(json!({"memory_request": "1Gi"}));
    assert_eq!(raised, json!({"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}));
    let own = resources(json!({"cpu_request": "1", "cpu_limit": "2", "memory_request": "1Mi", "memory_limit": "2Mi"}));
    assert_eq!(own, json!({"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "2", "memory": "2Mi"}}));
}

#[test]
fn another_template_changes_neither_selector_nor_pods() {
    let class = class(json!({"function": {"image": "a"}, "addons": ["odgm"]}));
    let first = render(&class, &plan(), &RenderSettings::default()).unwrap();
    let mut other = plan();
    other.name = "full".to_owned();
    other.replicas = 3;
    let second = render(&class, &other, &RenderSettings::default()).unwrap();
    for (before, after) in first.objects.iter().zip(&second.objects) {
        assert_eq!(before.manifest["spec"], after.manifest["spec"], "{}", before.name);
    }
}

#[test]
fn offline_there_is_no_owner_to_refer_to() {
    let mut class = class(json!({"function": {"image": "a"}}));
    class.uid = String::new();
    let rendered = render(&class, &plan(), &RenderSettings::default()).unwrap();
    assert!(manifest(&rendered, "Deployment", "hello")["metadata"].get("ownerReferences").is_none());
}
