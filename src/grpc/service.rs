//! The deployment service in the two forms of its answers: what Package Managers of the first release decode, and what
//! later ones expect in the same places. Everything else is the same, in `calls`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::calls::Calls;
use super::pb::deployment::deployment_service_server::DeploymentService as OclassService;
use super::pb::deployment::{
    DeleteDeploymentRequest, DeleteDeploymentResponse, DeployRequest, DeployResponse, GetDeploymentRecordRequest,
    GetDeploymentRecordResponse, GetDeploymentStatusRequest, GetDeploymentStatusResponse, ListDeploymentRecordsRequest,
    ListDeploymentRecordsResponse,
};
use super::pb::oaas::common::StatusCode;
use super::pb::unit_form as unit;
use super::pb::unit_form::deployment_service_server::DeploymentService as UnitService;
use super::present;
use super::store::{Judge, RecordStore};

/// Answers with `OClassDeployment`.
pub(super) struct Oclass<S, J>(pub(super) Arc<Calls<S, J>>);

/// Answers with `DeploymentUnit`.
pub(super) struct Unit<S, J>(pub(super) Arc<Calls<S, J>>);

#[tonic::async_trait]
impl<S: RecordStore, J: Judge> OclassService for Oclass<S, J> {
    async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<DeployResponse>, Status> {
        self.0.deploy(request).await
    }

    async fn get_deployment_status(
        &self,
        request: Request<GetDeploymentStatusRequest>,
    ) -> Result<Response<GetDeploymentStatusResponse>, Status> {
        let record = self.0.find(&request.into_inner().deployment_id).await?;
        Ok(Response::new(GetDeploymentStatusResponse {
            status: StatusCode::Ok.into(),
            deployment: Some(present::oclass(&record)),
            message: present::message(&record),
            status_resource_refs: present::resource_refs(&record),
        }))
    }

    async fn delete_deployment(
        &self,
        request: Request<DeleteDeploymentRequest>,
    ) -> Result<Response<DeleteDeploymentResponse>, Status> {
        self.0.delete(request).await
    }

    async fn list_deployment_records(
        &self,
        request: Request<ListDeploymentRecordsRequest>,
    ) -> Result<Response<ListDeploymentRecordsResponse>, Status> {
        let items = self.0.list(request).await?.iter().map(present::oclass).collect();
        Ok(Response::new(ListDeploymentRecordsResponse { items }))
    }

    async fn get_deployment_record(
        &self,
        request: Request<GetDeploymentRecordRequest>,
    ) -> Result<Response<GetDeploymentRecordResponse>, Status> {
        let record = self.0.find(&request.into_inner().deployment_id).await?;
        Ok(Response::new(GetDeploymentRecordResponse { deployment: Some(present::oclass(&record)) }))
    }
}

#[tonic::async_trait]
impl<S: RecordStore, J: Judge> UnitService for Unit<S, J> {
    async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<DeployResponse>, Status> {
        self.0.deploy(request).await
    }

    async fn get_deployment_status(
        &self,
        request: Request<GetDeploymentStatusRequest>,
    ) -> Result<Response<unit::GetDeploymentStatusResponse>, Status> {
        let record = self.0.find(&request.into_inner().deployment_id).await?;
        Ok(Response::new(unit::GetDeploymentStatusResponse {
            status: StatusCode::Ok.into(),
            deployment: Some(present::unit(&record)),
            message: present::message(&record),
            status_resource_refs: present::resource_refs(&record),
        }))
    }

    async fn delete_deployment(
        &self,
        request: Request<DeleteDeploymentRequest>,
    ) -> Result<Response<DeleteDeploymentResponse>, Status> {
        self.0.delete(request).await
    }

    async fn list_deployment_records(
        &self,
        request: Request<ListDeploymentRecordsRequest>,
    ) -> Result<Response<unit::ListDeploymentRecordsResponse>, Status> {
        let items = self.0.list(request).await?.iter().map(present::unit).collect();
        Ok(Response::new(unit::ListDeploymentRecordsResponse { items }))
    }

    async fn get_deployment_record(
        &self,
        request: Request<GetDeploymentRecordRequest>,
    ) -> Result<Response<unit::GetDeploymentRecordResponse>, Status> {
        let record = self.0.find(&request.into_inner().deployment_id).await?;
        Ok(Response::new(unit::GetDeploymentRecordResponse { deployment: Some(present::unit(&record)) }))
    }
}
