//! A number is written by who has the right, to what it was decided about.

use serde_json::{Value, json};

use super::super::number::{Pen, Unwritten};
use crate::cluster::ClusterError;
use crate::cluster::apply::Applier;
use crate::cluster::caches::LiveObject;
use crate::cluster::right::Right;
use crate::cluster::scale::{Owned, Reach};
use crate::controller::fake::{self, Asked};
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
    LiveObject { kind, meta: serde_json::from_value(content["metadata"].clone()).unwrap(), content }
}

fn autoscaler(number: u32, version: &str) -> LiveObject {
    object(ObjectKind::Autoscaler, number, version)
}

/// Writes 4 over `seen` while the cache has `newest`; what was asked of the server, and what came of it.
async fn written(
    seen: &LiveObject,
    newest: Option<LiveObject>,
    reach: Reach,
    right: &Right,
    answer: impl Fn(usize, &Asked) -> (u16, Value) + Send + Sync + 'static,
) -> (Vec<Asked>, Result<(), Unwritten>) {
    let (client, requests) = fake::server(answer);
    let applier = Applier::new(client);
    let result = Pen { applier: &applier, right }.write(seen, (&Owned::base(4), reach), || newest.clone()).await;
    let asked = requests.lock().unwrap().clone();
    (asked, result)
}

fn versions(asked: &[Asked]) -> Vec<&str> {
    let writes = asked.iter().filter(|one| one.method == "PATCH");
    writes.map(|one| one.body["metadata"]["resourceVersion"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn without_the_right_nothing_is_asked() {
    let right = Right::default();
    right.set(false);
    let seen = autoscaler(2, "7");
    let (asked, result) = written(&seen, Some(seen.clone()), Reach::Seen, &right, |_, one| fake::applied(one)).await;
    assert_eq!((asked, result), (Vec::new(), Err(Unwritten::NoRight)));
}

#[tokio::test]
async fn an_autoscaler_whose_status_alone_changed_is_written_to_as_it_is_now() {
    let seen = autoscaler(2, "7");
    let newest = Some(autoscaler(2, "8"));
    let (asked, result) =
        written(&seen, newest.clone(), Reach::Seen, &Right::default(), |_, one| fake::applied(one)).await;
    assert_eq!((versions(&asked), result), (vec!["8"], Ok(())));
    // The cache is behind, too: read once, and written to that.
    let answer = |_: usize, one: &Asked| match (one.method.as_str(), one.body["metadata"]["resourceVersion"].as_str()) {
        ("GET", _) => (200, autoscaler(2, "9").content),
        (_, Some("8")) => fake::refused(409, "Conflict"),
        _ => fake::applied(one),
    };
    let (asked, result) = written(&seen, newest, Reach::Seen, &Right::default(), answer).await;
    assert_eq!((versions(&asked), result), (vec!["8", "9"], Ok(())));
}

#[tokio::test]
async fn what_is_no_longer_what_was_decided_about_is_left_to_the_next_look() {
    let seen = autoscaler(2, "7");
    let deployment = object(ObjectKind::Deployment, 2, "8");
    for newest in [Some(autoscaler(3, "8")), Some(deployment), None] {
        let (asked, result) = written(&seen, newest, Reach::Seen, &Right::default(), |_, one| fake::applied(one)).await;
        assert!(matches!(result, Err(Unwritten::Failed(ClusterError::Stale(_)))), "{result:?}");
        assert_eq!(asked, Vec::new());
    }
    let answer = |_: usize, one: &Asked| match one.method.as_str() {
        "GET" => (200, autoscaler(3, "9").content),
        _ => fake::refused(409, "Conflict"),
    };
    let (asked, result) = written(&seen, Some(seen.clone()), Reach::Seen, &Right::default(), answer).await;
    assert!(matches!(result, Err(Unwritten::Failed(ClusterError::Stale(_)))), "{result:?}");
    assert_eq!(versions(&asked), ["7"]);
}

#[tokio::test]
async fn the_right_is_asked_again_before_the_second_try() {
    let (seen, right) = (autoscaler(2, "7"), Right::default());
    let taken = right.clone();
    let answer = move |_: usize, one: &Asked| match one.method.as_str() {
        "GET" => {
            taken.set(false);
            (200, autoscaler(2, "9").content)
        }
        _ => fake::refused(409, "Conflict"),
    };
    let (asked, result) = written(&seen, Some(seen.clone()), Reach::Seen, &right, answer).await;
    assert_eq!((versions(&asked), result), (vec!["7"], Err(Unwritten::NoRight)));
}

#[tokio::test]
async fn a_deployment_is_not_forced_that_an_autoscaler_targets_which_no_cache_shows_yet() {
    let seen = object(ObjectKind::Deployment, 2, "7");
    let scaled = |target: &str| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": target});
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 5});
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscalerList", "metadata": {},
               "items": [{"metadata": {"name": "h"}, "spec": spec}]})
    };
    for (target, writes) in [("shop", 0), ("other", 1)] {
        let list = scaled(target);
        let answer = move |_: usize, one: &Asked| match one.method.as_str() {
            "GET" => (200, list.clone()),
            _ => fake::applied(one),
        };
        let (asked, result) = written(&seen, Some(seen.clone()), Reach::Forced, &Right::default(), answer).await;
        assert_eq!((versions(&asked).len(), result.is_ok()), (writes, writes == 1), "{target}: {result:?}");
    }
}
