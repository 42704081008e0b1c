//! The real server on a real TCP port, and a raw client that shows headers and trailers as they are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use oprc_crm::grpc::pb::deployment::{
    DeployRequest, DeploymentUnit, FunctionDeploymentSpec, deployment_service_client::DeploymentServiceClient,
};
use oprc_crm::grpc::{self, NodeCounter, Options};
use oprc_crm::server::{self, Readiness, Timing};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::memory::{ByImage, Counted, Memory};

pub const CANONICAL: &str = "deployment.DeploymentService";
pub const ALIAS: &str = "oaas.deployment.DeploymentService";

pub struct Server {
    pub addr: SocketAddr,
    pub store: Arc<Memory>,
    pub nodes: Arc<Counted>,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<bool>,
}

/// What a call answered: headers and trailers together.
pub struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn code(&self) -> tonic::Code {
        let code = self.header("grpc-status").expect("an answer has a grpc-status");
        tonic::Code::from_bytes(code.as_bytes())
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Options::default(), Timing { drain: Duration::from_secs(10), ..Timing::default() }).await
    }

    pub async fn with_options(options: Options) -> Self {
        Self::with(options, Timing::default()).await
    }

    pub async fn with(options: Options, timing: Timing) -> Self {
        let store = Arc::new(Memory::default());
        let nodes = Arc::new(Counted::default());
        let readiness = Readiness::new(Duration::from_millis(300));
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let counter = Arc::clone(&nodes) as Arc<dyn NodeCounter>;
        let services = grpc::services(Arc::clone(&store), Arc::new(ByImage), counter, &readiness, options).unwrap();
        let services = server::Services { grpc: services, pages: axum::Router::new() };
        let ended = tokio::spawn(server::serve(listener, readiness.clone(), services, shutdown.clone(), timing));
        Self { addr, store, nodes, readiness, shutdown, ended }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    pub async fn client(&self) -> DeploymentServiceClient<Channel> {
        DeploymentServiceClient::new(self.channel().await)
    }

    /// A unary call with nothing between the test and the frames.
    pub async fn raw(&self, path: &str, headers: &[(&'static str, &str)], message: &impl Message) -> Answer {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
        let mut request = Request::post(format!("http://{}/{path}", self.addr))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = client.request(request.body(Full::new(frame(message))).unwrap()).await.unwrap();
        let mut all = response.headers().clone();
        let collected = response.into_body().collect().await.unwrap();
        all.extend(collected.trailers().cloned().unwrap_or_default());
        Answer { headers: all, body: collected.to_bytes() }
    }

    /// A GET by HTTP/1.1: status code and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let code = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (code, body.to_owned())
    }
}

/// Waits until something holds, and not for ever.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn frame(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(body.len()).unwrap());
    frame.put_slice(&body);
    frame.freeze()
}

pub fn unit(id: &str) -> DeploymentUnit {
    let function = FunctionDeploymentSpec {
        function_key: "f".to_owned(),
        image: "example/img:1".to_owned(),
        ..FunctionDeploymentSpec::default()
    };
    DeploymentUnit { id: id.to_owned(), functions: vec![function], ..DeploymentUnit::default() }
}

pub fn deploy(unit: DeploymentUnit) -> DeployRequest {
    DeployRequest { deployment_unit: Some(unit) }
}
