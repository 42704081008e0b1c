//! Who a record is, and whether it already says what a unit says.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::api::{ANNOTATION_APPLIED_HASH, ANNOTATION_DEPLOYMENT_ID, DeploymentRecord, DeploymentRecordSpec};
use crate::model::FieldError;
use crate::model::names::{is_object_name, record_name};

use super::store::{RecordStore, StoreError};

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

/// The deployment id of a record: as the Package Manager sent it, or the name of one that people applied. A copy that
/// people made under another name brought the id along, but is another record: its name is its id.
pub(super) fn record_id(record: &DeploymentRecord) -> &str {
    let name = record.metadata.name.as_deref().unwrap_or_default();
    annotation(record, ANNOTATION_DEPLOYMENT_ID).filter(|id| record_name(id) == name).unwrap_or(name)
}

/// What there is of a deployment id.
pub(super) enum Found {
    /// Its record.
    Record(Box<DeploymentRecord>),
    /// A record of another id, under the name that this one would get.
    Taken(Box<DeploymentRecord>),
    /// Nothing.
    Nothing,
}

/// Looks a deployment id up: under the name that a Deploy gives it and, where people may have applied a record of that
/// very name, under the id itself.
pub(super) async fn look_up(store: &impl RecordStore, id: &str) -> Result<Found, StoreError> {
    let derived = record_name(id);
    let first = match store.get(&derived).await? {
        Some(record) if record_id(&record) == id => return Ok(Found::Record(Box::new(record))),
        other => other,
    };
    if derived != id && is_object_name(id) {
        let applied = store.get(id).await?;
        if let Some(record) = applied.filter(|record| record_id(record) == id) {
            return Ok(Found::Record(Box::new(record)));
        }
    }
    Ok(first.map_or(Found::Nothing, |record| Found::Taken(Box::new(record))))
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

/// Fields of `spec` that people may set beside the unit: those that a Package Manager of an older release cannot state,
/// where this unit does not state them either. Everything else under `spec` is the unit's.
pub(crate) fn left_to_people(wanted: &DeploymentRecordSpec) -> Vec<&'static str> {
    let unstated = [("addons", wanted.addons.is_empty()), ("nfr", wanted.nfr.is_none())];
    unstated.into_iter().filter_map(|(field, unstated)| unstated.then_some(field)).collect()
}

/// Whether the live record was last applied from the same unit and still says what it says: all of it and, apart from
/// what is left to people, nothing else.
pub(crate) fn says_the_same(live: &DeploymentRecord, wanted: &DeploymentRecord) -> Result<bool, serde_json::Error> {
    let hash = annotation(wanted, ANNOTATION_APPLIED_HASH);
    if hash.is_none() || annotation(live, ANNOTATION_APPLIED_HASH) != hash || record_id(live) != record_id(wanted) {
        return Ok(false);
    }
    let said = |spec: &DeploymentRecordSpec| {
        let mut spec = spec.clone();
        // Entries of a list-map are told apart by their key; where they stand means nothing.
        spec.functions.sort_by(|left, right| left.function_key.cmp(&right.function_key));
        serde_json::to_value(spec).map(|mut spec| {
            if let Some(fields) = spec.as_object_mut() {
                fields.retain(|field, _| !left_to_people(&wanted.spec).contains(&field.as_str()));
            }
            spec
        })
    };
    Ok(said(&live.spec)? == said(&wanted.spec)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn record(spec: Value) -> DeploymentRecord {
        let mut record = DeploymentRecord::new("a", serde_json::from_value(spec).unwrap());
        record.metadata.annotations = Some([(ANNOTATION_APPLIED_HASH.to_owned(), "hash".to_owned())].into());
        record
    }

    #[test]
    fn what_others_added_or_changed_is_a_difference_and_the_order_of_functions_is_none() {
        let functions = json!([{"function_key": "a", "image": "x"}, {"function_key": "b", "image": "y"}]);
        let wanted = record(json!({"functions": functions, "target_env": "prod"}));
        let same = |spec: Value| says_the_same(&record(spec), &wanted).unwrap();
        let turned = json!([{"function_key": "b", "image": "y"}, {"function_key": "a", "image": "x"}]);
        assert!(same(json!({"functions": functions, "target_env": "prod"})));
        assert!(same(json!({"functions": turned, "target_env": "prod"})));
        for other in [
            json!({"functions": functions}),
            json!({"functions": functions, "target_env": "hacked"}),
            json!({"functions": functions, "target_env": "prod", "selected_template": "dev"}),
            json!({"functions": functions, "target_env": "prod", "odgm_config": {}}),
            json!({"functions": [{"function_key": "a", "image": "x"}], "target_env": "prod"}),
            json!({"target_env": "prod", "functions": [
                {"function_key": "a", "image": "x", "port": 1}, {"function_key": "b", "image": "y"},
            ]}),
            json!({"target_env": "prod", "functions": [
                {"function_key": "a", "image": "x"}, {"function_key": "b", "image": "y"}, {"function_key": "c", "image": "z"},
            ]}),
        ] {
            assert!(!same(other.clone()), "{other}");
        }
    }

    #[test]
    fn enforcement_and_addons_are_left_to_people_where_the_unit_does_not_state_them() {
        let functions = json!([{"function_key": "a", "image": "x"}]);
        let enforce = json!({"enforcement": {"mode": "enforce"}});
        let by_people = record(json!({"functions": functions, "addons": ["odgm"], "nfr": enforce}));
        for (said, same) in [
            (json!({"functions": functions}), true),
            (json!({"functions": functions, "addons": ["odgm"]}), true),
            (json!({"functions": functions, "nfr": enforce}), true),
            (json!({"functions": functions, "addons": ["other"]}), false),
            (json!({"functions": functions, "nfr": {"enforcement": {"mode": "off"}}}), false),
        ] {
            assert_eq!(says_the_same(&by_people, &record(said.clone())).unwrap(), same, "{said}");
        }
    }

    #[test]
    fn a_record_that_people_applied_has_its_name_as_id() {
        assert_eq!(record_id(&DeploymentRecord::new("mine", DeploymentRecordSpec::default())), "mine");
    }

    #[test]
    fn a_copy_under_another_name_is_another_record() {
        let mut record = DeploymentRecord::new(&record_name("a.b"), DeploymentRecordSpec::default());
        record.metadata.annotations = Some([(ANNOTATION_DEPLOYMENT_ID.to_owned(), "a.b".to_owned())].into());
        assert_eq!(record_id(&record), "a.b");
        record.metadata.name = Some("copy".to_owned());
        assert_eq!(record_id(&record), "copy");
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
