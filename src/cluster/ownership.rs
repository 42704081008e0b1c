//! Whose object is it, and whose field?

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::api::{LABEL_OWNER, MANAGED_BY};

/// The controller among an object's owners.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether an object is a record's own: controlled by its UID or, with no controller at all, ours by its labels.
pub fn belongs_to(meta: &ObjectMeta, uid: &str, owner_label: &str) -> bool {
    if let Some(owner) = controller_of(meta) {
        return owner.uid == uid;
    }
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label("app.kubernetes.io/managed-by") == Some(MANAGED_BY) && label(LABEL_OWNER) == Some(owner_label)
}

/// Who an object belongs to, for people: `Kind/name` of its controller, or that it has none.
pub fn describe_owner(meta: &ObjectMeta) -> String {
    controller_of(meta).map_or_else(
        || "nobody that this controller knows (it has no controller reference)".to_owned(),
        |owner| format!("{} {:?}", owner.kind, owner.name),
    )
}
