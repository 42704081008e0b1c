//! Schemas of bounded maps: the derive macros bound strings and lists, not the values of maps.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::spec::{CollectionShardAssignments, FunctionRoute, OdgmNodeIds};

/// Environment of one container: at most 256 entries of at most 32 KiB (one exec argument holds 128 KiB).
pub(super) fn env(_: &mut SchemaGenerator) -> Schema {
    strings(256, 32_768)
}

/// Free-form options: at most 64 entries of at most 1 KiB.
pub(super) fn options(_: &mut SchemaGenerator) -> Schema {
    strings(64, 1_024)
}

/// Function routes by name, at most 128.
pub(super) fn routes(generator: &mut SchemaGenerator) -> Schema {
    map_of::<FunctionRoute>(generator, 128)
}

/// ODGM node ids by environment, at most 64.
pub(super) fn node_ids(generator: &mut SchemaGenerator) -> Schema {
    map_of::<OdgmNodeIds>(generator, 64)
}

/// Shard assignments by collection, at most 64.
pub(super) fn assignments(generator: &mut SchemaGenerator) -> Schema {
    map_of::<CollectionShardAssignments>(generator, 64)
}

fn strings(entries: u32, length: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": entries,
        "additionalProperties": {"type": "string", "maxLength": length},
    })
}

fn map_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator, entries: u32) -> Schema {
    let value = generator.subschema_for::<T>();
    json_schema!({"type": "object", "maxProperties": entries, "additionalProperties": value})
}
