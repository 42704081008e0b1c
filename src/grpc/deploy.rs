//! Deploy: a true upsert. The same unit again writes nothing; conflicts are read again, never handed to the caller.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use crate::api::DeploymentRecord;
use crate::decision::Decision;
use crate::model::FieldError;

use super::identity::{Found, look_up, record_id, says_the_same};
use super::locks::Locks;
use super::pause::Pause;
use super::pb::deployment::DeploymentUnit;
use super::prepare::prepare;
use super::store::{Judge, RecordStore, StoreError};
use super::{fields, status};

/// When to ask again while the old record of an id is on its way out.
const DELETION_RETRY: Duration = Duration::from_secs(2);

/// What Deploy needs.
pub(super) struct Deployer<S, J> {
    pub(super) store: Arc<S>,
    pub(super) judge: Arc<J>,
    pub(super) locks: Arc<Locks>,
}

/// How a Deploy ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was no record.
    Created(Vec<String>),
    /// The record said something else.
    Updated(Vec<String>),
    /// The record says the same: nothing was written.
    Unchanged,
}

impl Outcome {
    /// What happened and what the author should know, for people.
    pub(super) fn message(&self) -> String {
        let (done, warnings) = match self {
            Self::Created(warnings) => ("created", warnings.as_slice()),
            Self::Updated(warnings) => ("updated", warnings.as_slice()),
            Self::Unchanged => ("unchanged", [].as_slice()),
        };
        std::iter::once(done).chain(warnings.iter().map(String::as_str)).collect::<Vec<_>>().join("; warning: ")
    }
}

impl<S: RecordStore, J: Judge> Deployer<S, J> {
    /// Brings the record of a unit into being, or up to date.
    pub(super) async fn deploy(&self, unit: &DeploymentUnit, correlation_id: &str) -> Result<Outcome, Status> {
        let wanted = prepare(unit, correlation_id)?;
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let _held = self.locks.lock(&name).await;
        let mut pause = Pause::new();
        loop {
            match self.attempt(unit, &wanted).await {
                Err(Attempt::Conflict) => pause.wait().await,
                Err(Attempt::Failed(status)) => return Err(status),
                Ok(outcome) => return Ok(outcome),
            }
        }
    }

    async fn attempt(&self, unit: &DeploymentUnit, wanted: &DeploymentRecord) -> Result<Outcome, Attempt> {
        let store = |error| Attempt::from_store(error, unit);
        let existing = match look_up(self.store.as_ref(), &unit.id).await.map_err(store)? {
            Found::Record(existing) => *existing,
            Found::Taken(by) => {
                let name = by.metadata.name.as_deref().unwrap_or_default();
                return Err(Attempt::Failed(status::name_taken(&unit.id, name, record_id(&by))));
            }
            Found::Nothing => {
                let warnings = self.judge(unit, wanted, None)?;
                still_wanted(&self.store.create(wanted).await.map_err(store)?, unit)?;
                return Ok(Outcome::Created(warnings));
            }
        };
        still_wanted(&existing, unit)?;
        if says_the_same(&existing, wanted).map_err(|error| status::internal(&error.to_string()))? {
            return Ok(Outcome::Unchanged);
        }
        let wanted = &under_the_name_of(&existing, wanted);
        let current = existing.status.as_ref().and_then(|status| status.selected_template.as_deref());
        let warnings = self.judge(unit, wanted, current)?;
        still_wanted(&self.store.update(&existing, wanted).await.map_err(store)?, unit)?;
        Ok(Outcome::Updated(warnings))
    }

    fn judge(
        &self,
        unit: &DeploymentUnit,
        wanted: &DeploymentRecord,
        current_template: Option<&str>,
    ) -> Result<Vec<String>, Status> {
        let decision = self
            .judge
            .judge(wanted, current_template)
            .map_err(|invalid| status::invalid(&fields::to_wire(&invalid.0, unit)))?;
        let Decision { revision, admission, template, .. } = decision;
        if !admission.denials.is_empty() {
            return Err(status::denied(&admission, &revision));
        }
        let chosen = template.map_err(|problem| status::no_template(&problem, &revision))?;
        let findings = admission.warnings.iter().chain(&chosen.kept);
        Ok(findings.map(|finding| format!("{}: {}", finding.rule, finding.message)).collect())
    }
}

/// What is wanted, under the name that the record has: people may have applied it under its very id.
fn under_the_name_of(existing: &DeploymentRecord, wanted: &DeploymentRecord) -> DeploymentRecord {
    let mut wanted = wanted.clone();
    wanted.metadata.name.clone_from(&existing.metadata.name);
    wanted
}

/// A record that is on its way out takes what is written to it along, also where someone deleted it just before.
fn still_wanted(record: &DeploymentRecord, unit: &DeploymentUnit) -> Result<(), Status> {
    if record.metadata.deletion_timestamp.is_none() {
        return Ok(());
    }
    let message = format!("the previous deployment {:?} is still being deleted; try again", unit.id);
    Err(status::unavailable(message, DELETION_RETRY))
}

/// Why one attempt did not end well.
enum Attempt {
    Conflict,
    Failed(Status),
}

impl Attempt {
    fn from_store(error: StoreError, unit: &DeploymentUnit) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            other => Self::Failed(status::store(other, |faults: &[FieldError]| fields::to_wire(faults, unit))),
        }
    }
}

impl From<Status> for Attempt {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}
