//! The running controller: everything wired together, started in order, ended in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;

use crate::cluster::apply::Applier;
use crate::cluster::caches::Caches;
use crate::cluster::events::Recorder;
use crate::cluster::keeper::Keeper;
use crate::cluster::{KubeRecords, discovery, heartbeat};
use crate::config::{Config, Namespaces};
use crate::controller::{self, Births, Context, Judgement, Loader, Looks, Memory, Options, Relook, RolloutLoop, Voice};
use crate::decision::{ClusterFacts, Setting};
use crate::grpc::{self, ServicesError};
use crate::policy::{Diagnostics, Inputs, Watched};
use crate::rollout::{self, Basis, Health, Loaded, Origin, Rollout};
use crate::server::{self, Readiness, Services};
use crate::telemetry::metrics::{self, Metrics};

/// How often optional kinds and nodes are looked for.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

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
    /// The gRPC services cannot be put together.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A part that runs for ever has ended.
    #[error("the controller's loop has ended; this is a fault of the program")]
    LoopEnded,
}

/// How often the kept state of the policy is asked for, where the policy's own files are of no use.
const RECALLS: u32 = 5;
/// Pause between two of these.
const RECALL_PAUSE: Duration = Duration::from_secs(2);

/// What makes policies for a configuration, and where from: the directory that it names, else the binary.
fn loader(config: &Config) -> (Loader, Option<Watched>) {
    let inputs = Inputs { profile: config.profile.name().to_owned(), environment: config.environment.clone() };
    let loader = Loader { inputs, commit: config.policy_commit.clone(), odgm_image: config.odgm_image.clone() };
    (loader, config.policy_dir.as_deref().map(Watched::new))
}

/// The policy as it stands there now.
fn first(loader: &Loader, watched: Option<&mut Watched>) -> Result<Loaded, Diagnostics> {
    match watched {
        None => loader.load(Origin::Builtin, None),
        Some(watched) => {
            let files = watched.read()?;
            loader.load(Origin::Directory(watched.dir().display().to_string()), Some(files))
        }
    }
}

/// The policy that held when the program last ran, where the present one does not load.
async fn last_good(keeper: &mut Keeper, found: Diagnostics) -> Result<(Arc<Basis>, Diagnostics), AppError> {
    let mut tries = 1;
    loop {
        match keeper.read().await {
            Ok(Some(bytes)) => match rollout::decode(&bytes) {
                Ok(state) => return Ok((Arc::clone(state.target()), found)),
                Err(error) => {
                    return Err(AppError::NoLastGood { found, place: keeper.place(), error: error.to_string() });
                }
            },
            Ok(None) => return Err(AppError::Policy(found)),
            Err(error) if tries >= RECALLS || !error.is_transient() => {
                return Err(AppError::NoLastGood { found, place: keeper.place(), error: error.to_string() });
            }
            Err(_) => {
                tries += 1;
                tokio::time::sleep(RECALL_PAUSE).await;
            }
        }
    }
}

/// Runs the controller and its server on `listener` until `shutdown`, then drains.
pub async fn run(
    config: Config,
    client: Client,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    run_with(config, client, listener, Readiness::default(), shutdown).await
}

