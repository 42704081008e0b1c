//! The one place where an answer of the API server becomes a category that code can act on.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use kube::core::Status;

/// How long to wait where the API server does not say.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);
/// Cause of a conflict between field managers.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// What went wrong with a request to the API server.
///
/// [`ClusterError::category`] is stable and low in cardinality (metrics, Event reasons); the message is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// There is no such object.
    #[error("{kind} {name:?} does not exist")]
    NotFound {
        /// Resource as the API server names it, such as `deploymentrecords.oaas.io`.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// The API server does not serve this kind: its `CustomResourceDefinition` is not installed.
    #[error("the API server does not know this kind (is its CustomResourceDefinition installed?)")]
    NoSuchKind,
    /// The namespace to write to does not exist, or is on its way out.
    #[error("namespace {0:?} does not exist or is being deleted")]
    NoSuchNamespace(String),
    /// An object of that name is there already.
    #[error("an object of that name exists already: {0}")]
    AlreadyExists(String),
    /// Others own fields of an apply that does not force.
    #[error("{} owned by {}", .fields.join(", "), .managers.join(", "))]
    FieldConflict {
        /// Managers that own the fields.
        managers: Vec<String>,
        /// The fields.
        fields: Vec<String>,
    },
    /// The object is not the one that was read (uid or resourceVersion).
    #[error("the object changed or was replaced meanwhile: {0}")]
    Stale(String),
    /// The API server refused the object as invalid.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldCause>),
    /// An admission plugin, a webhook or a quota refused the request.
    #[error("refused by admission: {0}")]
    AdmissionDenied(String),
    /// This program's own rights do not allow the request.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The API server does not accept this program's credentials.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthenticated(String),
    /// The request is larger than the API server takes.
    #[error("the object is too large for the API server: {0}")]
    TooLarge(String),
    /// The resourceVersion is too old (410).
    #[error("the resource version is too old")]
    Gone,
    /// The API server asks to slow down (429).
    #[error("the API server asks to slow down; next try in {retry_after:?}")]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// The API server cannot be reached or failed (5xx).
    #[error("the API server is not available: {message}")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// What happened, for the log.
        message: String,
    },
    /// The request took longer than it may.
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
    /// An answer that makes no sense here, or a fault of this program.
    #[error("unexpected answer of the API server: {0}")]
    Other(String),
}

/// One field that the API server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCause {
    /// Path of the field, such as `spec.functions[0].port`; empty where the API server names none.
    pub field: String,
    /// Why.
    pub message: String,
}

impl fmt::Display for FieldCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}

impl ClusterError {
    /// Stable name of the category.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::NoSuchKind => "NoSuchKind",
            Self::NoSuchNamespace(_) => "NoSuchNamespace",
            Self::AlreadyExists(_) => "AlreadyExists",
            Self::FieldConflict { .. } => "FieldConflict",
            Self::Stale(_) => "Stale",
            Self::Invalid(_) => "Invalid",
            Self::AdmissionDenied(_) => "AdmissionDenied",
            Self::Forbidden(_) => "Forbidden",
            Self::Unauthenticated(_) => "Unauthenticated",
            Self::TooLarge(_) => "TooLarge",
            Self::Gone => "Gone",
            Self::Throttled { .. } => "Throttled",
            Self::Unavailable { .. } => "Unavailable",
            Self::Timeout(_) => "Timeout",
            Self::Other(_) => "Other",
        }
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Stale(_) | Self::Gone | Self::Throttled { .. } | Self::Unavailable { .. } | Self::Timeout(_)
        )
    }

    /// Whether the same request will fail again until someone changes it.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::TooLarge(_))
    }

    /// Whether it says that the API server could not be spoken to (as opposed to: it answered no).
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout(_))
    }

    /// When the API server wants the next try, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        let unavailable = |message: String| Self::Unavailable { retry_after: DEFAULT_RETRY, message };
        match error {
            kube::Error::Api(status) => from_status(&status),
            kube::Error::Service(error) => unavailable(chain(error.as_ref())),
            kube::Error::HyperError(error) => unavailable(chain(&error)),
            kube::Error::ReadEvents(error) => unavailable(chain(&error)),
            kube::Error::Auth(error) => Self::Unauthenticated(chain(&error)),
            other => Self::Other(chain(&other)),
        }
    }
}

/// Runs a request with a bound of its own: without one a hanging API server hangs the caller.
pub async fn within<T>(
    bound: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(bound, request).await {
        Ok(answer) => answer.map_err(ClusterError::from),
        Err(_) => Err(ClusterError::Timeout(bound)),
    }
}

