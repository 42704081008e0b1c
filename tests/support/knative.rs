//! Knative Serving: its definitions and its own controller, as published, and stand-ins for the two parts that need a
//! network of pods: its autoscaler and its ingress. Their answer is a status, which a [`Gate`] writes while it is open.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use oprc_crm::sandbox::{Process, install};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::class::{Namespace, SOON};
use super::{Cluster, eventually};

const SERVING: &str = "knative.dev/serving";
const NETWORKING: &str = "knative.dev/networking";
const CACHING: &str = "knative.dev/caching";
/// Namespace of Knative's own configuration.
const SYSTEM: &str = "knative-serving";
/// What is left to the tool that builds Knative's images, and what our images need: no registry can be asked for digests.
const SIDECAR: (&str, &str) = (
    "queue-sidecar-image: ko://knative.dev/serving/cmd/queue",
    "queue-sidecar-image: example/queue:1\n  registries-skipping-tag-resolving: index.docker.io",
);
const LOOK: Duration = Duration::from_millis(100);

/// Knative as it was published, built once a test process (Go keeps what it has built).
pub struct Knative {
    programs: PathBuf,
    serving: PathBuf,
    networking: PathBuf,
    caching: PathBuf,
}

/// Counts the requests that it answers, as Knative's queue proxy does.
pub struct Queue {
    process: Process,
    serve: SocketAddr,
    /// Where it exports what it has counted.
    pub export: SocketAddr,
}

impl Queue {
    /// A request that takes so long, once it is up.
    pub async fn request(&self, length: Duration) {
        let url = format!("http://{}/?for={}ms", self.serve, length.as_millis());
        eventually(SOON, "an answer", || async {
            assert!(self.process.exited().is_none(), "it has ended: {}", self.process.log_tail(30));
            let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
            answer.error_for_status().map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }
}

/// Builds it the first time.
pub async fn knative() -> &'static Knative {
    static KNATIVE: OnceCell<Knative> = OnceCell::const_new();
    let build = || async { tokio::task::spawn_blocking(Knative::build).await.expect("no panic") };
    KNATIVE.get_or_init(build).await
}

impl Knative {
    fn build() -> Self {
        let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("knative");
        std::fs::create_dir_all(&programs).expect("a directory");
        let target = format!("{}/", programs.display());
        go(&[
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            "-s -w",
            "-o",
            &target,
            "tool",
            "./admit",
            "./queue",
        ]);
        let dir = |module: &str| PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}", module]).trim());
        Self { programs, serving: dir(SERVING), networking: dir(NETWORKING), caching: dir(CACHING) }
    }

    /// The definition of Knative Services, which is all that the operator looks for.
    pub fn service_definition(&self) -> String {
        read(&self.serving.join("config/core/300-resources/service.yaml"))
    }

    /// Everything that its controller needs.
    fn installation(&self) -> String {
        let files = |dir: PathBuf| {
            let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
            paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
            paths.sort();
            paths
        };
        let core = self.serving.join("config/core");
        let mut all = vec![core.join("100-namespace.yaml")];
        all.extend(files(core.join("300-resources")));
        all.extend(files(self.networking.join("config")));
        all.extend(files(self.caching.join("config")));
        all.extend(files(core.join("configmaps")));
        let texts: Vec<String> = all.iter().map(|path| read(path)).collect();
        let text = texts.join("\n---\n");
        assert!(text.contains(SIDECAR.0), "Knative's configuration has changed");
        text.replace(SIDECAR.0, SIDECAR.1)
    }

    /// Installs it and starts its controller.
    pub async fn install(&self, cluster: &Cluster) -> Process {
        install::apply_yaml(&cluster.admin(), "Knative Serving", &self.installation())
            .await
            .expect("Knative's manifests");
        let kubeconfig = cluster.plane().admin_kubeconfig().display().to_string();
        let args = ["--kubeconfig", &kubeconfig, "--kube-api-qps=100", "--kube-api-burst=200"];
        let env = [
            ("SYSTEM_NAMESPACE", SYSTEM),
            ("POD_NAME", "controller"),
            ("CONFIG_LOGGING_NAME", "config-logging"),
            ("CONFIG_OBSERVABILITY_NAME", "config-observability"),
            ("METRICS_DOMAIN", "knative.dev/internal/serving"),
        ];
        let program = self.programs.join("controller");
        let process = cluster.plane().spawn("knative-controller", &program, &args, &env).await;
        let process = process.expect("Knative's controller can be started");
        let leases: Api<Lease> = Api::namespaced(cluster.admin(), SYSTEM);
        eventually(SOON, "Knative's controller leads", || async {
            assert!(process.exited().is_none(), "it has ended: {}", process.log_tail(30));
            let leases = leases.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            if leases.is_empty() { Err("no lease yet".to_owned()) } else { Ok(()) }
        })
        .await;
        process
    }

    /// Starts what counts requests as its queue proxy does.
    pub async fn queue(&self, cluster: &Cluster, name: &str) -> Queue {
        // Both are held until both are chosen: what is let go may be given out again.
        let chosen = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [serve, export] = chosen.each_ref().map(|port| port.local_addr().expect("an address"));
        drop(chosen);
        let args = [serve.to_string(), export.to_string()];
        let program = self.programs.join("queue");
        let process = cluster.plane().spawn(name, &program, &[&args[0], &args[1]], &[]).await;
        Queue { process: process.expect("it can be started"), serve, export }
    }

