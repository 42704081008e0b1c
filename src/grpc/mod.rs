//! The gRPC services: wire <-> record. Knows neither the cluster's client nor the policy, only a [`RecordStore`], a
//! [`Judge`] and a [`NodeCounter`]; `tonic::Status` is made only here.

mod call;
mod calls;
mod deploy;
mod fields;
mod fit;
mod health;
mod identity;
mod info;
mod locks;
mod pause;
pub mod pb;
mod prepare;
mod present;
mod service;
mod status;
mod store;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tower::ServiceExt as _;

pub use call::CORRELATION_ID;
pub(crate) use identity::{left_to_people, says_the_same};
pub use info::{InfoOptions, NodeCount, NodeCounter};
pub use prepare::record_of;
pub use present::unit as unit_of;
pub use store::{Judge, RecordStore, StoreError};

use crate::server::Readiness;
use calls::Calls;
use pb::deployment::deployment_service_server::{DeploymentServiceServer, SERVICE_NAME};
use pb::grpc::health::v1::health_server::{HealthServer, SERVICE_NAME as STANDARD_HEALTH_NAME};
use pb::oaas::health::crm_info_service_server::{CrmInfoServiceServer, SERVICE_NAME as INFO_NAME};
use pb::oaas::health::health_service_server::{HealthServiceServer, SERVICE_NAME as HEALTH_NAME};
use pb::unit_form::deployment_service_server::DeploymentServiceServer as UnitServiceServer;

/// The name that the Package Manager in the field calls the deployment service by.
pub const SERVICE_ALIAS: &str = "oaas.deployment.DeploymentService";

/// What the read calls answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// `OClassDeployment`, which Package Managers of the first release decode.
    #[default]
    Oclass,
    /// `DeploymentUnit`, which later ones expect.
    Unit,
}

/// What the services are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Bound of a call that states no `grpc-timeout`.
    pub default_deadline: Duration,
    /// Largest request, bytes.
    pub max_request: usize,
    /// Largest answer, bytes.
    pub max_answer: usize,
    /// What the read calls answer with.
    pub payload: Payload,
    /// What `CrmInfoService` says besides the counts.
    pub info: InfoOptions,
}

impl Default for Options {
    fn default() -> Self {
        // The API server takes objects of about 1.5 MiB; a list of many of them is the largest answer.
        Self {
            default_deadline: Duration::from_secs(30),
            max_request: 4 << 20,
            max_answer: 64 << 20,
            payload: Payload::default(),
            info: InfoOptions::default(),
        }
    }
}

/// Why the services could not be put together: a fault of the program.
#[derive(Debug, thiserror::Error)]
#[error("the descriptors for gRPC reflection are broken: {0}")]
pub struct ServicesError(#[from] tonic_reflection::server::Error);

/// Every gRPC service, as routes of the one listener.
pub fn services<S: RecordStore, J: Judge>(
    store: Arc<S>,
    judge: Arc<J>,
    counter: Arc<dyn NodeCounter>,
    readiness: &Readiness,
    options: Options,
) -> Result<Router, ServicesError> {
    let Options { default_deadline, max_request, max_answer, payload, info } = options;
    let calls = Arc::new(Calls::new(store, judge));
    let (deployment, descriptors) = match payload {
        Payload::Oclass => {
            let server = DeploymentServiceServer::new(service::Oclass(calls));
            let server = server.max_decoding_message_size(max_request).max_encoding_message_size(max_answer);
            let server = server.accept_compressed(Gzip).send_compressed(Gzip);
            (Routes::new(server), pb::DESCRIPTORS)
        }
        Payload::Unit => {
            let server = UnitServiceServer::new(service::Unit(calls));
            let server = server.max_decoding_message_size(max_request).max_encoding_message_size(max_answer);
            let server = server.accept_compressed(Gzip).send_compressed(Gzip);
            (Routes::new(server), pb::DESCRIPTORS_UNIT)
        }
    };
    let names = [SERVICE_NAME, SERVICE_ALIAS, HEALTH_NAME, INFO_NAME, STANDARD_HEALTH_NAME].map(str::to_owned);
    let health = health::HealthState::new(readiness.clone(), names.to_vec());
    let info = info::CrmInfo { counter, readiness: readiness.clone(), options: info };
    let reflection =
        tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(descriptors).build_v1()?;
    let routes = deployment
        .add_service(HealthServiceServer::new(health.clone()).max_decoding_message_size(max_request))
        .add_service(HealthServer::new(health).max_decoding_message_size(max_request))
        .add_service(CrmInfoServiceServer::new(info).max_decoding_message_size(max_request))
        .add_service(reflection)
        .into_axum_router();
    Ok(Router::new()
        .fallback_service(routes.map_request(canonical))
        .layer(axum::middleware::from_fn_with_state(max_request, call::unreadable))
        .layer(axum::middleware::from_fn_with_state(default_deadline, call::bound))
        .layer(axum::middleware::from_fn(call::correlate)))
}

/// A call by the other name becomes a call by the canonical one.
fn canonical(mut request: http::Request<axum::body::Body>) -> http::Request<axum::body::Body> {
    let method = request.uri().path().strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_ALIAS));
    let path = method
        .filter(|method| method.starts_with('/'))
        .and_then(|method| http::uri::PathAndQuery::try_from(format!("/{SERVICE_NAME}{method}")).ok());
    if let Some(path) = path {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests;
