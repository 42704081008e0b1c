#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::{FieldError, parse};
use crate::api::{DeploymentRecord, EnforcementDimension, EnforcementMode, crd};
use crate::model::{Class, Schema};

fn record(spec: Value) -> DeploymentRecord {
    let record = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "metadata": {"name": "hello"}, "spec": spec,
    });
    serde_json::from_value(record).unwrap()
}

fn class(spec: Value) -> Class {
    parse(&record(spec)).unwrap()
}

fn faults(spec: Value) -> Vec<FieldError> {
    parse(&record(spec)).unwrap_err().0
}

#[track_caller]
fn refuses(spec: Value, field: &str, message: &str) {
    let faults = faults(spec);
    assert!(
        faults.iter().any(|fault| fault.field == field && fault.message.contains(message)),
        "{field}: ..{message}.. is not among {faults:#?}"
    );
}

fn listed(function: Value) -> Value {
    let mut function = function;
    for (name, value) in [("function_key", "f"), ("image", "img")] {
        let fields = function.as_object_mut().unwrap();
        fields.entry(name).or_insert_with(|| value.into());
    }
    json!({"functions": [function]})
}

fn with_odgm(config: Value) -> Value {
    json!({"function": {"image": "img"}, "odgm_config": config})
}

#[test]
fn the_shorthand_is_one_function_with_defaults() {
    let class = class(json!({"function": {"image": " ghcr.io/acme/hello:1 "}}));
    let [function] = class.functions.as_slice() else { panic!("{class:?}") };
    assert_eq!((function.key.as_str(), function.image.as_str()), ("function", "ghcr.io/acme/hello:1"));
    assert_eq!((function.port, function.port_stated), (8080, false));
    assert_eq!((class.namespace.as_str(), class.uid.as_str()), ("default", ""));
    assert_eq!(
        (class.enforcement, class.dimensions.as_slice()),
        (EnforcementMode::Observe, &[EnforcementDimension::Replicas][..])
    );
    assert!(class.odgm.is_none() && class.addons.is_empty());
}

#[test]
fn the_addon_alone_gives_a_data_grid_with_defaults() {
    let class = class(json!({"function": {"image": "img"}, "addons": ["odgm", "odgm"]}));
    let odgm = class.odgm.unwrap();
    assert_eq!((odgm.partition_count, odgm.replica_count, odgm.shard_type.as_str()), (1, 1, "mst"));
    assert_eq!(class.addons, ["odgm"]);
}

#[test]
fn a_data_grid_configuration_implies_the_addon() {
    let class = class(with_odgm(json!({"collections": ["a"], "partition_count": 4})));
    assert_eq!(class.addons, ["odgm"]);
    assert_eq!(class.odgm.unwrap().partition_count, 4);
}

#[test]
fn addons_are_known_by_their_own_names_whatever_the_record_calls_them() {
    let addons = json!(["pod-disruption-budget", "pdb", "odgm"]);
    assert_eq!(class(json!({"function": {"image": "img"}, "addons": addons})).addons, ["odgm", "pdb"]);
}

#[test]
fn zero_on_the_wire_means_unlimited() {
    let class = class(listed(json!({"max_scale": 0, "min_scale": 3, "max_concurrency": 0})));
    assert_eq!((class.functions[0].max_scale, class.functions[0].max_concurrency), (None, None));
}

#[test]
fn container_image_stands_in_for_an_empty_image() {
    let class = class(listed(json!({"image": "  ", "container_image": "other"})));
    assert_eq!(class.functions[0].image, "other");
}

#[test]
fn dimensions_are_sorted_and_each_once() {
    let class = class(json!({
        "function": {"image": "img"},
        "nfr": {"enforcement": {"mode": "enforce", "dimensions": ["cpu", "replicas", "cpu"]}},
    }));
    assert_eq!(class.dimensions, [EnforcementDimension::Replicas, EnforcementDimension::Cpu]);
    assert_eq!(class.enforcement, EnforcementMode::Enforce);
}

