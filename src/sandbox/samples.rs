//! The classes that the sandbox shows: what a Package Manager sends by gRPC, and what a person applies.

use std::collections::BTreeMap;
use std::time::Duration;

use http::uri::PathAndQuery;
use kube::Client;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::install::{self, InstallError};
use crate::grpc::CORRELATION_ID;
use crate::grpc::pb::deployment::{DeployRequest, DeployResponse, DeploymentUnit, FunctionDeploymentSpec, OdgmConfig};
use crate::grpc::pb::oaas::common::{NfrRequirements, ProvisionConfig};
use crate::model::names::record_name;

/// The manifests of `k8s/samples`, by file name.
pub const MANIFESTS: [(&str, &str); 5] = [
    ("enforced.yaml", include_str!("../../k8s/samples/enforced.yaml")),
    ("minimal.yaml", include_str!("../../k8s/samples/minimal.yaml")),
    ("odgm.yaml", include_str!("../../k8s/samples/odgm.yaml")),
    ("requirements.yaml", include_str!("../../k8s/samples/requirements.yaml")),
    ("several-functions.yaml", include_str!("../../k8s/samples/several-functions.yaml")),
];
/// Those that are applied, by record and file; the others are left to the user.
const APPLIED: [(&str, &str); 2] = [(ENFORCED, "enforced.yaml"), ("hello", "minimal.yaml")];
/// The class whose replicas follow its load.
pub const ENFORCED: &str = "elastic";

/// Deploy, by the name under which the Package Manager in the field calls it.
const DEPLOY: &str = "/oaas.deployment.DeploymentService/Deploy";
/// One call, retries included; the operator is on this machine.
const CALL_LIMIT: Duration = Duration::from_secs(30);
const IMAGE: &str = "ghcr.io/knative/helloworld-go:latest";

/// Why a sample could not be deployed.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The operator cannot be called.
    #[error("gRPC on 127.0.0.1:{port}: {source}")]
    Connect {
        /// Where.
        port: u16,
        /// What happened.
        source: tonic::transport::Error,
    },
    /// The operator refuses one.
    #[error("Deploy of {id}: {:?}: {}", .status.code(), .status.message())]
    Refused {
        /// Its deployment id.
        id: String,
        /// The operator's answer.
        status: Box<Status>,
    },
    /// The API server refuses one that is applied.
    #[error(transparent)]
    Apply(#[from] InstallError),
}

/// The names of all samples' records.
pub fn names() -> Vec<String> {
    units().iter().map(|unit| record_name(&unit.id)).chain(APPLIED.map(|(name, _)| name.to_owned())).collect()
}

/// Deploys all of them: by gRPC on `port`, and the others by `client`. Those that are refused do not hinder the others.
pub async fn deploy(client: &Client, port: u16) -> Vec<SampleError> {
    let mut refused = Vec::new();
    match Endpoint::from_shared(format!("http://127.0.0.1:{port}")) {
        Ok(endpoint) => match endpoint.connect().await {
            Ok(channel) => {
                for unit in units() {
                    refused.extend(send(&channel, unit).await.err());
                }
            }
            Err(source) => refused.push(SampleError::Connect { port, source }),
        },
        Err(source) => refused.push(SampleError::Connect { port, source }),
    }
    for (_, file) in APPLIED {
        refused.extend(apply(client, file).await.err());
    }
    refused
}

async fn apply(client: &Client, file: &str) -> Result<(), SampleError> {
    for (_, text) in MANIFESTS.iter().filter(|(name, _)| *name == file) {
        install::apply_yaml(client, &format!("k8s/samples/{file}"), text).await?;
    }
    Ok(())
}

async fn send(channel: &Channel, unit: DeploymentUnit) -> Result<(), SampleError> {
    let id = unit.id.clone();
    let mut request = Request::new(DeployRequest { deployment_unit: Some(unit) });
    if let Ok(value) = http::HeaderValue::try_from(format!("sandbox-{id}")) {
        *request.metadata_mut() = MetadataMap::from_headers([(CORRELATION_ID, value)].into_iter().collect());
    }
    request.set_timeout(CALL_LIMIT);
    let refused = |status: Status| SampleError::Refused { id: id.clone(), status: Box::new(status) };
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| refused(Status::unavailable(error.to_string())))?;
    let codec: ProstCodec<DeployRequest, DeployResponse> = ProstCodec::default();
    grpc.unary(request, PathAndQuery::from_static(DEPLOY), codec).await.map(|_| ()).map_err(refused)
}

/// The classes that come by gRPC, from the plainest on.
fn units() -> Vec<DeploymentUnit> {
    vec![
        unit("thumbnails", vec![function("resize", IMAGE)]),
        DeploymentUnit {
            odgm_config: Some(OdgmConfig {
                collections: vec!["carts".to_owned(), "wishlists".to_owned()],
                partition_count: Some(4),
                replica_count: Some(2),
                ..OdgmConfig::default()
            }),
            ..unit("carts", vec![function("cart", IMAGE)])
        },
        unit(
            "media",
            vec![
                function("probe", IMAGE),
                FunctionDeploymentSpec {
                    replicas: 3,
                    config: BTreeMap::from([("CODEC".to_owned(), "av1".to_owned())]),
                    ..function("encode", "ghcr.io/knative/autoscale-go:latest")
                },
                function("notify", IMAGE),
            ],
        ),
        DeploymentUnit {
            nfr_requirements: Some(NfrRequirements {
                min_throughput_rps: Some(2_000),
                max_latency_ms: Some(40),
                availability: Some(0.9999),
                ..NfrRequirements::default()
            }),
            ..unit("trading", vec![function("order", IMAGE)])
        },
        DeploymentUnit { selected_template: Some("dev".to_owned()), ..unit("sketch", vec![function("draw", IMAGE)]) },
    ]
}

fn unit(id: &str, functions: Vec<FunctionDeploymentSpec>) -> DeploymentUnit {
    DeploymentUnit {
        id: id.to_owned(),
        package_name: "samples".to_owned(),
        class_key: id.to_owned(),
        target_env: "sandbox".to_owned(),
        functions,
        ..DeploymentUnit::default()
    }
}

fn function(key: &str, image: &str) -> FunctionDeploymentSpec {
    FunctionDeploymentSpec {
        function_key: key.to_owned(),
        image: image.to_owned(),
        provision_config: Some(ProvisionConfig { port: Some(8080), ..ProvisionConfig::default() }),
        ..FunctionDeploymentSpec::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::api::DeploymentRecord;

    #[test]
    fn no_sample_takes_the_name_of_another_or_of_a_manifest_that_is_left_to_the_user() {
        let mut names = names();
        for (file, text) in MANIFESTS {
            let record: DeploymentRecord = serde_saphyr::from_str(text).unwrap();
            let name = record.metadata.name.unwrap();
            match APPLIED.iter().find(|(_, applied)| *applied == file) {
                Some((record, _)) => assert_eq!(name, *record),
                None => names.push(name),
            }
        }
        let total = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), total, "{names:?}");
    }
}
