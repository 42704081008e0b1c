//! The running controller: everything wired together, started in order, ended in order.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::apply::Applier;
use crate::cluster::caches::Caches;
use crate::cluster::events::Recorder;
use crate::cluster::{KubeRecords, discovery, heartbeat};
use crate::config::{Config, Namespaces};
use crate::controller::{self, Births, Context, Judgement, Memory, Options};
use crate::decision::Setting;
use crate::grpc::{self, ServicesError};
use crate::policy::{Diagnostics, Inputs, Policy};
use crate::render::RenderSettings;
use crate::server::{self, Readiness};

/// How often optional kinds and nodes are looked for.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// Why the controller could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The policy bundle does not load.
    #[error("the policy bundle does not load:\n{0}")]
    Policy(#[from] Diagnostics),
    /// The gRPC services cannot be put together.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A part that runs for ever has ended.
    #[error("the controller's loop has ended; this is a fault of the program")]
    LoopEnded,
}

/// Loads the policy that a configuration asks for: the directory that it names, else the compiled-in bundle.
/// Warnings are logged.
pub fn load_policy(config: &Config) -> Result<Policy, Diagnostics> {
    let inputs = Inputs { profile: config.profile.name().to_owned(), environment: config.environment.clone() };
    let commit = config.policy_commit.as_deref();
    let Some(directory) = &config.policy_dir else {
        return Policy::builtin(&inputs).map(|policy| policy.with_commit(commit));
    };
    let (policy, warnings) = Policy::load(directory, &inputs)?;
    for warning in warnings {
        tracing::warn!("policy: {warning}");
    }
    Ok(policy.with_commit(commit))
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
    let policy = load_policy(&config)?;
    tracing::info!(revision = policy.revision(), profile = config.profile.name(), "policy loaded");
    let setting = Setting {
        profile: config.profile.name().to_owned(),
        features: config.features,
        cluster: discovery::look(&client).await,
    };
    let judgement = Arc::new(Judgement::new(policy, setting));

    let namespace = match &config.namespace {
        Namespaces::All => None,
        Namespaces::One(name) => Some(name.as_str()),
    };
    let (caches, watches) = Caches::new(&client, namespace);
    let (relook, relooks) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(synced(caches.clone(), readiness.clone(), shutdown.clone()));
    tasks.spawn(discover(client.clone(), Arc::clone(&judgement), relook, shutdown.clone()));
    tasks.spawn(heartbeat(client.clone(), readiness.clone(), shutdown.clone()));

    let context = Arc::new(context(&config, &client, caches, Arc::clone(&judgement)));
    let options = Options { concurrency: config.concurrency };
    let relooks = stream::unfold(relooks, |mut relooks| async { relooks.recv().await.map(|item| (item, relooks)) });
    let mut control = tokio::spawn(controller::run(context, watches, relooks, options, shutdown.clone()));

    let store = Arc::new(KubeRecords::new(client, &config.deploy_namespace));
    let services = grpc::services(store, judgement, &readiness, grpc::Options::default())?;
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
    tasks.shutdown().await;
    result
}

fn context(config: &Config, client: &Client, caches: Caches, judgement: Arc<Judgement>) -> Context {
    Context {
        caches,
        applier: Applier::new(client.clone()),
        recorder: Recorder::new(client.clone(), instance(config)),
        judgement,
        render: RenderSettings { odgm_image: config.odgm_image.clone() },
        births: Births::default(),
        memory: Memory::default(),
    }
}

/// Name of this instance in Events: its pod, else a fixed name.
fn instance(config: &Config) -> String {
    config.environment.get("POD_NAME").cloned().unwrap_or_else(|| crate::api::MANAGED_BY.to_owned())
}

async fn synced(caches: Caches, readiness: Readiness, shutdown: CancellationToken) {
    let filled = shutdown.run_until_cancelled(caches.synced()).await;
    if matches!(filled, Some(Ok(()))) {
        readiness.set_synced();
        tracing::info!("caches are synced");
    }
}

/// Looks for optional kinds and nodes; what is news makes every record be looked at again.
async fn discover(client: Client, judgement: Arc<Judgement>, relook: mpsc::Sender<()>, shutdown: CancellationToken) {
    loop {
        if shutdown.run_until_cancelled(tokio::time::sleep(DISCOVERY_INTERVAL)).await.is_none() {
            return;
        }
        let found = discovery::look(&client).await;
        if judgement.learn(found) {
            tracing::info!(?found, "the cluster has changed");
            // A full channel means that a look is due anyway.
            let _ = relook.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Config, load_policy};

    #[test]
    fn the_policy_tells_the_commit_and_the_environment_that_the_configuration_names() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let revision = |environment: &[(String, String)]| {
            let config = Config::from_environment(&environment.iter().cloned().collect()).unwrap();
            load_policy(&config).unwrap().revision().to_owned()
        };
        let plain = revision(&[]);
        let commit = pair("OPRC_CRM_POLICY_COMMIT", "9f2c1d7be0048888");
        assert_eq!(revision(std::slice::from_ref(&commit)), format!("{plain}@9f2c1d7be004"));
        let both = revision(&[commit, pair("OPRC_CRM_LIMITS_MAX_REPLICAS", "5")]);
        assert!(both.starts_with(&format!("{plain}+")) && both.ends_with("@9f2c1d7be004"), "{both}");
    }
}
