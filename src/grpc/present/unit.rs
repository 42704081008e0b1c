//! Record -> the unit that asks for it: what later Package Managers read. Pure.

use super::{created_at, functions, nfr};
use crate::api::{
    CollectionShardAssignments, DeploymentRecord, EnforcementDimension, EnforcementMode, FunctionRoute,
    InvocationRoutes, Nfr, OdgmConfig, OdgmNodeIds, ShardAssignment,
};
use crate::grpc::identity::record_id;
use crate::grpc::pb::deployment as wire;

/// The unit that a record stands for.
pub fn unit(record: &DeploymentRecord) -> wire::DeploymentUnit {
    let spec = &record.spec;
    let text = |stated: &Option<String>| stated.clone().unwrap_or_default();
    wire::DeploymentUnit {
        id: record_id(record).to_owned(),
        package_name: text(&spec.package_name),
        class_key: text(&spec.class_key),
        target_cluster: text(&spec.target_cluster),
        functions: functions(record),
        target_env: text(&spec.target_env),
        nfr_requirements: spec.nfr_requirements.as_ref().map(nfr),
        created_at: created_at(record),
        odgm_config: spec.odgm_config.as_ref().map(odgm),
        selected_template: spec.selected_template.clone(),
        addons: spec.addons.clone(),
        enforcement: spec.nfr.as_ref().and_then(enforcement),
    }
}

fn enforcement(nfr: &Nfr) -> Option<wire::Enforcement> {
    let stated = nfr.enforcement.as_ref()?;
    let mode = match stated.mode {
        None => "",
        Some(EnforcementMode::Off) => "off",
        Some(EnforcementMode::Observe) => "observe",
        Some(EnforcementMode::Enforce) => "enforce",
    };
    let dimension = |one: &EnforcementDimension| match one {
        EnforcementDimension::Replicas => "replicas".to_owned(),
        EnforcementDimension::Memory => "memory".to_owned(),
        EnforcementDimension::Cpu => "cpu".to_owned(),
    };
    Some(wire::Enforcement { mode: mode.to_owned(), dimensions: stated.dimensions.iter().map(dimension).collect() })
}

fn odgm(config: &OdgmConfig) -> wire::OdgmConfig {
    let ids = |nodes: &OdgmNodeIds| wire::OdgmNodeIds { ids: nodes.ids.clone() };
    wire::OdgmConfig {
        collections: config.collections.clone(),
        partition_count: config.partition_count,
        replica_count: config.replica_count,
        shard_type: config.shard_type.clone(),
        invocations: config.invocations.as_ref().map(invocations),
        options: config.options.clone(),
        log: config.log.clone(),
        env_node_ids: config.env_node_ids.iter().map(|(env, nodes)| (env.clone(), ids(nodes))).collect(),
        odgm_node_id: config.node_id,
        collection_assignments: config
            .collection_assignments
            .iter()
            .map(|(name, stated)| (name.clone(), assignments(stated)))
            .collect(),
    }
}

fn invocations(stated: &InvocationRoutes) -> wire::InvocationRoutes {
    let route = |route: &FunctionRoute| wire::FunctionRoute {
        url: route.url.clone(),
        stateless: route.stateless,
        standby: route.standby,
        active_group: route.active_group.clone(),
        function_key: route.function_key.clone(),
    };
    wire::InvocationRoutes {
        fn_routes: stated.fn_routes.iter().map(|(name, one)| (name.clone(), route(one))).collect(),
        disabled_fn: stated.disabled_fn.clone(),
    }
}

fn assignments(stated: &CollectionShardAssignments) -> wire::CollectionShardAssignments {
    let one = |stated: &ShardAssignment| wire::ShardAssignmentSpec {
        primary: stated.primary,
        replica: stated.replica.clone(),
        shard_ids: stated.shard_ids.clone(),
    };
    wire::CollectionShardAssignments { assignments: stated.assignments.iter().map(one).collect() }
}
