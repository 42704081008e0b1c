//! Deployment and Service of the data grid (Object Data Grid Manager).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::EnvVar;

use super::{Addon, Beneath, Scene, collection};
use crate::decision::OdgmPlan;
use crate::model::{ADDON_ODGM, Applied, Class, Odgm, Resources};
use crate::render::env::var;
use crate::render::parts::{Part, container, pod, probe, resources};
use crate::render::{Component, RenderError, RenderedObject};

/// Port of the data grid, in its container and on its Service.
pub const ODGM_PORT: u16 = 8081;
/// Tells a function that its class has a data grid.
pub const ODGM_ENABLED: &str = "ODGM_ENABLED";
/// Tells a function where its data grid is: `host:port`.
pub const ODGM_SERVICE: &str = "ODGM_SERVICE";
/// Tells a function and the data grid which collections there are, as JSON.
pub const ODGM_COLLECTION: &str = "ODGM_COLLECTION";

pub(super) struct DataGrid;

impl Addon for DataGrid {
    fn name(&self) -> &'static str {
        ADDON_ODGM
    }

    /// The grid comes where the class asks for it and the policy gives it.
    fn beneath(&self, scene: Scene<'_>) -> Result<Beneath, RenderError> {
        let (Some(odgm), Some(plan)) = (&scene.class.odgm, &scene.plan.odgm) else { return Ok(Beneath::default()) };
        let collection = collection::json(scene.class, odgm, scene.plan.workload)?;
        let objects = objects(scene, odgm, plan, &collection)?;
        let service = format!("{}:{ODGM_PORT}", scene.class.names.odgm_service());
        let env = vec![(ODGM_ENABLED, "true".to_owned()), (ODGM_SERVICE, service), (ODGM_COLLECTION, collection)];
        Ok(Beneath { env, objects })
    }
}

fn objects(
    scene: Scene<'_>,
    odgm: &Odgm,
    plan: &OdgmPlan,
    collection: &str,
) -> Result<Vec<RenderedObject>, RenderError> {
    let class = scene.class;
    let (workload, service) = (class.names.odgm_workload(), class.names.odgm_service());
    let part = Part { class, component: Component::Odgm, workload: &workload, service: &service };
    let image = scene.settings.odgm_image.as_deref().unwrap_or(&plan.image);
    let mut container = container("odgm", image, ODGM_PORT, plan.security);
    container.env = Some(env(class, odgm, collection));
    container.resources = resources(&Resources::default(), &plan.resources, &Applied::default());
    container.readiness_probe = Some(probe(5, 3));
    let pod = pod(container, plan.security, None);
    Ok(vec![part.deployment(&scene.plan.name, pod, plan.replicas)?, part.service(ODGM_PORT, ODGM_PORT, None)?])
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
