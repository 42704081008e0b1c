//! How long one decision takes, with the shipped bundle: `cargo bench --bench decide`.

use std::hint::black_box;
use std::time::Instant;

use oprc_crm::api::{DeploymentRecord, DeploymentRecordSpec, FunctionShorthand, NfrRequirements, OdgmConfig};
use oprc_crm::decision::{ClusterFacts, Features, Setting, decide};
use oprc_crm::model::parse;
use oprc_crm::policy::{Inputs, Policy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let policy = Policy::builtin(&Inputs { profile: "full".to_owned(), ..Inputs::default() })?;
    println!("load, check and compile   {:>9.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let spec = DeploymentRecordSpec {
        function: Some(FunctionShorthand { image: "registry.example/team/app:1.2".to_owned(), port: None }),
        odgm_config: Some(OdgmConfig { replica_count: Some(3), ..OdgmConfig::default() }),
        nfr_requirements: Some(NfrRequirements { min_throughput_rps: Some(900), ..NfrRequirements::default() }),
        ..DeploymentRecordSpec::default()
    };
    let class = parse(&DeploymentRecord::new("hello", spec))?;
    let setting = Setting {
        profile: "full".to_owned(),
        features: Features { odgm: true, knative: true, ..Features::default() },
        cluster: ClusterFacts { knative: Some(true), ..ClusterFacts::default() },
    };
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        for _ in 0..200 {
            black_box(decide(&policy, black_box(&class), black_box(&setting), None));
        }
        times.push(start.elapsed().as_secs_f64() * 1e6 / 200.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    println!("one decision, with traces {:>9.1} µs (median; {:.1} best, {:.1} worst)", at(25), at(0), at(49));
    Ok(())
}
