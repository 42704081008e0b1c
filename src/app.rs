//! The running controller: everything wired together, started in order, ended in order.

mod log;
mod nfr;
mod policy;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;

use crate::analyzer::Page;
use crate::audit::{DecisionLog, LogError};
use crate::cluster::apply::Applier;
use crate::cluster::caches::Caches;
use crate::cluster::events::Recorder;
use crate::cluster::grid::{HttpProber, Prober};
use crate::cluster::keeper::Keeper;
use crate::cluster::nodes::Nodes;
use crate::cluster::record::RawRecord;
use crate::cluster::right::Right;
use crate::cluster::{KubeRecords, discovery, heartbeat};
use crate::config::{Config, GrpcPayload, Namespaces};
use crate::controller::{
    self, Births, Capped, Context, GridLoop, Judgement, Looks, Memory, Options, Relook, RolloutLoop, Voice,
};
use crate::decision::ClusterFacts;
use crate::grpc::{self, InfoOptions, Payload, ServicesError};
use crate::policy::Diagnostics;
use crate::server::{self, Readiness, Services, Timing};
use crate::signals::PrometheusError;
use crate::telemetry::metrics::{self, Metrics};
use policy::First;
pub(crate) use policy::fixed;

/// How often optional kinds and nodes are looked for.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// How often data grids are asked how they are.
const GRID_INTERVAL: Duration = Duration::from_secs(15);

/// Why the controller could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The policy bundle does not load.
    #[error("the policy bundle does not load, and none is kept that could run instead:\n{0}")]
    Policy(Diagnostics),
    /// The policy bundle does not load, and the one that is kept can't be had.
    #[error("the policy bundle does not load:\n{found}\n\nand the last good one ({place}) can't be used: {error}")]
    NoLastGood {
        /// What is wrong with the bundle.
        found: Diagnostics,
        /// Where the last good one is kept.
        place: String,
        /// Why it can't be used.
        error: String,
    },
    /// Prometheus can't be asked.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The decision log can't be opened.
    #[error("OPRC_CRM_DECISION_LOG: {0}")]
    DecisionLog(#[from] LogError),
    /// The gRPC services cannot be put together.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A part that runs for ever has ended.
    #[error("the controller's loop has ended; this is a fault of the program")]
    LoopEnded,
}

/// Runs the controller and its server on `listener` until `shutdown`, then drains.
pub async fn run(
    config: Config,
    client: Client,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    run_with(config, client, listener, Surroundings::default(), shutdown).await
}

/// What is around the controller besides the API server.
pub struct Surroundings {
    /// Readiness, and its patience.
    pub readiness: Readiness,
    /// Who asks data grids how they are.
    pub prober: Arc<dyn Prober>,
    /// How often they are asked.
    pub ask_every: Duration,
    /// The right of the NFR loop to write.
    pub right: Right,
    /// How often optional kinds and nodes are looked for.
    pub discover_every: Duration,
}

impl Default for Surroundings {
    fn default() -> Self {
        let prober = Arc::new(HttpProber::in_cluster());
        Self {
            readiness: Readiness::default(),
            prober,
            ask_every: GRID_INTERVAL,
            right: Right::default(),
            discover_every: DISCOVERY_INTERVAL,
        }
    }
}

