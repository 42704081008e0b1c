//! Around every call: correlation ids, deadlines, sizes, panics.

use std::time::{Duration, Instant};

use oprc_crm::api::ANNOTATION_CORRELATION_ID;
use oprc_crm::grpc::pb::deployment::deployment_service_client::DeploymentServiceClient;
use oprc_crm::grpc::pb::deployment::{
    Enforcement, FunctionDeploymentSpec, GetDeploymentStatusRequest, ListDeploymentRecordsRequest,
};
use oprc_crm::grpc::pb::oaas::common::ResourceRequirements;
use oprc_crm::grpc::pb::oaas::health::HealthCheckRequest;
use oprc_crm::grpc::pb::oaas::health::health_service_client::HealthServiceClient;
use oprc_crm::grpc::{Options, StoreError};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::harness::{ALIAS, CANONICAL, Server, deploy, unit};

const ID: &str = "x-correlation-id";

fn get(id: &str) -> GetDeploymentStatusRequest {
    GetDeploymentStatusRequest { deployment_id: id.to_owned() }
}

#[tokio::test]
async fn a_correlation_id_comes_back_on_every_answer_and_stands_on_the_record() {
    let server = Server::start().await;
    let made = server.raw(&format!("{CANONICAL}/Deploy"), &[(ID, "pm-1")], &deploy(unit("a"))).await;
    assert_eq!((made.code(), made.header(ID).as_deref()), (Code::Ok, Some("pm-1")));
    assert_eq!(server.store.only().metadata.annotations.unwrap()[ANNOTATION_CORRELATION_ID], "pm-1");
    let again = server.raw(&format!("{ALIAS}/Deploy"), &[(ID, "pm-2")], &deploy(unit("a"))).await;
    assert_eq!(again.header(ID).as_deref(), Some("pm-2"));
    let annotation = server.store.only().metadata.annotations.unwrap()[ANNOTATION_CORRELATION_ID].clone();
    assert_eq!(annotation, "pm-1", "an unchanged record keeps the id of the Deploy that changed it last");

    let missing = server.raw(&format!("{CANONICAL}/GetDeploymentStatus"), &[(ID, "pm-3")], &get("b")).await;
    assert_eq!((missing.code(), missing.header(ID).as_deref()), (Code::NotFound, Some("pm-3")));
    let unknown = server.raw("no.Such/Method", &[(ID, "pm-4")], &get("b")).await;
    assert_eq!((unknown.code(), unknown.header(ID).as_deref()), (Code::Unimplemented, Some("pm-4")));
    let health = HealthCheckRequest::default();
    let health = server.raw("oaas.health.HealthService/Check", &[(ID, "pm-5")], &health).await;
    assert_eq!((health.code(), health.header(ID).as_deref()), (Code::Ok, Some("pm-5")));
}

#[tokio::test]
async fn without_a_correlation_id_one_is_made_up() {
    let server = Server::start().await;
    let made = server.raw(&format!("{CANONICAL}/Deploy"), &[], &deploy(unit("a"))).await;
    let id = made.header(ID).unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(server.store.only().metadata.annotations.unwrap()[ANNOTATION_CORRELATION_ID], id);
}

#[tokio::test]
async fn grpc_timeout_bounds_the_call_when_the_store_is_slow() {
    let server = Server::start().await;
    *server.store.latency.lock().unwrap() = Duration::from_secs(30);
    let started = Instant::now();
    let headers = [("grpc-timeout", "200m"), (ID, "pm-1")];
    let answer = server.raw(&format!("{CANONICAL}/Deploy"), &headers, &deploy(unit("a"))).await;
    assert_eq!((answer.code(), answer.header(ID).as_deref()), (Code::DeadlineExceeded, Some("pm-1")));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(server.store.is_empty());
}

