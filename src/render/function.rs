//! Deployment and Service of one function.

use super::addon::Injected;
use super::parts::{Part, container, pod, probe, resources, service_url};
use super::{Component, ObjectKind, RenderError, RenderedFunction, RenderedObject, autoscaler, env};
use crate::decision::TemplatePlan;
use crate::model::{Class, Function};

/// Port of a function's Service, whatever port its container listens on.
const SERVICE_PORT: u16 = 80;
/// What a Service says of a port that speaks HTTP/2 without TLS.
const H2C: &str = "kubernetes.io/h2c";

pub(super) fn objects(
    class: &Class,
    plan: &TemplatePlan,
    function: &Function,
    injected: &[Injected],
) -> Result<(Vec<RenderedObject>, RenderedFunction), RenderError> {
    let unnamed = || RenderError::Unnamed { key: function.key.clone() };
    let part = Part {
        class,
        component: Component::Function(function.key.clone()),
        workload: class.names.workload(&function.key).ok_or_else(unnamed)?,
        service: class.names.service(&function.key).ok_or_else(unnamed)?,
    };
    let mut container = container("function", &function.image, function.port, plan.security);
    let env = env::function(class, function, injected)?;
    container.env = (!env.is_empty()).then_some(env);
    container.resources = resources(&function.resources, &plan.resources, &function.applied);
    // A port that the record does not name is a guess, and a probe on a guess would end a healthy container.
    if plan.probes && function.port_stated {
        container.readiness_probe = Some(probe(5, 3));
        container.liveness_probe = Some(probe(10, 6));
    }
    let pod = pod(container, plan.security, plan.termination_grace_seconds);
    let range = autoscaler::range(plan, function);
    let replicas = plan.replicas_of(function);
    let replicas = range.map_or(replicas, |range| range.starts_with(replicas));
    let mut objects = vec![
        part.deployment(&plan.name, pod, replicas)?,
        part.service(SERVICE_PORT, function.port, function.need_http2.then_some(H2C))?,
    ];
    if let Some(range) = range {
        objects.push(range.object(&part)?);
    }
    let reached = RenderedFunction {
        key: function.key.clone(),
        kind: ObjectKind::Deployment,
        workload: part.workload.to_owned(),
        url: service_url(class, part.service),
    };
    Ok((objects, reached))
}
