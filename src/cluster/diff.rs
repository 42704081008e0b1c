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
    // The API server takes these as a whole: what others add to one changes its meaning.
    if is_atomic(path) && live.keys().any(|key| !desired.contains_key(key)) {
        found.push(path.to_owned());
        return;
    }
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
    ["name", "uid", "containerPort", "port"].into_iter().find(|key| {
        // A key that two items share tells neither from the other (one port, two protocols).
        let known = |(index, item): (usize, &Value)| {
            let id = item.get(key).filter(|id| id.is_string() || id.is_number());
            id.is_some_and(|id| items.iter().take(index).all(|other| other.get(key) != Some(id)))
        };
        !items.is_empty() && items.iter().enumerate().all(known)
    })
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

fn is_atomic(path: &str) -> bool {
    path == "spec.selector" || path.ends_with(".matchLabels") || path.ends_with(".nodeSelector")
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
    fn an_addition_to_a_selector_is_a_difference() {
        let (desired, live) =
            (json!({"spec": {"selector": {"a": "1"}}}), json!({"spec": {"selector": {"a": "1", "b": "2"}}}));
        assert_eq!(differences(&desired, &live), ["spec.selector"]);
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

#[cfg(test)]
mod properties {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{content_hash, differences, list_key};

    /// JSON as manifests are made of, with the keys by which lists are merged among the others.
    fn manifest() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-5_i64..70_000).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 4, |inner| {
            let key = prop::sample::select(vec!["name", "port", "containerPort", "uid", "spec", "image"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4).prop_map(|all| Value::from(
                    all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()
                )),
            ]
        })
    }

    /// What the API server and others add: fields everywhere, items where a list is merged by a key.
    fn with_additions(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut map: Map<_, _> = map.iter().map(|(key, value)| (key.clone(), with_additions(value))).collect();
                map.insert("added".to_owned(), json!({"by": "others"}));
                Value::Object(map)
            }
            Value::Array(items) => {
                let mut all: Vec<Value> = items.iter().map(with_additions).collect();
                if let Some(key) = list_key(items) {
                    all.insert(0, json!({key: "added"}));
                }
                Value::Array(all)
            }
            other => other.clone(),
        }
    }

    /// Every other value of a leaf that says something.
    fn changes(value: &Value) -> Vec<Value> {
        let replaced = |other: Value| vec![other];
        match value {
            Value::Bool(flag) => replaced(json!(!flag)),
            Value::Number(number) => replaced(json!(number.as_i64().unwrap() + 1)),
            Value::String(text) if !text.is_empty() => replaced(json!(format!("{text}x"))),
            Value::Null | Value::String(_) => Vec::new(),
            Value::Array(items) => {
                let at = |index: usize| changes(&items[index]).into_iter().map(move |other| (index, other));
                let put = |(index, other)| {
                    let mut items = items.clone();
                    items[index] = other;
                    Value::Array(items)
                };
                (0..items.len()).flat_map(at).map(put).collect()
            }
            Value::Object(map) => {
                let put = |key: &String, other| {
                    let mut map = map.clone();
                    map.insert(key.clone(), other);
                    Value::Object(map)
                };
                map.iter()
                    .flat_map(|(key, value)| changes(value).into_iter().map(move |other| put(key, other)))
                    .collect()
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(value in manifest()) {
            prop_assert_eq!(differences(&value, &value), Vec::<String>::new());
            prop_assert_eq!(content_hash(&value), content_hash(&value.clone()));
        }

        #[test]
        fn what_others_add_is_no_difference(value in manifest()) {
            prop_assert_eq!(differences(&value, &with_additions(&value)), Vec::<String>::new());
        }

        #[test]
        fn every_leaf_that_is_changed_is_found(value in manifest()) {
            for changed in changes(&value) {
                prop_assert!(!differences(&value, &changed).is_empty(), "{value} {changed}");
                prop_assert_ne!(content_hash(&value), content_hash(&changed));
            }
        }
    }
}
