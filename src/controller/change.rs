//! What has to be done about one object, from what is rendered and what is there. Pure.

use serde_json::{Value, json};

use crate::api::{ANNOTATION_APPLIED_HASH, ANNOTATION_RECORD};
use crate::cluster::caches::LiveObject;
use crate::cluster::diff::{content_hash, differences};
use crate::cluster::ownership::{belongs_to, describe_owner, replicas_owners};
use crate::cluster::{MANAGER, MANAGER_SCALE};
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

/// What has to be done about `spec.replicas`, which has a field manager of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaleChange {
    /// Nothing.
    None,
    /// Apply this number.
    Set(u32),
    /// Take the field over from `oprc-crm` (a start that was cut short) with the number it has, then release it there.
    Claim(u32),
    /// Somebody else set the very number that is wanted: share it, so that it is ours to change later.
    Agree(u32),
    /// Somebody else set another number: it is left alone.
    Held {
        /// Who, for people.
        by: String,
        /// Their number.
        replicas: i64,
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

/// Compares the number that the record or its template wants with the one that is there, and who owns it.
///
/// A number that others own alone is theirs. One that they share with us was agreed upon: a change of theirs would have
/// taken it from us. Nobody owns a 0 that was set through the scale subresource.
pub fn scale(base: u32, live: &LiveObject) -> ScaleChange {
    let replicas = live.content.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let wanted = replicas == i64::from(base);
    let owners = replicas_owners(&live.meta);
    let is_ours = |owner: &String| owner == MANAGER || owner == MANAGER_SCALE;
    let owned_by = |manager: &str| owners.iter().any(|owner| owner == manager);
    let others = || owners.iter().find(|owner| !is_ours(owner)).map(|owner| format!("{owner:?}"));
    if owned_by(MANAGER) {
        return ScaleChange::Claim(u32::try_from(replicas).unwrap_or(base));
    }
    match (owned_by(MANAGER_SCALE), wanted) {
        (true, true) => ScaleChange::None,
        (true, false) => ScaleChange::Set(base),
        (false, true) => ScaleChange::Agree(base),
        (false, false) => ScaleChange::Held { by: others().unwrap_or_else(|| "somebody unnamed".to_owned()), replicas },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    use super::{Change, ScaleChange, change, scale, stamped};
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

    fn owned_by(managers: &[&str], replicas: i64) -> LiveObject {
        let fields: Vec<Value> = managers
            .iter()
            .map(|name| json!({"manager": name, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}))
            .collect();
        live(json!({"metadata": {"name": "a", "managedFields": fields}, "spec": {"replicas": replicas}}), None)
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

    #[test]
    fn replicas_follow_the_base_while_we_own_them() {
        assert_eq!(scale(2, &owned_by(&["oprc-crm-scale"], 2)), ScaleChange::None);
        assert_eq!(scale(3, &owned_by(&["oprc-crm-scale"], 2)), ScaleChange::Set(3));
    }

    #[test]
    fn somebody_elses_number_is_left_alone() {
        let held = ScaleChange::Held { by: "\"kubectl\"".to_owned(), replicas: 7 };
        assert_eq!(scale(2, &owned_by(&["kubectl"], 7)), held);
        // Scaled to 0 the field has no owner at all.
        let nobody = ScaleChange::Held { by: "somebody unnamed".to_owned(), replicas: 0 };
        assert_eq!(scale(2, &owned_by(&[], 0)), nobody);
    }

    #[test]
    fn a_number_that_is_handed_back_is_shared_and_then_ours_to_change() {
        assert_eq!(scale(7, &owned_by(&["kubectl"], 7)), ScaleChange::Agree(7));
        assert_eq!(scale(7, &owned_by(&["kubectl", "oprc-crm-scale"], 7)), ScaleChange::None);
        assert_eq!(scale(2, &owned_by(&["kubectl", "oprc-crm-scale"], 7)), ScaleChange::Set(2));
    }

    #[test]
    fn a_birth_that_was_cut_short_is_completed_without_passing_through_the_default() {
        assert_eq!(scale(3, &owned_by(&["oprc-crm"], 2)), ScaleChange::Claim(2));
        assert_eq!(scale(3, &owned_by(&["oprc-crm", "oprc-crm-scale"], 3)), ScaleChange::Claim(3));
    }
}

#[cfg(test)]
mod properties {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{ScaleChange, scale};
    use crate::cluster::caches::LiveObject;
    use crate::render::ObjectKind;

    fn live(owners: &[&str], replicas: u32) -> LiveObject {
        let entry =
            |name: &&str| json!({"manager": name, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        let fields: Vec<Value> = owners.iter().map(entry).collect();
        let content = json!({"metadata": {"name": "a", "managedFields": fields}, "spec": {"replicas": replicas}});
        let meta = serde_json::from_value(content["metadata"].clone()).unwrap();
        LiveObject { kind: ObjectKind::Deployment, meta, content }
    }

    fn owners() -> impl Strategy<Value = Vec<&'static str>> {
        prop::sample::subsequence(vec!["oprc-crm", "oprc-crm-scale", "kubectl", "kube-controller-manager"], 0..=4)
            .prop_shuffle()
    }

    proptest! {
        #[test]
        fn replicas_come_to_the_base_in_two_steps_by_way_of_no_other_number(
            owners in owners(), replicas in 0_u32..40, base in 0_u32..40,
        ) {
            let (mut owners, mut number) = (owners, replicas);
            for _ in 0..4 {
                match scale(base, &live(&owners, number)) {
                    ScaleChange::None => {
                        prop_assert_eq!(number, base);
                        return Ok(());
                    }
                    ScaleChange::Held { replicas: held, .. } => {
                        prop_assert!(owners.iter().all(|owner| !owner.starts_with("oprc-crm")), "{:?}", owners);
                        prop_assert_eq!(held, i64::from(number));
                        return Ok(());
                    }
                    // Forced: nobody else is left.
                    ScaleChange::Set(to) => {
                        prop_assert_eq!(to, base);
                        owners = vec!["oprc-crm-scale"];
                        number = to;
                    }
                    ScaleChange::Agree(to) | ScaleChange::Claim(to) => {
                        prop_assert_eq!(to, number, "the number that it has");
                        owners.retain(|owner| *owner != "oprc-crm");
                        owners.push("oprc-crm-scale");
                    }
                }
            }
            prop_assert!(false, "no end");
        }
    }
}
