//! The API server of a test: it answers as it is told, and what it is asked is kept.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Births, Capped, Context, Judgement, Memory};
use crate::cluster::apply::Applier;
use crate::cluster::caches::Caches;
use crate::cluster::events::Recorder;
use crate::decision::{ClusterFacts, Features, Setting};
use crate::policy::{Bundle, Inputs};
use crate::rollout::{Basis, Fixed, Origin, Rollout, load};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

impl Asked {
    /// Whether a field manager applies to an object, by the end of its path.
    pub(crate) fn applies(&self, manager: &str, object: &str) -> bool {
        self.method == "PATCH"
            && self.path.ends_with(object)
            && self.query.split('&').any(|one| one == format!("fieldManager={manager}"))
    }
}

/// What was asked, in order.
pub(crate) type Requests = Arc<Mutex<Vec<Asked>>>;

/// A client of such a server. `answer` is asked with the number of the request, from 0.
pub(crate) fn server(answer: impl Fn(usize, &Asked) -> (u16, Value) + Send + Sync + 'static) -> (Client, Requests) {
    let (requests, answer) = (Requests::default(), Arc::new(answer));
    let kept = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let at = {
                let mut kept = kept.lock().unwrap();
                kept.push(asked.clone());
                kept.len() - 1
            };
            let (status, body) = answer(at, &asked);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

/// A refusal.
pub(crate) fn refused(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason,
        "code": code,
    });
    (code, status)
}

/// What was applied, as it stands then.
pub(crate) fn applied(asked: &Asked) -> (u16, Value) {
    let mut object = asked.body.clone();
    object["metadata"]["uid"] = json!("o-1");
    object["metadata"]["resourceVersion"] = json!("5");
    (200, object)
}

/// What a reconcile works with, over such a client: caches that nothing fills, and the shipped policy in profile edge.
pub(crate) fn context(client: Client) -> Context {
    let inputs = Inputs { profile: "edge".to_owned(), ..Inputs::default() };
    let loaded = load(Origin::Builtin, Bundle::builtin_files(), Vec::new(), &inputs, None).unwrap();
    let features = Features { hpa: true, prometheus: true, nfr_enforcement: true, ..Features::default() };
    let setting = Setting { profile: "edge".to_owned(), features, cluster: ClusterFacts::default() };
    let basis = Basis::new(loaded.policy, loaded.source, setting, &Fixed::default());
    let judgement = Judgement::new(Rollout::new(Arc::new(basis), Timestamp::UNIX_EPOCH), "team");
    let (caches, ..) = Caches::new(&client, None, &ClusterFacts::default());
    Context {
        caches,
        applier: Applier::new(client.clone()),
        recorder: Recorder::new(client, "test"),
        judgement: Arc::new(judgement),
        max_replicas: 20,
        metrics: Arc::default(),
        births: Births::default(),
        capped: Capped::default(),
        grids: Arc::default(),
        memory: Memory::default(),
    }
}
