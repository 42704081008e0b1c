//! What the services need of the rest: somewhere to keep records, and someone to judge them.

use std::time::Duration;

use async_trait::async_trait;

use crate::api::DeploymentRecord;
use crate::decision::Decision;
use crate::model::{FieldError, InvalidRecord};

/// Judges a record by the policy in force.
pub trait Judge: Send + Sync + 'static {
    /// Decides for a record; `current_template` is the one that its class has.
    fn judge(&self, record: &DeploymentRecord, current_template: Option<&str>) -> Result<Decision, InvalidRecord>;
}

/// Keeps the records of one namespace. A read sees every write before it.
#[async_trait]
pub trait RecordStore: Send + Sync + 'static {
    /// The record of that name; `None` where there is none.
    async fn get(&self, name: &str) -> Result<Option<DeploymentRecord>, StoreError>;

    /// Every record.
    async fn list(&self) -> Result<Vec<DeploymentRecord>, StoreError>;

    /// Writes a record that did not exist and gives it as it stands now. Where one is there by now that says
    /// otherwise: [`StoreError::Conflict`].
    async fn create(&self, record: &DeploymentRecord) -> Result<DeploymentRecord, StoreError>;

    /// Makes `existing` say what `record` says and gives it as it stands now. Where `existing` was replaced or is gone:
    /// [`StoreError::Conflict`].
    async fn update(
        &self,
        existing: &DeploymentRecord,
        record: &DeploymentRecord,
    ) -> Result<DeploymentRecord, StoreError>;

    /// Deletes this very record. Gone already: fine; replaced by another: [`StoreError::Conflict`].
    async fn delete(&self, record: &DeploymentRecord) -> Result<(), StoreError>;
}

/// Why a record could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Someone else was faster: read again.
    #[error("the record changed meanwhile")]
    Conflict,
    /// The record is refused as invalid; field paths are the record's.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The cluster is not set up for the request: a missing kind, namespace or right; an admission plugin or quota
    /// that refuses. The message says what to do and is fit for the caller.
    #[error("{message}")]
    Precondition {
        /// Stable name of the reason, `UPPER_SNAKE_CASE`.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Not now.
    #[error("{message}")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// What happened, fit for the caller.
        message: String,
    },
    /// A fault of this program or an answer that makes no sense; for the log, never for the caller.
    #[error("{0}")]
    Internal(String),
}
