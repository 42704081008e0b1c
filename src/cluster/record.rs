//! A record as it stands in the API server, before anyone trusts it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{DeploymentRecord, DeploymentRecordStatus};

/// A record whose spec has not been looked at: one that does not parse must not stop the watch of the others.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[resource(inherit = DeploymentRecord)]
pub struct RawRecord {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Spec as it came.
    #[serde(default)]
    pub spec: Value,
    /// Status as it came.
    #[serde(default)]
    pub status: Value,
}

impl RawRecord {
    /// The record in its own types, or what keeps it from being one, with the path of the field.
    pub fn typed(&self) -> Result<DeploymentRecord, UnreadableRecord> {
        let spec = serde_path_to_error::deserialize(&self.spec).map_err(|error| UnreadableRecord {
            field: format!("spec.{}", error.path()),
            message: error.inner().to_string(),
        })?;
        Ok(DeploymentRecord { metadata: self.metadata.clone(), spec, status: Some(self.typed_status()) })
    }

    /// Since when the spec is what it is, never later than that: when anybody last wrote what they own of it, as its
    /// managed fields tell, else when the record was made.
    pub fn spec_since(&self) -> Option<Timestamp> {
        let entries = self.metadata.managed_fields.iter().flatten().filter(|entry| owns_spec(entry));
        let written = entries.filter_map(|entry| Some(entry.time.as_ref()?.0)).max();
        written.max(self.metadata.creation_timestamp.as_ref().map(|time| time.0))
    }

    /// The status; an empty one where there is none. Of one that a later version wrote, what can be read: with one value
    /// that is new here the sizes that were applied, and the template, must not be lost.
    pub fn typed_status(&self) -> DeploymentRecordStatus {
        serde_json::from_value(self.status.clone()).unwrap_or_else(|_| readable(&self.status))
    }
}

/// A status without the fields that can't be read; of a list, without the entries.
fn readable(status: &Value) -> DeploymentRecordStatus {
    let fields = status.as_object().into_iter().flatten();
    let kept: Map<String, Value> =
        fields.filter_map(|(name, value)| Some((name.clone(), readable_field(name, value)?))).collect();
    serde_json::from_value(Value::Object(kept)).unwrap_or_default()
}

fn readable_field(name: &str, value: &Value) -> Option<Value> {
    let fits = |value: &Value| {
        let alone = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
        DeploymentRecordStatus::deserialize(&alone).is_ok()
    };
    if fits(value) {
        return Some(value.clone());
    }
    let fits_in_list = |entry: &Value| fits(&Value::Array(vec![entry.clone()]));
    let entry = |entry: &Value| {
        if fits_in_list(entry) {
            return Some(entry.clone());
        }
        // An entry that one field spoils is better than none: a size counts without its date.
        let fields = entry.as_object()?;
        let without = |name: &String| {
            let mut rest = fields.clone();
            rest.remove(name);
            Value::Object(rest)
        };
        fields.keys().map(without).find(fits_in_list)
    };
    Some(Value::Array(value.as_array()?.iter().filter_map(entry).collect()))
}

/// Of a record's managed fields only this is read: who owns anything of the spec, and when they last wrote it. The rest
/// is most of a record's size.
pub(super) fn spec_writes(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let reduced = |mut entry: ManagedFieldsEntry| {
        entry.fields_v1.iter_mut().for_each(|fields| fields.0 = json!({"f:spec": {}}));
        entry
    };
    entries.into_iter().filter(owns_spec).map(reduced).collect()
}

fn owns_spec(entry: &ManagedFieldsEntry) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some())
}

/// A field that is not of its type though the schema lets it pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct UnreadableRecord {
    /// Path of the field, such as `spec.functions[0].max_concurrency`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::RawRecord;
    use crate::api::Phase;

    #[test]
    fn of_a_status_of_a_later_version_counts_what_can_be_read() {
        let applied = |component: &str, at: serde_json::Value| json!({"component": component, "dimension": "cpu", "target": "900m", "base": "500m", "applied_at": at});
        let mut status = json!({
            "phase": "Available", "selected_template": "edge",
            "last_applied_recommendations": [applied("f", json!("2026-01-01T00:00:00Z"))],
        });
        let read =
            |status: &serde_json::Value| RawRecord { status: status.clone(), ..RawRecord::default() }.typed_status();
        assert_eq!(read(&status).phase, Some(Phase::Available));
        let whole = read(&status).last_applied_recommendations;
        status["phase"] = json!("Suspended");
        let found = read(&status);
        assert_eq!((found.phase, found.selected_template.as_deref()), (None, Some("edge")));
        assert_eq!(found.last_applied_recommendations, whole);

        let list = json!([applied("f", json!("2026-01-01T00:00:00Z")), applied("g", json!(7)), "what is this"]);
        status["last_applied_recommendations"] = list;
        let found = read(&status).last_applied_recommendations;
        let said: Vec<_> = found.iter().map(|one| (one.component.as_str(), one.target.as_str())).collect();
        assert_eq!(said, [("f", "900m"), ("g", "900m")], "the second without its date");
        assert!(found.iter().map(|one| one.applied_at.is_some()).eq([true, false]));
        status["last_applied_recommendations"] = json!({});
        assert_eq!(read(&status).selected_template.as_deref(), Some("edge"));
    }
}
