//! The command lines of the control plane's programs.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::binaries::Binaries;
use super::credentials::{self, Credentials, Identity};
use super::error::SandboxError;
use super::guard::Launch;

/// A metadata-level line for each finished request: enough to count writes by user, verb and resource.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
 "omitStages": ["RequestReceived", "ResponseStarted"], "rules": [{"level": "Metadata"}]}
"#;

/// Free ports on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    etcd: u16,
    etcd_peer: u16,
    pub(super) apiserver: u16,
    kwok: u16,
}

impl Ports {
    /// All listeners are open at once, so the ports differ.
    pub(super) fn free() -> Result<Self, SandboxError> {
        let listen = || TcpListener::bind(("127.0.0.1", 0)).map_err(SandboxError::Port);
        let port = |listener: &TcpListener| listener.local_addr().map(|a| a.port()).map_err(SandboxError::Port);
        let (etcd, etcd_peer, apiserver, kwok) = (listen()?, listen()?, listen()?, listen()?);
        Ok(Self { etcd: port(&etcd)?, etcd_peer: port(&etcd_peer)?, apiserver: port(&apiserver)?, kwok: port(&kwok)? })
    }
}

/// Where everything of one sandbox is.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    pub(super) ports: Ports,
    pub(super) binaries: Binaries,
    pub(super) credentials: Credentials,
}

impl Layout {
    pub(super) fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    fn audit_policy(&self) -> PathBuf {
        self.dir.join("audit-policy.json")
    }

    /// The files that the programs read, beside the credentials.
    pub(super) fn write_files(&self) -> Result<(), SandboxError> {
        let path = self.audit_policy();
        std::fs::write(&path, AUDIT_POLICY).map_err(|source| SandboxError::File { what: "cannot write", path, source })
    }

    pub(super) fn etcd(&self) -> Launch {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        self.launch(
            "etcd",
            vec![
                flag("data-dir", &shown(&self.dir.join("etcd"))),
                flag("listen-client-urls", &client),
                flag("advertise-client-urls", &client),
                flag("listen-peer-urls", &peer),
                flag("initial-advertise-peer-urls", &peer),
                flag("initial-cluster", &format!("default={peer}")),
                flag("log-level", "warn"),
                // The data lives no longer than the process.
                flag("unsafe-no-fsync", "true"),
            ],
        )
    }

    pub(super) fn apiserver(&self) -> Launch {
        let Self { ports, credentials, .. } = self;
        self.launch(
            "kube-apiserver",
            vec![
                flag("etcd-servers", &format!("http://127.0.0.1:{}", ports.etcd)),
                flag("bind-address", "127.0.0.1"),
                flag("advertise-address", "127.0.0.1"),
                // A loopback address may not be an endpoint of the `kubernetes` Service; nothing here asks for it.
                flag("endpoint-reconciler-type", "none"),
                flag("secure-port", &ports.apiserver.to_string()),
                flag("tls-cert-file", &shown(&credentials.serving_certificate())),
                flag("tls-private-key-file", &shown(&credentials.serving_key())),
                flag("service-cluster-ip-range", "10.96.0.0/16"),
                flag("service-account-issuer", "https://kubernetes.default.svc"),
                flag("service-account-key-file", &shown(&credentials.service_account_public_key())),
                flag("service-account-signing-key-file", &shown(&credentials.service_account_key())),
                flag("token-auth-file", &shown(&credentials.tokens())),
                flag("authorization-mode", "RBAC"),
                // Pods of fake nodes need no token, and would wait for one.
                flag("disable-admission-plugins", "ServiceAccount"),
                // Some clusters have it, and it wants a right of its own of whoever makes children: so it is on here too.
                flag("enable-admission-plugins", "OwnerReferencesPermissionEnforcement"),
                flag("audit-policy-file", &shown(&self.audit_policy())),
                flag("audit-log-path", &shown(&self.audit_log())),
                flag("audit-log-format", "json"),
                // Written before the request is answered, so that a count after a request is right.
                flag("audit-log-mode", "blocking"),
                flag("allow-privileged", "true"),
                flag("profiling", "false"),
            ],
        )
    }

    pub(super) fn controller_manager(&self) -> Launch {
        let credentials = &self.credentials;
        self.launch(
            "kube-controller-manager",
            vec![
                self.kubeconfig(&credentials::CONTROLLER_MANAGER),
                flag("root-ca-file", &shown(&credentials.ca())),
                flag("service-account-private-key-file", &shown(&credentials.service_account_key())),
                flag("leader-elect", "false"),
                flag("secure-port", "0"),
                flag("profiling", "false"),
                // The defaults are made for clusters that others share.
                flag("kube-api-qps", "300"),
                flag("kube-api-burst", "600"),
                flag("concurrent-deployment-syncs", "20"),
                flag("concurrent-replicaset-syncs", "20"),
                flag("horizontal-pod-autoscaler-sync-period", "5s"),
            ],
        )
    }

    pub(super) fn scheduler(&self) -> Launch {
        self.launch(
            "kube-scheduler",
            vec![
                self.kubeconfig(&credentials::SCHEDULER),
                flag("leader-elect", "false"),
                flag("secure-port", "0"),
                flag("profiling", "false"),
                flag("kube-api-qps", "300"),
                flag("kube-api-burst", "600"),
            ],
        )
    }

    pub(super) fn kwok(&self) -> Launch {
        let mut args = vec![
            self.kubeconfig(&credentials::KWOK),
            flag("manage-all-nodes", "true"),
            flag("server-address", &format!("127.0.0.1:{}", self.ports.kwok)),
            // Without leases the nodes go NotReady after 50 s, and their pods never recover.
            flag("node-lease-duration-seconds", "40"),
        ];
        args.extend(self.binaries.stages().iter().map(|stage| flag("config", &shown(stage))));
        self.launch("kwok", args)
    }

    fn kubeconfig(&self, identity: &Identity) -> String {
        flag("kubeconfig", &shown(&self.credentials.kubeconfig(identity)))
    }

    fn launch(&self, name: &str, args: Vec<String>) -> Launch {
        let program = self.binaries.program(name);
        Launch { name: name.to_owned(), program, args, env: BTreeMap::new(), polite: false }
    }
}

fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
