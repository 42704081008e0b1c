#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value)]

mod addons;
mod exact;
mod generated;
mod knative;

use serde_json::{Value, json};

use super::{RenderError, RenderSettings, Rendered, render};
use crate::decision::{OdgmPlan, SecurityPlan, TemplatePlan, WorkloadKind};
use crate::model::{Class, Quantity, Resources, parse};

fn class(spec: Value) -> Class {
    let record = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord",
        "metadata": {"name": "hello", "namespace": "team", "uid": "u-1"}, "spec": spec,
    });
    parse(&serde_json::from_value(record).unwrap()).unwrap()
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

fn plan() -> TemplatePlan {
    TemplatePlan {
        name: "edge".to_owned(),
        workload: WorkloadKind::Deployment,
        replicas: 2,
        resources: Resources {
            cpu_request: Some(quantity("100m")),
            memory_request: Some(quantity("64Mi")),
            memory_limit: Some(quantity("256Mi")),
            cpu_limit: None,
        },
        termination_grace_seconds: Some(20),
        probes: true,
        security: SecurityPlan { drop_capabilities: true, run_as_non_root: false },
        autoscaler: None,
        odgm: Some(OdgmPlan {
            image: "ghcr.io/example/odgm:1".to_owned(),
            replicas: 3,
            resources: Resources { cpu_request: Some(quantity("50m")), ..Resources::default() },
            security: SecurityPlan { drop_capabilities: true, run_as_non_root: true },
        }),
        pdb: None,
        monitor: None,
        max_replicas: None,
        own_autoscalers: std::collections::BTreeMap::new(),
    }
}

fn rendered(spec: Value) -> Rendered {
    render(&class(spec), &plan(), &RenderSettings::default()).unwrap()
}

fn refused(spec: Value) -> RenderError {
    render(&class(spec), &plan(), &RenderSettings::default()).unwrap_err()
}

/// The manifest of an object by kind and name.
fn manifest<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> &'a Value {
    let found = rendered.objects.iter().find(|object| object.kind.kind() == kind && object.name == name);
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).manifest
}

fn container<'a>(rendered: &'a Rendered, name: &str) -> &'a Value {
    &manifest(rendered, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
}

/// Names and values of a container's environment, in order.
fn env<'a>(rendered: &'a Rendered, name: &str) -> Vec<(&'a str, &'a str)> {
    let vars = container(rendered, name)["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    vars.iter().map(|var| (var["name"].as_str().unwrap(), var["value"].as_str().unwrap())).collect()
}
