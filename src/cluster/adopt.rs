//! Taking over the ownership of a spec. Pure.
//!
//! Server-side apply never removes a field that another manager owns. A record that people applied or edited would keep
//! what the unit does not say; so the entries of others about `spec` are handed to the new owner first, in one write
//! that changes no value.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

const APPLY: &str = "Apply";
const SPEC: &str = "f:spec";

/// The managed fields with every field of `spec` owned by `manager`, apart from those that are `left` to their owners;
/// `None` where nobody else owns any.
pub(super) fn adopted(
    entries: &[ManagedFieldsEntry],
    manager: &str,
    api_version: &str,
    left: &[&str],
) -> Option<Vec<ManagedFieldsEntry>> {
    let mut spec = Value::Object(Map::new());
    let mut rest: Vec<ManagedFieldsEntry> = Vec::new();
    let mut own = ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some(APPLY.to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(Value::Object(Map::new()))),
        ..ManagedFieldsEntry::default()
    };
    let mut taken = false;
    for entry in entries {
        let main = entry.subresource.as_deref().unwrap_or_default().is_empty();
        if main && entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some(APPLY) {
            own.clone_from(entry);
            continue;
        }
        let mut entry = entry.clone();
        let fields = entry.fields_v1.as_mut().and_then(|fields| fields.0.as_object_mut());
        if let (true, Some(fields)) = (main, fields)
            && let Some(theirs) = take(fields, left)
        {
            union(&mut spec, theirs);
            taken = true;
            if own.time.is_none() {
                own.time.clone_from(&entry.time);
            }
            if fields.is_empty() {
                continue;
            }
        }
        rest.push(entry);
    }
    if !taken {
        return None;
    }
    let fields = own.fields_v1.get_or_insert_with(|| FieldsV1(Value::Object(Map::new())));
    union(&mut fields.0, Value::Object(Map::from_iter([(SPEC.to_owned(), spec)])));
    rest.push(own);
    Some(rest)
}

/// Takes the fields of `spec` out of a set, apart from those that are `left`.
fn take(fields: &mut Map<String, Value>, left: &[&str]) -> Option<Value> {
    let Value::Object(spec) = fields.remove(SPEC)? else { return None };
    let is_left = |key: &str| key.strip_prefix("f:").is_some_and(|field| left.contains(&field));
    let (kept, theirs): (Map<_, _>, Map<_, _>) = spec.into_iter().partition(|(key, _)| is_left(key));
    let whole = kept.is_empty();
    if !whole {
        fields.insert(SPEC.to_owned(), Value::Object(kept));
    }
    (whole || !theirs.is_empty()).then_some(Value::Object(theirs))
}

/// A set of fields is a tree of objects; the union of two sets is the union of the trees.
fn union(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        for (key, value) in from {
            union(into.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn entries(value: Value) -> Vec<ManagedFieldsEntry> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn all_fields_of_the_spec_go_to_the_new_owner_and_all_others_stay() {
        let before = entries(json!([
            {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:function": {"f:image": {}}}, "f:metadata": {"f:labels": {}}}},
            {"manager": "edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:function": {"f:port": {}}}}},
            {"manager": "oprc-crm-status", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]));
        let after = serde_json::to_value(adopted(&before, "new", "oaas.io/v1alpha1", &[]).unwrap()).unwrap();
        assert_eq!(
            after,
            json!([
                {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
                {"manager": "oprc-crm-status", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
                {"manager": "new", "operation": "Apply", "apiVersion": "oaas.io/v1alpha1", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:spec": {"f:function": {"f:image": {}, "f:port": {}}}}},
            ])
        );
    }

    #[test]
    fn where_nobody_else_owns_the_spec_nothing_is_to_do() {
        let before = entries(json!([
            {"manager": "new", "operation": "Apply", "fieldsV1": {"f:spec": {"f:function": {}}}},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
        ]));
        assert_eq!(adopted(&before, "new", "oaas.io/v1alpha1", &[]), None);
    }

    #[test]
    fn what_is_left_to_its_owners_stays_with_them() {
        let before = entries(json!([
            {"manager": "edit", "operation": "Update", "fieldsV1": {"f:spec": {
                ".": {}, "f:nfr": {"f:enforcement": {}}, "f:addons": {}, "f:target_env": {},
            }}},
        ]));
        let after = adopted(&before, "new", "oaas.io/v1alpha1", &["nfr"]).unwrap();
        assert_eq!(
            serde_json::to_value(&after).unwrap(),
            json!([
                {"manager": "edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:nfr": {"f:enforcement": {}}}}},
                {"manager": "new", "operation": "Apply", "apiVersion": "oaas.io/v1alpha1", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:spec": {".": {}, "f:addons": {}, "f:target_env": {}}}},
            ])
        );
        assert_eq!(adopted(&after, "new", "oaas.io/v1alpha1", &["nfr"]), None, "once is enough");
        assert!(adopted(&after, "new", "oaas.io/v1alpha1", &[]).is_some(), "the unit states it now");
    }
}
