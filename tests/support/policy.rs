//! A directory with a policy bundle that a test edits, and what the controller says of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;

use super::crm::Crm;
use super::{eventually, http_get};

/// Long enough for a look, a load and what follows, on a busy machine.
pub const LOADED: Duration = Duration::from_secs(30);

/// A bundle over the shipped one, in a directory of its own.
pub struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    /// With these params and this `rollout` in `bundle.yaml`.
    pub fn new(params: &str, rollout: &str) -> Self {
        let bundle = Self { dir: tempfile::tempdir().expect("a directory") };
        bundle.write("bundle.yaml", &document(params, rollout));
        bundle
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self) -> &str {
        self.dir().to_str().expect("a path in UTF-8")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file by a rename, as most editors do.
    pub fn write(&self, name: &str, text: &str) {
        let copy = self.file(&format!(".{name}.new"));
        std::fs::write(&copy, text).expect("it can be written");
        std::fs::rename(copy, self.file(name)).expect("it can be renamed");
    }

    /// Other params, another roll-out.
    pub fn change(&self, params: &str, rollout: &str) {
        self.write("bundle.yaml", &document(params, rollout));
    }
}

/// `bundle.yaml` with these params and this `rollout`.
pub fn document(params: &str, rollout: &str) -> String {
    format!(
        "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {{name: own}}\n\
         spec: {{extends: builtin, params: {{{params}}}, rollout: {{{rollout}}}}}\n"
    )
}

/// `/policy`.
pub async fn page(crm: &Crm) -> Value {
    let (status, body) = http_get(crm.address, "/policy").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// `/policy` once it is as wanted.
pub async fn page_where(crm: &Crm, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(LOADED, what, || async {
        let page = page(crm).await;
        if holds(&page) { Ok(page) } else { Err(format!("{page:#}")) }
    })
    .await
}

/// A sample of `/metrics`, by its name with labels.
pub async fn metric(crm: &Crm, sample: &str) -> f64 {
    let (_, body) = http_get(crm.address, "/metrics").await;
    let line = body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{body}")).parse().expect("a number")
}

/// `(kind of the object, note)` of every event in a namespace with this reason.
pub async fn events(client: Client, namespace: &str, reason: &str) -> Vec<(String, String)> {
    let api: Api<Event> = Api::namespaced(client, namespace);
    let mut events = api.list(&ListParams::default()).await.expect("a list").items;
    events.sort_by_key(|event| event.event_time.clone());
    events.retain(|event| event.reason.as_deref() == Some(reason));
    let kind = |event: &Event| event.regarding.as_ref().and_then(|of| of.kind.clone()).unwrap_or_default();
    events.into_iter().map(|event| (kind(&event), event.note.unwrap_or_default())).collect()
}
