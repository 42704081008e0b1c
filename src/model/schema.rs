//! The custom resource's own schema, for records that never saw an API server: files and wire messages.
//!
//! What a strict API server says of unknown fields, types, enumerations and bounds is said here from the very same
//! generated schema. The CEL rules of the schema are [`super::parse`]'s.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::FieldError;
use crate::api::{CrdError, crd};

/// The schema of a `DeploymentRecord`.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Value,
}

impl Schema {
    /// Generates the schema; once a process is enough.
    pub fn new() -> Result<Self, CrdError> {
        let definition = serde_json::to_value(crd()?)?;
        let root = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
        Ok(Self { root })
    }

    /// Everything in which a record departs from the schema; `record` is the whole object.
    pub fn faults(&self, record: &Value) -> Vec<FieldError> {
        let mut faults = Vec::new();
        check(&with_type_meta(&self.root), record, "", &mut faults);
        faults
    }
}

/// The fields that every object has; the API server knows them without the schema.
fn with_type_meta(root: &Value) -> Value {
    let mut root = root.clone();
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        for name in ["apiVersion", "kind"] {
            properties.insert(name.to_owned(), serde_json::json!({"type": "string"}));
        }
        properties.insert("metadata".to_owned(), serde_json::json!({}));
    }
    root
}

fn check(schema: &Value, value: &Value, at: &str, faults: &mut Vec<FieldError>) {
    if value.is_null() {
        // The API server drops a null from a field that cannot be null, and keeps it where it can be.
        return;
    }
    let mut add = |message: String| {
        let field = if at.is_empty() { "the record".to_owned() } else { at.to_owned() };
        faults.push(FieldError { field, message });
    };
    if let Some(kind) = schema.get("type").and_then(Value::as_str)
        && !is_a(kind, value)
    {
        add(format!(
            "must be {} {kind}, not {value}",
            if matches!(kind, "integer" | "array" | "object") { "an" } else { "a" }
        ));
        return;
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        add(format!("{value} is not possible; choose one of {}", choices.join(", ")));
    }
    if let Some(message) = bounds(schema, value) {
        add(message);
    }
    match value {
        Value::Object(fields) => object(schema, fields, at, faults),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{at}[{index}]"), faults);
                }
            }
            list_map(schema, items, at, faults);
        }
        _ => {}
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        // 64 bits with a sign are all that the API server keeps.
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        _ => true,
    }
}

/// The first bound that is not kept.
fn bounds(schema: &Value, value: &Value) -> Option<String> {
    let (size, unit, least, most) = match value {
        Value::String(text) => (text.chars().count(), "characters", "minLength", "maxLength"),
        Value::Array(items) => (items.len(), "entries", "minItems", "maxItems"),
        Value::Object(fields) => (fields.len(), "entries", "minProperties", "maxProperties"),
        Value::Number(number) => {
            let (number, bound) = (number.as_f64()?, |name: &str| schema.get(name).and_then(Value::as_f64));
            return match (bound("minimum"), bound("maximum")) {
                (Some(least), _) if number < least => Some(format!("{value} is below {least}")),
                (_, Some(most)) if number > most => Some(format!("{value} is above {most}")),
                _ => None,
            };
        }
        _ => return None,
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    match (bound(least), bound(most)) {
        (Some(least), _) if size < least => Some(format!("{size} {unit} are too few; at least {least}")),
        (_, Some(most)) if size > most => Some(format!("{size} {unit} are too many; at most {most}")),
        _ => None,
    }
}

fn object(schema: &Value, fields: &Map<String, Value>, at: &str, faults: &mut Vec<FieldError>) {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
        faults.push(FieldError { field: join(at, name), message: "is required".to_owned() });
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in fields {
        if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
            check(schema, value, &join(at, name), faults);
        } else if let Some(schema) = schema.get("additionalProperties") {
            check(schema, value, &format!("{at}[{name:?}]"), faults);
        } else if let Some(properties) = properties {
            let known: Vec<&str> = properties.keys().map(String::as_str).collect();
            let message = format!("there is no such field; known here: {}", known.join(", "));
            faults.push(FieldError { field: join(at, name), message });
        }
    }
}

/// Entries of a list-map have different keys.
fn list_map(schema: &Value, items: &[Value], at: &str, faults: &mut Vec<FieldError>) {
    let Some(keys) = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array) else { return };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let key: Vec<String> =
            keys.iter().filter_map(Value::as_str).map(|key| format!("{:?}", item.get(key))).collect();
        if !seen.insert(key) {
            faults.push(FieldError { field: format!("{at}[{index}]"), message: "its key is used twice".to_owned() });
        }
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}
