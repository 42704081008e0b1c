//! A number is written by who has the right, to what it was decided about.

use serde_json::{Value, json};

use super::super::number::{Pen, Unwritten, is_same};
use crate::cluster::apply::Applier;
use crate::cluster::caches::LiveObject;
use crate::cluster::right::Right;
use crate::cluster::scale::{Owned, Reach};
use crate::render::ObjectKind;

/// An autoscaler or a Deployment with this number, as it stood at a version.
fn object(kind: ObjectKind, number: u32, version: &str) -> LiveObject {
    let field = kind.scale_field().unwrap();
    let content = json!({
        "apiVersion": kind.api_version(), "kind": kind.kind(),
        "metadata": {
            "name": "shop", "namespace": "team", "uid": "o-1", "resourceVersion": version,
            "managedFields": [
                {"manager": "oprc-crm-scale", "operation": "Apply", "fieldsV1": {"f:spec": {format!("f:{field}"): {}}}},
            ],
        },
        "spec": {field: number},
    });
    of(kind, content)
}

fn of(kind: ObjectKind, content: Value) -> LiveObject {
    LiveObject { kind, meta: serde_json::from_value(content["metadata"].clone()).unwrap(), content }
}

#[tokio::test]
async fn without_the_right_nothing_is_asked() {
    let right = Right::default();
    right.set(false);
    // Nobody listens there: a question would end in another error.
    let nowhere = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let applier = Applier::new(kube::Client::try_from(nowhere).unwrap());
    let seen = object(ObjectKind::Autoscaler, 2, "7");
    let pen = Pen { applier: &applier, right: &right };
    let newest = || Some(seen.clone());
    assert_eq!(pen.write(&seen, (&Owned::base(4), Reach::Seen), newest).await, Err(Unwritten::NoRight));
}

#[test]
fn an_object_is_what_was_decided_about_as_long_as_its_number_is_the_same_by_the_same_hand() {
    let seen = object(ObjectKind::Autoscaler, 2, "7");
    let with = |path: &str, value: Value| {
        let mut content = seen.content.clone();
        *content.pointer_mut(path).unwrap() = value;
        of(ObjectKind::Autoscaler, content)
    };
    assert!(is_same(&seen, &object(ObjectKind::Autoscaler, 2, "8")), "its status alone changed");
    for (now, what) in [
        (object(ObjectKind::Autoscaler, 3, "8"), "another number"),
        (object(ObjectKind::Deployment, 2, "8"), "another kind"),
        (with("/metadata/uid", json!("o-2")), "another object"),
        (with("/metadata/managedFields/0/manager", json!("kubectl")), "another hand"),
        (with("/spec", json!({"minReplicas": 2, "maxReplicas": 3})), "another maximum"),
        (with("/metadata", json!({"uid": "o-1", "deletionTimestamp": "2026-01-01T00:00:00Z"})), "it goes"),
    ] {
        assert!(!is_same(&seen, &now), "{what}");
    }
}
