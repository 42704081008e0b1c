//! The kinds of the Prometheus operator, as published.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use oprc_crm::sandbox::install;
use serde_json::Value;

use super::class::Namespace;

const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
/// Plural names of both kinds.
pub const KINDS: [(&str, &str); 2] = [("ServiceMonitor", "servicemonitors"), ("PodMonitor", "podmonitors")];

/// Defines both kinds in a cluster.
pub async fn install(client: &kube::Client) {
    let dir = tokio::task::spawn_blocking(definitions).await.expect("no panic");
    for (kind, plural) in KINDS {
        let path = dir.join(format!("monitoring.coreos.com_{plural}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        install::apply_yaml(client, kind, &text).await.expect("the definition is taken");
    }
}

/// Where the definitions are, fetched the first time.
fn definitions() -> PathBuf {
    let go = |args: &[&str]| {
        let mut command = Command::new("go");
        command.args(args).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus-operator"));
        command.env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
        let output = command.output().expect("Go is needed to fetch the definitions");
        assert!(output.status.success(), "go {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    go(&["mod", "download", MODULE]);
    PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}", MODULE]).trim()).join("example/prometheus-operator-crd")
}

/// Monitors of a kind in a namespace.
pub fn api(ns: &Namespace, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind));
    Api::namespaced_with(ns.client(), &ns.name, &resource)
}

/// All monitors in a namespace, `Kind/name`; none where the cluster has no such kind.
pub async fn monitors(ns: &Namespace) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, _) in KINDS {
        match api(ns, kind).list(&ListParams::default()).await {
            Ok(all) => found.extend(all.into_iter().filter_map(|one| Some(format!("{kind}/{}", one.metadata.name?)))),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{kind}: {error}"),
        }
    }
    found.sort();
    found
}

/// A monitor's whole content.
pub async fn monitor(ns: &Namespace, kind: &str, name: &str) -> Value {
    serde_json::to_value(api(ns, kind).get(name).await.expect("a monitor")).expect("JSON")
}
