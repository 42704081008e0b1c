//! Who may talk to the sandbox's API server: certificates, tokens and kubeconfigs, made anew for each sandbox.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::error::SandboxError;

const MASTERS: &[&str] = &["system:masters"];
const CRM_GROUPS: &[&str] = &["system:serviceaccounts", "system:serviceaccounts:oaas-system", "system:authenticated"];

/// One who is known to the API server. Each program has a name of its own, so that the audit log tells them apart.
pub(super) struct Identity {
    pub(super) name: &'static str,
    user: &'static str,
    groups: &'static [&'static str],
}

pub(super) const ADMIN: Identity = Identity { name: "admin", user: "admin", groups: MASTERS };
pub(super) const CRM: Identity =
    Identity { name: "crm", user: "system:serviceaccount:oaas-system:oprc-crm", groups: CRM_GROUPS };
pub(super) const CONTROLLER_MANAGER: Identity =
    Identity { name: "controller-manager", user: "system:kube-controller-manager", groups: MASTERS };
pub(super) const SCHEDULER: Identity = Identity { name: "scheduler", user: "system:kube-scheduler", groups: MASTERS };
pub(super) const KWOK: Identity = Identity { name: "kwok", user: "kwok", groups: MASTERS };

const ALL: [&Identity; 5] = [&ADMIN, &CRM, &CONTROLLER_MANAGER, &SCHEDULER, &KWOK];

/// The files that [`write`] makes.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    dir: PathBuf,
}

impl Credentials {
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub(super) fn serving_certificate(&self) -> PathBuf {
        self.dir.join("apiserver.crt")
    }

    pub(super) fn serving_key(&self) -> PathBuf {
        self.dir.join("apiserver.key")
    }

    pub(super) fn service_account_key(&self) -> PathBuf {
        self.dir.join("service-account.key")
    }

    pub(super) fn service_account_public_key(&self) -> PathBuf {
        self.dir.join("service-account.pub")
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.dir.join("tokens.csv")
    }

    pub(super) fn kubeconfig(&self, identity: &Identity) -> PathBuf {
        self.dir.join(format!("{}.kubeconfig", identity.name))
    }
}

/// Writes everything into `dir`, for an API server on `port`.
pub(super) fn write(dir: &Path, port: u16) -> Result<Credentials, SandboxError> {
    let credentials = Credentials { dir: dir.to_owned() };
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "oprc-crm sandbox");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let serving_key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut serving = CertificateParams::new(names.map(String::from))?;
    serving.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let serving_pem = serving.signed_by(&serving_key, &Issuer::new(ca, ca_key))?.pem();

    save(&credentials.ca(), &ca_pem)?;
    save(&credentials.serving_certificate(), &serving_pem)?;
    save(&credentials.serving_key(), &serving_key.serialize_pem())?;
    let account_key = KeyPair::generate()?;
    save(&credentials.service_account_key(), &account_key.serialize_pem())?;
    save(&credentials.service_account_public_key(), &account_key.public_key_pem())?;

    let mut tokens = String::new();
    for identity in ALL {
        let token = token();
        let Identity { name, user, groups } = identity;
        let _ = writeln!(tokens, "{token},{user},{name},\"{}\"", groups.join(","));
        save(&credentials.kubeconfig(identity), &kubeconfig(&credentials.ca(), port, name, &token))?;
    }
    save(&credentials.tokens(), &tokens)?;
    Ok(credentials)
}

fn save(path: &Path, text: &str) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::File { what: "cannot write", path: path.to_owned(), source };
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)
}

fn token() -> String {
    let mut bytes = [0_u8; 24];
    rand::rng().fill(&mut bytes);
    bytes.iter().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// JSON is YAML; so no path needs quoting rules of our own.
fn kubeconfig(ca: &Path, port: u16, user: &str, token: &str) -> String {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": ca,
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": "default"}}],
        "current-context": "sandbox",
    });
    format!("{config:#}\n")
}
