//! Knative Service of one function: it scales with requests and brings its own routes, so no Service beside it.
//!
//! Rendered is what every installation of Knative takes with its default feature flags: pods have no security context
//! and no grace period of their own there, so security stands on the container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, Probe, SeccompProfile, SecurityContext, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::Value;

use super::addon::Injected;
use super::parts::{self, Part};
use super::{Component, ObjectKind, RenderError, RenderedFunction, RenderedObject, env};
use crate::decision::{SecurityPlan, TemplatePlan};
use crate::model::{Class, Function, Quantity};

/// Fewest pods, also without requests.
const MIN_SCALE: &str = "autoscaling.knative.dev/min-scale";
/// Most pods.
const MAX_SCALE: &str = "autoscaling.knative.dev/max-scale";
/// Pods that a new version starts with.
const INITIAL_SCALE: &str = "autoscaling.knative.dev/initial-scale";
/// Names by which Knative tells what a port speaks.
const HTTP1: &str = "http1";
const H2C: &str = "h2c";
/// Variables that Knative gives every process; it refuses a Service that sets them.
const OWN_VARIABLES: [&str; 4] = ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"];
/// Ports of Knative's own container in every pod; it refuses a Service that wants them.
const OWN_PORTS: [u16; 6] = [8008, 8012, 8013, 8022, 9090, 9091];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KnativeService {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Serialize)]
struct Spec {
    template: Template,
    traffic: [Traffic; 1],
}

#[derive(Serialize)]
struct Template {
    metadata: ObjectMeta,
    spec: RevisionSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevisionSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    container_concurrency: Option<u32>,
    #[serde(flatten)]
    pod: PodSpec,
}

/// All requests go to the newest version that is ready.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    latest_revision: bool,
    percent: u8,
}

pub(super) fn objects(
    class: &Class,
    plan: &TemplatePlan,
    function: &Function,
    injected: &[Injected],
) -> Result<(Vec<RenderedObject>, RenderedFunction), RenderError> {
    refuse_what_is_knatives(class, plan, function)?;
    let workload = class.names.workload(&function.key);
    let workload = workload.ok_or_else(|| RenderError::Unnamed { key: function.key.clone() })?;
    let part = Part { class, component: Component::Function(function.key.clone()), workload, service: workload };
    let env = env::function(class, function, injected)?;
    let service = KnativeService {
        api_version: ObjectKind::KnativeService.api_version(),
        kind: ObjectKind::KnativeService.kind(),
        metadata: part.workload_metadata(&plan.name),
        spec: Spec {
            template: Template {
                metadata: ObjectMeta {
                    labels: Some(part.version_labels()),
                    annotations: Some(scale(plan, function)),
                    ..ObjectMeta::default()
                },
                spec: RevisionSpec {
                    container_concurrency: function.max_concurrency,
                    pod: PodSpec {
                        containers: vec![Container {
                            env: (!env.is_empty()).then_some(env),
                            ..container(plan, function)
                        }],
                        automount_service_account_token: Some(false),
                        enable_service_links: Some(false),
                        ..PodSpec::default()
                    },
                },
            },
            traffic: [Traffic { latest_revision: true, percent: 100 }],
        },
    };
    let object = part.object(ObjectKind::KnativeService, workload, &service, None)?;
    let reached = RenderedFunction {
        key: function.key.clone(),
        kind: ObjectKind::KnativeService,
        workload: workload.to_owned(),
        url: parts::service_url(class, workload),
    };
    Ok((vec![object], reached))
}

fn container(plan: &TemplatePlan, function: &Function) -> Container {
    let port_name = if function.need_http2 { H2C } else { HTTP1 };
    let mut container = parts::container("function", &function.image, function.port, plan.security);
    container.ports.iter_mut().flatten().for_each(|port| port.name = Some(port_name.to_owned()));
    container.security_context = container.security_context.map(|context| on_container(context, plan.security));
    container.resources = parts::resources(&function.resources, &plan.resources, &function.applied);
    // Readiness is probed by Knative itself, on the container's port and as often as a cold start needs it.
    if plan.probes && function.port_stated {
        container.liveness_probe = Some(Probe {
            tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(i32::from(function.port)), host: None }),
            ..parts::probe(10, 6)
        });
    }
    container
}

/// What else stands on the pod.
fn on_container(context: SecurityContext, security: SecurityPlan) -> SecurityContext {
    SecurityContext {
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        run_as_non_root: security.run_as_non_root.then_some(true),
        ..context
    }
}

/// The floor is the record's `min_scale`, else its replicas, else the template's. A record that states both starts each
/// version with its replicas and lets it shrink to the floor. What enforcement applied lifts the floor. The
/// ceiling is the record's `max_scale`, and no more than the template's.
fn scale(plan: &TemplatePlan, function: &Function) -> BTreeMap<String, String> {
    let bound = function.max_scale.into_iter().chain(plan.max_replicas).min();
    let most = bound.unwrap_or(u32::MAX);
    let base = function.min_scale.or(function.replicas).unwrap_or(plan.replicas).min(most);
    let least = enforced(base, function).clamp(base, most);
    let first = function.replicas.map(|replicas| replicas.min(most)).filter(|replicas| *replicas > least);
    let stated = [(MIN_SCALE, Some(least)), (MAX_SCALE, bound), (INITIAL_SCALE, first)];
    stated.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string()))).collect()
}

/// The floor that enforcement applied, where the record and its template still say what they said then, or less.
fn enforced(base: u32, function: &Function) -> u32 {
    let stated = Quantity::parse(&base.to_string()).ok();
    let applied =
        function.applied.min_scale.as_ref().zip(stated).and_then(|(applied, base)| applied.over(&base).cloned());
    applied.and_then(|target| target.as_str().parse().ok()).unwrap_or(base)
}

/// The fewest pods of a Knative Service, rendered or as it stands.
pub fn min_scale(service: &Value) -> Option<u32> {
    let annotations = service.pointer("/spec/template/metadata/annotations")?;
    annotations.get(MIN_SCALE)?.as_str()?.parse().ok()
}

/// Knative refuses these too, but only once everything else of the class has been applied. What it refuses by a number
/// that its operator may change, the policy's rules keep away from it.
fn refuse_what_is_knatives(class: &Class, plan: &TemplatePlan, function: &Function) -> Result<(), RenderError> {
    let template = plan.name.clone();
    if let Some(variable) = OWN_VARIABLES.into_iter().find(|name| function.env.contains_key(*name)) {
        let field = env::field(class, function, variable);
        return Err(RenderError::KnativeOwn { template, field, what: format!("the variable {variable}") });
    }
    if OWN_PORTS.contains(&function.port) {
        let field = format!("{}.port", env::path(class, function));
        let what = format!("port {} of function {:?}", function.port, function.key);
        return Err(RenderError::KnativeOwn { template, field, what });
    }
    Ok(())
}
