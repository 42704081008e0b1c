//! Deployment and Service of the data grid (Object Data Grid Manager).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::EnvVar;

use super::env::{ODGM_COLLECTION, var};
use super::parts::{Part, container, pod, probe, resources};
use super::{Component, RenderError, RenderSettings, RenderedObject};
use crate::decision::OdgmPlan;
use crate::model::{Applied, Class, Odgm, Resources};

/// Port of the data grid, in its container and on its Service.
pub const ODGM_PORT: u16 = 8081;

pub(super) struct Inputs<'a> {
    pub class: &'a Class,
    pub template: &'a str,
    pub odgm: &'a Odgm,
    pub plan: &'a OdgmPlan,
    pub settings: &'a RenderSettings,
    pub collection: &'a str,
}

pub(super) fn objects(inputs: &Inputs<'_>) -> Result<Vec<RenderedObject>, RenderError> {
    let Inputs { class, template, odgm, plan, settings, collection } = *inputs;
    let (workload, service) = (class.names.odgm_workload(), class.names.odgm_service());
    let part = Part { class, component: Component::Odgm, workload: &workload, service: &service };
    let image = settings.odgm_image.as_deref().unwrap_or(&plan.image);
    let mut container = container("odgm", image, ODGM_PORT, plan.security);
    container.env = Some(env(class, odgm, collection));
    container.resources = resources(&Resources::default(), &plan.resources, &Applied::default());
    container.readiness_probe = Some(probe(5, 3));
    let pod = pod(container, plan.security, None);
    Ok(vec![part.deployment(template, pod, plan.replicas)?, part.service(ODGM_PORT, ODGM_PORT, None)?])
}

fn env(class: &Class, odgm: &Odgm, collection: &str) -> Vec<EnvVar> {
    let mut vars = vec![
        var("ODGM_HTTP_PORT", &ODGM_PORT.to_string()),
        var("ODGM_CLUSTER_ID", &class.name),
        var(ODGM_COLLECTION, collection),
    ];
    if let Some(id) = odgm.node_id {
        vars.push(var("ODGM_NODE_ID", &id.to_string()));
    }
    // One grid spans the environments: its members are the nodes of all of them.
    let members: BTreeSet<u64> = odgm.env_node_ids.values().flat_map(|nodes| nodes.ids.iter().copied()).collect();
    if !members.is_empty() {
        let members: Vec<String> = members.iter().map(u64::to_string).collect();
        vars.push(var("ODGM_MEMBERS", &members.join(",")));
    }
    if let Some(filter) = odgm.log.as_deref().filter(|filter| !filter.is_empty()) {
        vars.push(var("ODGM_LOG", filter));
    }
    vars
}
