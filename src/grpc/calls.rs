//! What the deployment service does, whichever form its answers have: looks records up, hands Deploy over, deletes.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::DeploymentRecord;
use crate::model::names::record_name;

use super::call::CorrelationId;
use super::deploy::Deployer;
use super::identity::{Found, check_id, look_up, record_id};
use super::locks::Locks;
use super::pause::Pause;
use super::pb::deployment::{
    DeleteDeploymentRequest, DeleteDeploymentResponse, DeployRequest, DeployResponse, ListDeploymentRecordsRequest,
    SummarizedStatus,
};
use super::pb::oaas::common::StatusCode;
use super::store::{Judge, RecordStore, StoreError};
use super::{present, status};

/// The calls over a store and a judge.
pub(super) struct Calls<S, J> {
    store: Arc<S>,
    locks: Arc<Locks>,
    deployer: Deployer<S, J>,
}

impl<S: RecordStore, J: Judge> Calls<S, J> {
    pub(super) fn new(store: Arc<S>, judge: Arc<J>) -> Self {
        let locks = Arc::new(Locks::default());
        let deployer = Deployer { store: Arc::clone(&store), judge, locks: Arc::clone(&locks) };
        Self { store, locks, deployer }
    }

    /// The record of an id; the full id must match, not only the name that it maps to.
    pub(super) async fn find(&self, id: &str) -> Result<DeploymentRecord, Status> {
        check_id(id, "deployment_id").map_err(|fault| status::invalid(&[fault]))?;
        match look_up(self.store.as_ref(), id).await.map_err(store_status)? {
            Found::Record(record) => Ok(*record),
            Found::Taken(_) | Found::Nothing => Err(status::not_found(id)),
        }
    }

    pub(super) async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<DeployResponse>, Status> {
        let correlation_id = CorrelationId::of(request.extensions());
        let Some(unit) = request.into_inner().deployment_unit else {
            return Err(status::invalid_field("deployment_unit", "is required"));
        };
        let outcome = self.deployer.deploy(&unit, &correlation_id.0).await?;
        tracing::info!(deployment_id = %unit.id, outcome = %outcome.message(), "deployed");
        let message = Some(outcome.message());
        Ok(Response::new(DeployResponse { status: StatusCode::Ok.into(), deployment_id: unit.id, message }))
    }

    pub(super) async fn delete(
        &self,
        request: Request<DeleteDeploymentRequest>,
    ) -> Result<Response<DeleteDeploymentResponse>, Status> {
        let id = request.into_inner().deployment_id;
        let _held = self.locks.lock(&record_name(&id)).await;
        let mut pause = Pause::new();
        loop {
            let record = self.find(&id).await?;
            if record.metadata.deletion_timestamp.is_some() {
                break;
            }
            match self.store.delete(&record).await {
                Ok(()) => break,
                // Replaced since it was read: whether that one is to go too, its id says.
                Err(StoreError::Conflict) => pause.wait().await,
                Err(error) => return Err(store_status(error)),
            }
        }
        tracing::info!(deployment_id = %id, "deleting");
        let message = Some("being deleted".to_owned());
        Ok(Response::new(DeleteDeploymentResponse { status: StatusCode::Ok.into(), message }))
    }

    /// The records that a filter matches, by id, and of these the page that is asked for.
    pub(super) async fn list(
        &self,
        request: Request<ListDeploymentRecordsRequest>,
    ) -> Result<Vec<DeploymentRecord>, Status> {
        let filter = request.into_inner();
        let status = filter.status.as_deref().filter(|status| !status.is_empty()).map(summarized).transpose()?;
        let is = |wanted: &Option<String>, value: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || value.as_deref() == Some(wanted))
        };
        let mut records = self.store.list().await.map_err(store_status)?;
        // Within an id, first the record that look_up finds; one that people applied beside it cannot be reached by it.
        records.sort_by_cached_key(|record| {
            let id = record_id(record);
            (id.to_owned(), record.metadata.name.as_deref() != Some(&record_name(id)))
        });
        records.dedup_by(|next, first| record_id(next) == record_id(first));
        records.retain(|record| {
            is(&filter.package_name, &record.spec.package_name)
                && is(&filter.class_key, &record.spec.class_key)
                && is(&filter.target_env, &record.spec.target_env)
                && status.is_none_or(|wanted| present::summary(record) == wanted)
        });
        let count = |number: Option<u32>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let offset = count(filter.offset).unwrap_or_default();
        let limit = count(filter.limit).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(records.into_iter().skip(offset).take(limit).collect())
    }
}

fn store_status(error: StoreError) -> Status {
    status::store(error, <[_]>::to_vec)
}

fn summarized(name: &str) -> Result<SummarizedStatus, Status> {
    let known = [
        SummarizedStatus::SummaryUnknown,
        SummarizedStatus::Running,
        SummarizedStatus::Progressing,
        SummarizedStatus::Degraded,
        SummarizedStatus::Error,
        SummarizedStatus::NotFound,
    ];
    known.into_iter().find(|status| status.as_str_name().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let choices = known.map(|status| status.as_str_name()).join(", ");
        status::invalid_field("status", &format!("unknown status {name:?}; choose one of {choices}"))
    })
}