    /// What Knative's admission webhook makes of these Services; panics where it refuses one.
    pub fn admit(&self, services: &[Value]) -> Vec<Value> {
        let admitted = self.judge(services).into_iter().zip(services).map(|(answer, service)| match answer {
            Err(refused) => panic!("{refused}: {service:#}"),
            Ok(admitted) => admitted,
        });
        admitted.collect()
    }

    /// Each service as Knative's admission leaves it, or why it refuses it.
    pub fn judge(&self, services: &[Value]) -> Vec<Result<Value, String>> {
        let mut child = Command::new(self.programs.join("admit"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let text = serde_json::to_vec(services).expect("JSON");
        child.stdin.take().expect("its input").write_all(&text).expect("it reads");
        let output = child.wait_with_output().expect("its output");
        assert!(output.status.success(), "{}", output.status);
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let judged = answers.into_iter().map(|mut answer| match answer.get("refused") {
            Some(refused) => Err(refused.to_string()),
            None => Ok(answer["service"].take()),
        });
        judged.collect()
    }
}

fn go(args: &[&str]) -> String {
    let mut command = Command::new("go");
    command.args(args).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/knative"));
    command.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    let output = command.output().expect("Go is needed to build Knative's controller");
    assert!(output.status.success(), "go {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Stands in for autoscaler and ingress of one namespace, from when it is opened.
pub struct Gate {
    open: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Gate {
    pub fn closed(client: &Client, namespace: &str) -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let scalers = api(client, namespace, "autoscaling.internal.knative.dev", "PodAutoscaler", "podautoscalers");
        let ingresses = api(client, namespace, "networking.internal.knative.dev", "Ingress", "ingresses");
        let is_open = Arc::clone(&open);
        let task = tokio::spawn(async move {
            loop {
                if is_open.load(Ordering::SeqCst) {
                    answer(&scalers, scaler_status).await;
                    answer(&ingresses, ingress_status).await;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { open, task }
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn api(client: &Client, namespace: &str, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(group, "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&gvk, plural))
}

/// Writes the status of each object that has none for its present generation. A write that fails is tried again soon.
async fn answer(api: &Api<DynamicObject>, status: impl Fn(&str, i64) -> Value) {
    for object in api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let generation = object.metadata.generation.unwrap_or_default();
        let seen = object.data.pointer("/status/conditions/0/status") == Some(&json!("True"))
            && object.data.pointer("/status/observedGeneration") == Some(&json!(generation));
        if !seen {
            let name = object.metadata.name.unwrap_or_default();
            let patch = json!({"status": status(&name, generation)});
            let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        }
    }
}

fn conditions(types: &[&str]) -> Value {
    types.iter().map(|type_| json!({"type": type_, "status": "True"})).collect()
}

fn scaler_status(name: &str, generation: i64) -> Value {
    json!({
        "observedGeneration": generation, "desiredScale": 1, "actualScale": 1,
        "serviceName": name, "metricsServiceName": format!("{name}-private"),
        "conditions": conditions(&["Ready", "Active", "SKSReady", "ScaleTargetInitialized"]),
    })
}

fn ingress_status(_: &str, generation: i64) -> Value {
    let balancer = json!({"ingress": [{"domainInternal": "gateway.example.svc.cluster.local"}]});
    json!({
        "observedGeneration": generation, "publicLoadBalancer": balancer, "privateLoadBalancer": balancer,
        "conditions": conditions(&["Ready", "LoadBalancerReady", "NetworkConfigured"]),
    })
}

impl Namespace {
    pub fn knative_services(&self) -> Api<DynamicObject> {
        self.knative_api("Service", "services")
    }

    pub fn revisions(&self) -> Api<DynamicObject> {
        self.knative_api("Revision", "revisions")
    }

    fn knative_api(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("serving.knative.dev", "v1", kind);
        Api::namespaced_with(self.client(), &self.name, &ApiResource::from_gvk_with_plural(&gvk, plural))
    }

    /// `Kind/name` of everything that the operator has made here, sorted; what Knative makes of it is left out.
    pub async fn own_objects(&self) -> Vec<String> {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=oprc-crm");
        let name = |object: &kube::core::ObjectMeta| object.name.clone().unwrap_or_default();
        let own = |meta: &kube::core::ObjectMeta| {
            meta.owner_references.iter().flatten().any(|owner| owner.kind == "DeploymentRecord")
        };
        let deployments = self.deployments().list(&ours).await.expect("a list").items;
        let services = self.services().list(&ours).await.expect("a list").items;
        let knative = self.knative_services().list(&ours).await.expect("a list").items;
        let mut all: Vec<String> = Vec::new();
        all.extend(
            deployments.iter().filter(|o| own(&o.metadata)).map(|o| format!("Deployment/{}", name(&o.metadata))),
        );
        all.extend(services.iter().filter(|o| own(&o.metadata)).map(|o| format!("Service/{}", name(&o.metadata))));
        all.extend(knative.iter().filter(|o| own(&o.metadata)).map(|o| format!("Knative/{}", name(&o.metadata))));
        let autoscalers = self.autoscalers().list(&ours).await.expect("a list").items;
        all.extend(
            autoscalers
                .iter()
                .filter(|o| own(&o.metadata))
                .map(|o| format!("HorizontalPodAutoscaler/{}", name(&o.metadata))),
        );
        all.sort();
        all
    }
}

/// Deletes a definition and with it every object of its kind.
pub async fn remove_definition(client: &Client, name: &str) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.delete(name, &DeleteParams::default()).await.expect("it can be deleted");
}
