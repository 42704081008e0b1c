//! What a data grid says of itself reaches the status, by a real HTTP endpoint; one that says nothing changes nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use oprc_crm::api::{DeploymentRecordStatus, Phase};
use oprc_crm::app::Surroundings;
use oprc_crm::cluster::grid::HttpProber;
use oprc_crm::grpc::pb::deployment::{OdgmConfig, SummarizedStatus};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::IMAGE;
use crate::idle::settled;
use crate::support::class::{Namespace, SOON, condition};
use crate::support::crm::Crm;
use crate::support::pm::{self, canonical, done, unit};
use crate::support::{self, eventually};

/// How it answers.
#[derive(Clone)]
enum Answer {
    Says(Value),
    Fails(StatusCode, &'static str),
    Hangs,
}

/// The HTTP endpoint of a data grid.
struct Endpoint {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (answers, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let handler = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answers.lock().unwrap().clone();
            async move {
                match answer {
                    Answer::Says(said) => (StatusCode::OK, said.to_string()),
                    Answer::Fails(code, body) => (code, body.to_owned()),
                    Answer::Hangs => std::future::pending().await,
                }
            }
        };
        let router = Router::new().route("/status", get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, answer, asked }
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Waits until it has been asked so many times more.
    async fn asked(&self, more: usize) {
        let from = self.asked.load(Ordering::SeqCst);
        eventually(SOON, &format!("it is asked {more} times"), || async {
            let times = self.asked.load(Ordering::SeqCst) - from;
            if times >= more { Ok(()) } else { Err(times) }
        })
        .await;
    }
}

/// A controller that asks each Service where `locate` says, several times a second.
async fn start(prefix: &str, locate: impl Fn(&str) -> SocketAddr + Send + Sync + 'static) -> (Crm, Namespace) {
    let cluster = support::cluster().await;
    let name = cluster.namespace(prefix).await;
    (start_in(&name, Duration::from_millis(200), locate).await, Namespace::new(cluster.admin(), &name))
}

async fn start_in(
    namespace: &str,
    ask_every: Duration,
    locate: impl Fn(&str) -> SocketAddr + Send + Sync + 'static,
) -> Crm {
    let own = namespace.to_owned();
    let prober = HttpProber::at(move |namespace, service| {
        assert_eq!(namespace, own);
        format!("http://{}", locate(service))
    });
    let surroundings = Surroundings { prober: Arc::new(prober), ask_every, ..Surroundings::default() };
    Crm::start_in(support::cluster().await, namespace, surroundings).await
}

fn spec() -> Value {
    json!({"function": {"image": IMAGE}, "odgm_config": {"collections": ["carts"], "partition_count": 8}})
}

fn says(leader: &Value, healthy: u32, degraded: &[&str]) -> Answer {
    Answer::Says(json!({"leader": leader, "partitions": {"total": 8, "healthy": healthy, "degraded": degraded}}))
}

fn leader(status: &DeploymentRecordStatus) -> Option<&str> {
    status.odgm.as_ref()?.leader.as_deref()
}

fn silent(status: &DeploymentRecordStatus) -> bool {
    status.odgm.as_ref().is_some_and(|odgm| odgm.leader.is_none() && odgm.partitions.is_none())
}

#[tokio::test]
async fn degraded_partitions_degrade_the_class_and_it_recovers_with_them() {
    let endpoint = Endpoint::start(says(&json!("2"), 8, &[])).await;
    let address = endpoint.address;
    let (crm, ns) = start("grid", move |_| address).await;
    let client = canonical(&crm).await;
    let odgm_config = Some(OdgmConfig { collections: vec!["carts".to_owned()], ..OdgmConfig::default() });
    done(&client, oprc_crm::grpc::pb::deployment::DeploymentUnit { odgm_config, ..unit("s", IMAGE) }).await;
    let summary = || async {
        let answer = client.clone().get_deployment_status(pm::get("s")).await.unwrap().into_inner();
        answer.deployment.unwrap().summarized_status.map(|one| SummarizedStatus::try_from(one).unwrap())
    };

    let well = ns.status("s", "its leader is known", |status| leader(status) == Some("2")).await;
    assert_eq!(well.phase, Some(Phase::Available));
    let partitions = well.odgm.unwrap().partitions.unwrap();
    assert_eq!((partitions.total, partitions.healthy, partitions.degraded.len()), (Some(8), Some(8), 0));
    settled(&crm).await;
    let before = crm.writes();
    endpoint.asked(10).await;
    assert_eq!(crm.writes(), before, "the same answer again and again is no news");

    endpoint.set(says(&json!("2"), 6, &["carts/5", "carts/3"]));
    let ill = ns.degraded("s").await;
    let (state, reason, message) = condition(&ill, "Degraded");
    assert_eq!((state, reason), ("True", "OdgmPartitionsDegraded"));
    assert!(message.contains("2 of 8 (carts/3, carts/5)") && message.contains("Deployment s-odgm"), "{message}");
    assert_eq!(condition(&ill, "Available").0, "True", "the functions serve");
    assert_eq!(ill.odgm.unwrap().partitions.unwrap().degraded, ["carts/3", "carts/5"]);
    assert!(ns.event("s", "Degraded").await.contains("carts/3"));
    assert_eq!(summary().await, Some(SummarizedStatus::Degraded));

    endpoint.set(says(&Value::Null, 8, &[]));
    let headless = ns.status("s", "it has no leader", |status| leader(status) == Some("")).await;
    assert_eq!(condition(&headless, "Degraded").1, "OdgmNoLeader");

    endpoint.set(says(&json!(3), 8, &[]));
    let well = ns.available("s").await;
    assert_eq!((leader(&well), condition(&well, "Degraded").0), (Some("3"), "False"));
    assert_eq!(summary().await, Some(SummarizedStatus::Running));
    crm.stop().await;
}

#[tokio::test]
async fn a_data_grid_that_says_nothing_leaves_the_class_available_and_causes_no_write() {
    let not_found = Endpoint::start(Answer::Fails(StatusCode::NOT_FOUND, "not here")).await;
    let garbage = Endpoint::start(Answer::Fails(StatusCode::OK, "<html>hello</html>")).await;
    let hangs = Endpoint::start(Answer::Hangs).await;
    // A port that nobody listens on.
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = ["not-found", "garbage", "hangs", "refused"];
    let addresses = [not_found.address, garbage.address, hangs.address, refused];
    let (crm, ns) = start("grid-silent", move |service| {
        let class = service.strip_suffix("-odgm-svc").unwrap();
        addresses[names.iter().position(|name| *name == class).unwrap()]
    })
    .await;
    for name in names {
        ns.apply(name, spec()).await;
    }
    for name in names {
        ns.available(name).await;
    }
    settled(&crm).await;
    let before = crm.writes();
    for endpoint in [&hangs, &not_found, &garbage] {
        endpoint.asked(5).await;
    }
    assert_eq!(crm.writes(), before);
    for name in names {
        let status = ns.available(name).await;
        assert!(silent(&status), "{name}: {:?}", status.odgm);
        assert_eq!(condition(&status, "Degraded").0, "False", "{name}");
    }
    crm.stop().await;
}

#[tokio::test]
async fn what_a_data_grid_said_is_forgotten_when_it_falls_silent_and_kept_over_a_restart() {
    let endpoint = Endpoint::start(says(&json!("1"), 7, &["carts/0"])).await;
    let address = endpoint.address;
    let (crm, ns) = start("grid-forgets", move |_| address).await;
    ns.apply("s", spec()).await;
    let ill = ns.degraded("s").await;
    assert_eq!(leader(&ill), Some("1"));
    settled(&crm).await;
    crm.stop().await;

    let version = || async { ns.records().get("s").await.unwrap().metadata.resource_version };
    let before = version().await;
    let crm = start_in(&ns.name, Duration::from_secs(3600), move |_| address).await;
    settled(&crm).await;
    assert_eq!(version().await, before, "a controller that has not asked yet says what was said");
    crm.stop().await;

    let crm = start_in(&ns.name, Duration::from_millis(200), move |_| address).await;
    endpoint.asked(4).await;
    settled(&crm).await;
    assert_eq!(version().await, before, "and the same answer is no news");
    endpoint.set(Answer::Fails(StatusCode::SERVICE_UNAVAILABLE, "restarting"));
    let status = ns.available("s").await;
    assert!(silent(&status), "{:?}", status.odgm);
    crm.stop().await;
}
