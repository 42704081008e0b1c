//! What has to be done about one object, from what is rendered and what is there. Pure.

use serde_json::{Value, json};

use crate::api::{ANNOTATION_APPLIED_HASH, ANNOTATION_RECORD};
use crate::cluster::caches::LiveObject;
use crate::cluster::diff::{content_hash, differences};
use crate::cluster::ownership::{belongs_to, describe_owner};
use crate::render::RenderedObject;

/// What has to be done about an object's rendered fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is as it should be.
    None,
    /// It is not there.
    Create,
    /// The record, the policy or the renderer says something else than when it was last applied.
    Update,
    /// Others changed these fields.
    Drift(Vec<String>),
    /// It is being deleted; once it is gone it can be made again.
    AwaitDeletion,
    /// It belongs to somebody else and is not touched.
    NameConflict {
        /// Who it belongs to, for people.
        owner: String,
    },
}

/// The manifest to apply: with the record's name, and the hash of what it says (a field that is dropped later is seen
/// by the hash alone).
pub fn stamped(object: &RenderedObject, record: &str) -> Value {
    let mut manifest = object.manifest.clone();
    annotate(&mut manifest, ANNOTATION_RECORD, record);
    let hash = content_hash(&manifest);
    annotate(&mut manifest, ANNOTATION_APPLIED_HASH, &hash);
    manifest
}

fn annotate(manifest: &mut Value, key: &str, value: &str) {
    let metadata = manifest.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations = metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(key.to_owned(), json!(value));
    }
}

/// Compares what is to be applied with what is there. `uid` and `owner_label` are the record's.
pub fn change(manifest: &Value, live: Option<&LiveObject>, uid: &str, owner_label: &str) -> Change {
    let Some(live) = live else { return Change::Create };
    if !belongs_to(&live.meta, uid, owner_label) {
        return Change::NameConflict { owner: describe_owner(&live.meta) };
    }
    if live.meta.deletion_timestamp.is_some() {
        return Change::AwaitDeletion;
    }
    let hash = |value: &Value| {
        value.pointer("/metadata/annotations").and_then(|all| all.get(ANNOTATION_APPLIED_HASH)).cloned()
    };
    let drift = differences(manifest, &live.content);
    if hash(manifest) != hash(&live.content) {
        Change::Update
    } else if drift.is_empty() {
        Change::None
    } else {
        Change::Drift(drift)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    use super::{Change, change, stamped};
    use crate::cluster::caches::LiveObject;
    use crate::render::{Component, ObjectKind, RenderedObject};

    fn rendered(image: &str) -> RenderedObject {
        RenderedObject {
            kind: ObjectKind::Deployment,
            name: "a".to_owned(),
            component: Component::Function("f".to_owned()),
            manifest: json!({
                "metadata": {"name": "a", "labels": {"app.kubernetes.io/managed-by": "oprc-crm", "oaas.io/owner": "a"}},
                "spec": {"image": image},
            }),
            replicas: Some(2),
        }
    }

    fn live(mut content: Value, owner: Option<&str>) -> LiveObject {
        if let Some(uid) = owner {
            let reference =
                json!([{"apiVersion": "v", "kind": "DeploymentRecord", "name": "r", "uid": uid, "controller": true}]);
            content["metadata"]["ownerReferences"] = reference;
        }
        let meta: ObjectMeta = serde_json::from_value(content["metadata"].clone()).unwrap();
        LiveObject { kind: ObjectKind::Deployment, meta, content }
    }

    #[test]
    fn what_was_applied_needs_nothing() {
        let manifest = stamped(&rendered("i:1"), "r");
        assert_eq!(change(&manifest, Some(&live(manifest.clone(), Some("u"))), "u", "a"), Change::None);
        assert_eq!(change(&manifest, None, "u", "a"), Change::Create);
    }

    #[test]
    fn a_new_rendering_is_an_update_and_a_foreign_change_is_drift() {
        let old = stamped(&rendered("i:1"), "r");
        let new = stamped(&rendered("i:2"), "r");
        assert_eq!(change(&new, Some(&live(old.clone(), Some("u"))), "u", "a"), Change::Update);
        let mut drifted = old.clone();
        drifted["spec"]["image"] = json!("evil");
        assert_eq!(
            change(&old, Some(&live(drifted, Some("u"))), "u", "a"),
            Change::Drift(vec!["spec.image".to_owned()])
        );
    }

    #[test]
    fn a_field_that_is_no_longer_rendered_is_an_update() {
        let mut wider = rendered("i:1");
        wider.manifest["spec"]["extra"] = json!(1);
        let before = stamped(&wider, "r");
        assert_eq!(change(&stamped(&rendered("i:1"), "r"), Some(&live(before, Some("u"))), "u", "a"), Change::Update);
    }

    #[test]
    fn an_object_of_another_owner_is_never_touched() {
        let manifest = stamped(&rendered("i:1"), "r");
        let stranger = live(json!({"metadata": {"name": "a"}}), Some("other"));
        assert!(
            matches!(change(&manifest, Some(&stranger), "u", "a"), Change::NameConflict { owner } if owner.contains("DeploymentRecord"))
        );
        let ownerless = live(json!({"metadata": {"name": "a"}}), None);
        assert!(matches!(change(&manifest, Some(&ownerless), "u", "a"), Change::NameConflict { .. }));
    }

    #[test]
    fn our_own_object_without_its_owner_reference_is_taken_back() {
        let manifest = stamped(&rendered("i:1"), "r");
        assert_ne!(
            change(&manifest, Some(&live(manifest.clone(), None)), "u", "a"),
            Change::NameConflict { owner: String::new() }
        );
        assert_eq!(change(&manifest, Some(&live(manifest.clone(), None)), "u", "a"), Change::None);
    }
}
