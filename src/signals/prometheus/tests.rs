#![allow(clippy::unwrap_used)]
use std::io::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::*;

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;

/// A server on this machine that answers everything in one way.
async fn server<F, R>(answer: F) -> SocketAddr
where
    F: Fn(HeaderMap, String, String) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            answer(head.headers, head.uri.path().to_owned(), String::from_utf8(body.to_vec()).unwrap()).await
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn options(url: String) -> PrometheusOptions {
    PrometheusOptions { url, timeout: Duration::from_millis(500), token_file: None, ca_file: None }
}

fn query() -> RangeQuery {
    let (query, lookback) = ("up{namespace=\"n\"}".to_owned(), Duration::from_secs(120));
    RangeQuery { query, start: 30_000, end: 90_500, step: 30_250, lookback }
}

async fn asked(address: SocketAddr) -> Result<Vec<Row>, Fault> {
    Prometheus::new(options(format!("http://{address}"))).unwrap().range(&query()).await
}

async fn fault_of(status: u16, body: &'static str) -> Fault {
    let answer = move |_, _, _| async move { (StatusCode::from_u16(status).unwrap(), body).into_response() };
    asked(server(answer).await).await.unwrap_err()
}

#[tokio::test]
async fn a_query_says_what_and_when_and_how_old_samples_may_be() {
    let address = server(|headers: HeaderMap, path, body| async move {
        let kind = headers.get(header::CONTENT_TYPE).unwrap().to_str().unwrap();
        assert_eq!((path.as_str(), kind), ("/prefix/api/v1/query_range", "application/x-www-form-urlencoded"));
        assert_eq!(
            body,
            "query=up%7Bnamespace%3D%22n%22%7D&start=30.000&end=90.500&step=30.250&timeout=500ms&lookback_delta=120000ms"
        );
        EMPTY.into_response()
    })
    .await;
    for base in ["prefix", "prefix/"] {
        let prometheus = Prometheus::new(options(format!("http://{address}/{base}"))).unwrap();
        assert_eq!(prometheus.range(&query()).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn the_token_is_read_anew_for_each_query() {
    let address = server(|headers: HeaderMap, _, _| async move {
        let token = headers.get(header::AUTHORIZATION).unwrap().to_str().unwrap().to_owned();
        let error = format!(r#"{{"status":"error","errorType":"x","error":"got {token}"}}"#);
        (StatusCode::UNAUTHORIZED, error).into_response()
    })
    .await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let token_file = Some(file.path().to_owned());
    let prometheus = Prometheus::new(PrometheusOptions { token_file, ..options(format!("http://{address}")) }).unwrap();
    for token in ["first", "second"] {
        file.as_file_mut().set_len(0).unwrap();
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        let fault = prometheus.range(&query()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.message.contains(&format!("401: got Bearer {token}; give it a token")), "{fault}");
    }
    std::fs::write(file.path(), "two words\nand lines").unwrap();
    let fault = prometheus.range(&query()).await.unwrap_err();
    assert!(fault.message.contains("OPRC_CRM_PROM_TOKEN_FILE=") && fault.message.contains("holds no token"), "{fault}");
    file.close().unwrap();
    assert_eq!(prometheus.range(&query()).await.unwrap_err().kind, FaultKind::Refused);
}

#[tokio::test]
async fn answers_that_are_none_say_why() {
    for (status, body, kind, words) in [
        (500, "boom", FaultKind::ServerError, "answers 500"),
        (503, r#"{"status":"error","error":"too\nbusy"}"#, FaultKind::ServerError, "answers 503: too busy"),
        (429, "", FaultKind::ServerError, "answers 429"),
        (504, "<html>", FaultKind::Timeout, "answers 504"),
        (
            503,
            r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#,
            FaultKind::Timeout,
            "answers 503: query timed out",
        ),
        (
            422,
            r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#,
            FaultKind::TooBig,
            "answers 422: query processing",
        ),
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points"}"#,
            FaultKind::TooBig,
            "aggregate the query",
        ),
        (400, r#"{"status":"error","error":"parse error"}"#, FaultKind::Refused, "answers 400: parse error"),
        (404, "", FaultKind::Refused, "base URL"),
        (302, "", FaultKind::Refused, "leads elsewhere"),
        (200, "<html>", FaultKind::Garbage, "not what Prometheus' API gives"),
    ] {
        let fault = fault_of(status, body).await;
        assert!(fault.kind == kind && fault.message.contains(words), "{status}: {fault:?}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_too_big() {
    let address = server(|_, _, _| async { EMPTY.into_response() }).await;
    let mut prometheus = Prometheus::new(options(format!("http://{address}"))).unwrap();
    prometheus.largest = EMPTY.len();
    assert_eq!(prometheus.range(&query()).await, Ok(Vec::new()));
    prometheus.largest = EMPTY.len() - 1;
    assert_eq!(prometheus.range(&query()).await.unwrap_err().kind, FaultKind::TooBig);
}

#[tokio::test]
async fn a_server_that_hangs_or_is_away_is_no_data_in_time() {
    let address = server(|_, _, _| std::future::pending()).await;
    let fault = asked(address).await.unwrap_err();
    assert!(fault.kind == FaultKind::Timeout && fault.message.contains("within 500ms"), "{fault:?}");

    let drip = futures::stream::once(async { Ok::<_, std::io::Error>("{") });
    let drip = futures::StreamExt::chain(drip, futures::stream::pending());
    let body = std::sync::Mutex::new(Some(Body::from_stream(drip)));
    let body = std::sync::Arc::new(body);
    let address = server(move |_, _, _| {
        let body = body.lock().unwrap().take();
        async move { body.unwrap().into_response() }
    })
    .await;
    assert_eq!(asked(address).await.unwrap_err().kind, FaultKind::Timeout, "also one that only begins");

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = asked(closed).await.unwrap_err();
    assert!(fault.kind == FaultKind::Unreachable && fault.message.contains("refused"), "{fault:?}");
}

#[tokio::test]
async fn a_clock_that_is_far_off_makes_every_answer_no_data() {
    for (date, words) in [("Thu, 26 Nov 2015 06:00:00 GMT", "behind"), ("Wed, 26 Nov 2098 06:00:00 GMT", "ahead of")] {
        let address = server(move |_, _, _| async move { ([(header::DATE, date)], EMPTY).into_response() }).await;
        let fault = asked(address).await.unwrap_err();
        assert!(fault.kind == FaultKind::ClockSkew && fault.message.contains(words), "{fault:?}");
    }
}

#[test]
fn what_can_never_work_is_an_error_that_names_its_variable() {
    for url in ["not a url", "mailto:x"] {
        let error = Prometheus::new(options(url.to_owned())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("OPRC_CRM_PROM_URL={url}: ")), "{error}");
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"no certificate").unwrap();
    for ca_file in [file.path().to_owned(), "/nowhere/ca.pem".into()] {
        let options = PrometheusOptions { ca_file: Some(ca_file), ..options("http://x".to_owned()) };
        let error = Prometheus::new(options).unwrap_err().to_string();
        assert!(error.starts_with("OPRC_CRM_PROM_CA_FILE="), "{error}");
    }
}