/// As [`run`], with a readiness (and its patience) of the caller's.
pub async fn run_with(
    config: Config,
    client: Client,
    listener: TcpListener,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    let (loader, mut watched) = loader(&config);
    let mut keeper = Keeper::new(client.clone(), own_namespace(&config));
    let cluster = discovery::look(&client).await;
    let (wanted, failed) = match first(&loader, watched.as_mut()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("policy: {warning}");
            }
            let profile = config.profile.name().to_owned();
            let setting = Setting { profile, features: config.features, cluster };
            (Arc::new(loader.basis(&loaded, setting)), None)
        }
        Err(found) => last_good(&mut keeper, found).await.map(|(basis, found)| (basis, Some(found)))?,
    };
    tracing::info!(revision = wanted.policy().revision(), profile = config.profile.name(), "policy loaded");
    let judgement =
        Arc::new(Judgement::new(Rollout::new(Arc::clone(&wanted), Timestamp::now()), &config.deploy_namespace));
    judgement.set_health(Health { kept_in: keeper.place(), ..Health::default() });
    let metrics = Arc::new(Metrics::default());

    let namespace = match &config.namespace {
        Namespaces::All => None,
        Namespaces::One(name) => Some(name.as_str()),
    };
    let (caches, watches) = Caches::new(&client, namespace);
    let (all, one) = (mpsc::channel(1), mpsc::unbounded_channel());
    let (tell, facts) = watch::channel(cluster);
    let mut tasks = JoinSet::new();
    tasks.spawn(synced(caches.clone(), Arc::clone(&judgement), readiness.clone(), shutdown.clone()));
    tasks.spawn(discover(client.clone(), tell, shutdown.clone()));
    tasks.spawn(heartbeat(client.clone(), readiness.clone(), shutdown.clone()));

    let recorder = Recorder::new(client.clone(), instance(&config));
    let voice = Voice::new(client.clone(), recorder.clone(), own_namespace(&config), pod(&config), keeper.reference());
    let policy = RolloutLoop {
        judgement: Arc::clone(&judgement),
        caches: caches.clone(),
        keeper,
        voice,
        metrics: Arc::clone(&metrics),
        loader,
        watched,
        facts,
        relook: Relook { all: all.0, one: one.0 },
        wanted,
        failed,
    };
    let policy = tokio::spawn(policy.run(shutdown.clone()));
    let context = Arc::new(Context {
        caches,
        applier: Applier::new(client.clone()),
        recorder,
        judgement: Arc::clone(&judgement),
        metrics: Arc::clone(&metrics),
        births: Births::default(),
        memory: Memory::default(),
    });
    let options = Options { concurrency: config.concurrency };
    let looks = Looks { all: ReceiverStream::new(all.1), one: UnboundedReceiverStream::new(one.1) };
    let mut control = tokio::spawn(controller::run(context, watches, looks, options, shutdown.clone()));

    let store = Arc::new(KubeRecords::new(client, &config.deploy_namespace));
    let grpc = grpc::services(store, Arc::clone(&judgement), &readiness, grpc::Options::default())?;
    let pages = server::pages(move || judgement.page(), move || metrics.text(), metrics::CONTENT_TYPE);
    let services = Services { grpc, pages };
    let serving = server::serve(listener, readiness, services, shutdown.clone(), server::DRAIN);
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
    drop(policy.await);
    tasks.shutdown().await;
    result
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
async fn discover(client: Client, tell: watch::Sender<ClusterFacts>, shutdown: CancellationToken) {
    loop {
        if shutdown.run_until_cancelled(tokio::time::sleep(DISCOVERY_INTERVAL)).await.is_none() {
            return;
        }
        let found = discovery::look(&client).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Config, first, loader};

    #[test]
    fn the_policy_tells_the_commit_and_the_environment_that_the_configuration_names() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let revision = |environment: &[(String, String)]| {
            let config = Config::from_environment(&environment.iter().cloned().collect()).unwrap();
            let (loader, mut watched) = loader(&config);
            first(&loader, watched.as_mut()).unwrap().policy.revision().to_owned()
        };
        let plain = revision(&[]);
        let commit = pair("OPRC_CRM_POLICY_COMMIT", "9f2c1d7be0048888");
        assert_eq!(revision(std::slice::from_ref(&commit)), format!("{plain}@9f2c1d7be004"));
        let both = revision(&[commit, pair("OPRC_CRM_LIMITS_MAX_REPLICAS", "5")]);
        assert!(both.starts_with(&format!("{plain}+")) && both.ends_with("@9f2c1d7be004"), "{both}");
    }
}
