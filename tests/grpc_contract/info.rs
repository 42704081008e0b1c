//! What a Package Manager asks before it chooses a cluster.

use jiff::Timestamp;
use oprc_crm::grpc::{InfoOptions, NodeCount, Options};

use crate::contract::{ALIAS, ByName, CrmHealth, Pm};
use crate::harness::Server;

const SERVICE: &str = "oaas.health.CrmInfoService";

fn counted(all: u32, ready: u32) -> NodeCount {
    NodeCount { all, ready, at: Timestamp::new(1_700_000_000, 5).unwrap() }
}

async fn ask(server: &Server, method: &str, name: &str) -> CrmHealth {
    let pm = Pm::new(server.addr, ALIAS);
    pm.call_of(SERVICE, method, ByName { name: name.to_owned() }).await.unwrap()
}

#[tokio::test]
async fn both_questions_are_answered_with_the_real_counts() {
    let server = Server::start().await;
    server.readiness.set_synced();
    *server.nodes.0.lock().unwrap() = Some(counted(4, 3));
    for method in ["GetClusterHealth", "GetEnvHealth"] {
        let health = ask(&server, method, "edge-7").await;
        assert_eq!((health.name.as_str(), health.status.as_str()), ("edge-7", "Healthy"));
        assert_eq!((health.node_count, health.ready_nodes, health.availability), (Some(4), Some(3), Some(0.75)));
        assert_eq!(health.crm_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let seen = health.last_seen.unwrap();
        assert_eq!((seen.seconds, seen.nanos), (1_700_000_000, 5), "when the nodes were counted");
    }
}

#[tokio::test]
async fn the_status_says_whether_anything_can_run_here() {
    let server = Server::start().await;
    *server.nodes.0.lock().unwrap() = Some(counted(1, 1));
    assert_eq!(ask(&server, "GetClusterHealth", "").await.status, "Unhealthy", "the controller is not ready");
    server.readiness.set_synced();
    for (nodes, status, availability) in [
        (Some(counted(3, 3)), "Healthy", Some(1.0)),
        (Some(counted(3, 1)), "Healthy", Some(1.0 / 3.0)),
        (Some(counted(3, 0)), "Unhealthy", Some(0.0)),
        (Some(counted(0, 0)), "Unhealthy", Some(0.0)),
        (None, "Unknown", None),
    ] {
        *server.nodes.0.lock().unwrap() = nodes;
        let health = ask(&server, "GetEnvHealth", "").await;
        assert_eq!((health.status.as_str(), health.availability), (status, availability), "{nodes:?}");
        assert_eq!((health.node_count, health.ready_nodes), (nodes.map(|n| n.all), nodes.map(|n| n.ready)));
    }
}

#[tokio::test]
async fn a_stated_availability_wins_and_a_question_without_a_name_gets_the_environments() {
    let info = InfoOptions { env: "prod".to_owned(), mock_availability: Some(0.5) };
    let server = Server::with_options(Options { info, ..Options::default() }).await;
    server.readiness.set_synced();
    for nodes in [None, Some(counted(2, 2))] {
        *server.nodes.0.lock().unwrap() = nodes;
        let health = ask(&server, "GetClusterHealth", "").await;
        assert_eq!((health.name.as_str(), health.availability), ("prod", Some(0.5)));
        assert_eq!((health.status.as_str(), health.node_count), ("Healthy", nodes.map(|n| n.all)));
    }
}
