//! A unit becomes the record that it asks for, or all its faults at once. Pure.

use std::sync::LazyLock;

use serde_json::json;
use tonic::Status;

use crate::api::{ANNOTATION_APPLIED_HASH, ANNOTATION_CORRELATION_ID, DeploymentRecord};
use crate::model::{self, FieldError, Schema};

use super::identity::applied_hash;
use super::pb::deployment::DeploymentUnit;
use super::{fields, status, wire};

/// What the API server would say. Without it (the program's tests see to that) the API server says it itself, later.
static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(|| Schema::new().ok());

/// The record that a unit asks for, or everything that is wrong with the unit, in its own terms.
pub fn record_of(unit: &DeploymentUnit) -> Result<DeploymentRecord, Vec<FieldError>> {
    let (record, faults) = wire::record(unit);
    let faults = all(unit, &record, faults);
    if faults.is_empty() { Ok(record) } else { Err(faults) }
}

/// The record that a unit asks for, with what a Deploy notes on it.
pub(super) fn prepare(unit: &DeploymentUnit, correlation_id: &str) -> Result<DeploymentRecord, Status> {
    // Before anything is asked of the cluster: a bad unit is a bad unit, whatever state the API server is in.
    let mut record = record_of(unit).map_err(|faults| status::invalid(&faults))?;
    let hash = applied_hash(&record).map_err(|error| status::internal(&error.to_string()))?;
    let annotations = record.metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION_APPLIED_HASH.to_owned(), hash);
    annotations.insert(ANNOTATION_CORRELATION_ID.to_owned(), correlation_id.to_owned());
    Ok(record)
}

/// The faults that the wire alone shows, those that the record shows, and those that its schema shows; each field in
/// the words of the first that has something to say of it.
fn all(unit: &DeploymentUnit, record: &DeploymentRecord, mut faults: Vec<FieldError>) -> Vec<FieldError> {
    let of_record = model::parse(record).err().map(|invalid| invalid.0).unwrap_or_default();
    let of_schema = SCHEMA.as_ref().map(|schema| schema.faults(&json!({"spec": record.spec}))).unwrap_or_default();
    for more in [of_record, of_schema] {
        let mut more = fields::to_wire(&more, unit);
        more.retain(|fault| !faults.iter().any(|known| says_of(known, &fault.field)));
        faults.append(&mut more);
    }
    faults
}

/// Whether a fault is about this field or a part of it.
fn says_of(known: &FieldError, field: &str) -> bool {
    known.field.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::grpc::pb::deployment as wire;
    use crate::grpc::pb::oaas::common;

    fn refused(unit: &DeploymentUnit) -> Vec<(String, String)> {
        record_of(unit).unwrap_err().into_iter().map(|one| (one.field, one.message)).collect()
    }

    #[test]
    fn a_unit_without_functions_is_told_so_in_words_of_the_wire() {
        let unit = DeploymentUnit { id: "a".to_owned(), ..DeploymentUnit::default() };
        let wanted = ("deployment_unit.functions".to_owned(), "at least one function is needed".to_owned());
        assert_eq!(refused(&unit), [wanted]);
    }

    #[test]
    fn faults_of_every_kind_are_reported_together_and_each_once() {
        let function = wire::FunctionDeploymentSpec {
            function_key: "f".to_owned(),
            provision_config: Some(common::ProvisionConfig {
                port: Some(70_000),
                ..common::ProvisionConfig::default()
            }),
            ..wire::FunctionDeploymentSpec::default()
        };
        let shard = wire::ShardAssignmentSpec {
            primary: Some(u64::MAX),
            replica: vec![1, u64::MAX],
            ..wire::ShardAssignmentSpec::default()
        };
        let route = wire::FunctionRoute {
            url: "http://x".to_owned(),
            active_group: vec![u64::MAX],
            ..wire::FunctionRoute::default()
        };
        let odgm = wire::OdgmConfig {
            collections: vec!["c".to_owned()],
            partition_count: Some(0),
            odgm_node_id: Some(u64::MAX),
            env_node_ids: [("e".to_owned(), wire::OdgmNodeIds { ids: vec![u64::MAX] })].into(),
            invocations: Some(wire::InvocationRoutes {
                fn_routes: [("r".to_owned(), route)].into(),
                ..wire::InvocationRoutes::default()
            }),
            collection_assignments: [("c".to_owned(), wire::CollectionShardAssignments { assignments: vec![shard] })]
                .into(),
            ..wire::OdgmConfig::default()
        };
        let unit = DeploymentUnit {
            package_name: "x".repeat(4096),
            functions: vec![function.clone(), function],
            nfr_requirements: Some(common::NfrRequirements {
                availability: Some(1.5),
                ..common::NfrRequirements::default()
            }),
            enforcement: Some(wire::Enforcement { mode: "maybe".to_owned(), dimensions: vec!["disk".to_owned()] }),
            addons: vec!["cache".to_owned()],
            odgm_config: Some(odgm),
            ..DeploymentUnit::default()
        };
        let mut named: Vec<_> = refused(&unit).into_iter().map(|(field, _)| field).collect();
        named.sort_unstable();
        let wanted = [
            "addons[0]",
            "enforcement.dimensions[0]",
            "enforcement.mode",
            "functions[0].image",
            "functions[0].provision_config.port",
            "functions[1].function_key",
            "functions[1].image",
            "functions[1].provision_config.port",
            "id",
            "nfr_requirements.availability",
            "odgm_config.collection_assignments[\"c\"].assignments[0].primary",
            "odgm_config.collection_assignments[\"c\"].assignments[0].replica[1]",
            "odgm_config.env_node_ids[\"e\"].ids[0]",
            "odgm_config.invocations.fn_routes[\"r\"].active_group[0]",
            "odgm_config.odgm_node_id",
            "odgm_config.partition_count",
            "package_name",
        ]
        .map(|field| format!("deployment_unit.{field}"));
        assert_eq!(named, wanted);
    }
}
