//! What a Deploy costs: `cargo bench --bench deploy`.
//!
//! Deploys by gRPC beside bare server-side applies of the same record, one after the other, on the same API server (the
//! sandbox's) and while the controller looks after both. The ratios at the end are of one run.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource as _};
use oprc_crm::api::DeploymentRecord;
use oprc_crm::grpc::pb::deployment::deployment_service_client::DeploymentServiceClient;
use oprc_crm::grpc::pb::deployment::{
    DeployRequest, DeploymentUnit, FunctionDeploymentSpec, ListDeploymentRecordsRequest, OdgmConfig, SummarizedStatus,
};
use oprc_crm::grpc::record_of;
use oprc_crm::sandbox::crm::{Crm, NAMESPACE};
use oprc_crm::sandbox::{ControlPlane, Options, install};
use serde_json::{Value, json};
use tonic::transport::Channel;

/// Written before anything counts.
const WARM_UP: usize = 20;
/// Writes of each kind.
const WRITES: usize = 100;
/// How many times as long as a bare write a Deploy may take, at the 99th percentile.
const TARGET: f64 = 3.0;
/// How long the cluster may take to be at rest again.
const REST: Duration = Duration::from_secs(300);

type Failure = Box<dyn Error>;

/// Times of one kind of write, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Milliseconds that so many of a hundred writes do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * percent / 100).min(last);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// Both ways to write a record.
struct Writers {
    pm: DeploymentServiceClient<Channel>,
    records: Api<DeploymentRecord>,
}

impl Writers {
    /// Deploys; `done` is what the answer must begin with.
    async fn deploy(&mut self, unit: DeploymentUnit, done: &str) -> Result<Duration, Failure> {
        let request = DeployRequest { deployment_unit: Some(unit) };
        let begun = Instant::now();
        let answer = self.pm.deploy(request).await?.into_inner();
        let time = begun.elapsed();
        let message = answer.message.unwrap_or_default();
        if message.starts_with(done) { Ok(time) } else { Err(format!("{message:?} instead of {done:?}").into()) }
    }

    async fn apply(&self, name: &str, manifest: &Value) -> Result<Duration, Failure> {
        let params = PatchParams::apply("bench").force();
        let begun = Instant::now();
        self.records.patch(name, &params, &Patch::Apply(manifest)).await?;
        Ok(begun.elapsed())
    }

    /// Waits until nothing is left to do for anyone, so that only the writes themselves are measured.
    async fn rest(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let all =
                self.pm.list_deployment_records(ListDeploymentRecordsRequest::default()).await?.into_inner().items;
            let left = all.iter().filter(|class| class.summarized_status() != SummarizedStatus::Running).count();
            if left == 0 {
                return Ok(());
            }
            if begun.elapsed() > REST {
                return Err(format!("{left} of {} classes are not RUNNING", all.len()).into());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The same change by either way, so many times, taking turns; each way has names of its own.
    async fn side_by_side(&mut self, image: &str, times: usize, done: &str) -> Result<[Times; 2], Failure> {
        let (mut deploys, mut applies) = (Vec::new(), Vec::new());
        for index in 0..times {
            let name = format!("bare-{index}");
            let bare = manifest(&unit(&name, image))?;
            applies.push(self.apply(&name, &bare).await?);
            deploys.push(self.deploy(unit(&format!("grpc-{index}"), image), done).await?);
        }
        Ok([Times::new(deploys), Times::new(applies)])
    }
}

/// One function and a data grid.
fn unit(id: &str, image: &str) -> DeploymentUnit {
    let function = |key: &str| FunctionDeploymentSpec {
        function_key: key.to_owned(),
        image: image.to_owned(),
        config: [("MODE".to_owned(), "fast".to_owned())].into(),
        ..FunctionDeploymentSpec::default()
    };
    let odgm_config = OdgmConfig { collections: vec!["things".to_owned()], ..OdgmConfig::default() };
    DeploymentUnit {
        id: id.to_owned(),
        package_name: "bench".to_owned(),
        functions: vec![function("one")],
        odgm_config: Some(odgm_config),
        ..DeploymentUnit::default()
    }
}

/// The record of a unit as a person would apply it.
fn manifest(unit: &DeploymentUnit) -> Result<Value, Failure> {
    let record = record_of(unit).map_err(|faults| format!("{faults:?}"))?;
    let DeploymentRecord { metadata, spec, .. } = record;
    Ok(json!({
        "apiVersion": DeploymentRecord::api_version(&()),
        "kind": DeploymentRecord::kind(&()),
        "metadata": {"name": metadata.name, "labels": metadata.labels, "annotations": metadata.annotations},
        "spec": spec,
    }))
}

async fn measure(plane: &ControlPlane, crm: &Crm) -> Result<(), Failure> {
    let channel = Channel::from_shared(format!("http://127.0.0.1:{}", crm.port()))?.connect().await?;
    let pm = DeploymentServiceClient::new(channel);
    let records = Api::namespaced(Client::try_from(plane.crm_config().await?)?, NAMESPACE);
    let mut writers = Writers { pm, records };
    for index in 0..WARM_UP {
        let name = format!("warm-{index}");
        writers.deploy(unit(&name, "registry.example/app:1"), "created").await?;
        writers.apply(&name, &manifest(&unit(&name, "registry.example/app:2"))?).await?;
    }
    writers.rest().await?;
    let mut missed = Vec::new();
    println!("one after the other, {WRITES} of each, ms           p50      p99      (target: p99 under {TARGET}x)");
    for (what, image, done) in [
        ("records that are new", "registry.example/app:1", "created"),
        ("records that change", "registry.example/app:2", "updated"),
    ] {
        let [deploys, applies] = writers.side_by_side(image, WRITES, done).await?;
        println!("{what}");
        writers.rest().await?;
        for (way, times) in [("Deploy", &deploys), ("bare server-side apply", &applies)] {
            println!("  {way:<40} {:>8.2} {:>8.2}", times.percentile(50), times.percentile(99));
        }
        let ratio = |percent| deploys.percentile(percent) / applies.percentile(percent);
        println!("  {:<40} {:>8.2} {:>8.2}", "Deploy / bare", ratio(50), ratio(99));
        if ratio(99) >= TARGET {
            missed.push(what);
        }
    }
    let mut same = Vec::new();
    for index in 0..WRITES {
        same.push(writers.deploy(unit(&format!("grpc-{index}"), "registry.example/app:2"), "unchanged").await?);
    }
    let same = Times::new(same);
    println!("records that stay\n  {:<40} {:>8.2} {:>8.2}", "Deploy", same.percentile(50), same.percentile(99));
    if missed.is_empty() { Ok(()) } else { Err(format!("the target is missed: {}", missed.join(", ")).into()) }
}

async fn run() -> Result<(), Failure> {
    let program = Path::new(env!("CARGO_BIN_EXE_oprc-crm"));
    let options = Options { guard: program.to_owned(), nodes: 3, keep: false };
    let plane = ControlPlane::start(options, |step| eprintln!("{step}")).await?;
    let rbac = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/rbac/crm-rbac.yaml"))?;
    install::crm(&Client::try_from(plane.admin_config().await?)?, &rbac).await?;
    let crm = Crm::start(&plane, program, None).await?;
    let measured = measure(&plane, &crm).await;
    plane.stop().await?;
    measured
}

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}
