//! The class that the benchmarks decide about.

use std::error::Error;

use oprc_crm::api::{DeploymentRecord, DeploymentRecordSpec, FunctionShorthand, NfrRequirements, OdgmConfig};
use oprc_crm::decision::{ClusterFacts, Features, Setting};
use oprc_crm::model::{Class, parse};

/// One function, a data grid, a requirement; in a cluster with Knative, so that every template is a candidate.
pub fn example() -> Result<(Class, Setting), Box<dyn Error>> {
    let spec = DeploymentRecordSpec {
        function: Some(FunctionShorthand { image: "registry.example/team/app:1.2".to_owned(), port: None }),
        odgm_config: Some(OdgmConfig { replica_count: Some(3), ..OdgmConfig::default() }),
        nfr_requirements: Some(NfrRequirements { min_throughput_rps: Some(900), ..NfrRequirements::default() }),
        ..DeploymentRecordSpec::default()
    };
    let setting = Setting {
        profile: "full".to_owned(),
        features: Features { odgm: true, knative: true, ..Features::default() },
        cluster: ClusterFacts { knative: Some(true), ..ClusterFacts::default() },
    };
    Ok((parse(&DeploymentRecord::new("hello", spec))?, setting))
}
