//! What the scenario tests share: one control plane a test binary, a namespace a test, and patience.
//!
//! The control plane is the sandbox's; `OPRC_TEST_KUBECONFIG` names another cluster to use instead. It is started by
//! the first test that asks and ends with the test process, however that ends: its guard sees to it.

// Each test binary uses a part of this.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod audit;
pub mod class;
pub mod contract;
pub mod crm;
pub mod faults;
pub mod knative;
pub mod lines;
pub mod monitors;
pub mod nfr;
pub mod operator;
pub mod pm;
pub mod policy;
pub mod scaling;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use oprc_crm::sandbox::{ControlPlane, Options, install};
use tokio::sync::OnceCell;

/// The user that the operator is to the API server.
pub const CRM_USER: &str = "system:serviceaccount:oaas-system:oprc-crm";
const CRM_GROUPS: [&str; 3] = ["system:serviceaccounts", "system:serviceaccounts:oaas-system", "system:authenticated"];
const OTHER_CLUSTER: &str = "OPRC_TEST_KUBECONFIG";

/// The executable under test, which also guards the control plane.
pub fn executable() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_oprc-crm"))
}

/// Options for a control plane of a test's own.
pub fn options(nodes: u32) -> Options {
    Options { guard: executable().to_owned(), nodes, keep: false }
}

/// The cluster that the tests of this binary share.
#[derive(Debug)]
pub struct Cluster {
    plane: Option<ControlPlane>,
    admin: Config,
    crm: Config,
    crm_kubeconfig: PathBuf,
}

/// Starts it the first time; a failure is everybody's failure, without trying again.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
    match CLUSTER.get_or_init(Cluster::start).await {
        Ok(cluster) => cluster,
        Err(error) => panic!("no cluster to test with: {error}"),
    }
}

impl Cluster {
    async fn start() -> Result<Self, String> {
        let cluster = match std::env::var_os(OTHER_CLUSTER) {
            Some(path) => Self::other(Path::new(&path)).await?,
            None => Self::sandbox().await.map_err(|error| error.to_string())?,
        };
        let rbac = shipped("k8s/rbac/crm-rbac.yaml");
        install::crm(&cluster.admin(), &rbac).await.map_err(|error| error.to_string())?;
        Ok(cluster)
    }

    /// One of a test's own, for tests that stop parts of it.
    pub async fn own() -> Self {
        let cluster = Self::sandbox().await.unwrap_or_else(|error| panic!("no control plane: {error}"));
        install::crm(&cluster.admin(), &shipped("k8s/rbac/crm-rbac.yaml")).await.expect("CRD and rights");
        cluster
    }

    async fn sandbox() -> Result<Self, oprc_crm::sandbox::SandboxError> {
        let plane = ControlPlane::start(options(3), |step| eprintln!("{step}")).await?;
        Ok(Self {
            admin: plane.admin_config().await?,
            crm: plane.crm_config().await?,
            crm_kubeconfig: plane.crm_kubeconfig().to_owned(),
            plane: Some(plane),
        })
    }

