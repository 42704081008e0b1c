//! Errors -> `tonic::Status`. Made only here, so that every code has one meaning.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation};

use crate::decision::{Admission, TemplateProblem};
use crate::model::FieldError;

use super::fit::{self, answer};
use super::store::StoreError;

/// Domain of every `ErrorInfo`.
const DOMAIN: &str = "oaas.io";

/// `INVALID_ARGUMENT` with a violation for each field, as many as an answer has room for.
pub(super) fn invalid(faults: &[FieldError]) -> Status {
    let message = fit::joined(faults.iter().map(fit::line));
    let violations: Vec<_> =
        faults.iter().map(|fault| FieldViolation::new(fault.field.clone(), fault.message.clone())).collect();
    answer(Code::InvalidArgument, &message, ErrorDetails::with_bad_request(violations))
}

/// `INVALID_ARGUMENT` for one field.
pub(super) fn invalid_field(field: &str, message: &str) -> Status {
    invalid(&[FieldError { field: field.to_owned(), message: message.to_owned() }])
}

/// `INVALID_ARGUMENT` for a call that no field is at fault of.
pub(super) fn unusable(message: &str) -> Status {
    answer(Code::InvalidArgument, message, ErrorDetails::new())
}

/// `NOT_FOUND` for a deployment id.
pub(super) fn not_found(id: &str) -> Status {
    let details = ErrorDetails::with_resource_info("deployment", id, "", "there is no such deployment");
    answer(Code::NotFound, &format!("there is no deployment {id:?}"), details)
}

/// `ALREADY_EXISTS`: the record's name is taken by another id.
pub(super) fn name_taken(id: &str, name: &str, by: &str) -> Status {
    let message =
        format!("deployment {id:?} maps to record {name:?}, which belongs to deployment {by:?}; use another id");
    let details = ErrorDetails::with_resource_info("deploymentrecords.oaas.io", name, by, "the name is taken");
    answer(Code::AlreadyExists, &message, details)
}

/// `UNAVAILABLE` with a hint when to try again.
pub(super) fn unavailable(message: impl Into<String>, retry_after: Duration) -> Status {
    answer(Code::Unavailable, &message.into(), ErrorDetails::with_retry_info(Some(retry_after)))
}

/// `FAILED_PRECONDITION`: rules of the policy deny the record.
pub(super) fn denied(admission: &Admission, revision: &str) -> Status {
    let rules: Vec<_> = admission.denials.iter().map(|denial| denial.rule.as_str()).collect();
    let message =
        fit::joined(admission.denials.iter().map(|denial| format!("{}: {}", denial.rule, fit::part(&denial.message))));
    let metadata = [("rules", rules.join(",")), ("policy_revision", revision.to_owned())];
    precondition(rules.first().copied().unwrap_or_default(), &format!("policy denies: {message}"), metadata)
}

/// `FAILED_PRECONDITION`: the class gets no template.
pub(super) fn no_template(problem: &TemplateProblem, revision: &str) -> Status {
    let revision = ("policy_revision", revision.to_owned());
    let message = problem.to_string().replace("spec.selected_template", "deployment_unit.selected_template");
    match problem {
        TemplateProblem::Unknown { asked, choices } => {
            let metadata = [("template", asked.clone()), ("choices", choices.join(",")), revision];
            precondition("TEMPLATE_UNKNOWN", &message, metadata)
        }
        TemplateProblem::NotEnabled { asked, choices, .. } => {
            let metadata = [("template", asked.clone()), ("choices", choices.join(",")), revision];
            precondition("TEMPLATE_NOT_ENABLED", &message, metadata)
        }
        TemplateProblem::Undecided { rule, .. } => precondition(rule, &message, [revision]),
    }
}

fn precondition<'a>(reason: &str, message: &str, metadata: impl IntoIterator<Item = (&'a str, String)>) -> Status {
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    answer(Code::FailedPrecondition, message, details)
}

/// What the store says; `invalid_as` puts its field paths in the caller's terms.
pub(super) fn store(error: StoreError, invalid_as: impl FnOnce(&[FieldError]) -> Vec<FieldError>) -> Status {
    match error {
        // Callers read again on a conflict; one that gets here was not answered in time.
        StoreError::Conflict => unavailable("the record keeps changing; try again", Duration::from_secs(1)),
        StoreError::Invalid(faults) => invalid(&invalid_as(&faults)),
        StoreError::Precondition { reason, message } => precondition(reason, &message, []),
        StoreError::Unavailable { retry_after, message } => unavailable(message, retry_after),
        StoreError::Internal(message) => internal(&message),
    }
}

/// `INTERNAL`: what happened goes to the log, the caller gets no more than that it did.
pub(super) fn internal(what: &str) -> Status {
    tracing::error!(error = what, "internal error");
    Status::internal("internal error; the controller's log says more under this call's x-correlation-id")
}
