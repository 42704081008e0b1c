//! One port for HTTP/1.1 and HTTP/2, health that follows readiness, and an end that cuts nothing off.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use oprc_crm::grpc::Options;
use oprc_crm::grpc::pb::grpc::health::v1::health_check_response::ServingStatus;
use oprc_crm::grpc::pb::grpc::health::v1::health_client::HealthClient;
use oprc_crm::grpc::pb::grpc::health::v1::{HealthCheckRequest, HealthListRequest};
use oprc_crm::grpc::pb::oaas::health as own;
use oprc_crm::grpc::pb::oaas::health::health_service_client::HealthServiceClient;
use oprc_crm::server::{self, ServerError, Timing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::contract::{self, ALIAS, CANONICAL, Pm};
use crate::harness::{Server, deploy, unit, until};

fn whole() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

#[tokio::test]
async fn probes_and_rpcs_share_the_port() {
    let server = Server::start().await;
    server.readiness.set_synced();
    let mut client = server.client().await;
    for index in 0..10 {
        let (rpc, probe) = tokio::join!(client.deploy(deploy(unit(&format!("a{index}")))), server.get("/healthz"));
        rpc.unwrap();
        assert_eq!(probe, (200, "ok".to_owned()));
    }
    assert_eq!(server.get("/readyz").await.0, 200);
    assert_eq!(server.get("/nothing").await.0, 404);
    assert_eq!(server.get("/deployment.DeploymentService/Deploy").await.0, 404);
    let (code, health) = server.get("/health").await;
    assert_eq!(code, 200);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&health).unwrap()["status"], "ok");
}

/// One connection after the other, each kept alive for many requests.
async fn probe_often(addr: std::net::SocketAddr, times: usize) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    for _ in 0..times {
        for (path, code) in [("healthz", 200), ("readyz", 200), ("health", 200), ("nothing", 404)] {
            let answer = client.get(format!("http://{addr}/{path}").parse().unwrap()).await.unwrap();
            assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_11, code), "{path}");
            answer.into_body().collect().await.unwrap();
        }
    }
}

