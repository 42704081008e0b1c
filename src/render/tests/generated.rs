//! Rendering is total over generated classes, and what comes out can always be applied.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan;
use crate::api::DeploymentRecord;
use crate::decision::{AutoscalerPlan, OdgmPlan, SecurityPlan, TemplatePlan, WorkloadKind};
use crate::model::{Quantity, Resources, parse};
use crate::render::{ObjectKind, RenderError, RenderSettings, RenderedObject, render};

/// Texts that YAML, JSON or Kubernetes might take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        "\\PC{1,40}",
        prop::sample::select(vec![
            "yes", "null", "~", "1e3", "0x10", "- a", "a: b", "#", "$(A)", "$$", "\"", "'", "\u{85}", " x ", "a\nb",
            "\t", "odgm", "-", "é", "---", "%", "@a", "!t", "&a", "*a",
        ])
        .prop_map(str::to_owned),
    ]
}

fn quantities() -> impl Strategy<Value = Value> {
    (1_u32..500, 0_u32..500, 1_u32..500, 0_u32..500, any::<[bool; 4]>()).prop_map(
        |(cpu, more_cpu, memory, more, set)| {
            let mut stated = serde_json::Map::new();
            for (set, (name, value)) in set.into_iter().zip([
                ("cpu_request", format!("{cpu}m")),
                ("cpu_limit", format!("{}m", cpu + more_cpu)),
                ("memory_request", format!("{memory}Mi")),
                ("memory_limit", format!("{}Mi", memory + more)),
            ]) {
                if set {
                    stated.insert(name.to_owned(), value.into());
                }
            }
            stated.into()
        },
    )
}

fn function() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-Z_]{1,8}", text(), 0..4);
    let scale = prop_oneof![
        Just((None, None)),
        (0_u32..9, 0_u32..9).prop_map(|(least, more)| (Some(least), Some(least + more))),
        (0_u32..9).prop_map(|most| (None, Some(most))),
    ];
    let simple = (prop::option::of(1_u16..), prop::option::of(0_u32..50), any::<bool>());
    (text(), text(), simple, quantities(), env, scale).prop_map(
        |(key, image, (port, replicas, http2), resources, env, scale)| {
            let image = if image.trim().is_empty() { "img".to_owned() } else { image };
            json!({
                "function_key": key, "image": image, "port": port, "replicas": replicas, "need_http2": http2,
                "resources": resources, "env": env, "min_scale": scale.0, "max_scale": scale.1,
            })
        },
    )
}

fn odgm() -> impl Strategy<Value = Value> {
    let names = prop::collection::btree_set(text(), 0..4);
    let options = prop::collection::btree_map(text(), text(), 0..4);
    let routes = prop::collection::btree_map(text(), (text(), any::<Option<bool>>()), 0..4);
    (names, 1_u32..9, options, routes, prop::option::of(0..=i64::MAX)).prop_map(
        |(names, count, options, routes, id)| {
            let routes: serde_json::Map<String, Value> = routes
                .into_iter()
                .map(|(name, (url, stateless))| (name, json!({"url": url, "stateless": stateless})))
                .collect();
            json!({
                "collections": names, "partition_count": count, "replica_count": count, "options": options,
                "invocations": {"fn_routes": routes}, "node_id": id,
            })
        },
    )
}

fn record() -> impl Strategy<Value = DeploymentRecord> {
    let functions = prop::collection::vec(function(), 1..6);
    let name = prop_oneof!["[a-z]{1,8}", "[0-9][a-z0-9]{0,60}", "[a-z]([a-z0-9.-]{0,200}[a-z0-9])?"]
        .prop_filter("a record's name", |name| {
            name.split('.').all(|part| !part.starts_with('-') && !part.ends_with('-') && !part.is_empty())
        });
    let identity = (prop::option::of(text()), prop::option::of(text()));
    (name, functions, prop::option::of(odgm()), any::<bool>(), identity).prop_map(
        |(name, mut functions, odgm, uid, identity)| {
            let mut seen = BTreeSet::new();
            functions.retain(|function| seen.insert(function["function_key"].to_string()));
            let uid = uid.then_some("u-1");
            let record = json!({
                "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
                "metadata": {"name": name, "namespace": "team", "uid": uid},
                "spec": {
                    "functions": functions, "odgm_config": odgm, "package_name": identity.0, "class_key": identity.1,
                },
            });
            serde_json::from_value(record).unwrap()
        },
    )
}

fn plans() -> impl Strategy<Value = TemplatePlan> {
    let scalers = prop::option::of((1_u32..1000, prop::option::of(0_u32..20)));
    (any::<[bool; 5]>(), 0_u32..9, prop::option::of(1_u32..300), prop::option::of(1_u32..300), scalers).prop_map(
        |([probes, drop_capabilities, run_as_non_root, odgm, knative], replicas, request, limit, scaler)| {
            let quantity = |n: u32| Quantity::parse(&format!("{n}m")).unwrap();
            let security = SecurityPlan { drop_capabilities, run_as_non_root };
            let workload = if knative { WorkloadKind::KnativeService } else { WorkloadKind::Deployment };
            TemplatePlan {
                workload,
                probes,
                replicas,
                security,
                resources: Resources {
                    cpu_request: request.map(quantity),
                    cpu_limit: limit.map(|more| quantity(more + request.unwrap_or_default())),
                    ..Resources::default()
                },
                autoscaler: scaler
                    .map(|(cpu_utilization, max_replicas)| AutoscalerPlan { cpu_utilization, max_replicas }),
                odgm: odgm.then(|| OdgmPlan {
                    image: "o".to_owned(),
                    replicas,
                    resources: Resources::default(),
                    security,
                }),
                ..plan()
            }
        },
    )
}

