//! Names of Kubernetes objects: the one place where anything is sanitised.
//!
//! Every name is a DNS-1035 label. What had to be changed or shortened, or already ends like such a hash, ends in a
//! hash of the whole original, so two originals never share a name. The name of a record is such a name already where
//! it was made from a deployment id: as a label it is taken as it is, never hashed a second time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest DNS-1035 label, and so the longest Service name.
pub const MAX_LABEL: usize = 63;
/// Longest workload name: its pods' names must leave room for two generated suffixes.
pub const MAX_WORKLOAD: usize = 46;
/// Longest name of an object that is none of a Service.
const MAX_OBJECT: usize = 253;
/// Hexadecimal digits of the hash: 40 bits, so that a name can be told from another even among a million alike.
const HASH: usize = 10;
/// What a name becomes of which nothing readable is left, or that starts with a digit.
const PREFIX: &str = "c";

/// Names of everything that is rendered for one class; unique by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    class: String,
    functions: BTreeMap<String, FunctionNames>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FunctionNames {
    workload: String,
    service: String,
}

impl Names {
    /// Names for a record and the keys of its functions.
    pub fn new<'a>(record: &str, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let class = class_label(record);
        let keys: Vec<&str> = keys.into_iter().collect();
        let single = keys.len() == 1;
        let functions = keys
            .into_iter()
            .map(|key| {
                let stem = if single { class.clone() } else { format!("{class}-{}", function_label(key)) };
                let names = FunctionNames {
                    workload: fit(&stem, MAX_WORKLOAD),
                    service: fit(&format!("{stem}-svc"), MAX_LABEL),
                };
                (key.to_owned(), names)
            })
            .collect();
        Self { class, functions }
    }

    /// The class as a label value and name stem: the record's name, sanitised.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Deployment (or Knative Service) of a function; `None` for a key that the class does not have.
    pub fn workload(&self, key: &str) -> Option<&str> {
        self.functions.get(key).map(|names| names.workload.as_str())
    }

    /// Service of a function; `None` for a key that the class does not have.
    pub fn service(&self, key: &str) -> Option<&str> {
        self.functions.get(key).map(|names| names.service.as_str())
    }

    /// Deployment of the data grid.
    pub fn odgm_workload(&self) -> String {
        fit(&format!("{}-odgm", self.class), MAX_WORKLOAD)
    }

    /// Service of the data grid.
    pub fn odgm_service(&self) -> String {
        fit(&format!("{}-odgm-svc", self.class), MAX_LABEL)
    }
}

/// Whether a text can be the name of a record: a DNS-1123 subdomain of at most 253 characters.
pub fn is_object_name(text: &str) -> bool {
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let part = |part: &str| {
        alphanumeric(part.bytes().next())
            && alphanumeric(part.bytes().last())
            && part.bytes().all(|b| b == b'-' || alphanumeric(Some(b)))
    };
    text.len() <= MAX_OBJECT && text.split('.').all(part)
}

/// A record's name as a label value and name stem; one that is a label already stays as it is.
pub fn class_label(record: &str) -> String {
    if is_label(record) { record.to_owned() } else { dns_label(record, MAX_LABEL) }
}

/// Name of the record that holds a deployment id.
pub fn record_name(deployment_id: &str) -> String {
    dns_label(deployment_id, MAX_LABEL)
}

/// A label-safe form of any text: at most 63 characters of a label value, hashed where it had to be changed.
pub fn label_value(text: &str) -> String {
    let edge = |c: char| !c.is_ascii_alphanumeric();
    let valid = text.len() <= MAX_LABEL
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.starts_with(edge)
        && !text.ends_with(edge);
    if valid { text.to_owned() } else { dns_label(text, MAX_LABEL) }
}

/// A DNS-1035 label of at most `max` characters for any text; injective but for collisions of the hash.
pub fn dns_label(text: &str, max: usize) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if c != '-' || !clean.ends_with('-') {
            clean.push(c);
        }
    }
    let clean = clean.trim_matches('-');
    let readable = match clean.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => clean.to_owned(),
        Some(_) => format!("{PREFIX}-{clean}"),
        None => PREFIX.to_owned(),
    };
    if readable == text && readable.len() <= max && !ends_like_hash(text) {
        return readable;
    }
    with_hash(&readable, text, max)
}

/// The label of a function within its class. `odgm` is taken by the data grid. Names of Services end in `-svc`, and a
/// Knative Service makes a Service of its own name: it must not be that of another function, nor of the data grid.
fn function_label(key: &str) -> String {
    let label = dns_label(key, MAX_LABEL);
    if label == "odgm" || label.ends_with("-svc") { with_hash(&label, key, MAX_LABEL) } else { label }
}

/// A DNS-1035 label that can be the name of a Service.
fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
}

/// Shortens a valid label that is too long.
fn fit(label: &str, max: usize) -> String {
    if label.len() <= max { label.to_owned() } else { with_hash(label, label, max) }
}