fn from_status(status: &Status) -> ClusterError {
    let message = status.message.clone();
    match (status.code, status.reason.as_str()) {
        (401, _) => ClusterError::Unauthenticated(message),
        (403, _) => forbidden(status),
        (404, _) => not_found(status),
        (409, "AlreadyExists") => ClusterError::AlreadyExists(message),
        (409, _) => conflict(status),
        (410, _) => ClusterError::Gone,
        (413, _) => ClusterError::TooLarge(message),
        (400 | 422, _) if refused_by_webhook(&message) => ClusterError::AdmissionDenied(message),
        (400 | 422, _) => ClusterError::Invalid(causes(status)),
        (429, _) => ClusterError::Throttled { retry_after: retry_after(status) },
        (500, _) if too_large_for_etcd(&message) => ClusterError::TooLarge(message),
        (500.., _) => ClusterError::Unavailable { retry_after: retry_after(status), message },
        _ => ClusterError::Other(message),
    }
}

fn forbidden(status: &Status) -> ClusterError {
    let terminating = details(status).any(|cause| cause.reason == "NamespaceTerminating");
    if terminating {
        let name =
            details(status).find(|cause| cause.reason == "NamespaceTerminating").map(|cause| cause.message.clone());
        let name = name.and_then(|text| text.split_whitespace().nth(1).map(str::to_owned)).unwrap_or_default();
        return ClusterError::NoSuchNamespace(name);
    }
    // The authoriser's words, and those of the admission plugin that asks it whether the owner's deletion may be
    // blocked; everything else that answers 403 is another admission plugin or a quota.
    let by_authoriser = status.message.contains(" cannot ") && status.message.contains("User ");
    if by_authoriser || status.message.contains("cannot set blockOwnerDeletion") {
        ClusterError::Forbidden(status.message.clone())
    } else {
        ClusterError::AdmissionDenied(status.message.clone())
    }
}

fn not_found(status: &Status) -> ClusterError {
    match &status.details {
        Some(details) if details.kind == "namespaces" => ClusterError::NoSuchNamespace(details.name.clone()),
        Some(details) if !details.name.is_empty() => {
            let group = if details.group.is_empty() { String::new() } else { format!(".{}", details.group) };
            ClusterError::NotFound { kind: format!("{}{group}", details.kind), name: details.name.clone() }
        }
        _ => ClusterError::NoSuchKind,
    }
}

fn conflict(status: &Status) -> ClusterError {
    let mut managers: Vec<String> = Vec::new();
    let mut fields = Vec::new();
    for cause in details(status).filter(|cause| cause.reason == FIELD_MANAGER_CONFLICT) {
        // `conflict with "kubectl" using apps/v1`: the name is the text between the quotes.
        let manager = cause.message.split('"').nth(1).unwrap_or("another manager").to_owned();
        if !managers.contains(&manager) {
            managers.push(manager);
        }
        fields.push(cause.field.clone());
    }
    if managers.is_empty() {
        ClusterError::Stale(status.message.clone())
    } else {
        ClusterError::FieldConflict { managers, fields }
    }
}

fn causes(status: &Status) -> Vec<FieldCause> {
    let causes: Vec<FieldCause> = details(status)
        // Said beside other causes, of the object as a whole; it tells its author nothing.
        .filter(|cause| !cause.message.contains("some validation rules were not checked"))
        .map(|cause| FieldCause {
            field: cause.field.trim_matches(['<', '>']).to_owned(),
            message: cause.message.clone(),
        })
        .map(|cause| if cause.field == "nil" { FieldCause { field: String::new(), ..cause } } else { cause })
        .collect();
    if causes.is_empty() { vec![FieldCause { field: String::new(), message: status.message.clone() }] } else { causes }
}

fn details(status: &Status) -> impl Iterator<Item = &kube::core::response::StatusCause> {
    status.details.iter().flat_map(|details| &details.causes)
}

fn retry_after(status: &Status) -> Duration {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if seconds == 0 { DEFAULT_RETRY } else { Duration::from_secs(u64::from(seconds)) }
}

/// etcd's limits, the server's and its client's, show as a 500; a retry would not make the object smaller.
fn too_large_for_etcd(message: &str) -> bool {
    message.contains("request is too large") || message.contains("trying to send message larger than max")
}

fn refused_by_webhook(message: &str) -> bool {
    message.starts_with("admission webhook")
}

