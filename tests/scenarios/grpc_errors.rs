//! Units that cannot be followed: the code, the field or the rule, and nothing half applied.

use kube::api::ListParams;
use oprc_crm::grpc::pb::deployment::{DeployRequest, DeploymentUnit, Enforcement, OdgmConfig};
use oprc_crm::grpc::pb::oaas::common::{NfrRequirements, ProvisionConfig, ResourceRequirements};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::class::Namespace;
use crate::support::pm::{Client, canonical, deploy, done, fields, reason, running, unit};
use crate::{IMAGE, start};

fn changed(id: &str, change: impl FnOnce(&mut DeploymentUnit)) -> DeploymentUnit {
    let mut unit = unit(id, IMAGE);
    change(&mut unit);
    unit
}

fn odgm(config: OdgmConfig) -> OdgmConfig {
    OdgmConfig { collections: vec!["c".to_owned()], ..config }
}

/// A unit for each field that can be wrong, and the field as the caller knows it.
fn invalid(id: &str) -> Vec<(DeploymentUnit, &'static str)> {
    let provision = |change: ProvisionConfig| changed(id, |unit| unit.functions[0].provision_config = Some(change));
    vec![
        (changed(id, |unit| unit.functions.clear()), "deployment_unit.functions"),
        (changed(id, |unit| unit.functions[0].function_key.clear()), "deployment_unit.functions[0].function_key"),
        (changed(id, |unit| unit.functions.extend_from_within(..)), "deployment_unit.functions[1].function_key"),
        (changed(id, |unit| unit.functions[0].image.clear()), "deployment_unit.functions[0].image"),
        (
            changed(id, |unit| {
                unit.odgm_config = Some(odgm(OdgmConfig { partition_count: Some(0), ..OdgmConfig::default() }));
            }),
            "deployment_unit.odgm_config.partition_count",
        ),
        (
            changed(id, |unit| {
                unit.odgm_config = Some(odgm(OdgmConfig { replica_count: Some(0), ..OdgmConfig::default() }));
            }),
            "deployment_unit.odgm_config.replica_count",
        ),
        (
            changed(id, |unit| drop(unit.functions[0].config.insert("BIG".to_owned(), "x".repeat(1 << 20)))),
            "deployment_unit.functions[0].config",
        ),
        (
            changed(id, |unit| drop(unit.functions[0].config.insert("NOT A NAME=".to_owned(), String::new()))),
            "deployment_unit.functions[0].config",
        ),
        (
            changed(id, |unit| drop(unit.functions[0].config.insert("NUL".to_owned(), "a\0b".to_owned()))),
            "deployment_unit.functions[0].config",
        ),
        (
            changed(id, |unit| {
                unit.odgm_config = Some(odgm(OdgmConfig::default()));
                unit.functions[0].config.insert("ODGM_ENABLED".to_owned(), "no".to_owned());
            }),
            "deployment_unit.functions[0].config",
        ),
        (
            changed(id, |unit| {
                let cpu_request = "lots".to_owned();
                let wanted = ResourceRequirements { cpu_request, ..ResourceRequirements::default() };
                unit.functions[0].resource_requirements = Some(wanted);
            }),
            "deployment_unit.functions[0].resource_requirements.cpu_request",
        ),
        (
            provision(ProvisionConfig { port: Some(70_000), ..ProvisionConfig::default() }),
            "deployment_unit.functions[0].provision_config.port",
        ),
        (
            changed(id, |unit| {
                unit.nfr_requirements = Some(NfrRequirements { availability: Some(1.5), ..NfrRequirements::default() });
            }),
            "deployment_unit.nfr_requirements.availability",
        ),
        (
            changed(id, |unit| unit.enforcement = Some(Enforcement { mode: "maybe".to_owned(), dimensions: vec![] })),
            "deployment_unit.enforcement.mode",
        ),
        (changed(id, |unit| unit.addons = vec!["cache".to_owned()]), "deployment_unit.addons[0]"),
        (changed(id, |unit| unit.package_name = "x".repeat(4096)), "deployment_unit.package_name"),
    ]
}

async fn refused(client: &Client, unit: DeploymentUnit) -> Status {
    match client.clone().deploy(deploy(unit)).await {
        Ok(answer) => panic!("accepted: {answer:?}"),
        Err(status) => status,
    }
}

async fn nothing(ns: &Namespace) {
    assert!(ns.records().list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(ns.objects().await.is_empty());
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named_and_nothing_is_half_applied() {
    let (crm, ns) = start("grpc-invalid").await;
    let client = canonical(&crm).await;
    for (unit, field) in invalid("bad") {
        let status = refused(&client, unit).await;
        let named = fields(&status);
        assert!(named.iter().any(|one| one.starts_with(field)), "expected {field}: {named:?}: {}", status.message());
        assert!(status.message().len() < 2_000, "{field}: a message for people: {} bytes", status.message().len());
    }
    let empty = client.clone().deploy(DeployRequest::default()).await.unwrap_err();
    assert_eq!(fields(&empty), ["deployment_unit"]);
    nothing(&ns).await;

    // Nor does a bad change touch what runs.
    done(&client, unit("bad", IMAGE)).await;
    running(&client, "bad").await;
    crate::idle::settled(&crm).await;
    let state = || async {
        let (record, deployment) = (ns.records().get("bad").await.unwrap(), ns.deployment("bad").await);
        (record.metadata.resource_version, deployment.metadata.resource_version, ns.objects().await)
    };
    let before = state().await;
    for (unit, field) in invalid("bad") {
        assert_eq!(refused(&client, unit).await.code(), Code::InvalidArgument, "{field}");
    }
    crate::idle::settled(&crm).await;
    assert_eq!(state().await, before);
    crm.stop().await;
}

#[tokio::test]
async fn what_the_policy_denies_names_the_rule_and_what_is_unknown_the_choices() {
    let (crm, ns) = start("grpc-denied").await;
    let client = canonical(&crm).await;
    let status = refused(&client, unit("d", "Not An Image!")).await;
    assert_eq!(reason(&status), "Admission/images/malformed");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "oaas.io");
    assert!(!info.metadata["policy_revision"].is_empty(), "{info:?}");
    assert!(status.message().contains("registry.example/team/app:1.2"), "{}", status.message());

    let status = refused(&client, changed("d", |unit| unit.functions[0].replicas = 10_000)).await;
    assert_eq!(reason(&status), "Admission/scale/replicas");
    let knative = changed("d", |unit| unit.selected_template = Some("knative".to_owned()));
    assert_eq!(reason(&refused(&client, knative).await), "Admission/knative/feature-off");

    let status = refused(&client, changed("d", |unit| unit.selected_template = Some("huge".to_owned()))).await;
    assert_eq!(reason(&status), "TEMPLATE_UNKNOWN");
    let choices = &status.get_details_error_info().unwrap().metadata["choices"];
    for choice in ["dev", "edge", "full"] {
        assert!(choices.split(',').any(|one| one == choice) && status.message().contains(choice), "{status:?}");
    }
    assert!(status.message().contains("deployment_unit.selected_template"), "{}", status.message());
    nothing(&ns).await;
    crm.stop().await;
}