#[test]
fn every_fault_is_reported_with_its_field() {
    let faults = faults(json!({
        "functions": [
            {"function_key": "", "port": 0},
            {"function_key": "f", "image": "img", "port": 70000},
        ],
        "odgm_config": {"partition_count": 0},
    }));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    let expected = [
        "spec.functions[0].function_key",
        "spec.functions[0].image",
        "spec.functions[0].port",
        "spec.functions[1].port",
        "spec.odgm_config.partition_count",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn functions_that_cannot_work_are_refused() {
    refuses(json!({}), "spec.functions", "a class needs a function");
    refuses(json!({"function": {"image": "a"}, "functions": [{"function_key": "f"}]}), "spec.function", "not both");
    refuses(json!({"function": {"image": " "}}), "spec.function.image", "must not be empty");
    let twice = json!({"functions": [{"function_key": "f", "image": "a"}, {"function_key": "f", "image": "b"}]});
    refuses(twice, "spec.functions[1].function_key", "already spec.functions[0]");
    let many: Vec<Value> = (0..65).map(|n| json!({"function_key": format!("f{n}"), "image": "a"})).collect();
    refuses(json!({"functions": many}), "spec.functions", "at most 64");
    refuses(listed(json!({"min_scale": 3, "max_scale": 2})), "spec.functions[0].min_scale", "above max_scale 2");
}

#[test]
fn environment_that_cannot_work_is_refused() {
    refuses(listed(json!({"env": {"A=B": "x"}})), "spec.functions[0].env", "other than '='");
    let huge = "x".repeat(1024 * 1024);
    refuses(listed(json!({"env": {"A": "x\0y"}})), "spec.functions[0].env[\"A\"]", "byte 1 is a NUL");
    refuses(listed(json!({"env": {"BIG": huge}})), "spec.functions[0].env[\"BIG\"]", "1048576 bytes are too long");
}

#[test]
fn resources_that_cannot_work_are_refused() {
    let at = "spec.functions[0].resources.cpu_request";
    refuses(listed(json!({"resources": {"cpu_request": "half"}})), at, "is not a quantity");
    let above = json!({"resources": {"cpu_request": "2", "cpu_limit": "1500m"}});
    refuses(listed(above), at, "2 is above cpu_limit 1500m");
    assert!(class(listed(json!({"resources": {"cpu_request": ""}}))).functions[0].resources.cpu_request.is_none());
}

#[test]
fn data_grids_that_cannot_work_are_refused() {
    refuses(with_odgm(json!({"log": "debug\0"})), "spec.odgm_config.log", "byte 5 is a NUL");
    let at = |name: &str| format!("spec.odgm_config.{name}");
    refuses(with_odgm(json!({"replica_count": 0})), &at("replica_count"), "write 1 or more");
    refuses(with_odgm(json!({"collections": ["a", "a"]})), &at("collections[1]"), "named twice");
    let stray = json!({"collections": ["a"], "collection_assignments": {"b": {"assignments": []}}});
    refuses(with_odgm(stray), &at("collection_assignments[\"b\"]"), "no such collection");
    refuses(with_odgm(json!({"node_id": u64::MAX})), &at("node_id"), "too great");
    let route = |route: Value| json!({"invocations": {"fn_routes": {"save": route}}});
    refuses(
        with_odgm(route(json!({"function_key": "nobody"}))),
        &at("invocations.fn_routes[\"save\"].function_key"),
        "no function \"nobody\"",
    );
    refuses(with_odgm(route(json!({}))), &at("invocations.fn_routes[\"save\"]"), "set url");
    class(with_odgm(json!({"invocations": {"fn_routes": {"function": {}}}})));
    refuses(
        json!({"function": {"image": "a"}, "addons": ["cache"]}),
        "spec.addons[0]",
        "unknown addon \"cache\"; known: odgm, pdb",
    );
}

#[test]
fn requirements_out_of_range_are_refused() {
    let nfr = |name: &str, value: f64| json!({"function": {"image": "a"}, "nfr_requirements": {name: value}});
    refuses(nfr("availability_pct", 100.5), "spec.nfr_requirements.availability_pct", "percentage");
    refuses(nfr("cpu_utilization_target", -1.0), "spec.nfr_requirements.cpu_utilization_target", "finite number");
}

#[test]
fn a_name_that_the_api_server_would_refuse_is_refused() {
    for name in ["", "Hello", "a_b", "-a", "a.", "a..b", &"x".repeat(254)] {
        let mut record = record(json!({"function": {"image": "a"}}));
        record.metadata.name = Some(name.to_owned());
        let faults = parse(&record).unwrap_err().0;
        assert_eq!(faults[0].field, "metadata.name", "{name:?}");
    }
    for name in ["a", "9a", "a.b-c.9", &"x".repeat(253)] {
        let mut record = record(json!({"function": {"image": "a"}}));
        record.metadata.name = Some(name.to_owned());
        parse(&record).unwrap();
    }
}

#[test]
fn a_namespace_that_cannot_be_is_refused() {
    for namespace in ["", "A", "a.b", "-", &"x".repeat(64)] {
        let mut record = record(json!({"function": {"image": "a"}}));
        record.metadata.namespace = Some(namespace.to_owned());
        assert_eq!(parse(&record).unwrap_err().0[0].field, "metadata.namespace", "{namespace:?}");
    }
}

/// Each CEL rule of the schema with a spec that it refuses; a new rule without an entry fails the test below.
fn refused_by_rule() -> Vec<(&'static str, Value)> {
    vec![
        ("spec.function.image must not be empty", json!({"function": {"image": "\t"}})),
        (
            "every function needs an image: set image (or container_image)",
            json!({"functions": [{"function_key": "f"}]}),
        ),
        ("min_scale must not be above max_scale", listed(json!({"min_scale": 2, "max_scale": 1}))),
        (
            "set either spec.function (shorthand for one) or spec.functions, not both",
            json!({"function": {"image": "a"}, "functions": [{"function_key": "f", "image": "a"}]}),
        ),
        ("a class needs a function: set spec.function.image, or list at least one entry in spec.functions", json!({})),
    ]
}

fn collect(value: &Value, wanted: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(wanted).cloned());
            fields.values().for_each(|value| collect(value, wanted, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, wanted, found)),
        _ => {}
    }
}

