//! The sandbox's control plane is real, does what a cluster does, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg(feature = "sandbox")]

mod support;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use oprc_crm::sandbox::ControlPlane;
use support::{CRM_USER, audit, cluster, eventually, from_json, options};

const LONG: Duration = Duration::from_secs(60);

fn deployment(name: &str, replicas: u32) -> Deployment {
    from_json(serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example/image:1"}]},
            },
        },
    }))
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an answer of the API server: {other}"),
    }
}

#[tokio::test]
async fn the_pods_of_a_deployment_become_ready_on_the_fake_nodes_and_go_with_it() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("pods").await;
    let nodes = Api::<Node>::all(cluster.admin()).list(&ListParams::default()).await.unwrap();
    assert!(nodes.items.len() >= 3, "{} nodes", nodes.items.len());

    let api: Api<Deployment> = Api::namespaced(cluster.admin(), &namespace);
    api.create(&PostParams::default(), &deployment("app", 3)).await.unwrap();
    eventually(LONG, "3 ready replicas", || async {
        let status = api.get("app").await.unwrap().status.unwrap_or_default();
        if status.ready_replicas == Some(3) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;

    api.delete("app", &kube::api::DeleteParams::default()).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), &namespace);
    eventually(LONG, "no pods", || async {
        let left = pods.list(&ListParams::default()).await.unwrap().items;
        if left.is_empty() { Ok(()) } else { Err(format!("{} pods", left.len())) }
    })
    .await;
}

#[tokio::test]
async fn the_operator_is_denied_what_its_rights_do_not_grant() {
    let cluster = cluster().await;
    let bound = cluster.namespace("rights").await;

    let api: Api<Deployment> = Api::namespaced(cluster.crm(), &bound);
    api.list(&ListParams::default()).await.expect("granted by the role in this namespace");

    let elsewhere: Api<Deployment> = Api::namespaced(cluster.crm(), "kube-system");
    assert_eq!(code(&elsewhere.list(&ListParams::default()).await.unwrap_err()), 403);
    let secrets: Api<Secret> = Api::namespaced(cluster.crm(), &bound);
    assert_eq!(code(&secrets.list(&ListParams::default()).await.unwrap_err()), 403);
    let node = Node { metadata: config_map("mine").metadata, ..Node::default() };
    let nodes: Api<Node> = Api::all(cluster.crm());
    assert_eq!(code(&nodes.create(&PostParams::default(), &node).await.unwrap_err()), 403);
}

#[tokio::test]
async fn the_audit_log_tells_who_wrote_what() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("audit").await;
    let api = |client: Client| Api::<ConfigMap>::namespaced(client, &namespace);
    api(cluster.admin()).create(&PostParams::default(), &config_map("by-admin")).await.unwrap();
    api(cluster.admin()).get("by-admin").await.unwrap();
    api(cluster.crm()).create(&PostParams::default(), &config_map("by-crm")).await.unwrap_err();

    let of = |user| {
        let mut writes = audit::writes(cluster.plane().audit_log(), user);
        writes.retain(|write| write.namespace() == namespace);
        writes
    };
    let refused = of(CRM_USER);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].verb.as_str(), refused[0].code()), ("create", 403));
    let admins = of("admin");
    let resources: Vec<_> = admins.iter().map(|write| write.object_ref.clone().unwrap().resource).collect();
    // The operator's rights in the new namespace, and the one above: the read is none.
    assert_eq!(resources, ["rolebindings", "rolebindings", "configmaps"], "{admins:?}");
}

#[tokio::test]
async fn an_api_server_that_crashed_comes_back_with_its_data() {
    let plane = ControlPlane::start(options(1), |_| ()).await.unwrap();
    let client = Client::try_from(plane.admin_config().await.unwrap()).unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    api.create(&PostParams::default(), &config_map("kept")).await.unwrap();

    plane.stop_apiserver().await.unwrap();
    let lost = tokio::time::timeout(LONG, api.get("kept")).await.expect("an answer or an error");
    assert!(!matches!(lost, Ok(_) | Err(kube::Error::Api(_))), "{lost:?}");

    plane.start_apiserver().await.unwrap();
    let found = eventually(LONG, "the object", || api.get("kept")).await;
    assert_eq!(found.name_any(), "kept");
    plane.restart_apiserver().await.unwrap();
    eventually(LONG, "the object", || api.get("kept")).await;
    plane.stop().await.unwrap();
}

#[tokio::test]
async fn a_program_beside_the_control_plane_can_be_stopped_killed_and_read() {
    let plane = cluster().await.plane();
    let shell = std::path::Path::new("/bin/sh");
    let script = "trap 'echo asked; exit 7' TERM; echo \"hello $WHO\"; while :; do sleep 0.05; done";
    let program = plane.spawn("beside", shell, &["-c", script], &[("WHO", "you")]).await.unwrap();
    eventually(LONG, "its first line", || async {
        let log = program.log_tail(5);
        if log == "hello you" { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(program.pid().is_some() && program.exited().is_none());
    let exit = program.stop(LONG).await.unwrap();
    assert_eq!((exit.code, exit.success()), (Some(7), false));
    assert_eq!(program.log_tail(1), "asked");

    let program = plane.spawn("beside-killed", shell, &["-c", script], &[]).await.unwrap();
    program.kill().unwrap();
    assert_eq!(program.wait(LONG).await.unwrap().signal, Some(9));

    let missing = plane.spawn("missing", std::path::Path::new("/no/such/program"), &[], &[]).await.unwrap();
    assert_eq!(missing.wait(LONG).await.unwrap().code, Some(127));
    assert!(missing.log_tail(1).starts_with("cannot start /no/such/program: "), "{}", missing.log_tail(1));
}
