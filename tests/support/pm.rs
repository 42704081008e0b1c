//! The Package Manager's side of a controller: clients of the generated stubs, under either name of the service.

use http::Request;
use http::uri::PathAndQuery;
use oprc_crm::grpc::SERVICE_ALIAS;
use oprc_crm::grpc::pb::deployment::deployment_service_client::DeploymentServiceClient;
use oprc_crm::grpc::pb::deployment::{
    DeleteDeploymentRequest, DeployRequest, DeploymentUnit, FunctionDeploymentSpec, GetDeploymentStatusRequest,
    GetDeploymentStatusResponse, SummarizedStatus,
};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;
use tower::util::MapRequest;

use super::class::SOON;
use super::crm::Crm;
use super::eventually;

type Rename = fn(Request<Body>) -> Request<Body>;
/// A client of one of the two names.
pub type Client = DeploymentServiceClient<MapRequest<Channel, Rename>>;

pub async fn channel(crm: &Crm) -> Channel {
    Channel::from_shared(format!("http://{}", crm.address)).unwrap().connect().await.expect("the controller listens")
}

/// Calls `deployment.DeploymentService`.
pub async fn canonical(crm: &Crm) -> Client {
    let unchanged: Rename = |request| request;
    DeploymentServiceClient::new(channel(crm).await.map_request(unchanged))
}

/// Calls `oaas.deployment.DeploymentService`.
pub async fn alias(crm: &Crm) -> Client {
    let renamed: Rename = |mut request| {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(format!("/{SERVICE_ALIAS}/{method}")).unwrap());
        *request.uri_mut() = http::Uri::from_parts(parts).unwrap();
        request
    };
    DeploymentServiceClient::new(channel(crm).await.map_request(renamed))
}

/// A unit with one function.
pub fn unit(id: &str, image: &str) -> DeploymentUnit {
    let function = FunctionDeploymentSpec {
        function_key: "f".to_owned(),
        image: image.to_owned(),
        ..FunctionDeploymentSpec::default()
    };
    DeploymentUnit { id: id.to_owned(), functions: vec![function], ..DeploymentUnit::default() }
}

pub fn deploy(unit: DeploymentUnit) -> DeployRequest {
    DeployRequest { deployment_unit: Some(unit) }
}

pub fn get(id: &str) -> GetDeploymentStatusRequest {
    GetDeploymentStatusRequest { deployment_id: id.to_owned() }
}

pub fn delete(id: &str) -> DeleteDeploymentRequest {
    DeleteDeploymentRequest { deployment_id: id.to_owned() }
}

/// Deploys; what the controller did: created, updated or unchanged.
pub async fn done(client: &Client, unit: DeploymentUnit) -> String {
    let id = unit.id.clone();
    let answer = client.clone().deploy(deploy(unit)).await.unwrap_or_else(|status| panic!("{id:?}: {status:?}"));
    let answer = answer.into_inner();
    assert_eq!(answer.deployment_id, id, "verbatim");
    answer.message.unwrap_or_default()
}

/// Waits until GetDeploymentStatus says RUNNING.
pub async fn running(client: &Client, id: &str) -> GetDeploymentStatusResponse {
    eventually(SOON, &format!("{id:?} is RUNNING"), || async {
        let answer = client.clone().get_deployment_status(get(id)).await.map_err(|status| status.to_string())?;
        let answer = answer.into_inner();
        let summary = answer.deployment.as_ref().map(|deployment| deployment.summarized_status());
        if summary == Some(SummarizedStatus::Running) { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await
}

/// Code of a Get of this id.
pub async fn code_of_get(client: &Client, id: &str) -> Code {
    client.clone().get_deployment_status(get(id)).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Fields that an INVALID_ARGUMENT names in its details; its message names them too.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest: {status:?}"));
    let fields: Vec<String> = details.field_violations.into_iter().map(|violation| violation.field).collect();
    assert!(fields.iter().all(|field| status.message().contains(field.as_str())), "{fields:?}: {}", status.message());
    fields
}

/// Reason of a FAILED_PRECONDITION.
pub fn reason(status: &Status) -> String {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}")).reason
}

/// Asserts UNAVAILABLE with a hint when to try again.
pub fn assert_try_again(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(delay.is_some_and(|delay| !delay.is_zero()), "no RetryInfo: {status:?}");
}