fn is_dns_1035(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_label_value(value: &Value) -> bool {
    let value = value.as_str().unwrap();
    value.len() <= 63
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.ends_with(|c: char| c.is_ascii_alphanumeric())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What Kubernetes makes of a value without references: `$$` is `$`.
fn expanded(value: &str) -> String {
    value.replace("$$", "$")
}

fn check_requests(container: &Value) -> Result<(), TestCaseError> {
    for name in ["cpu", "memory"] {
        let stated =
            |which: &str| container["resources"][which][name].as_str().map(|text| Quantity::parse(text).unwrap());
        if let (Some(request), Some(limit)) = (stated("requests"), stated("limits")) {
            prop_assert!(request <= limit, "{} {} above {}", name, request, limit);
        }
    }
    Ok(())
}

fn check_env(container: &Value) -> Result<(), TestCaseError> {
    let vars = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: BTreeSet<&str> = vars.iter().map(|var| var["name"].as_str().unwrap()).collect();
    prop_assert_eq!(names.len(), vars.len(), "a variable is there twice");
    for var in vars.iter().filter(|var| var["name"] == "ODGM_COLLECTION") {
        let value = var["value"].as_str().unwrap();
        let special = value.contains("$$");
        let text = if special { expanded(value) } else { value.to_owned() };
        let parsed: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(parsed.is_array());
    }
    Ok(())
}

proptest! {
    #[test]
    fn rendering_is_total_and_gives_what_can_be_applied(record in record(), plan in plans()) {
        let class = parse(&record).unwrap();
        let rendered = match render(&class, &plan, &RenderSettings::default()) {
            Err(RenderError::KnativeOwn { .. }) if plan.workload == WorkloadKind::KnativeService => return Ok(()),
            rendered => rendered.unwrap(),
        };
        let grid = usize::from(class.odgm.is_some() && plan.odgm.is_some());
        let deployments = plan.workload == WorkloadKind::Deployment;
        let each = if deployments { 2 } else { 1 };
        let scaled = class.functions.iter().filter(|one| deployments && plan.autoscaler.is_some() && one.max_scale.is_some());
        prop_assert_eq!(rendered.objects.len(), each * class.functions.len() + 2 * grid + scaled.count());
        prop_assert_eq!(rendered.functions.len(), class.functions.len());
        let mut seen = BTreeSet::new();
        for object in &rendered.objects {
            let limit = if object.kind == ObjectKind::Service { 63 } else { 46 };
            prop_assert!(is_dns_1035(&object.name) && object.name.len() <= limit, "{}", object.name);
            prop_assert!(seen.insert((object.kind, object.name.clone())), "{} twice", object.name);
            prop_assert_eq!(object.manifest["metadata"]["name"].as_str().unwrap(), &object.name);
            prop_assert!(object.kind.scale_field().is_none_or(|field| object.manifest["spec"].get(field).is_none()));
            prop_assert_eq!(object.replicas.is_some(), object.kind.scale_field().is_some());
            if object.kind == ObjectKind::Autoscaler {
                let (least, most) = (u64::from(object.replicas.unwrap()), object.manifest["spec"]["maxReplicas"].as_u64().unwrap());
                prop_assert!(1 <= least && least <= most);
                let its = |other: &&RenderedObject| other.kind == ObjectKind::Deployment && other.name == object.name;
                let first = u64::from(rendered.objects.iter().find(its).unwrap().replicas.unwrap());
                prop_assert!(least <= first && first <= most);
            }
            prop_assert_eq!(object.manifest["metadata"].get("ownerReferences").is_some(), !class.uid.is_empty());
            for (key, value) in object.manifest["metadata"]["labels"].as_object().unwrap() {
                prop_assert!(is_label_value(value), "{}={}", key, value);
            }
            let yaml = serde_saphyr::to_string(&object.manifest).unwrap();
            let back: Value = serde_saphyr::from_str(&yaml).unwrap();
            prop_assert_eq!(&back, &object.manifest, "{}", yaml);
            if object.kind == ObjectKind::KnativeService {
                let scale = &object.manifest["spec"]["template"]["metadata"]["annotations"];
                let number = |name: &str| scale[format!("autoscaling.knative.dev/{name}")].as_str().map(|n| n.parse::<u32>().unwrap());
                let (least, most) = (number("min-scale").unwrap(), number("max-scale").unwrap_or(u32::MAX));
                prop_assert!(least <= most && number("initial-scale").is_none_or(|first| least < first && first <= most));
            }
            if object.kind.is_workload() {
                let template = &object.manifest["spec"]["template"];
                for (key, value) in object.manifest["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
                    prop_assert_eq!(&template["metadata"]["labels"][key], value);
                }
                let container = &template["spec"]["containers"][0];
                check_requests(container)?;
                check_env(container)?;
            }
        }
        prop_assert_eq!(render(&class, &plan, &RenderSettings::default()).unwrap(), rendered);
    }

    #[test]
    fn every_value_reaches_the_process_as_it_is(value in "[$(){}A-C]{0,12}") {
        let name = "A".to_owned();
        let record = json!({
            "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "metadata": {"name": "x"},
            "spec": {"functions": [{"function_key": "f", "image": "i", "env": {name: value}}]},
        });
        let class = parse(&serde_json::from_value(record).unwrap()).unwrap();
        let rendered = render(&class, &plan(), &RenderSettings::default()).unwrap();
        let vars = super::env(&rendered, "x");
        let written = vars.first().unwrap().1;
        // Kubernetes reads from the left: `$$` is one `$`, `$(NAME)` a reference, any other `$` itself.
        prop_assert!(!written.replace("$$", "").contains("$("), "{} has a reference", written);
        prop_assert_eq!(expanded(written), value);
    }
}
