//! Names of the variables, each in one place.

pub(super) const HTTP_PORT: &str = "HTTP_PORT";
/// The profile.
pub const PROFILE: &str = "OPRC_CRM_PROFILE";
/// Namespace that is watched and written.
pub const NAMESPACE: &str = "OPRC_CRM_K8S_NAMESPACE";
pub(super) const POD_NAMESPACE: &str = "POD_NAMESPACE";
pub(super) const MTLS: &str = "OPRC_CRM_SECURITY_MTLS";
pub(super) const ODGM: &str = "OPRC_CRM_FEATURES_ODGM";
pub(super) const KNATIVE: &str = "OPRC_CRM_FEATURES_KNATIVE";
pub(super) const PROMETHEUS: &str = "OPRC_CRM_FEATURES_PROMETHEUS";
pub(super) const NFR_ENFORCEMENT: &str = "OPRC_CRM_FEATURES_NFR_ENFORCEMENT";
pub(super) const HPA: &str = "OPRC_CRM_FEATURES_HPA";
pub(super) const LEADER_ELECTION: &str = "OPRC_CRM_FEATURES_LEADER_ELECTION";
pub(super) const ANALYZER_INTERVAL: &str = "OPRC_CRM_ANALYZER_INTERVAL_SECS";
pub(super) const STABILITY: &str = "OPRC_CRM_ENFORCEMENT_STABILITY_SECS";
pub(super) const COOLDOWN: &str = "OPRC_CRM_ENFORCEMENT_COOLDOWN_SECS";
pub(super) const MAX_REPLICA_DELTA: &str = "OPRC_CRM_ENFORCEMENT_MAX_REPLICA_DELTA";
pub(super) const MAX_REPLICAS: &str = "OPRC_CRM_LIMITS_MAX_REPLICAS";
pub(super) const CPU_PER_POD: &str = "OPRC_CRM_REQ_CPU_PER_POD_M";
pub(super) const PROM_URL: &str = "OPRC_CRM_PROM_URL";
pub(super) const PROM_MATCH_LABELS: &str = "OPRC_CRM_PROM_MATCH_LABELS";
pub(super) const PROM_SCRAPE_KIND: &str = "OPRC_CRM_PROM_SCRAPE_KIND";
pub(super) const PROM_QUERY_TIMEOUT: &str = "OPRC_CRM_PROM_QUERY_TIMEOUT_SECS";
pub(super) const PROM_RANGE: &str = "OPRC_CRM_PROM_RANGE";
pub(super) const PROM_STEP: &str = "OPRC_CRM_PROM_STEP";
pub(super) const PROM_TOKEN_FILE: &str = "OPRC_CRM_PROM_TOKEN_FILE";
pub(super) const PROM_CA_FILE: &str = "OPRC_CRM_PROM_CA_FILE";
pub(super) const POLICY_DIR: &str = "OPRC_CRM_POLICY_DIR";
pub(super) const POLICY_COMMIT: &str = "OPRC_CRM_POLICY_COMMIT";
pub(super) const DECISION_LOG: &str = "OPRC_CRM_DECISION_LOG";
pub(super) const DECISION_LOG_MAX_MB: &str = "OPRC_CRM_DECISION_LOG_MAX_MB";
pub(super) const DECISION_LOG_KEEP: &str = "OPRC_CRM_DECISION_LOG_KEEP";
pub(super) const TLS_CERT: &str = "OPRC_CRM_TLS_CERT_FILE";
pub(super) const TLS_KEY: &str = "OPRC_CRM_TLS_KEY_FILE";
pub(super) const TLS_CLIENT_CA: &str = "OPRC_CRM_TLS_CLIENT_CA_FILE";
pub(super) const CONCURRENCY: &str = "OPRC_CRM_CONCURRENCY";
pub(super) const GRPC_PAYLOAD: &str = "OPRC_CRM_GRPC_PAYLOAD";
pub(super) const MOCK_AVAILABILITY: &str = "OPRC_MOCK_CLUSTER_AVAILABILITY";
pub(super) const ODGM_IMAGE: &str = "OPRC_CRM_ODGM_IMAGE";
pub(super) const RUST_LOG: &str = "RUST_LOG";

/// Every variable, in the order of the documentation.
pub const VARIABLES: &[&str] = &[
    HTTP_PORT,
    PROFILE,
    NAMESPACE,
    POD_NAMESPACE,
    MTLS,
    ODGM,
    KNATIVE,
    PROMETHEUS,
    NFR_ENFORCEMENT,
    HPA,
    LEADER_ELECTION,
    ANALYZER_INTERVAL,
    STABILITY,
    COOLDOWN,
    MAX_REPLICA_DELTA,
    MAX_REPLICAS,
    CPU_PER_POD,
    PROM_URL,
    PROM_MATCH_LABELS,
    PROM_SCRAPE_KIND,
    PROM_QUERY_TIMEOUT,
    PROM_RANGE,
    PROM_STEP,
    PROM_TOKEN_FILE,
    PROM_CA_FILE,
    POLICY_DIR,
    POLICY_COMMIT,
    DECISION_LOG,
    DECISION_LOG_MAX_MB,
    DECISION_LOG_KEEP,
    TLS_CERT,
    TLS_KEY,
    TLS_CLIENT_CA,
    CONCURRENCY,
    GRPC_PAYLOAD,
    MOCK_AVAILABILITY,
    ODGM_IMAGE,
    RUST_LOG,
];

/// Said of a feature that is not built yet.
const UNAVAILABLE: &str = "not built in this release; `run` refuses to start with it";
/// Said of a setting whose reader is not built yet.
const LATER: &str = "checked, takes effect in a later release";

/// What to know about a variable in this release.
pub(super) fn note(name: &str, value: Option<&str>) -> Option<&'static str> {
    match name {
        MTLS | LEADER_ELECTION => (value == Some("true")).then_some(UNAVAILABLE),
        TLS_CERT | TLS_KEY | TLS_CLIENT_CA => Some(LATER),
        _ => None,
    }
}