/// Deploys and reads its own classes by both names.
async fn call_often(addr: std::net::SocketAddr, who: usize, times: usize) {
    for turn in 0..times {
        let id = format!("class/{who}/{turn}");
        let pm = Pm::new(addr, if turn % 2 == 0 { CANONICAL } else { ALIAS });
        let unit = contract::DeploymentUnit {
            id: id.clone(),
            functions: vec![contract::FunctionDeploymentSpec {
                function_key: "f".to_owned(),
                image: "example/img:1".to_owned(),
                ..contract::FunctionDeploymentSpec::default()
            }],
            ..contract::DeploymentUnit::default()
        };
        assert_eq!(pm.deploy(unit).await.unwrap().message.as_deref(), Some("created"), "{id}");
        let read: contract::OClassDeployment = pm.record(&id).await.unwrap().unwrap();
        assert_eq!(read.key, id);
        let nothing: Result<contract::StatusResponse<contract::OClassDeployment>, _> = pm.status("no such id").await;
        assert_eq!(nothing.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_served_at_once_under_load() {
    let server = Server::start().await;
    server.readiness.set_synced();
    *server.store.latency.lock().unwrap() = Duration::from_millis(1);
    let mut load = JoinSet::new();
    for who in 0..8 {
        load.spawn(probe_often(server.addr, 25));
        load.spawn(call_often(server.addr, who, 25));
    }
    while let Some(done) = load.join_next().await {
        done.unwrap();
    }
    assert_eq!(server.store.writes(), 200);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped_and_one_that_does_stays() {
    let [drain, ping_every, ping_answer] = [10_000, 100, 200].map(Duration::from_millis);
    let server = Server::with(Options::default(), Timing { drain, ping_every, ping_answer }).await;
    let mut client = HealthClient::new(server.channel().await);
    let mut changes = client.watch(whole()).await.unwrap().into_inner();
    assert!(changes.message().await.unwrap().is_some());

    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Empty settings.
    hello.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    silent.write_all(&hello).await.unwrap();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut heard)).await;
    ended.expect("it is dropped").unwrap();
    // A ping: eight bytes of type 6, no flags, on the connection itself.
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0];
    assert!(heard.windows(ping.len()).any(|frame| frame == ping), "{heard:?}");

    server.readiness.set_synced();
    let change = changes.message().await.unwrap().map(|answer| answer.status());
    assert_eq!(change, Some(ServingStatus::Serving), "pings went by, and the watch is still there");
}

#[tokio::test]
async fn readyz_says_why_not_and_liveness_does_not_depend_on_it() {
    let server = Server::start().await;
    let (code, why) = server.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(why.contains("caches"), "{why}");
    assert_eq!(server.get("/healthz").await.0, 200);
    server.readiness.set_synced();
    server.readiness.api_server_lost();
    assert_eq!(server.get("/readyz").await.0, 200, "a short loss is no loss");
    until("patience is over", async || server.get("/readyz").await.0 == 503).await;
    let (_, why) = server.get("/readyz").await;
    assert!(why.contains("API server"), "{why}");
    let (code, health) = server.get("/health").await;
    assert_eq!(code, 503);
    assert!(health.contains("API server"), "{health}");
    server.readiness.api_server_answered();
    assert_eq!(server.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn both_health_services_follow_readiness() {
    let server = Server::start().await;
    let mut standard = HealthClient::new(server.channel().await);
    let mut ours = HealthServiceClient::new(server.channel().await);
    let service = HealthCheckRequest { service: CANONICAL.to_owned() };
    assert_eq!(standard.check(whole()).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    server.readiness.set_synced();
    for request in [whole(), service] {
        assert_eq!(standard.check(request).await.unwrap().into_inner().status(), ServingStatus::Serving);
    }
    let answer = ours.check(own::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), own::health_check_response::ServingStatus::Serving);
    let unknown = HealthCheckRequest { service: "no.Such".to_owned() };
    assert_eq!(standard.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let list = standard.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    assert!(list.contains_key("") && list.contains_key("oaas.deployment.DeploymentService"), "{list:?}");
}

#[tokio::test]
async fn a_watch_stays_open_sends_every_change_and_ends_when_the_process_does() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.channel().await);
    let mut changes = client.watch(whole()).await.unwrap().into_inner();
    let mut ours = HealthServiceClient::new(server.channel().await);
    let mut our_changes = ours.watch(own::HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut next = async || changes.message().await.unwrap().map(|answer| answer.status());
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    server.readiness.set_synced();
    assert_eq!(next().await, Some(ServingStatus::Serving));
    // Nobody says that patience is over: the watch must find out by itself.
    server.readiness.api_server_lost();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    server.readiness.api_server_answered();
    assert_eq!(next().await, Some(ServingStatus::Serving));
    server.shutdown.cancel();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None);
    assert!(our_changes.message().await.unwrap().is_some());
    drop((our_changes, ours, client));
    assert!(server.ended.await.unwrap());
}

#[tokio::test]
async fn a_watch_ends_at_its_callers_deadline() {
    let server = Server::start().await;
    let started = Instant::now();
    let answer = server.raw("grpc.health.v1.Health/Watch", &[("grpc-timeout", "300m")], &whole()).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
    assert!(!answer.body.is_empty(), "the present state comes first");
    assert!(started.elapsed() >= Duration::from_millis(290));
}

#[tokio::test]
async fn a_call_under_way_ends_well_while_nothing_new_is_accepted() {
    let server = Server::start().await;
    *server.store.latency.lock().unwrap() = Duration::from_secs(1);
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.deploy(deploy(unit("a"))).await });
    until("the call is under way", async || server.store.is_asked()).await;
    server.shutdown.cancel();
    until("the port is closed", async || TcpStream::connect(server.addr).await.is_err()).await;
    assert!(!call.is_finished());
    call.await.unwrap().unwrap();
    assert!(server.ended.await.unwrap(), "everything ended by itself");
    assert!(!server.store.is_empty());
}

#[tokio::test]
async fn the_drain_has_a_bound() {
    let server =
        Server::with(Options::default(), Timing { drain: Duration::from_millis(200), ..Timing::default() }).await;
    *server.store.latency.lock().unwrap() = Duration::from_secs(30);
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.deploy(deploy(unit("a"))).await });
    until("the call is under way", async || server.store.is_asked()).await;
    let started = Instant::now();
    server.shutdown.cancel();
    assert!(!server.ended.await.unwrap(), "something was cut off");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let server = Server::start().await;
    let idle = TcpStream::connect(server.addr).await.unwrap();
    let client = server.client().await;
    server.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.ended).await;
    drop((idle, client));
    assert!(ended.expect("within 5 s").unwrap());
}

#[tokio::test]
async fn a_busy_port_is_an_error_that_names_the_variable() {
    let ours = server::bind(0).await.unwrap();
    let loopback = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for taken in [ours, loopback] {
        let port = taken.local_addr().unwrap().port();
        let error = server::bind(port).await.unwrap_err();
        assert!(matches!(error, ServerError::Bind { port: named, .. } if named == port));
        let text = error.to_string();
        assert!(text.contains("HTTP_PORT") && text.contains(&port.to_string()), "{text}");
    }
}
