//! What commands without a cluster are told of it: the same flags, with the same meaning, for all of them.

use clap::ValueEnum;

use super::policy::origin::Origin;
use crate::config::Profile;
use crate::decision::{ClusterFacts, Features, Setting};

/// The setting of an offline command.
#[derive(clap::Args)]
pub(super) struct Offline {
    /// Profile: dev, edge or full; without it dev.
    #[arg(short, long, value_parser = profile)]
    pub profile: Option<Profile>,
    /// Features that are on, separated by commas, none for none; without it the profile's own and odgm.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub features: Option<Vec<Feature>>,
    /// What the cluster has installed, separated by commas; without it, nothing of these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    installed: Vec<Installed>,
    /// Nothing is known of the cluster.
    #[arg(long, conflicts_with = "installed")]
    cluster_unknown: bool,
    /// Policy bundle: a directory, `builtin`, or git:REVISION[:DIRECTORY]; without it the one that is built in.
    #[arg(short, long, value_name = "BUNDLE")]
    pub bundle: Option<Origin>,
    /// Namespace of the records, whatever they say.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// A feature, as flags name it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Feature {
    None,
    Odgm,
    Knative,
    Prometheus,
    NfrEnforcement,
    Hpa,
    LeaderElection,
    Mtls,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Installed {
    Knative,
    ServiceMonitor,
    PodMonitor,
}

/// A profile, as flags give it.
pub(super) fn profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text).ok_or_else(|| "choose one of dev, edge, full".to_owned())
}

impl Offline {
    /// The setting that the flags amount to. How many nodes there are is never known.
    pub(super) fn setting(&self) -> Setting {
        let profile = self.profile.unwrap_or_default();
        let has = |what| (!self.cluster_unknown).then(|| self.installed.contains(&what));
        Setting {
            profile: profile.name().to_owned(),
            features: self.features.as_deref().map_or(Features { odgm: true, ..profile.features() }, features),
            cluster: ClusterFacts {
                knative: has(Installed::Knative),
                service_monitor: has(Installed::ServiceMonitor),
                pod_monitor: has(Installed::PodMonitor),
                ..ClusterFacts::default()
            },
        }
    }
}

/// The features of a list.
pub(super) fn features(list: &[Feature]) -> Features {
    let on = |feature| list.contains(&feature);
    Features {
        odgm: on(Feature::Odgm),
        knative: on(Feature::Knative),
        prometheus: on(Feature::Prometheus),
        nfr_enforcement: on(Feature::NfrEnforcement),
        hpa: on(Feature::Hpa),
        leader_election: on(Feature::LeaderElection),
        mtls: on(Feature::Mtls),
    }
}
