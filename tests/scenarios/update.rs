//! A changed record changes what runs, and nothing else.

use serde_json::json;

use crate::{IMAGE, start};

#[tokio::test]
async fn image_replicas_and_env_follow_the_record() {
    let (crm, ns) = start("update").await;
    let spec = |image: &str, replicas: u32, env: serde_json::Value| {
        json!({"functions": [{"function_key": "f", "image": image, "replicas": replicas, "env": env}]})
    };
    ns.apply("a", spec(IMAGE, 1, json!({"A": "1", "B": "2"}))).await;
    ns.available("a").await;
    ns.apply("a", spec("docker.io/library/nginx:1.28", 3, json!({"A": "9"}))).await;
    let status = ns.available("a").await;
    assert_eq!(status.ready_summary.as_deref(), Some("3/3"));
    let deployment = serde_json::to_value(ns.deployment("a").await).unwrap();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "docker.io/library/nginx:1.28");
    assert_eq!(ns.env("a", "A").await.as_deref(), Some("9"));
    assert_eq!(ns.env("a", "B").await, None, "what is taken out of the record goes");
    crm.stop().await;
}

#[tokio::test]
async fn a_removed_function_goes_and_an_added_one_comes() {
    let (crm, ns) = start("functions").await;
    let of = |keys: &[&str]| {
        let functions: Vec<_> = keys.iter().map(|key| json!({"function_key": key, "image": IMAGE, "replicas": 1})).collect();
        json!({"functions": functions})
    };
    ns.apply("c", of(&["a", "b"])).await;
    ns.available("c").await;
    ns.apply("c", of(&["b", "d"])).await;
    ns.available("c").await;
    let expected = ["Deployment/c-b", "Deployment/c-d", "Service/c-b-svc", "Service/c-d-svc"];
    crate::support::eventually(crate::support::class::SOON, "a is gone, d is there", || async {
        let objects = ns.objects().await;
        if objects == expected { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    crm.stop().await;
}

#[tokio::test]
async fn the_same_record_again_writes_nothing() {
    let (crm, ns) = start("same").await;
    let spec = json!({"function": {"image": IMAGE, "port": 80}});
    ns.apply("a", spec.clone()).await;
    ns.available("a").await;
    crate::idle::settled(&crm).await;
    let before = crm.writes();
    ns.apply("a", spec).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(crm.writes(), before);
    crm.stop().await;
}
