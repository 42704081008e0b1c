//! Asks by HTTP. Bounded in time and size, without redirects, proxies or connections that stay.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{GridHealth, Prober, answer};
use crate::render::ODGM_PORT;

/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer, bytes; the same for its head.
const MAX_BODY: usize = 64 * 1024;
/// Where a data grid tells of itself.
const PATH: &str = "/status";

/// From namespace and name of a Service to a URL without a path.
type Locate = dyn Fn(&str, &str) -> String + Send + Sync;

/// Asks by HTTP.
pub struct HttpProber {
    client: Client<HttpConnector, Empty<Bytes>>,
    locate: Box<Locate>,
}

impl HttpProber {
    /// Asks each Service by its name in the cluster.
    pub fn in_cluster() -> Self {
        Self::at(|namespace, service| format!("http://{service}.{namespace}.svc:{ODGM_PORT}"))
    }

    /// Asks where `locate` says: from namespace and name of the Service to a URL without a path.
    pub fn at(locate: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        // A connection of its own each time: a Service leads it to another pod, and one that stays would keep a pod that is
        // on its way out.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_BODY)
            .build(connector);
        Self { client, locate: Box::new(locate) }
    }

    async fn body(&self, namespace: &str, service: &str) -> Option<Bytes> {
        let uri = format!("{}{PATH}", (self.locate)(namespace, service));
        let request = http::Request::get(uri).header(header::ACCEPT, "application/json").body(Empty::new()).ok()?;
        let response = self.client.request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        Some(Limited::new(response.into_body(), MAX_BODY).collect().await.ok()?.to_bytes())
    }
}

#[async_trait]
impl Prober for HttpProber {
    async fn ask(&self, namespace: &str, service: &str) -> Option<GridHealth> {
        let body = tokio::time::timeout(TIMEOUT, self.body(namespace, service)).await.ok()??;
        answer::read(&body)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{HttpProber, MAX_BODY, Prober, TIMEOUT};
    use crate::cluster::grid::GridHealth;

    /// A server that answers every connection with these bytes and then closes it; or never, where it hangs.
    async fn server(answer: Vec<u8>, hangs: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap();
                    let head = String::from_utf8_lossy(request.get(..read).unwrap_or_default()).into_owned();
                    assert!(head.starts_with("GET /status HTTP/1.1\r\n"), "{head}");
                    stream.write_all(&answer).await.unwrap();
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        address
    }

    async fn ask(address: SocketAddr) -> Option<GridHealth> {
        let prober = HttpProber::at(move |namespace, service| {
            assert_eq!((namespace, service), ("team", "a-odgm-svc"));
            format!("http://{address}")
        });
        prober.ask("team", "a-odgm-svc").await
    }

    fn response(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn an_answer_is_read() {
        let health = ask(server(response("200 OK", r#"{"leader": "2"}"#), false).await).await.unwrap();
        assert_eq!(health.leader.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_silence() {
        let said = r#"{"leader": "2"}"#;
        for wrong in [
            response("404 Not Found", said),
            response("500 Internal Server Error", said),
            response("302 Found\r\nlocation: /other", said),
            response("200 OK", "<html>"),
            response("200 OK", &format!("{{\"leader\": \"{}\"}}", "x".repeat(MAX_BODY))),
            b"SSH-2.0-x\r\n".to_vec(),
            Vec::new(),
        ] {
            let shown = String::from_utf8_lossy(wrong.get(..wrong.len().min(60)).unwrap_or_default()).into_owned();
            assert_eq!(ask(server(wrong, false).await).await, None, "{shown}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(ask(refused).await, None);
    }

    #[tokio::test]
    async fn one_that_hangs_before_or_within_its_answer_is_waited_for_no_longer_than_agreed() {
        for begun in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"lea"] {
            let address = server(begun.to_vec(), true).await;
            let start = Instant::now();
            assert_eq!(ask(address).await, None);
            assert!(start.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}", start.elapsed());
        }
    }
}
