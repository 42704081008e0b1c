//! The data grid of a record.

use std::collections::BTreeSet;

use super::fault::Faults;
use crate::api::{DeploymentRecordSpec, OdgmConfig};
use crate::model::{ADDON_ODGM, Function, Odgm};

/// The data grid, where the record asks for one: by its configuration or by the addon alone.
pub(super) fn odgm(spec: &DeploymentRecordSpec, functions: &[Function], faults: &mut Faults) -> Option<Odgm> {
    let asked = spec.addons.iter().any(|addon| addon == ADDON_ODGM);
    let config = match &spec.odgm_config {
        Some(config) => config.clone(),
        None if asked => OdgmConfig::default(),
        None => return None,
    };
    let mut at_least_one = |name: &str, stated: Option<u32>| {
        if stated == Some(0) {
            faults
                .add(&format!("spec.odgm_config.{name}"), "0 is not possible; write 1 or more, or leave it out for 1");
        }
        stated.unwrap_or(1)
    };
    let partition_count = at_least_one("partition_count", config.partition_count);
    let replica_count = at_least_one("replica_count", config.replica_count);
    collections(&config, faults);
    routes(&config, functions, faults);
    node_ids(&config, faults);
    if let Some(log) = &config.log {
        faults.nul(log, "spec.odgm_config.log");
    }
    Some(Odgm {
        collections: config.collections,
        partition_count,
        replica_count,
        shard_type: config.shard_type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "mst".to_owned()),
        options: config.options,
        invocations: config.invocations.unwrap_or_default(),
        log: config.log,
        env_node_ids: config.env_node_ids,
        node_id: config.node_id,
        collection_assignments: config.collection_assignments,
    })
}

fn collections(config: &OdgmConfig, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, name) in config.collections.iter().enumerate() {
        if name.is_empty() || !seen.insert(name.as_str()) {
            faults.add(&format!("spec.odgm_config.collections[{index}]"), &format!("{name:?} is empty or named twice"));
        }
    }
    for name in config.collection_assignments.keys().filter(|name| !seen.contains(name.as_str())) {
        faults.add(
            &format!("spec.odgm_config.collection_assignments[{name:?}]"),
            "there is no such collection in spec.odgm_config.collections",
        );
    }
}

/// A route has a URL, or stands for a function: the one it names, else the one it is named like.
fn routes(config: &OdgmConfig, functions: &[Function], faults: &mut Faults) {
    let known = |key: &str| functions.iter().any(|function| function.key == key);
    let routes = config.invocations.iter().flat_map(|invocations| &invocations.fn_routes);
    for (name, route) in routes.filter(|(_, route)| route.url.is_empty()) {
        let at = format!("spec.odgm_config.invocations.fn_routes[{name:?}]");
        match &route.function_key {
            Some(key) if !known(key) => {
                faults.add(&format!("{at}.function_key"), &format!("the class has no function {key:?}"));
            }
            None if !known(name) => {
                faults.add(&at, "set url, or name a function of the class in function_key");
            }
            _ => {}
        }
    }
}

/// Kubernetes keeps whole numbers in 64 bits with a sign: a greater id would come back as another one.
fn node_ids(config: &OdgmConfig, faults: &mut Faults) {
    let mut check = |field: String, id: u64| {
        if i64::try_from(id).is_err() {
            faults.add(&field, &format!("{id} is too great for a Kubernetes object; at most {}", i64::MAX));
        }
    };
    if let Some(id) = config.node_id {
        check("spec.odgm_config.node_id".to_owned(), id);
    }
    for (name, nodes) in &config.env_node_ids {
        for (index, id) in nodes.ids.iter().enumerate() {
            check(format!("spec.odgm_config.env_node_ids[{name:?}].ids[{index}]"), *id);
        }
    }
    for (name, route) in config.invocations.iter().flat_map(|invocations| &invocations.fn_routes) {
        for (index, id) in route.active_group.iter().enumerate() {
            check(format!("spec.odgm_config.invocations.fn_routes[{name:?}].active_group[{index}]"), *id);
        }
    }
    for (name, given) in &config.collection_assignments {
        for (index, one) in given.assignments.iter().enumerate() {
            let ids = one.primary.iter().chain(&one.replica).chain(&one.shard_ids);
            for id in ids {
                check(format!("spec.odgm_config.collection_assignments[{name:?}].assignments[{index}]"), *id);
            }
        }
    }
}
