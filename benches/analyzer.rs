//! What a thousand classes cost while nothing happens: `cargo bench --bench analyzer`.
//!
//! On the sandbox's control plane with a real Prometheus: a class is one function of one pod whose load is always the
//! same. Measured of the operator's process: CPU of one look of the NFR loop, queries of one look, resident memory, and
//! writes. `CLASSES` says how many, 1000 where it does not.
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource as _};
use oprc_crm::analyzer::Whole;
use oprc_crm::api::DeploymentRecord;
use oprc_crm::sandbox::crm::{Crm, NAMESPACE};
use oprc_crm::sandbox::exporter::{Exporter, Load};
use oprc_crm::sandbox::measure::Scraping;
use oprc_crm::sandbox::{ControlPlane, Options, install};
use serde_json::json;

/// How long all of them may take until they are measured.
const LIMIT: Duration = Duration::from_secs(1800);
/// Looks that are measured.
const LOOKS: u64 = 12;
/// Pods of a fake node.
const PODS: usize = 100;
/// Ticks a second of a process's times, as Linux tells them to everybody.
const TICKS: f64 = 100.0;

type Failure = Box<dyn Error>;

/// What the operator's process has used, and what it has done.
#[derive(Clone, Copy)]
struct Sample {
    cpu: f64,
    rss_kib: f64,
    looks: u64,
    queries: u64,
    reports: u64,
}

struct Operator {
    crm: Crm,
    http: reqwest::Client,
}

impl Operator {
    async fn page(&self, path: &str) -> Result<String, Failure> {
        let url = format!("http://127.0.0.1:{}{path}", self.crm.port());
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    async fn sample(&self) -> Result<Sample, Failure> {
        let pid = self.crm.pid().ok_or("the operator has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may have spaces; user and system time are the 12th and 13th field behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).ok_or("no times in stat");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        let metrics = self.page("/metrics").await?;
        let sum = |name: &str| -> u64 {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Ok(Sample {
            cpu: (ticks(11)? + ticks(12)?) / TICKS,
            rss_kib: rss.ok_or("no VmRSS")?,
            looks: sum("oprc_crm_nfr_looks_total"),
            queries: sum("oprc_crm_nfr_queries_total"),
            reports: sum("oprc_crm_nfr_reports_total"),
        })
    }

    /// Waits until so many classes have a recommendation.
    async fn measured(&self, classes: usize) -> Result<Duration, Failure> {
        let begun = Instant::now();
        loop {
            let page: Whole = serde_json::from_str(&self.page("/nfr").await?)?;
            let components = page.classes.iter().flat_map(|class| &class.components);
            let there = components.filter(|one| one.decisions.iter().any(|one| one.recommended.is_some())).count();
            if there >= classes {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > LIMIT {
                return Err(format!("{there} of {classes} classes have a recommendation").into());
            }
            eprintln!("{there} of {classes} classes are measured after {:.0} s", begun.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }

    /// Waits until so many looks have ended since a sample.
    async fn looked(&self, since: Sample, looks: u64) -> Result<Sample, Failure> {
        loop {
            let now = self.sample().await?;
            if now.looks >= since.looks + looks {
                return Ok(now);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn create(client: &Client, exporter: &Exporter, classes: usize) -> Result<(), Failure> {
    let records: Api<DeploymentRecord> = Api::namespaced(client.clone(), NAMESPACE);
    let make = |index: usize| {
        let (records, name) = (records.clone(), format!("class-{index}"));
        exporter.set(NAMESPACE, &name, Load { cores: 0.05, memory: 50e6, ..Load::default() });
        let manifest = json!({
            "apiVersion": DeploymentRecord::api_version(&()), "kind": DeploymentRecord::kind(&()),
            "metadata": {"name": name},
            "spec": {"functions": [{"function_key": "f", "image": "registry.example/app:1", "replicas": 1}]},
        });
        async move { records.patch(&name, &PatchParams::apply("bench"), &Patch::Apply(&manifest)).await.map(drop) }
    };
    futures::stream::iter((0..classes).map(make)).buffer_unordered(16).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn report(classes: usize, empty: Sample, before: Sample, after: Sample) {
    let looks = (after.looks - before.looks) as f64;
    let each = |value: f64| value / looks;
    println!("{classes} classes, one function of one pod each; {looks:.0} looks while nothing happens");
    println!(
        "  CPU of one look, all else included            {:>8.3} s   (target: under 1 s)",
        each(after.cpu - before.cpu)
    );
    println!(
        "  queries of one look                           {:>8.2}     (signals: 6)",
        each((after.queries - before.queries) as f64)
    );
    println!("  statuses written by the loop                  {:>8}     (target: 0)", after.reports - before.reports);
    println!("  resident memory                               {:>8.1} MiB", after.rss_kib / 1024.0);
    let a_record = (after.rss_kib - empty.rss_kib) / classes as f64;
    println!("  of it for each class                          {a_record:>8.1} KiB (records, children and samples)");
}

async fn measure(plane: &ControlPlane, client: &Client, classes: usize) -> Result<(), Failure> {
    let scraping = Scraping::start(plane, client, NAMESPACE, "bench").await?;
    let url = scraping.prometheus.url();
    let crm = Crm::start(plane, Path::new(env!("CARGO_BIN_EXE_oprc-crm")), Some(&url)).await?;
    let operator = Operator { crm, http: reqwest::Client::builder().no_proxy().build()? };
    let empty = operator.sample().await?;
    let begun = Instant::now();
    create(client, &scraping.exporter, classes).await?;
    eprintln!("{classes} records written in {:.1} s", begun.elapsed().as_secs_f64());
    operator.measured(classes).await?;
    eprintln!("all of them measured {:.0} s after the first was written", begun.elapsed().as_secs_f64());
    // Recommendations grow sure with their samples; then nothing is news any more.
    let settled = operator.looked(operator.sample().await?, 2 * LOOKS).await?;
    let after = operator.looked(settled, LOOKS).await?;
    report(classes, empty, settled, after);
    Ok(())
}

async fn run() -> Result<(), Failure> {
    let classes = std::env::var("CLASSES").ok().map_or(Ok(1000), |text| text.parse())?;
    let nodes = u32::try_from(classes / PODS + 1)?;
    let program = Path::new(env!("CARGO_BIN_EXE_oprc-crm"));
    let options = Options { guard: program.to_owned(), nodes, keep: false };
    let plane = ControlPlane::start(options, |step| eprintln!("{step}")).await?;
    let client = Client::try_from(plane.admin_config().await?)?;
    let rbac = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/rbac/crm-rbac.yaml"))?;
    install::crm(&client, &rbac).await?;
    let measured = measure(&plane, &client, classes).await;
    plane.stop().await?;
    measured
}

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}
