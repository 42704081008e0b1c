//! What commands learn from a running cluster: its records and what it offers. They read; they write nothing.

use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, Client};

use super::offline::{Feature, features};
use crate::cluster::record::RawRecord;
use crate::cluster::{ClusterError, discovery, within};
use crate::config::{self, Config, Namespaces, Profile};
use crate::decision::{ClusterFacts, Setting};
use crate::policy::Inputs;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Records of one page of a list.
const PAGE: u32 = 500;

/// A cluster that is asked.
pub(super) struct Live {
    client: Client,
    /// Address of its API server, for messages.
    address: String,
    /// Namespace that the kubeconfig's context names.
    namespace: String,
}

/// The client of the kubeconfig or the ServiceAccount that is found, and its configuration.
pub(super) async fn connect() -> Result<(Client, kube::Config), String> {
    let mut config = kube::Config::infer().await.map_err(|error| {
        format!("no way to reach a cluster: {error}; set KUBECONFIG, or run inside the cluster with a ServiceAccount")
    })?;
    // Tries again are ours: they know what the API server asks for and how long a caller waits.
    config.default_retry = false;
    let client = Client::try_from(config.clone()).map_err(|error| format!("cannot speak to the cluster: {error}"))?;
    Ok((client, config))
}

impl Live {
    /// Finds the cluster; nothing is asked yet.
    pub(super) async fn find() -> Result<Self, String> {
        let (client, config) = connect().await?;
        Ok(Self { client, address: config.cluster_url.to_string(), namespace: config.default_namespace })
    }

    /// Where records are looked for: what is asked for, else what the controller's variable says, else the kubeconfig's.
    pub(super) fn namespaces(&self, asked: Option<&str>, config: &Config) -> Namespaces {
        let stated = config.environment.get(config::NAMESPACE).is_some_and(|value| !value.trim().is_empty());
        match asked {
            Some(name) => Namespaces::One(name.to_owned()),
            None if stated => config.namespace.clone(),
            None => Namespaces::One(self.namespace.clone()),
        }
    }

    /// What the cluster offers.
    pub(super) async fn facts(&self) -> ClusterFacts {
        discovery::look(&self.client).await
    }

    /// One record.
    pub(super) async fn record(&self, namespaces: &Namespaces, name: &str) -> Result<RawRecord, String> {
        let Namespaces::One(namespace) = namespaces else {
            return Err(format!("record {name}: name its namespace (--namespace); {} is `*`", config::NAMESPACE));
        };
        let api: Api<RawRecord> = Api::namespaced(self.client.clone(), namespace);
        within(TIMEOUT, api.get(name)).await.map_err(|error| match error {
            ClusterError::NotFound { .. } => format!(
                "namespace {namespace} has no DeploymentRecord {name:?}; `kubectl get dr -A` lists those that there are"
            ),
            error => self.said(&error),
        })
    }

    /// All records of these namespaces.
    pub(super) async fn records(&self, namespaces: &Namespaces) -> Result<Vec<RawRecord>, String> {
        let api: Api<RawRecord> = match namespaces {
            Namespaces::All => Api::all(self.client.clone()),
            Namespaces::One(name) => Api::namespaced(self.client.clone(), name),
        };
        let mut records = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = within(TIMEOUT, api.list(&params)).await.map_err(|error| self.said(&error))?;
            records.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(records),
            }
        }
    }

    /// An error with what to do about it.
    fn said(&self, error: &ClusterError) -> String {
        let advice = match error {
            ClusterError::NoSuchKind => "install it: oprc-crm crd | kubectl apply -f -".to_owned(),
            ClusterError::Unauthenticated(_) => {
                "log in to the cluster again, or mend the user of the kubeconfig".into()
            }
            ClusterError::Forbidden(_) => "reading takes the verbs get and list on deploymentrecords.oaas.io".into(),
            error if error.is_outage() => "is it up, and is KUBECONFIG's context the one that is meant?".to_owned(),
            _ => return format!("cluster {}: {error}", self.address),
        };
        format!("cluster {}: {error}; {advice}", self.address)
    }
}

/// The controller's configuration, as this command's environment and flags have it.
pub(super) fn config(profile: Option<Profile>) -> Result<Config, String> {
    let mut environment = config::process_environment();
    if let Some(profile) = profile {
        environment.insert(config::PROFILE.to_owned(), profile.name().to_owned());
    }
    Config::from_environment(&environment).map_err(|error| error.to_string())
}

/// The setting and the inputs that a controller of this configuration has in this cluster.
pub(super) fn setting(config: &Config, list: Option<&[Feature]>, cluster: ClusterFacts) -> (Setting, Inputs) {
    let profile = config.profile.name().to_owned();
    let inputs = Inputs { profile: profile.clone(), environment: config.environment.clone() };
    (Setting { profile, features: list.map_or(config.features, features), cluster }, inputs)
}

/// What is known of a cluster, in words.
pub(super) fn known(cluster: ClusterFacts) -> String {
    let word = |fact: Option<bool>| match fact {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let number = |count: Option<u32>| count.map_or_else(|| "not known".to_owned(), |count| count.to_string());
    let ClusterFacts { knative, service_monitor, pod_monitor, nodes, ready_nodes } = cluster;
    format!(
        "Knative {}, ServiceMonitor {}, PodMonitor {}, ready nodes {} of {}",
        word(knative),
        word(service_monitor),
        word(pod_monitor),
        number(ready_nodes),
        number(nodes)
    )
}

/// The namespaces, in words.
pub(super) fn shown(namespaces: &Namespaces) -> &str {
    match namespaces {
        Namespaces::All => "*",
        Namespaces::One(name) => name,
    }
}
