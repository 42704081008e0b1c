//! Deployment and Service of one function.

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
    collection: Option<&str>,
) -> Result<(Vec<RenderedObject>, RenderedFunction), RenderError> {
    let unnamed = || RenderError::Unnamed { key: function.key.clone() };
    let part = Part {
        class,
        component: Component::Function(function.key.clone()),
        workload: class.names.workload(&function.key).ok_or_else(unnamed)?,
        service: class.names.service(&function.key).ok_or_else(unnamed)?,
    };
    let mut container = container("function", &function.image, function.port, plan.security);
    let env = env::function(class, function, collection)?;
    container.env = (!env.is_empty()).then_some(env);
    container.resources = resources(&function.resources, &plan.resources, &function.applied);
    // A port that the record does not name is a guess, and a probe on a guess would end a healthy container.
    if plan.probes && function.port_stated {
        container.readiness_probe = Some(probe(5, 3));
        container.liveness_probe = Some(probe(10, 6));
    }
    let pod = pod(container, plan.security, plan.termination_grace_seconds);
    let range = autoscaler::range(plan, function);
    let replicas = function.replicas.unwrap_or_else(|| within_scale(plan.replicas, function));
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

/// The template's number, within what the record says of scale. A number that the record states is taken as it is.
fn within_scale(replicas: u32, function: &Function) -> u32 {
    let least = function.min_scale.unwrap_or(0);
    let most = function.max_scale.unwrap_or(u32::MAX);
    replicas.max(least).min(most)
}

#[cfg(test)]
mod tests {
    use super::within_scale;
    use crate::model::Function;

    fn function(min_scale: Option<u32>, max_scale: Option<u32>) -> Function {
        Function {
            key: "f".to_owned(),
            image: "i".to_owned(),
            port: 8080,
            port_stated: false,
            replicas: None,
            min_scale,
            max_scale,
            max_concurrency: None,
            need_http2: false,
            resources: crate::model::Resources::default(),
            env: std::collections::BTreeMap::new(),
            nfr: crate::model::NfrTargets::default(),
            applied: crate::model::Applied::default(),
        }
    }

    #[test]
    fn the_templates_number_is_kept_within_the_records_scale() {
        let cases =
            [(None, None, 2), (Some(5), None, 5), (Some(0), None, 2), (None, Some(1), 1), (Some(3), Some(4), 3)];
        for (least, most, expected) in cases {
            assert_eq!(within_scale(2, &function(least, most)), expected, "{least:?}..{most:?}");
        }
    }
}
