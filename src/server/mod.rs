//! One listener for everything: HTTP/1.1 and HTTP/2 without TLS, probes and gRPC on one port.

mod readiness;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub use readiness::{DEFAULT_PATIENCE, NotReady, Readiness, Watcher};

/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the server waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long calls that are under way may take to end after the signal.
    pub drain: Duration,
    /// Time between two pings, which find HTTP/2 connections whose other end is gone.
    pub ping_every: Duration,
    /// How long the answer to a ping may take.
    pub ping_answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let [drain, ping_every, ping_answer] = [20, 30, 10].map(Duration::from_secs);
        Self { drain, ping_every, ping_answer }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be listened on.
    #[error("cannot listen on port {port} ({}); set HTTP_PORT to a free port", describe(.source))]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need a right that this process does not have".to_owned(),
        _ => error.to_string(),
    }
}

/// Takes the port, on IPv6 and IPv4 alike where the machine has both. Do this first: without its port the process is
/// of no use. Port 0 means any free one.
pub async fn bind(port: u16) -> Result<TcpListener, ServerError> {
    let dual = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match TcpListener::bind(dual).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6; a port that is taken is taken.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port)))
                .await
                .map_err(|source| ServerError::Bind { port, source })
        }
        Err(source) => Err(ServerError::Bind { port, source }),
    }
}

/// What is served besides the probes.
pub struct Services {
    /// The gRPC services.
    pub grpc: Router,
    /// Pages for people and for Prometheus, such as [`pages`] gives.
    pub pages: Router,
}

/// `/policy` and `/nfr`, as JSON, and `/metrics`, as text of a media type.
pub fn pages<N: serde::Serialize + Send + 'static>(
    policy: impl Fn() -> Value + Clone + Send + Sync + 'static,
    nfr: impl Fn() -> N + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    metrics_type: &'static str,
) -> Router {
    let metrics = move || std::future::ready(([(axum::http::header::CONTENT_TYPE, metrics_type)], metrics()));
    Router::new()
        .route("/policy", get(move || std::future::ready(Json(policy()))))
        .route("/nfr", get(move || std::future::ready(Json(nfr()))))
        .route("/metrics", get(metrics))
}

/// Serves the probes, the pages and the gRPC services until `shutdown`, then lets what is under way end.
///
/// From `shutdown` on nothing new is accepted and `readiness` says so; what is not done in time is cut off.
/// Returns whether everything ended by itself.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    services: Services,
    shutdown: CancellationToken,
    timing: Timing,
) -> bool {
    let Services { grpc, pages } = services;
    let app = probes(readiness.clone()).merge(pages).fallback(move |request| route(grpc, request));
    let connections = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => connection(stream, app.clone(), timing, &connections, cut_off.clone()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    readiness.set_draining();
    tracing::info!(open = connections.count(), "shutting down: letting calls end");
    let ended = tokio::time::timeout(timing.drain, connections.shutdown()).await.is_ok();
    if !ended {
        tracing::warn!(drain = ?timing.drain, "calls still under way are cut off");
        cut_off.cancel();
    }
    ended
}

fn connection(
    stream: TcpStream,
    app: Router,
    timing: Timing,
    connections: &GracefulShutdown,
    cut_off: CancellationToken,
) {
    // Small messages go out at once; failing to say so costs a few milliseconds, no more.
    let _ = stream.set_nodelay(true);
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(timing.ping_every)
        .keep_alive_timeout(timing.ping_answer)
        .max_concurrent_streams(1_024);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended with an error");
                }
            }
            () = cut_off.cancelled() => {}
        }
    });
}

fn probes(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .with_state(readiness)
}

/// gRPC to gRPC; anything else asked for a path that is not there.
async fn route(grpc: Router, request: Request) -> Response {
    let kind = request.headers().get(axum::http::header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return grpc.oneshot(request).await.into_response();
    }
    let help = "not found; here are /healthz, /readyz, /health, /policy, /metrics and gRPC (application/grpc)\n";
    (StatusCode::NOT_FOUND, help).into_response()
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.check() {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
    }
}

async fn health(State(readiness): State<Readiness>) -> (StatusCode, Json<Value>) {
    let version = env!("CARGO_PKG_VERSION");
    match readiness.check() {
        Ok(()) => (StatusCode::OK, Json(json!({"status": "ok", "version": version}))),
        Err(why) => {
            let body = json!({"status": "not ready", "reason": why.to_string(), "version": version});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
