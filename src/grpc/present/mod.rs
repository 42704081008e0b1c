//! Record -> wire: what the read calls answer with. Pure.

mod unit;

use crate::api::{
    ANNOTATION_CREATED_AT, DeploymentRecord, FunctionSpec, NfrRequirements, Phase, ResourceRef, ResourceRequirements,
};
use crate::model::SHORTHAND_FUNCTION_KEY;

use super::identity::{annotation, record_id};
use super::pb::{deployment as wire, oaas::common};
use super::wire::ratio;

pub use unit::unit;

/// A record as a Package Manager of the first release reads it.
pub(super) fn oclass(record: &DeploymentRecord) -> wire::OClassDeployment {
    let spec = &record.spec;
    wire::OClassDeployment {
        key: record_id(record).to_owned(),
        package_name: spec.package_name.clone().unwrap_or_default(),
        class_key: spec.class_key.clone().unwrap_or_default(),
        target_env: spec.target_env.clone().unwrap_or_default(),
        target_clusters: spec.target_cluster.iter().cloned().collect(),
        nfr_requirements: spec.nfr_requirements.as_ref().map(nfr),
        functions: functions(record),
        created_at: created_at(record),
        summarized_status: Some(summary(record).into()),
        resource_refs: resource_refs(record),
    }
}

/// Objects that the class consists of.
pub(super) fn resource_refs(record: &DeploymentRecord) -> Vec<wire::ResourceReference> {
    let one = |reference: &ResourceRef| wire::ResourceReference {
        kind: reference.kind.clone(),
        name: reference.name.clone(),
        namespace: Some(reference.namespace.clone()),
        uid: reference.uid.clone(),
    };
    record.status.iter().flat_map(|status| &status.resource_refs).map(one).collect()
}

/// Where the class stands. A status of an older spec says nothing of the present one.
pub(super) fn summary(record: &DeploymentRecord) -> wire::SummarizedStatus {
    let Some(status) = &record.status else { return wire::SummarizedStatus::Progressing };
    if record.metadata.deletion_timestamp.is_some() || status.observed_generation < record.metadata.generation {
        return wire::SummarizedStatus::Progressing;
    }
    match status.phase {
        Some(Phase::Available) => wire::SummarizedStatus::Running,
        Some(Phase::Degraded) => wire::SummarizedStatus::Degraded,
        Some(Phase::Pending | Phase::Progressing | Phase::Deleting) => wire::SummarizedStatus::Progressing,
        None => wire::SummarizedStatus::SummaryUnknown,
    }
}

/// Where the class stands, in a sentence.
pub(super) fn message(record: &DeploymentRecord) -> Option<String> {
    if record.metadata.deletion_timestamp.is_some() {
        return Some("being deleted".to_owned());
    }
    match &record.status {
        None => Some("accepted; the controller has not looked at it yet".to_owned()),
        Some(status) if status.observed_generation < record.metadata.generation => {
            Some("accepted; the controller has not looked at the latest change yet".to_owned())
        }
        Some(status) => status.message.clone(),
    }
}

fn created_at(record: &DeploymentRecord) -> Option<common::Timestamp> {
    let stated = annotation(record, ANNOTATION_CREATED_AT).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let at = stated.or_else(|| record.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    Some(common::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

fn functions(record: &DeploymentRecord) -> Vec<wire::FunctionDeploymentSpec> {
    match &record.spec.function {
        Some(shorthand) => {
            let one = FunctionSpec {
                function_key: SHORTHAND_FUNCTION_KEY.to_owned(),
                image: Some(shorthand.image.clone()),
                port: shorthand.port,
                ..FunctionSpec::default()
            };
            vec![function(&one)]
        }
        None => record.spec.functions.iter().map(function).collect(),
    }
}

fn function(spec: &FunctionSpec) -> wire::FunctionDeploymentSpec {
    wire::FunctionDeploymentSpec {
        function_key: spec.function_key.clone(),
        replicas: spec.replicas.unwrap_or_default(),
        resource_requirements: spec.resources.as_ref().map(resources),
        image: spec.image.clone().unwrap_or_default(),
        description: spec.description.clone(),
        available_location: spec.available_location.clone(),
        nfr_requirements: spec.nfr_requirements.as_ref().map(nfr),
        provision_config: provision(spec),
        config: spec.env.clone(),
    }
}

fn resources(stated: &ResourceRequirements) -> common::ResourceRequirements {
    common::ResourceRequirements {
        cpu_request: stated.cpu_request.clone().unwrap_or_default(),
        memory_request: stated.memory_request.clone().unwrap_or_default(),
        cpu_limit: stated.cpu_limit.clone(),
        memory_limit: stated.memory_limit.clone(),
    }
}

/// Resources stand here too, since readers look in either place.
fn provision(spec: &FunctionSpec) -> Option<common::ProvisionConfig> {
    let stated = spec.resources.clone().unwrap_or_default();
    let config = common::ProvisionConfig {
        container_image: spec.container_image.clone(),
        port: spec.port,
        max_concurrency: spec.max_concurrency.unwrap_or_default(),
        need_http2: spec.need_http2.unwrap_or_default(),
        cpu_request: stated.cpu_request,
        memory_request: stated.memory_request,
        cpu_limit: stated.cpu_limit,
        memory_limit: stated.memory_limit,
        min_scale: spec.min_scale,
        max_scale: spec.max_scale,
        wasm_module_url: spec.wasm_module_url.clone(),
    };
    (config != common::ProvisionConfig::default()).then_some(config)
}

fn nfr(stated: &NfrRequirements) -> common::NfrRequirements {
    common::NfrRequirements {
        max_latency_ms: stated.max_latency_ms,
        min_throughput_rps: stated.min_throughput_rps,
        availability: stated.availability_pct.map(ratio),
        cpu_utilization_target: stated.cpu_utilization_target,
    }
}