/// An error with everything that caused it, without saying the same twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use serde_json::json;

    fn classify(status: serde_json::Value) -> ClusterError {
        let status: Status = serde_json::from_value(status).unwrap();
        ClusterError::from(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_field_conflict_names_each_manager_once_and_every_field() {
        let error = classify(
            json!({"status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed", "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas"},
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.paused"},
            ]}}),
        );
        let fields = vec![".spec.replicas".to_owned(), ".spec.paused".to_owned()];
        assert_eq!(error, ClusterError::FieldConflict { managers: vec!["kubectl".to_owned()], fields });
        assert!(!error.is_transient());
    }

    #[test]
    fn a_uid_or_version_mismatch_is_stale_and_may_be_tried_again() {
        let error = classify(
            json!({"code": 409, "reason": "Conflict", "message": "uid mismatch: the provided object specified uid a"}),
        );
        assert_eq!(error.category(), "Stale");
        assert!(error.is_transient());
    }

    #[test]
    fn a_missing_object_a_missing_kind_and_a_missing_namespace_are_told_apart() {
        let missing = json!({"code": 404, "reason": "NotFound", "message": "x", "details": {"name": "a", "group": "oaas.io", "kind": "deploymentrecords"}});
        assert_eq!(
            classify(missing),
            ClusterError::NotFound { kind: "deploymentrecords.oaas.io".to_owned(), name: "a".to_owned() }
        );
        assert_eq!(
            classify(json!({"code": 404, "message": "404 page not found", "reason": "Failed to parse error data"})),
            ClusterError::NoSuchKind
        );
        let namespace =
            json!({"code": 404, "reason": "NotFound", "message": "x", "details": {"name": "ns", "kind": "namespaces"}});
        assert_eq!(classify(namespace), ClusterError::NoSuchNamespace("ns".to_owned()));
    }

    #[test]
    fn own_rights_admission_and_a_dying_namespace_are_told_apart() {
        let rbac = "deploymentrecords.oaas.io is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource";
        assert_eq!(classify(json!({"code": 403, "reason": "Forbidden", "message": rbac})).category(), "Forbidden");
        let blocking = "deployments.apps \"a\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>";
        assert_eq!(classify(json!({"code": 403, "reason": "Forbidden", "message": blocking})).category(), "Forbidden");
        let webhook = "admission webhook \"a.b.c\" denied the request: no";
        assert_eq!(
            classify(json!({"code": 403, "reason": "Forbidden", "message": webhook})).category(),
            "AdmissionDenied"
        );
        assert_eq!(
            classify(json!({"code": 400, "reason": "BadRequest", "message": webhook})).category(),
            "AdmissionDenied"
        );
        let dying = json!({"code": 403, "reason": "Forbidden", "message": "x", "details": {"causes": [
            {"reason": "NamespaceTerminating", "message": "namespace ns is being terminated", "field": "metadata.namespace"}]}});
        assert_eq!(classify(dying), ClusterError::NoSuchNamespace("ns".to_owned()));
    }

    #[test]
    fn what_is_invalid_keeps_its_fields() {
        let error = classify(json!({"code": 422, "reason": "Invalid", "message": "x", "details": {"causes": [
            {"reason": "FieldValueInvalid", "message": "must be at least 1", "field": "spec.odgm_config.partition_count"},
            {"reason": "FieldValueInvalid", "message": "Invalid value: null: some validation rules were not checked because the object was invalid", "field": "<nil>"},
            {"reason": "FieldValueInvalid", "message": "null: some validation rules were not checked because", "field": "<nil>"},
            {"reason": "FieldValueForbidden", "message": "some rule", "field": "<nil>"}]}}));
        assert_eq!(
            error,
            ClusterError::Invalid(vec![
                FieldCause {
                    field: "spec.odgm_config.partition_count".to_owned(),
                    message: "must be at least 1".to_owned()
                },
                FieldCause { field: String::new(), message: "some rule".to_owned() },
            ])
        );
    }

    #[test]
    fn throttling_and_outages_say_when_to_try_again() {
        let throttled = classify(
            json!({"code": 429, "reason": "TooManyRequests", "message": "x", "details": {"retryAfterSeconds": 7}}),
        );
        assert_eq!(throttled.retry_after(), Some(Duration::from_secs(7)));
        for code in [500, 502, 503, 504] {
            let error = classify(json!({"code": code, "message": "x"}));
            assert_eq!((error.category(), error.retry_after()), ("Unavailable", Some(DEFAULT_RETRY)), "{code}");
        }
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        assert!(ClusterError::from(kube::Error::Service(Box::new(refused))).is_outage());
        for message in [
            "etcdserver: request is too large",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2402288 vs. 2097152)",
        ] {
            assert_eq!(classify(json!({"code": 500, "message": message})).category(), "TooLarge");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_request_ends_at_its_bound() {
        let bound = Duration::from_secs(3);
        let answer: Result<(), _> = within(bound, std::future::pending()).await;
        assert_eq!(answer, Err(ClusterError::Timeout(bound)));
    }
}
