//! Faults on the way to the API server: a layer under the operator's client, which also counts what passes.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use kube::client::Body;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
type Matches = Box<dyn Fn(&Seen) -> bool + Send>;

/// What happens instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A Status of the API server: code, reason, and when to try again (seconds).
    Status(u16, &'static str, Option<u32>),
    /// No answer, ever.
    Hang,
    /// The connection breaks.
    Broken,
}

/// What rules look at.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
}

impl Seen {
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }
}

/// Which faults happen, and a count of requests. Clones share both.
#[derive(Clone, Default)]
pub struct Faults(Arc<State>);

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    writes: AtomicUsize,
    injected: AtomicUsize,
    rules: Mutex<Vec<Rule>>,
    watches: Mutex<CancellationToken>,
}

struct Rule {
    left: usize,
    fault: Fault,
    matches: Matches,
}

impl Faults {
    /// The next `times` requests that match meet this fault; rules apply in the order in which they were given.
    pub fn inject(&self, times: usize, fault: Fault, matches: impl Fn(&Seen) -> bool + Send + 'static) {
        self.0.rules.lock().unwrap().push(Rule { left: times, fault, matches: Box::new(matches) });
    }

    /// No more faults.
    pub fn clear(&self) {
        self.0.rules.lock().unwrap().clear();
    }

    /// Ends every watch that is open.
    pub fn drop_watches(&self) {
        std::mem::take(&mut *self.0.watches.lock().unwrap()).cancel();
    }

    /// Requests so far, with those that met a fault.
    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Write requests so far, with those that met a fault.
    pub fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Faults so far.
    pub fn injected(&self) -> usize {
        self.0.injected.load(Ordering::SeqCst)
    }

    fn meet(&self, seen: &Seen) -> Option<Fault> {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        if seen.is_write() {
            self.0.writes.fetch_add(1, Ordering::SeqCst);
        }
        let mut rules = self.0.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(seen))?;
        rule.left -= 1;
        self.0.injected.fetch_add(1, Ordering::SeqCst);
        Some(rule.fault.clone())
    }
}

impl<S> Layer<S> for Faults {
    type Service = FaultService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FaultService { inner, faults: self.clone() }
    }
}

/// See [`Faults`].
pub struct FaultService<S> {
    inner: S,
    faults: Faults,
}

impl<S, B> Service<Request<Body>> for FaultService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body_util::BodyExt<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default().to_owned();
        let seen = Seen { method: request.method().clone(), path: uri.path().to_owned(), query };
        match self.faults.meet(&seen) {
            Some(Fault::Status(code, reason, retry)) => Box::pin(async move { Ok(status(code, reason, retry)) }),
            Some(Fault::Hang) => Box::pin(std::future::pending()),
            Some(Fault::Broken) => Box::pin(async { Err("connection reset by the test".into()) }),
            None => {
                let dropped = self.faults.0.watches.lock().unwrap().clone();
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let (parts, body) = answer.await?.into_parts();
                    let body = body.map_err(Into::into);
                    let body = if seen.is_watch() {
                        let frames = BodyStream::new(body).take_until(dropped.cancelled_owned());
                        StreamBody::new(frames).boxed_unsync()
                    } else {
                        body.boxed_unsync()
                    };
                    Ok(Response::from_parts(parts, body))
                })
            }
        }
    }
}

/// As the API server words it.
fn status(code: u16, reason: &str, retry: Option<u32>) -> Response<AnswerBody> {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "injected by the test",
    });
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if let Some(seconds) = retry {
        body["details"] = json!({"retryAfterSeconds": seconds});
        response = response.header("retry-after", seconds.to_string());
    }
    response.body(Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync()).unwrap()
}
