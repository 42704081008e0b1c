//! Configuration: the environment and a profile's defaults become one [`Config`], or one error that lists every
//! wrong variable at once. Pure: the environment is a map that is handed in.

mod profile;
mod read;
mod render;
mod vars;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use profile::Profile;
pub use render::render;
pub use vars::{NAMESPACE, PROFILE, VARIABLES};

use crate::decision::{Features, ScrapeKind};

/// The environment as the process got it.
pub type Environment = BTreeMap<String, String>;

/// The environment of this process; what is not UTF-8 is replaced, so that its variable is reported as wrong.
pub fn process_environment() -> Environment {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Everything that the operator may set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Port of the one listener.
    pub http_port: u16,
    /// Profile; gives the defaults of the features.
    pub profile: Profile,
    /// Namespaces to watch.
    pub namespace: Namespaces,
    /// Namespace that Deploy writes to.
    pub deploy_namespace: String,
    /// Features that are on.
    pub features: Features,
    /// How often the analyzer looks.
    pub analyzer_interval: Duration,
    /// Bounds of enforcement that replace those of the policy bundle, rising and falling side alike.
    pub enforcement: EnforcementOverrides,
    /// Most replicas that the enforcer may set.
    pub max_replicas: u32,
    /// CPU request, in thousandths of a core, of containers that state none.
    pub cpu_per_pod_milli: u32,
    /// Prometheus.
    pub prometheus: PrometheusConfig,
    /// Directory of a policy bundle; `None` means the compiled-in one.
    pub policy_dir: Option<PathBuf>,
    /// Commit that the bundle comes from.
    pub policy_commit: Option<String>,
    /// Where decisions are logged.
    pub decision_log: DecisionLog,
    /// Bytes from which another file of the decision log is begun.
    pub decision_log_bytes: u64,
    /// Files of the decision log that are kept besides the newest.
    pub decision_log_keep: usize,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// Records that are worked on at once.
    pub concurrency: u16,
    /// What the read calls of gRPC answer with.
    pub grpc_payload: GrpcPayload,
    /// Availability to report instead of the one that nodes give.
    pub mock_availability: Option<f64>,
    /// Image of the data grid for all classes.
    pub odgm_image: Option<String>,
    /// Log filter.
    pub log_filter: String,
    /// The environment as it was given; the policy reads its own variables from it.
    pub environment: Environment,
    settings: Vec<Setting>,
}

/// Namespaces that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them.
    All,
    /// This one.
    One(String),
}

/// Bounds of enforcement that the operator set; `None` leaves the bundle's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnforcementOverrides {
    /// Stability window.
    pub stability: Option<Duration>,
    /// Time between two changes.
    pub cooldown: Option<Duration>,
    /// Largest change of one step, percent.
    pub max_replica_delta: Option<u32>,
}

/// Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Base URL.
    pub url: Option<String>,
    /// Labels that monitors get, as `key=value` pairs.
    pub match_labels: BTreeMap<String, String>,
    /// Kind of monitor.
    pub scrape_kind: ScrapeKind,
    /// Bound of one query.
    pub query_timeout: Duration,
    /// Window of signals that state none.
    pub range: Duration,
    /// Step of signals that state none.
    pub step: Duration,
    /// File with a bearer token.
    pub token_file: Option<PathBuf>,
    /// File with the certificate authority.
    pub ca_file: Option<PathBuf>,
}

/// Where decisions are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DecisionLog {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output, a line each.
    Stdout,
    /// A file, a line each.
    File(PathBuf),
}

/// Files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: Option<PathBuf>,
    /// Private key.
    pub key: Option<PathBuf>,
    /// Authority that signs clients' certificates.
    pub client_ca: Option<PathBuf>,
}

/// What the read calls of gRPC answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrpcPayload {
    /// `OClassDeployment`.
    #[default]
    Oclass,
    /// `DeploymentUnit`.
    Unit,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A variable of the environment.
    Environment,
    /// The profile.
    Profile,
    /// The built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Environment => "environment",
            Self::Profile => "profile",
            Self::Default => "default",
        })
    }
}

/// One variable with its value in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the variable.
    pub name: &'static str,
    /// Value in effect; `None` where it is not set and has no default.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What to know about it in this release.
    pub note: Option<&'static str>,
}

/// Every variable that is wrong, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<WrongVariable>);

/// One variable that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongVariable {
    /// Name of the variable.
    pub name: &'static str,
    /// Value as it was given.
    pub value: String,
    /// What to write instead.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.0.len() == 1 { "variable is" } else { "variables are" };
        write!(f, "{} {what} wrong:", self.0.len())?;
        for WrongVariable { name, value, message } in &self.0 {
            write!(f, "\n  {name}={value}: {message}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the configuration from an environment.
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        read::config(environment)
    }

    /// Every variable with its value in effect and its origin, in the order of the documentation.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Refuses what is asked for, also by the profile, and not built in this release: nothing is silently absent.
    pub fn unavailable(&self) -> Result<(), ConfigError> {
        let Features { odgm: _, knative: _, hpa: _, prometheus: _, nfr_enforcement: _, leader_election, mtls } =
            self.features;
        let asked = [(leader_election, vars::LEADER_ELECTION), (mtls, vars::MTLS)];
        let wrong: Vec<WrongVariable> = asked
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| WrongVariable { name, value: "true".to_owned(), message: self.how_to_switch_off(name) })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError(wrong)) }
    }

    fn how_to_switch_off(&self, name: &str) -> String {
        let by_profile = self.settings.iter().any(|setting| setting.name == name && setting.origin == Origin::Profile);
        let asked_by = if by_profile { format!(" (asked for by profile {})", self.profile) } else { String::new() };
        format!("not built in this release{asked_by}; set {name}=false to switch it off")
    }
}

#[cfg(test)]
mod tests;
