//! Does a live object still say what was applied? Compared by meaning: `1000m` is `1`, an empty map is none, a list
//! of named things is a map, and what others added beside ours is not ours to judge.
//!
//! A field that we no longer apply is not seen here; the hash of what was applied, kept in an annotation, tells that.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::Quantity;

/// Paths, such as `spec.template.spec.containers[function].image`, at which `live` differs from `desired`.
pub fn differences(desired: &Value, live: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", desired, Some(live), &mut found);
    found
}

/// Short hash of a manifest, independent of key order.
pub fn content_hash(manifest: &Value) -> String {
    // serde_json's map is sorted by key, so equal manifests have equal texts.
    Sha256::digest(manifest.to_string().as_bytes()).iter().take(8).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn compare(path: &str, desired: &Value, live: Option<&Value>, found: &mut Vec<String>) {
    let same = match (desired, live) {
        (Value::Object(desired), Some(Value::Object(live))) => return compare_maps(path, desired, live, found),
        (Value::Array(desired), Some(Value::Array(live))) => return compare_lists(path, desired, live, found),
        (desired, None | Some(Value::Null)) => is_empty(desired),
        (Value::Number(desired), Some(Value::Number(live))) => desired == live || desired.as_f64() == live.as_f64(),
        (Value::String(desired), Some(Value::String(live))) => {
            desired == live || (is_quantity(path) && same_quantity(desired, live))
        }
        (desired, Some(live)) => desired == live,
    };
    if !same {
        found.push(path.to_owned());
    }
}

fn compare_maps(path: &str, desired: &Map<String, Value>, live: &Map<String, Value>, found: &mut Vec<String>) {
    for (key, value) in desired {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        compare(&below, value, live.get(key), found);
    }
}

fn compare_lists(path: &str, desired: &[Value], live: &[Value], found: &mut Vec<String>) {
    let Some(key) = list_key(desired) else {
        if desired.len() != live.len() || desired.iter().zip(live).any(|(d, l)| !differences(d, l).is_empty()) {
            found.push(path.to_owned());
        }
        return;
    };
    for item in desired {
        let id = item.get(key);
        let other = live.iter().find(|other| other.get(key) == id);
        let label = id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).unwrap_or_default();
        compare(&format!("{path}[{label}]"), item, other, found);
    }
}

/// Key by which the API server merges a list of objects; `None` for a list that is replaced as a whole.
fn list_key(items: &[Value]) -> Option<&'static str> {
    ["name", "uid", "containerPort", "port"]
        .into_iter()
        .find(|key| !items.is_empty() && items.iter().all(|item| item.get(key).is_some()))
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_quantity(path: &str) -> bool {
    path.contains(".resources.requests.") || path.contains(".resources.limits.")
}

fn same_quantity(left: &str, right: &str) -> bool {
    matches!((Quantity::parse(left), Quantity::parse(right)), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{content_hash, differences};

    #[test]
    fn quantities_are_compared_by_value() {
        let desired = json!({"c": [{"name": "f", "resources": {"requests": {"cpu": "1000m"}}}]});
        let live = json!({"c": [{"name": "f", "resources": {"requests": {"cpu": "1"}}}]});
        assert!(differences(&desired, &live).is_empty());
    }

    #[test]
    fn additions_of_others_are_no_difference() {
        let desired = json!({"metadata": {"labels": {"a": "1"}}, "c": [{"name": "f"}]});
        let live =
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "c": [{"name": "side"}, {"name": "f", "x": 1}]});
        assert!(differences(&desired, &live).is_empty());
    }

    #[test]
    fn a_changed_field_is_named() {
        let desired = json!({"spec": {"containers": [{"name": "f", "image": "a:1"}]}});
        let live = json!({"spec": {"containers": [{"name": "f", "image": "a:2"}]}});
        assert_eq!(differences(&desired, &live), ["spec.containers[f].image"]);
    }

    #[test]
    fn a_removed_item_and_a_changed_scalar_list_are_differences() {
        assert_eq!(differences(&json!({"e": [{"name": "A", "value": "1"}]}), &json!({"e": []})), ["e[A]"]);
        assert_eq!(differences(&json!({"drop": ["ALL"]}), &json!({"drop": ["ALL", "NET_RAW"]})), ["drop"]);
    }

    #[test]
    fn what_is_empty_may_be_left_out() {
        assert!(differences(&json!({"s": {}, "v": "", "l": []}), &json!({})).is_empty());
        assert_eq!(differences(&json!({"flag": false}), &json!({})), ["flag"]);
    }

    #[test]
    fn the_hash_knows_content_not_key_order() {
        assert_eq!(content_hash(&json!({"a": 1, "b": 2})), content_hash(&json!({"b": 2, "a": 1})));
        assert_ne!(content_hash(&json!({"a": 1})), content_hash(&json!({"a": 2})));
    }
}
