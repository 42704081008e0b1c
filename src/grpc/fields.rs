//! Field paths of a record -> field paths of the unit that it was made from. Pure.

use crate::model::FieldError;

use super::pb::deployment::DeploymentUnit;
use super::wire::UNIT;

/// Faults as the caller knows the fields.
pub(super) fn to_wire(faults: &[FieldError], unit: &DeploymentUnit) -> Vec<FieldError> {
    faults
        .iter()
        .map(|fault| {
            let field = path(&fault.field, unit);
            let named = fault.field.starts_with("spec.").then(|| fault.message.replace(&fault.field, &field));
            let message = named.unwrap_or_else(|| fault.message.clone());
            let others = ["functions", "odgm_config", "selected_template"];
            let message = others
                .iter()
                .fold(message, |message, other| message.replace(&format!("spec.{other}"), &format!("{UNIT}.{other}")));
            FieldError { field, message }
        })
        .collect()
}

fn path(record: &str, unit: &DeploymentUnit) -> String {
    if record.starts_with(UNIT) {
        return record.to_owned();
    }
    let Some(rest) = record.strip_prefix("spec.") else {
        let part = if record == "metadata.name" { ".id" } else { "" };
        return format!("{UNIT}{part}");
    };
    if let Some((index, field)) = function_field(rest) {
        return format!("{UNIT}.functions[{index}]{}", function_path(field, unit, index));
    }
    let rest = match rest {
        "function" | "function.image" => "functions",
        "nfr_requirements.availability_pct" => "nfr_requirements.availability",
        "odgm_config.node_id" => "odgm_config.odgm_node_id",
        _ => rest.strip_prefix("nfr.").unwrap_or(rest),
    };
    format!("{UNIT}.{rest}")
}

/// `functions[3].port` -> (3, `.port`).
fn function_field(rest: &str) -> Option<(usize, &str)> {
    let (index, field) = rest.strip_prefix("functions[")?.split_once(']')?;
    Some((index.parse().ok()?, field))
}

fn function_path(field: &str, unit: &DeploymentUnit, index: usize) -> String {
    match field {
        ".port" | ".min_scale" | ".max_scale" | ".max_concurrency" | ".need_http2" | ".container_image"
        | ".wasm_module_url" => format!(".provision_config{field}"),
        ".nfr_requirements.availability_pct" => ".nfr_requirements.availability".to_owned(),
        _ => {
            if let Some(resource) = field.strip_prefix(".resources.") {
                return format!(".{}.{resource}", resource_home(resource, unit, index));
            }
            match field.strip_prefix(".env") {
                Some(entry) => format!(".config{entry}"),
                None => field.to_owned(),
            }
        }
    }
}

/// Which of the two messages stated the resource.
fn resource_home(resource: &str, unit: &DeploymentUnit, index: usize) -> &'static str {
    let first = unit.functions.get(index).and_then(|function| function.resource_requirements.as_ref());
    let in_first = first.is_some_and(|first| {
        let text = match resource {
            "cpu_request" => &first.cpu_request,
            "memory_request" => &first.memory_request,
            "cpu_limit" => first.cpu_limit(),
            _ => first.memory_limit(),
        };
        !text.is_empty()
    });
    if in_first { "resource_requirements" } else { "provision_config" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb::{deployment::FunctionDeploymentSpec, oaas::common::ResourceRequirements};

    #[test]
    fn a_message_that_repeats_the_path_speaks_of_the_wire_too() {
        let fault = FieldError {
            field: "spec.odgm_config.node_id".to_owned(),
            message: "spec.odgm_config.node_id in body should be less; see spec.functions[1], spec.odgm_config.log"
                .to_owned(),
        };
        let wire = to_wire(&[fault], &DeploymentUnit::default());
        let message = "deployment_unit.odgm_config.odgm_node_id in body should be less; see deployment_unit.functions[1], deployment_unit.odgm_config.log";
        assert_eq!(wire.first().map(|fault| fault.message.as_str()), Some(message));
    }

    #[test]
    fn paths_of_a_record_become_the_paths_that_the_caller_sent() {
        let requirements = ResourceRequirements { cpu_request: "x".to_owned(), ..ResourceRequirements::default() };
        let function =
            FunctionDeploymentSpec { resource_requirements: Some(requirements), ..FunctionDeploymentSpec::default() };
        let unit = DeploymentUnit { functions: vec![function], ..DeploymentUnit::default() };
        for (record, wire) in [
            ("spec.functions", "deployment_unit.functions"),
            ("spec.functions[0].image", "deployment_unit.functions[0].image"),
            ("spec.functions[0].port", "deployment_unit.functions[0].provision_config.port"),
            (
                "spec.functions[0].resources.cpu_request",
                "deployment_unit.functions[0].resource_requirements.cpu_request",
            ),
            ("spec.functions[0].resources.cpu_limit", "deployment_unit.functions[0].provision_config.cpu_limit"),
            ("spec.functions[0].env[\"A\"]", "deployment_unit.functions[0].config[\"A\"]"),
            ("spec.functions[7]", "deployment_unit.functions[7]"),
            ("spec.nfr_requirements.availability_pct", "deployment_unit.nfr_requirements.availability"),
            ("spec.nfr.enforcement.mode", "deployment_unit.enforcement.mode"),
            ("spec.odgm_config.node_id", "deployment_unit.odgm_config.odgm_node_id"),
            ("spec.odgm_config.partition_count", "deployment_unit.odgm_config.partition_count"),
            ("spec", "deployment_unit"),
            ("", "deployment_unit"),
            ("deployment_unit.id", "deployment_unit.id"),
        ] {
            assert_eq!(path(record, &unit), wire, "{record}");
        }
    }
}
