//! Who a record is, and whether it already says what a unit says.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api::{ANNOTATION_APPLIED_HASH, ANNOTATION_DEPLOYMENT_ID, DeploymentRecord};
use crate::model::FieldError;

/// Longest deployment id, bytes.
pub(super) const MAX_ID: usize = 253;

/// Refuses an id that is empty or too long; any characters will do.
pub(super) fn check_id(id: &str, field: &str) -> Result<(), FieldError> {
    let fault = |message: String| Err(FieldError { field: field.to_owned(), message });
    match id.len() {
        0 => fault("must not be empty; write an id of 1 to 253 bytes".to_owned()),
        1..=MAX_ID => Ok(()),
        length => fault(format!("{length} bytes are too long; write an id of 1 to {MAX_ID} bytes")),
    }
}

/// The deployment id of a record: as the Package Manager sent it, or the name of one that people applied.
pub(super) fn record_id(record: &DeploymentRecord) -> &str {
    annotation(record, ANNOTATION_DEPLOYMENT_ID).or(record.metadata.name.as_deref()).unwrap_or_default()
}

/// An annotation of a record.
pub(super) fn annotation<'a>(record: &'a DeploymentRecord, name: &str) -> Option<&'a str> {
    record.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Hash of everything that a Deploy applies but `created_at` and the correlation id.
pub(super) fn applied_hash(record: &DeploymentRecord) -> Result<String, serde_json::Error> {
    let owned = (&record.spec, record_id(record), &record.metadata.labels);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(serde_json::to_vec(&owned)?) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// Whether the live record was last applied from the same unit and still says all of it. Fields that others added
/// are theirs; a field of ours that someone changed or removed is not contained any more.
pub(super) fn says_the_same(live: &DeploymentRecord, wanted: &DeploymentRecord) -> Result<bool, serde_json::Error> {
    let hash = annotation(wanted, ANNOTATION_APPLIED_HASH);
    if hash.is_none() || annotation(live, ANNOTATION_APPLIED_HASH) != hash || record_id(live) != record_id(wanted) {
        return Ok(false);
    }
    Ok(contains(&serde_json::to_value(&live.spec)?, &serde_json::to_value(&wanted.spec)?))
}

fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| contains(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) if wanted.iter().any(|item| item.get(LIST_KEY).is_some()) => wanted
            .iter()
            .all(|wanted| live.iter().any(|live| live.get(LIST_KEY) == wanted.get(LIST_KEY) && contains(live, wanted))),
        _ => live == wanted,
    }
}

/// Key of the one list-map in a record's spec.
const LIST_KEY: &str = "function_key";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_added_is_no_difference_and_what_they_changed_is() {
        let wanted = json!({"functions": [{"function_key": "a", "image": "x"}], "addons": ["odgm"]});
        for same in [
            json!({"functions": [{"function_key": "b"}, {"function_key": "a", "image": "x", "port": 1}], "addons": ["odgm"], "more": 1}),
            wanted.clone(),
        ] {
            assert!(contains(&same, &wanted), "{same}");
        }
        for other in [
            json!({"functions": [{"function_key": "a", "image": "y"}], "addons": ["odgm"]}),
            json!({"functions": [{"function_key": "a", "image": "x"}], "addons": ["odgm", "b"]}),
            json!({"functions": [], "addons": ["odgm"]}),
            json!({"addons": ["odgm"]}),
        ] {
            assert!(!contains(&other, &wanted), "{other}");
        }
    }

    #[test]
    fn a_record_that_people_applied_has_its_name_as_id() {
        assert_eq!(record_id(&DeploymentRecord::new("mine", crate::api::DeploymentRecordSpec::default())), "mine");
    }

    #[test]
    fn ids_of_1_to_253_bytes_are_accepted_whatever_they_are_made_of() {
        for id in ["a", "???", "ünï", "1", &"x".repeat(253)] {
            assert_eq!(check_id(id, "deployment_id"), Ok(()), "{id}");
        }
        for id in ["", &"x".repeat(254), &"ü".repeat(127)] {
            assert_eq!(check_id(id, "deployment_id").unwrap_err().field, "deployment_id");
        }
    }
}
