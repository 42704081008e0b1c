//! The gRPC services: wire <-> record. Knows neither the cluster's client nor the policy, only a [`RecordStore`] and a
//! [`Judge`]; `tonic::Status` is made only here.

mod call;
mod deploy;
mod fields;
mod health;
mod identity;
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
use tonic::service::Routes;
use tower::ServiceExt as _;

pub use call::CORRELATION_ID;
pub(crate) use identity::{left_to_people, says_the_same};
pub use store::{Judge, RecordStore, StoreError};

use crate::server::Readiness;
use pb::deployment::deployment_service_server::{DeploymentServiceServer, SERVICE_NAME};
use pb::grpc::health::v1::health_server::HealthServer;
use pb::oaas::health::crm_info_service_server::CrmInfoServiceServer;
use pb::oaas::health::health_service_server::{HealthServiceServer, SERVICE_NAME as HEALTH_NAME};

/// The name that the Package Manager in the field calls the deployment service by.
pub const SERVICE_ALIAS: &str = "oaas.deployment.DeploymentService";

/// Limits of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bound of a call that states no `grpc-timeout`.
    pub default_deadline: Duration,
    /// Largest request, bytes.
    pub max_request: usize,
    /// Largest answer, bytes.
    pub max_answer: usize,
}

impl Default for Options {
    fn default() -> Self {
        // The API server takes objects of about 1.5 MiB; a list of many of them is the largest answer.
        Self { default_deadline: Duration::from_secs(30), max_request: 4 << 20, max_answer: 64 << 20 }
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
    readiness: &Readiness,
    options: Options,
) -> Result<Router, ServicesError> {
    let deployment = DeploymentServiceServer::new(service::Service::new(store, judge))
        .max_decoding_message_size(options.max_request)
        .max_encoding_message_size(options.max_answer);
    let alias = deployment.clone().map_request(canonical);
    let names = [SERVICE_NAME, SERVICE_ALIAS, HEALTH_NAME].map(str::to_owned).to_vec();
    let health = health::HealthState::new(readiness.clone(), names);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .build_v1()?;
    let routes = Routes::new(deployment)
        .add_service(HealthServiceServer::new(health.clone()).max_decoding_message_size(options.max_request))
        .add_service(HealthServer::new(health).max_decoding_message_size(options.max_request))
        .add_service(CrmInfoServiceServer::new(health::CrmInfo).max_decoding_message_size(options.max_request))
        .add_service(reflection)
        .into_axum_router()
        .route_service(&format!("/{SERVICE_ALIAS}/{{*method}}"), alias);
    Ok(routes
        .layer(axum::middleware::from_fn_with_state(options.max_request, call::too_large))
        .layer(axum::middleware::from_fn_with_state(options.default_deadline, call::bound))
        .layer(axum::middleware::from_fn(call::correlate)))
}

/// A call by the other name becomes a call by the canonical one.
fn canonical(mut request: http::Request<axum::body::Body>) -> http::Request<axum::body::Body> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    if let Ok(path) = http::uri::PathAndQuery::try_from(format!("/{SERVICE_NAME}/{method}")) {
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