#[tokio::test]
async fn grpc_timeout_bounds_all_retries_together_and_the_name_is_free_afterwards() {
    let server = Server::start().await;
    *server.store.every_write.lock().unwrap() = Some(StoreError::Conflict);
    let path = format!("{ALIAS}/Deploy");
    let answer = server.raw(&path, &[("grpc-timeout", "300m")], &deploy(unit("a"))).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
    *server.store.every_write.lock().unwrap() = None;
    assert_eq!(server.raw(&path, &[("grpc-timeout", "5S")], &deploy(unit("a"))).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_call_without_a_timeout_has_one_all_the_same() {
    let options = Options { default_deadline: Duration::from_millis(200), ..Options::default() };
    let server = Server::with_options(options).await;
    *server.store.latency.lock().unwrap() = Duration::from_secs(30);
    let answer = server.raw(&format!("{CANONICAL}/GetDeploymentStatus"), &[], &get("a")).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_timeout_of_zero_is_over_and_one_that_is_none_is_refused() {
    let server = Server::start().await;
    let path = format!("{CANONICAL}/Deploy");
    for timeout in ["soon", "123456789S", "1"] {
        let answer = server.raw(&path, &[("grpc-timeout", timeout)], &deploy(unit("a"))).await;
        assert_eq!(answer.code(), Code::InvalidArgument, "{timeout}");
    }
    *server.store.latency.lock().unwrap() = Duration::from_millis(50);
    let answer = server.raw(&path, &[("grpc-timeout", "0S")], &deploy(unit("a"))).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_the_connection_goes_on() {
    let server = Server::with_options(Options { max_request: 64 << 10, ..Options::default() }).await;
    let mut client = server.client().await;
    let mut large = unit("a");
    large.functions[0].config.insert("A".to_owned(), "x".repeat(128 << 10));
    let status = client.deploy(deploy(large)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("65536 bytes"), "{}", status.message());
    let field = &status.get_details_bad_request().unwrap().field_violations[0].field;
    assert_eq!(field, "deployment_unit");
    let large = "x".repeat(128 << 10);
    let status = client.get_deployment_status(get(&large)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("65536 bytes"), "{}", status.message());
    let mut health = HealthServiceClient::new(server.channel().await);
    let status = health.check(HealthCheckRequest { service: large }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{}", status.message());
    client.deploy(deploy(unit("a"))).await.unwrap();
}

#[tokio::test]
async fn a_panic_is_one_internal_error_and_the_other_calls_of_the_connection_go_on() {
    let server = Server::start().await;
    *server.store.latency.lock().unwrap() = Duration::from_millis(100);
    let mut client = server.client().await;
    let mut other = client.clone();
    let mut bad = unit("a");
    bad.functions[0].image = "panics:1".to_owned();
    let (bad, good) = tokio::join!(client.deploy(deploy(bad)), other.deploy(deploy(unit("b"))));
    assert_eq!(bad.unwrap_err().code(), Code::Internal);
    good.unwrap();
    // The name's lock is free again.
    client.deploy(deploy(unit("a"))).await.unwrap();
}

#[tokio::test]
async fn a_client_of_small_headers_reads_what_is_wrong_whatever_was_sent() {
    let server = Server::start().await;
    // As gRPC's C core has it; a correlation id of its longest comes on top.
    let endpoint = Channel::from_shared(format!("http://{}", server.addr)).unwrap().http2_max_header_list_size(8 << 10);
    let mut client = DeploymentServiceClient::new(endpoint.connect().await.unwrap());
    let long = "\u{1F980} {x}% ".repeat(20_000);
    let mut units = vec![unit("a"); 6];
    units[0].functions = vec![FunctionDeploymentSpec::default(); 60];
    units[1].enforcement = Some(Enforcement { mode: long.clone(), dimensions: vec![long.clone(); 20] });
    units[2].addons = vec![long.clone(); 3];
    units[3].functions[0].config.insert(long.clone(), String::new());
    units[4].functions =
        vec![FunctionDeploymentSpec { function_key: long.clone(), ..units[4].functions[0].clone() }; 2];
    units[5].functions[0].resource_requirements =
        Some(ResourceRequirements { cpu_request: long.clone(), ..ResourceRequirements::default() });
    for unit in units {
        let mut request = tonic::Request::new(deploy(unit.clone()));
        request.metadata_mut().insert("x-correlation-id", "c".repeat(1_024).parse().unwrap());
        let status = client.deploy(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{}", status.message());
        assert!(!status.get_details_bad_request().unwrap().field_violations.is_empty());
    }
    let filter = ListDeploymentRecordsRequest { status: Some(long), ..ListDeploymentRecordsRequest::default() };
    let status = client.list_deployment_records(filter).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{}", status.message());
}

#[tokio::test]
async fn bytes_that_are_no_such_message_are_the_callers_fault() {
    let server = Server::start().await;
    // A unit whose id is said to be longer than the message.
    let broken = Broken { unit: vec![0x0a, 0x7f, b'a'] };
    let answer = server.raw(&format!("{CANONICAL}/Deploy"), &[], &broken).await;
    assert_eq!(answer.code(), Code::InvalidArgument);
    let message = answer.header("grpc-message").unwrap();
    assert!(message.contains("Protobuf") && message.contains("deployment_unit"), "{message}");
    let answer = server.raw(&format!("{CANONICAL}/GetDeploymentStatus"), &[], &Broken { unit: vec![0xff] }).await;
    assert_eq!(answer.code(), Code::InvalidArgument, "an id that is not UTF-8");
    assert!(server.store.is_empty());
}

/// Any bytes as field 1: a message, a text.
#[derive(Clone, PartialEq, prost::Message)]
struct Broken {
    #[prost(bytes = "vec", tag = "1")]
    unit: Vec<u8>,
}

#[tokio::test]
async fn gzip_is_taken_both_ways_and_what_blows_up_is_refused() {
    let server = Server::with_options(Options { max_request: 64 << 10, ..Options::default() }).await;
    let mut client = DeploymentServiceClient::new(server.channel().await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    client.deploy(deploy(unit("a"))).await.unwrap();
    let answer = client.get_deployment_status(get("a")).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
    let mut large = unit("a");
    large.functions[0].config.insert("A".to_owned(), "x".repeat(8 << 20));
    let status = client.deploy(deploy(large)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("65536 bytes"), "{}", status.message());
}
