//! Names of Kubernetes objects: the one place where anything is sanitised.
//!
//! Every name is a DNS-1035 label. What had to be changed or shortened, or already ends like such a hash, ends in a
//! hash of the whole original, so two originals never share a name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest DNS-1035 label, and so the longest Service name.
pub const MAX_LABEL: usize = 63;
/// Longest workload name: its pods' names must leave room for two generated suffixes.
pub const MAX_WORKLOAD: usize = 46;
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
        let class = dns_label(record, MAX_LABEL);
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

/// The label of a function within its class; `odgm` is taken by the data grid.
fn function_label(key: &str) -> String {
    let label = dns_label(key, MAX_LABEL);
    if label == super::ADDON_ODGM { with_hash(&label, key, MAX_LABEL) } else { label }
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