fn with_hash(readable: &str, original: &str, max: usize) -> String {
    let keep: String = readable.chars().take(max.saturating_sub(HASH + 1)).collect();
    format!("{}-{}", keep.trim_end_matches('-'), hash(original))
}

fn hash(text: &str) -> String {
    let mut hex = String::with_capacity(HASH);
    for byte in Sha256::digest(text.as_bytes()).iter().take(HASH / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn ends_like_hash(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == HASH && end.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::{HASH, MAX_LABEL, MAX_WORKLOAD, Names, dns_label, ends_like_hash, is_label, label_value, record_name};

    #[test]
    fn a_readable_name_stays_as_it_is() {
        let names = Names::new("hello", ["function"]);
        assert_eq!(names.class(), "hello");
        assert_eq!(names.workload("function"), Some("hello"));
        assert_eq!(names.service("function"), Some("hello-svc"));
        assert_eq!((names.odgm_workload().as_str(), names.odgm_service().as_str()), ("hello-odgm", "hello-odgm-svc"));
        let names = Names::new("shop", ["cart", "pay"]);
        assert_eq!((names.workload("cart"), names.service("pay")), (Some("shop-cart"), Some("shop-pay-svc")));
        assert_eq!(names.workload("other"), None);
    }

    #[test]
    fn what_had_to_change_ends_in_the_hash_of_the_whole_original() {
        for (text, readable) in [
            ("My Class", "my-class"),
            ("9lives", "c-9lives"),
            ("...", "c"),
            ("", "c"),
            ("a--b", "a-b"),
            ("\u{e9}t\u{e9}", "t"),
        ] {
            let name = record_name(text);
            let (prefix, hash) = name.rsplit_once('-').unwrap();
            assert!(ends_like_hash(&name) && hash.len() == HASH, "{text:?} -> {name}");
            assert!(prefix.starts_with(readable), "{text:?} -> {name}");
        }
    }

    #[test]
    fn an_id_that_is_the_name_of_another_id_gets_a_name_of_its_own() {
        let first = record_name("My Class");
        assert_ne!(record_name(&first), first);
    }

    #[test]
    fn a_record_made_from_an_id_is_not_hashed_a_second_time() {
        let record = record_name("V1StGXR8_Z5jdHi6B-myT");
        assert_eq!(Names::new(&record, ["function"]).class(), record);
        assert_eq!(Names::new(&record, ["function"]).workload("function"), Some(record.as_str()));
    }

    #[test]
    fn a_function_called_like_the_data_grid_gets_the_hash() {
        let names = Names::new("shop", ["odgm", "odgm-svc"]);
        for key in ["odgm", "odgm-svc"] {
            let workload = names.workload(key).unwrap();
            assert!(workload.starts_with("shop-odgm") && ends_like_hash(workload), "{workload}");
        }
    }

    /// Texts that are likely to collide: alike but for case, blanks, length, leading digits, or a hash at the end.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
            "[aA1._ -]{0,5}",
            "[a-b-]{40,70}",
            "[0-9]{1,4}[a-z]{0,60}",
            "\\PC{0,80}",
            "[a-z]{1,50}-[0-9a-f]{10}",
            "[a-c]{1,2}".prop_map(|id| record_name(&format!("{id} "))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn two_ids_never_map_to_one_record(ids in prop::collection::vec(text(), 2..20)) {
            let mut seen: HashMap<String, &String> = HashMap::new();
            for id in &ids {
                let name = record_name(id);
                prop_assert!(is_label(&name), "{:?} -> {}", id, name);
                if let Some(other) = seen.insert(name.clone(), id) {
                    prop_assert_eq!(other, id, "both are {}", name);
                }
            }
        }

        #[test]
        fn names_within_a_class_are_valid_and_unique(record in text(), keys in prop::collection::btree_set(text(), 1..8)) {
            let names = Names::new(&record, keys.iter().map(String::as_str));
            let mut workloads = BTreeSet::from([names.odgm_workload()]);
            let mut services = BTreeSet::from([names.odgm_service()]);
            for key in &keys {
                let (workload, service) = (names.workload(key).unwrap(), names.service(key).unwrap());
                prop_assert!(workloads.insert(workload.to_owned()), "workload {} twice", workload);
                prop_assert!(services.insert(service.to_owned()), "Service {} twice", service);
            }
            for name in &workloads {
                prop_assert!(is_label(name) && name.len() <= MAX_WORKLOAD, "{}", name);
            }
            for name in services.iter().map(String::as_str).chain([names.class()]) {
                prop_assert!(is_label(name) && name.len() <= MAX_LABEL, "{}", name);
            }
        }

        #[test]
        fn labels_take_any_text(text in text(), max in 12_usize..=63) {
            let label = dns_label(&text, max);
            prop_assert!(is_label(&label) && label.len() <= max, "{:?} -> {}", text, label);
            let value = label_value(&text);
            prop_assert!(value.len() <= MAX_LABEL && value.is_empty() == text.is_empty(), "{:?}", value);
            prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{:?}", value);
        }
    }
}
