//! The policy that the controller starts with: that of its files, else the last good one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::AppError;
use crate::cluster::keeper::Keeper;
use crate::config::Config;
use crate::controller::{Judgement, Loader, Lookout};
use crate::decision::{ClusterFacts, Setting};
use crate::policy::{Diagnostics, Inputs};
use crate::render::Scrape;
use crate::rollout::{self, Basis, Fixed, Health, Loaded, Origin, Rollout};

/// How often the kept state of the policy is asked for, where the policy's own files are of no use.
const RECALLS: u32 = 5;
/// Pause between two of these.
const RECALL_PAUSE: Duration = Duration::from_secs(2);

/// What the roll-out starts with.
pub(super) struct First {
    pub(super) loader: Loader,
    pub(super) lookout: Option<Lookout>,
    /// The newest policy that loads, in the present setting.
    pub(super) wanted: Arc<Basis>,
    /// What is wrong with the files, where the last good policy stands in.
    pub(super) failed: Option<Diagnostics>,
}

impl First {
    /// The policy of the configuration's directory, else of the binary; the one that is kept where that does not load.
    pub(super) async fn find(config: &Config, cluster: ClusterFacts, keeper: &mut Keeper) -> Result<Self, AppError> {
        let loader = loader(config);
        let (lookout, found) = load(&loader, config.policy_dir.as_deref()).await;
        let (wanted, failed) = match found {
            Ok(new) => {
                for warning in &new.warnings {
                    tracing::warn!("policy: {warning}");
                }
                let setting = Setting { profile: config.profile.name().to_owned(), features: config.features, cluster };
                (Arc::new(loader.basis(&new, setting)), None)
            }
            Err(found) => match last_good(keeper).await {
                Ok(Some(basis)) => (basis, Some(found)),
                Ok(None) => return Err(AppError::Policy(found)),
                Err(error) => return Err(AppError::NoLastGood { found, place: keeper.place(), error }),
            },
        };
        tracing::info!(revision = wanted.policy().revision(), profile = config.profile.name(), "policy loaded");
        Ok(Self { loader, lookout, wanted, failed })
    }

    /// Where everybody asks; until what was kept is known, everything is decided by this policy.
    pub(super) fn judgement(&self, config: &Config, keeper: &Keeper) -> Arc<Judgement> {
        let state = Rollout::new(Arc::clone(&self.wanted), Timestamp::now());
        let judgement = Judgement::new(state, &config.deploy_namespace);
        judgement.set_health(Health { kept_in: keeper.place(), ..Health::default() });
        Arc::new(judgement)
    }
}

/// What makes policies for a configuration.
fn loader(config: &Config) -> Loader {
    let inputs = Inputs { profile: config.profile.name().to_owned(), environment: config.environment.clone() };
    Loader { inputs, commit: config.policy_commit.clone(), fixed: fixed(config) }
}

/// What the operator set for all classes, whatever the policy says.
pub(crate) fn fixed(config: &Config) -> Fixed {
    let scrape = Scrape { kind: config.prometheus.scrape_kind, labels: config.prometheus.match_labels.clone() };
    Fixed { odgm_image: config.odgm_image.clone(), scrape }
}

/// The policy as it stands now, in the directory or else in the binary; and what looks at the directory from then on.
async fn load(loader: &Loader, dir: Option<&Path>) -> (Option<Lookout>, Result<Loaded, Diagnostics>) {
    match dir {
        None => (None, loader.load(Origin::Builtin, None)),
        Some(dir) => {
            let (lookout, found) = Lookout::start(dir, loader.of_directory()).await;
            (Some(lookout), found)
        }
    }
}

/// The policy that held when the program last ran; `None` where none is kept.
async fn last_good(keeper: &mut Keeper) -> Result<Option<Arc<Basis>>, String> {
    let mut tries = 1;
    loop {
        match keeper.read().await {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => {
                let state = rollout::decode(&bytes).map_err(|error| error.to_string())?;
                return Ok(Some(Arc::clone(state.target())));
            }
            Err(error) if tries >= RECALLS || !error.is_transient() => return Err(error.to_string()),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(RECALL_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Config, load, loader};

    #[tokio::test]
    async fn the_policy_tells_the_commit_and_the_environment_that_the_configuration_names() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let revision = async |environment: &[(String, String)]| {
            let config = Config::from_environment(&environment.iter().cloned().collect()).unwrap();
            let (_, found) = load(&loader(&config), config.policy_dir.as_deref()).await;
            found.unwrap().policy.revision().to_owned()
        };
        let plain = revision(&[]).await;
        let commit = pair("OPRC_CRM_POLICY_COMMIT", "9f2c1d7be0048888");
        assert_eq!(revision(std::slice::from_ref(&commit)).await, format!("{plain}@9f2c1d7be004"));
        let both = revision(&[commit, pair("OPRC_CRM_LIMITS_MAX_REPLICAS", "5")]).await;
        assert!(both.starts_with(&format!("{plain}+")) && both.ends_with("@9f2c1d7be004"), "{both}");
    }
}
