//! The committed definition keeps every field: what it does not know, the API server would drop without a word.

use kube::api::{Patch, PatchParams};
use oprc_crm::api::{DeploymentRecordSpec, DeploymentRecordStatus};
use serde_json::{Value, json};

use crate::IMAGE;
use crate::support::class::Namespace;

fn nfr() -> Value {
    json!({"min_throughput_rps": 10, "max_latency_ms": 20, "availability_pct": 99.5, "cpu_utilization_target": 0.5,
        "consistency": "strong"})
}

fn every_spec_field() -> Value {
    json!({
        "package_name": "p", "class_key": "k", "target_env": "e", "target_cluster": "c", "selected_template": "edge",
        "addons": ["odgm"],
        "functions": [{
            "function_key": "f", "image": IMAGE, "container_image": "other:1", "port": 81, "replicas": 2,
            "min_scale": 1, "max_scale": 3, "max_concurrency": 4, "need_http2": true, "description": "d",
            "available_location": "l", "wasm_module_url": "http://w", "env": {"A": "1"},
            "resources": {"cpu_request": "1", "memory_request": "1Mi", "cpu_limit": "2", "memory_limit": "2Mi"},
            "nfr_requirements": nfr(),
        }],
        "odgm_config": {
            "collections": ["a"], "partition_count": 2, "replica_count": 3, "shard_type": "raft",
            "options": {"o": "1"}, "log": "info", "node_id": 7, "env_node_ids": {"e": {"ids": [1, 2]}},
            "invocations": {
                "fn_routes": {"r": {"url": "http://u", "stateless": true, "standby": false, "active_group": [1], "function_key": "f"}},
                "disabled_fn": ["x"],
            },
            "collection_assignments": {"a": {"assignments": [{"primary": 1, "replica": [2], "shard_ids": [3]}]}},
        },
        "nfr_requirements": nfr(),
        "nfr": {"enforcement": {"mode": "enforce", "dimensions": ["replicas", "memory", "cpu"]}},
    })
}

fn every_status_field() -> Value {
    let time = "2026-01-01T00:00:00Z";
    json!({
        "observedGeneration": 1, "phase": "Available", "message": "m", "ready_summary": "1/1",
        "enforcement_mode": "enforce", "selected_template": "edge",
        "conditions": [{"type": "Available", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": time, "observedGeneration": 1}],
        "resource_refs": [{"apiVersion": "v1", "kind": "Service", "name": "n", "namespace": "ns", "uid": "u", "health": "Healthy"}],
        "functions": [{"function_key": "f", "url": "http://u", "replicas": 1, "ready_replicas": 1}],
        "odgm": {"replicas": 1, "ready_replicas": 1, "leader": "1",
            "partitions": {"total": 2, "healthy": 1, "degraded": ["c/1"]}},
        "nfr_recommendations": [{"component": "f", "dimension": "replicas", "target": "2", "basis": "b",
            "confidence": 0.5, "since": time, "policy": "p"}],
        "last_applied_recommendations": [{"component": "f", "dimension": "replicas", "target": "2",
            "base": "500m", "applied_at": time, "policy": "p"}],
        "last_applied_at": time,
        "decision": {"policy_revision": "r", "template": "edge", "trace": ["t"]},
    })
}

/// The types have no field that the value lacks, nor the other way round: a new field must be added above too.
fn complete<T: serde::de::DeserializeOwned + serde::Serialize>(part: &str, value: &Value) {
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(&serde_json::to_value(typed).unwrap(), value);
    let crd = serde_json::to_value(oprc_crm::api::crd().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
    // The shorthand excludes the list.
    let mut missing = missing(part, schema, value);
    missing.retain(|path| path != "spec.function");
    assert_eq!(missing, [""; 0]);
}

/// Paths of the schema's fields that a value lacks.
fn missing(path: &str, schema: &Value, value: &Value) -> Vec<String> {
    if value.is_null() {
        return vec![path.to_owned()];
    }
    let below = |key: &str| format!("{path}.{key}");
    if let Some(properties) = schema["properties"].as_object() {
        return properties.iter().flat_map(|(key, schema)| missing(&below(key), schema, &value[key])).collect();
    }
    let one = value.as_array().and_then(|items| items.first());
    let one = one.or_else(|| value.as_object().and_then(|entries| entries.values().next()));
    let inner = [&schema["items"], &schema["additionalProperties"]].into_iter().find(|inner| inner.is_object());
    match (inner, one) {
        (Some(inner), Some(one)) => missing(&below("*"), inner, one),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_field_of_spec_and_status_survives_the_api_server() {
    let (spec, status) = (every_spec_field(), every_status_field());
    complete::<DeploymentRecordSpec>("spec", &spec);
    complete::<DeploymentRecordStatus>("status", &status);
    let cluster = crate::support::cluster().await;
    let name = cluster.namespace("fields").await;
    let ns = Namespace::new(cluster.admin(), &name);
    ns.apply("all", spec.clone()).await;
    let patch = json!({"apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "status": status});
    ns.records().patch_status("all", &PatchParams::apply("test").force(), &Patch::Apply(&patch)).await.unwrap();
    let kept = ns.records().get("all").await.unwrap();
    assert_eq!(kept.spec, spec);
    assert_eq!(kept.status, status);
}