    /// The operator's part is played by impersonation, which an administrator may.
    async fn other(path: &Path) -> Result<Self, String> {
        let mut kubeconfig = Kubeconfig::read_from(path).map_err(|error| format!("{OTHER_CLUSTER}: {error}"))?;
        let admin = load(kubeconfig.clone()).await?;
        for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
            user.impersonate = Some(CRM_USER.to_owned());
            user.impersonate_groups = Some(CRM_GROUPS.map(str::to_owned).to_vec());
        }
        let crm_kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crm.kubeconfig");
        let text = serde_json::to_string(&kubeconfig).map_err(|error| error.to_string())?;
        std::fs::write(&crm_kubeconfig, text).map_err(|error| error.to_string())?;
        Ok(Self { plane: None, admin, crm: load(kubeconfig).await?, crm_kubeconfig })
    }

    /// A client with all rights. A client lives on the runtime it was made on, so each test makes its own.
    pub fn admin(&self) -> Client {
        Client::try_from(self.admin.clone()).expect("a client")
    }

    /// The same, which tells at once that it was refused for now instead of trying again.
    pub fn admin_once(&self) -> Client {
        let mut config = self.admin.clone();
        config.default_retry = false;
        Client::try_from(config).expect("a client")
    }

    /// A client with the operator's rights.
    pub fn crm(&self) -> Client {
        Client::try_from(self.crm.clone()).expect("a client")
    }

    /// For tests that wrap the operator's client in layers of their own.
    pub fn crm_config(&self) -> Config {
        self.crm.clone()
    }

    /// For an operator in a process of its own.
    pub fn crm_kubeconfig(&self) -> &Path {
        &self.crm_kubeconfig
    }

    /// The control plane itself, for tests that read its audit log or run programs beside it.
    pub fn plane(&self) -> &ControlPlane {
        self.plane
            .as_ref()
            .unwrap_or_else(|| panic!("this test needs the sandbox's control plane: unset {OTHER_CLUSTER}"))
    }

    /// A new namespace in which the operator has its rights.
    pub async fn namespace(&self, prefix: &str) -> String {
        let namespace: Namespace = from_json(serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": format!("{prefix}-")},
        }));
        let created = Api::all(self.admin()).create(&PostParams::default(), &namespace).await.expect("a namespace");
        let name = created.metadata.name.expect("a name");
        let (account, account_namespace) = ("oprc-crm", install::CRM_NAMESPACE);
        let api: Api<RoleBinding> = Api::namespaced(self.admin(), &name);
        // It is the operator's own namespace as well: none is named as its pod's.
        for role in ["oprc-crm", "oprc-crm-own"] {
            let binding: RoleBinding = from_json(serde_json::json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
            }));
            api.create(&PostParams::default(), &binding).await.expect("a role binding");
        }
        self.await_rights(&name).await;
        name
    }

    async fn await_rights(&self, namespace: &str) {
        self.await_right(namespace, "list", "deploymentrecords", "", true).await;
        // Bound for the whole cluster, when the cluster was made.
        self.await_answer(serde_json::json!({"verb": "list", "resource": "nodes"}), true).await;
    }

    /// Waits until the operator has this right, or has it no more: the API server takes a moment to see a binding.
    pub async fn await_right(&self, namespace: &str, verb: &str, resource: &str, subresource: &str, granted: bool) {
        let right = serde_json::json!({
            "namespace": namespace, "verb": verb, "group": "oaas.io", "resource": resource, "subresource": subresource,
        });
        self.await_answer(right, granted).await;
    }

    async fn await_answer(&self, right: serde_json::Value, granted: bool) {
        let question: SubjectAccessReview = from_json(serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": CRM_USER, "groups": CRM_GROUPS, "resourceAttributes": right},
        }));
        let api: Api<SubjectAccessReview> = Api::all(self.admin());
        eventually(Duration::from_secs(20), "the operator's rights in a new namespace", || async {
            let answer = api.create(&PostParams::default(), &question).await.map_err(|error| error.to_string())?;
            let status = answer.status.unwrap_or_default();
            if status.allowed == granted { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }
}

/// An object as a manifest has it.
pub fn from_json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// A file of the repository.
pub fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asks until the answer is `Ok`; fails with the last state seen. The future of an answer may hang: it counts too.
pub async fn eventually<T, S, F>(deadline: Duration, what: &str, mut ask: impl FnMut() -> F) -> T
where
    S: Display,
    F: Future<Output = Result<T, S>>,
{
    let start = Instant::now();
    let mut last = String::from("no answer yet");
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, ask()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state.to_string(),
            Err(_) => {}
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}; last seen: {last}");
        tokio::time::sleep(Duration::from_millis(100).min(left)).await;
    }
}

async fn load(kubeconfig: Kubeconfig) -> Result<Config, String> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.map_err(|error| format!("{OTHER_CLUSTER}: {error}"))
}

/// Status and body of a plain HTTP/1.1 GET.
pub async fn http_get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else {
        return (0, "no connection".to_owned());
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).await.is_err() || stream.read_to_string(&mut answer).await.is_err() {
        return (0, "connection lost".to_owned());
    }
    let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
