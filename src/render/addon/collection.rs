//! `ODGM_COLLECTION`: what the data grid and the functions are told about the collections, as JSON.
//!
//! The order of keys is part of the interface, hence structs whose fields are serialised as they stand here.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decision::WorkloadKind;
use crate::model::{Class, Odgm};
use crate::render::RenderError;
use crate::render::parts::service_url;

/// Most bytes of `ODGM_COLLECTION`: Linux takes 128 KiB for one variable, its name, `=` and the final NUL included.
pub const MAX_COLLECTION: usize = 128 * 1024 - "ODGM_COLLECTION=".len() - 1;

#[derive(Serialize)]
struct Collection<'a> {
    name: &'a str,
    partition_count: u32,
    replica_count: u32,
    shard_type: &'a str,
    shard_assignments: &'a [Assignment<'a>],
    options: &'a BTreeMap<String, String>,
    invocations: &'a Invocations<'a>,
}

#[derive(Serialize)]
struct Invocations<'a> {
    fn_routes: BTreeMap<&'a str, Route<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    disabled_fn: &'a [String],
}

/// All four keys each time: readers need no defaults.
#[derive(Serialize)]
struct Route<'a> {
    url: String,
    stateless: bool,
    standby: bool,
    active_group: &'a [u64],
}

#[derive(Serialize)]
struct Assignment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<u64>,
    replica: &'a [u64],
    shard_ids: &'a [u64],
}

/// The value of `ODGM_COLLECTION`: one entry a collection, in the record's order.
pub(super) fn json(class: &Class, odgm: &Odgm, workload: WorkloadKind) -> Result<String, RenderError> {
    let invocations = invocations(class, odgm, workload);
    let assignments: Vec<Vec<Assignment<'_>>> = odgm.collections.iter().map(|name| assignments(odgm, name)).collect();
    let collections: Vec<Collection<'_>> = odgm
        .collections
        .iter()
        .zip(&assignments)
        .map(|(name, assignments)| Collection {
            name,
            partition_count: odgm.partition_count,
            replica_count: odgm.replica_count,
            shard_type: &odgm.shard_type,
            shard_assignments: assignments,
            options: &odgm.options,
            invocations: &invocations,
        })
        .collect();
    let json = serde_json::to_string(&collections)
        .map_err(|source| RenderError::Serialise { kind: "ODGM_COLLECTION", source })?;
    if json.len() > MAX_COLLECTION {
        return Err(RenderError::CollectionTooLong { length: json.len(), limit: MAX_COLLECTION });
    }
    Ok(json)
}

/// A route without a URL stands for a function of the class: the one it names, else the one it is named like.
fn invocations<'a>(class: &'a Class, odgm: &'a Odgm, workload: WorkloadKind) -> Invocations<'a> {
    let fn_routes = odgm.invocations.fn_routes.iter().map(|(name, route)| {
        let url = if route.url.is_empty() {
            let key = route.function_key.as_deref().unwrap_or(name);
            // A Knative Service makes a Service of its own name.
            let service = match workload {
                WorkloadKind::Deployment => class.names.service(key),
                WorkloadKind::KnativeService => class.names.workload(key),
            };
            service.map(|service| service_url(class, service)).unwrap_or_default()
        } else {
            route.url.clone()
        };
        let route = Route {
            url,
            stateless: route.stateless.unwrap_or_default(),
            standby: route.standby.unwrap_or_default(),
            active_group: &route.active_group,
        };
        (name.as_str(), route)
    });
    Invocations { fn_routes: fn_routes.collect(), disabled_fn: &odgm.invocations.disabled_fn }
}

fn assignments<'a>(odgm: &'a Odgm, collection: &str) -> Vec<Assignment<'a>> {
    let given = odgm.collection_assignments.get(collection).map(|all| all.assignments.as_slice()).unwrap_or_default();
    given
        .iter()
        .map(|one| Assignment { primary: one.primary, replica: &one.replica, shard_ids: &one.shard_ids })
        .collect()
}