/// As [`run`], with surroundings of the caller's.
pub async fn run_with(
    config: Config,
    client: Client,
    listener: TcpListener,
    surroundings: Surroundings,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    let Surroundings { readiness, prober, ask_every, right, discover_every } = surroundings;
    let sight = nfr::sight(&config)?;
    let metrics = Arc::new(Metrics::default());
    let log = log::open(&config, &metrics)?;
    let mut keeper = Keeper::new(client.clone(), own_namespace(&config));
    let cluster = discovery::look(&client).await;
    let first = First::find(&config, cluster, &mut keeper).await?;
    let judgement = first.judgement(&config, &keeper);
    let namespace = match &config.namespace {
        Namespaces::All => None,
        Namespaces::One(name) => Some(name.as_str()),
    };
    let (caches, watches, feeds) = Caches::new(&client, namespace, &cluster);
    let listed = caches.clone();
    let context = Arc::new(Context {
        caches: caches.clone(),
        applier: Applier::new(client.clone()),
        recorder: Recorder::new(client.clone(), instance(&config)),
        judgement: Arc::clone(&judgement),
        max_replicas: config.max_replicas,
        metrics: Arc::clone(&metrics),
        births: Births::default(),
        capped: Capped::default(),
        grids: Arc::default(),
        memory: Memory::default(),
    });
    let (tell, facts) = watch::channel(cluster);
    let (relook, looks) = looks();
    let relook_at = relook.one.clone();
    let grids = Arc::clone(&context.grids);
    let grids = GridLoop { caches: caches.clone(), grids, prober, every: ask_every, relook: relook.one.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(synced(caches, Arc::clone(&judgement), readiness.clone(), shutdown.clone()));
    tasks.spawn(feeds.run(facts.clone(), shutdown.clone()));
    tasks.spawn(grids.run(shutdown.clone()));
    tasks.spawn(discover(client.clone(), discover_every, tell, shutdown.clone()));
    tasks.spawn(heartbeat(client.clone(), readiness.clone(), shutdown.clone()));
    tasks.spawn(rollout(&config, &client, &context, first, keeper, facts, relook).run(shutdown.clone()));
    let page = Page::default();
    let shared = nfr::Shared { relook: relook_at, log: Arc::clone(&log), page: page.clone(), right };
    nfr::spawn(&config, &client, (&context, shared), sight, &mut tasks, &shutdown);
    let options = Options { concurrency: config.concurrency };
    let mut control = tokio::spawn(controller::run(context, watches, looks, options, shutdown.clone()));

    let pages = pages(Arc::clone(&judgement), metrics, Arc::clone(&log), page);
    let services = services(&config, client, &listed, &judgement, pages, &readiness)?;
    let serving = server::serve(listener, readiness, services, shutdown.clone(), Timing::default());
    tokio::pin!(serving);
    let result = tokio::select! {
        _ = &mut serving => Ok(()),
        _ = &mut control => Err(AppError::LoopEnded),
    };
    let result = if shutdown.is_cancelled() && result.is_err() {
        // The loop was done before the last call is.
        serving.await;
        Ok(())
    } else {
        result
    };
    shutdown.cancel();
    // Reconciles that have begun are brought to their end.
    if !control.is_finished() {
        drop(control.await);
    }
    // The roll-out keeps before it acts, so it may be cut off anywhere.
    tasks.shutdown().await;
    log::close(log).await;
    result
}

/// `/policy`, `/nfr` and `/metrics`.
fn pages(judgement: Arc<Judgement>, metrics: Arc<Metrics>, log: Arc<DecisionLog>, nfr: Page) -> Router {
    let policy = move || {
        let mut page = judgement.page();
        if let Some(fields) = page.as_object_mut() {
            fields.insert("decision_log".to_owned(), log.page());
        }
        page
    };
    server::pages(policy, move || nfr.whole(), move || metrics.text(), metrics::CONTENT_TYPE)
}

fn services(
    config: &Config,
    client: Client,
    caches: &Caches,
    judgement: &Arc<Judgement>,
    pages: Router,
    readiness: &Readiness,
) -> Result<Services, ServicesError> {
    let counter = Arc::new(Nodes::new(client.clone()));
    let store = Arc::new(records(config, client, caches));
    let grpc = grpc::services(store, Arc::clone(judgement), counter, readiness, grpc_options(config))?;
    Ok(Services { grpc, pages })
}

/// With leader election there are other replicas, which take Deploys too.
fn records(config: &Config, client: Client, caches: &Caches) -> KubeRecords {
    let records = KubeRecords::new(client, &config.deploy_namespace);
    if config.features.leader_election { records } else { records.cached(caches) }
}

fn grpc_options(config: &Config) -> grpc::Options {
    let payload = match config.grpc_payload {
        GrpcPayload::Oclass => Payload::Oclass,
        GrpcPayload::Unit => Payload::Unit,
    };
    let info = InfoOptions { env: config.deploy_namespace.clone(), mock_availability: config.mock_availability };
    grpc::Options { payload, info, ..grpc::Options::default() }
}

fn rollout(
    config: &Config,
    client: &Client,
    context: &Context,
    first: First,
    keeper: Keeper,
    facts: watch::Receiver<ClusterFacts>,
    relook: Relook,
) -> RolloutLoop {
    let First { loader, lookout, wanted, failed } = first;
    RolloutLoop {
        judgement: Arc::clone(&context.judgement),
        caches: context.caches.clone(),
        voice: Voice::new(client.clone(), context.recorder.clone(), own_namespace(config), pod(config)),
        metrics: Arc::clone(&context.metrics),
        keeper,
        loader,
        lookout,
        facts,
        relook,
        wanted,
        failed,
    }
}

type Lookups = Looks<ReceiverStream<()>, UnboundedReceiverStream<ObjectRef<RawRecord>>>;

fn looks() -> (Relook, Lookups) {
    let ((all, looks_at_all), (one, looks_at_one)) = (mpsc::channel(1), mpsc::unbounded_channel());
    let looks = Looks { all: ReceiverStream::new(looks_at_all), one: UnboundedReceiverStream::new(looks_at_one) };
    (Relook { all, one }, looks)
}

/// The namespace that the controller runs in; outside a cluster the one that it writes to.
fn own_namespace(config: &Config) -> &str {
    let stated = config.environment.get("POD_NAMESPACE").map(|name| name.trim()).filter(|name| !name.is_empty());
    stated.unwrap_or(&config.deploy_namespace)
}

fn pod(config: &Config) -> Option<String> {
    config.environment.get("POD_NAME").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Name of this instance in Events: its pod, else a fixed name.
fn instance(config: &Config) -> String {
    pod(config).unwrap_or_else(|| crate::api::MANAGED_BY.to_owned())
}

async fn synced(caches: Caches, judgement: Arc<Judgement>, readiness: Readiness, shutdown: CancellationToken) {
    let filled = shutdown.run_until_cancelled(caches.synced()).await;
    if !matches!(filled, Some(Ok(()))) {
        return;
    }
    tracing::info!("caches are synced");
    if matches!(shutdown.run_until_cancelled(judgement.begun()).await, Some(Ok(()))) {
        readiness.set_synced();
    }
}

/// Looks for optional kinds and nodes and tells what it found.
async fn discover(client: Client, every: Duration, tell: watch::Sender<ClusterFacts>, shutdown: CancellationToken) {
    loop {
        if shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
        // A kind that can't be asked about for a moment has not gone.
        let known = *tell.borrow();
        let found = discovery::look(&client).await;
        let found = ClusterFacts {
            service_monitor: found.service_monitor.or(known.service_monitor),
            pod_monitor: found.pod_monitor.or(known.pod_monitor),
            ..found
        };
        let news = tell.send_if_modified(|known| {
            let news = *known != found;
            *known = found;
            news
        });
        if news {
            tracing::info!(?found, "the cluster has changed");
        }
    }
}