#[test]
fn every_rule_of_the_schema_is_also_told_offline() {
    let mut rules = Vec::new();
    collect(&serde_json::to_value(crd().unwrap()).unwrap(), "x-kubernetes-validations", &mut rules);
    let mut messages: Vec<&str> = rules
        .iter()
        .flat_map(|rules| rules.as_array().unwrap())
        .map(|rule| rule["message"].as_str().unwrap())
        .collect();
    messages.sort_unstable();
    let cases = refused_by_rule();
    let mut covered: Vec<&str> = cases.iter().map(|(message, _)| *message).collect();
    covered.sort_unstable();
    assert_eq!(messages, covered, "a rule of the schema and its case here go together");
    for (message, spec) in cases {
        assert!(parse(&record(spec)).is_err(), "{message}");
    }
}

/// Every keyword of the schema is one that `Schema` checks, or one that constrains nothing (or is CEL, see above).
#[test]
fn no_keyword_of_the_schema_goes_unchecked() {
    const KNOWN: [&str; 19] = [
        "type",
        "enum",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "minimum",
        "maximum",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
        "description",
        "nullable",
        "default",
    ];
    fn walk(schema: &Value, at: &str) {
        for (keyword, value) in schema.as_object().unwrap() {
            let harmless = keyword == "title" || keyword == "format";
            assert!(KNOWN.contains(&keyword.as_str()) || harmless, "{at}: {keyword} is not checked offline");
            match keyword.as_str() {
                "properties" => {
                    value.as_object().unwrap().iter().for_each(|(name, one)| walk(one, &format!("{at}.{name}")));
                }
                "items" | "additionalProperties" => walk(value, at),
                _ => {}
            }
        }
    }
    let crd = serde_json::to_value(crd().unwrap()).unwrap();
    walk(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec");
}

#[test]
fn the_schema_is_checked_offline_with_the_field_named() {
    let schema = Schema::new().unwrap();
    let faults = |spec: Value| {
        let record =
            json!({"apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "metadata": {}, "spec": spec});
        schema.faults(&record).into_iter().map(|fault| fault.to_string()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(faults(json!({"function": {"image": "a", "port": 80}, "nfr": {"enforcement": {"mode": "off"}}})), "");
    for (spec, expected) in [
        (
            json!({"function": {"image": "a", "prot": 80}}),
            "spec.function.prot: there is no such field; known here: image, port",
        ),
        (json!({"function": {"port": 80}}), "spec.function.image: is required"),
        (json!({"function": {"image": 7}}), "spec.function.image: must be a string, not 7"),
        (json!({"function": {"image": "a", "port": 65536}}), "spec.function.port: 65536 is above 65535"),
        (json!({"function": {"image": "a", "port": 0}}), "spec.function.port: 0 is below 1"),
        (json!({"package_name": "x".repeat(254)}), "spec.package_name: 254 characters are too many; at most 253"),
        (json!({"functions": [{"function_key": ""}]}), "spec.functions[0].function_key: 0 characters are too few"),
        (
            json!({"functions": [{"function_key": "f"}, {"function_key": "f"}]}),
            "spec.functions[1]: its key is used twice",
        ),
        (
            json!({"functions": [{"function_key": "f", "env": {"A": 1}}]}),
            "spec.functions[0].env[\"A\"]: must be a string",
        ),
        (
            json!({"nfr": {"enforcement": {"mode": "on"}}}),
            "\"on\" is not possible; choose one of off, observe, enforce",
        ),
        (json!({"odgm_config": {"partition_count": 0}}), "spec.odgm_config.partition_count: 0 is below 1"),
        (json!({"odgm_config": {"node_id": u64::MAX}}), "spec.odgm_config.node_id: must be an integer"),
        (json!({"addons": vec!["a"; 17]}), "spec.addons: 17 entries are too many; at most 16"),
    ] {
        assert!(faults(spec).contains(expected), "{expected}");
    }
}
