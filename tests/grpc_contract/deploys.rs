//! Deploy, Get, Delete, List: what each answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use oprc_crm::api::{ANNOTATION_DEPLOYMENT_ID, DeploymentRecord, DeploymentRecordSpec};
use oprc_crm::grpc::pb::deployment::{
    DeleteDeploymentRequest, DeployRequest, DeployResponse, Enforcement, GetDeploymentRecordRequest,
    GetDeploymentStatusRequest, ListDeploymentRecordsRequest, OdgmConfig,
};
use oprc_crm::grpc::pb::oaas::common::{ProvisionConfig, StatusCode, Timestamp};
use oprc_crm::grpc::{RecordStore as _, StoreError};
use oprc_crm::model::{FieldError, names::record_name};
use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{ALIAS, CANONICAL, Server, deploy, unit};

fn get(id: &str) -> GetDeploymentStatusRequest {
    GetDeploymentStatusRequest { deployment_id: id.to_owned() }
}

fn delete(id: &str) -> DeleteDeploymentRequest {
    DeleteDeploymentRequest { deployment_id: id.to_owned() }
}

#[tokio::test]
async fn sixty_four_concurrent_deploys_of_one_id_are_64_ok_and_one_record() {
    let server = Server::start().await;
    *server.store.latency.lock().unwrap() = Duration::from_millis(2);
    let client = server.client().await;
    let calls = (0..64).map(|_| {
        let mut client = client.clone();
        async move { client.deploy(deploy(unit("One/Id"))).await }
    });
    for answer in join_all(calls).await {
        let answer = answer.unwrap().into_inner();
        assert_eq!((answer.status(), answer.deployment_id.as_str()), (StatusCode::Ok, "One/Id"));
    }
    assert_eq!(server.store.only().metadata.annotations.unwrap()[ANNOTATION_DEPLOYMENT_ID], "One/Id");
    assert_eq!(server.store.writes(), 1);
}

#[tokio::test]
async fn the_same_unit_again_writes_nothing_and_a_changed_one_updates_the_record() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.deploy(deploy(unit("a"))).await.unwrap();
    let mut again = unit("a");
    again.created_at = Some(Timestamp { seconds: 1_700_000_000, nanos: 0 });
    let answer = client.deploy(deploy(again)).await.unwrap().into_inner();
    assert_eq!((answer.message(), server.store.writes()), ("unchanged", 1));
    let mut changed = unit("a");
    changed.functions[0].replicas = 3;
    let answer = client.deploy(deploy(changed)).await.unwrap().into_inner();
    assert_eq!((answer.message(), server.store.writes()), ("updated", 2));
    assert_eq!(server.store.only().spec.functions[0].replicas, Some(3));
}

#[tokio::test]
async fn a_unit_that_says_less_than_before_is_a_change() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut more = unit("a");
    more.functions[0].replicas = 3;
    client.deploy(deploy(more)).await.unwrap();
    client.deploy(deploy(unit("a"))).await.unwrap();
    assert_eq!(server.store.only().spec.functions[0].replicas, None);
}

#[tokio::test]
async fn both_service_names_are_one_service() {
    let server = Server::start().await;
    let made = server.raw(&format!("{ALIAS}/Deploy"), &[], &deploy(unit("a"))).await;
    assert_eq!(made.code(), Code::Ok);
    assert_eq!(DeployResponse::decode(&made.body[5..]).unwrap().deployment_id, "a");
    for service in [ALIAS, CANONICAL] {
        for method in ["GetDeploymentStatus", "GetDeploymentRecord"] {
            let found = server.raw(&format!("{service}/{method}"), &[], &get("a")).await;
            assert_eq!(found.code(), Code::Ok, "{service}/{method}");
            let missing = server.raw(&format!("{service}/{method}"), &[], &get("b")).await;
            assert_eq!(missing.code(), Code::NotFound, "{service}/{method}");
        }
        assert_eq!(server.raw(&format!("{service}/Nonsense"), &[], &get("a")).await.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn an_id_whose_name_is_taken_by_another_id_is_already_exists_and_touches_nothing() {
    let server = Server::start().await;
    let mut other = DeploymentRecord::new(&record_name("Mine"), DeploymentRecordSpec::default());
    let id = (ANNOTATION_DEPLOYMENT_ID.to_owned(), "other".to_owned());
    other.metadata.annotations = Some([id].into());
    server.store.put(other.clone());
    let mut client = server.client().await;
    assert_eq!(client.deploy(deploy(unit("Mine"))).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(client.get_deployment_status(get("Mine")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.delete_deployment(delete("Mine")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.store.only(), other);
}

#[tokio::test]
async fn a_record_that_people_applied_is_found_updated_and_deleted_by_its_name() {
    let long = "x".repeat(80);
    for name in ["mine", "a.b", "9lives", "foo-0123456789", long.as_str()] {
        let server = Server::start().await;
        server.store.put(DeploymentRecord::new(name, DeploymentRecordSpec::default()));
        let mut client = server.client().await;
        let listed =
            client.list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), [name]);
        let found = client.get_deployment_status(get(name)).await.unwrap().into_inner();
        assert_eq!(found.deployment.unwrap().key, name);
        for outcome in ["updated", "unchanged"] {
            let answer = client.deploy(deploy(unit(name))).await.unwrap().into_inner();
            assert_eq!((answer.deployment_id.as_str(), answer.message()), (name, outcome));
            assert_eq!(server.store.only().metadata.name.as_deref(), Some(name), "no second record");
        }
        assert_eq!(server.store.only().spec.functions.len(), 1);
        client.delete_deployment(delete(name)).await.unwrap();
        assert!(server.store.only().metadata.deletion_timestamp.is_some());
    }
}

#[tokio::test]
async fn a_copy_that_people_made_of_a_record_is_another_one_and_no_id_is_listed_twice() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.deploy(deploy(unit("Mine.1"))).await.unwrap();
    client.deploy(deploy(unit("9"))).await.unwrap();
    let mut copy = server.store.get(&record_name("Mine.1")).await.unwrap().unwrap();
    copy.metadata.name = Some("copy".to_owned());
    server.store.put(copy);
    // Applied under the very id of one that stands under another name.
    server.store.put(DeploymentRecord::new("9", DeploymentRecordSpec::default()));
    let listed = client.list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["9", "Mine.1", "copy"]);
    for item in listed.items {
        client.get_deployment_status(get(&item.key)).await.unwrap();
        let answer = client.deploy(deploy(unit(&item.key))).await.unwrap().into_inner();
        assert_eq!(answer.message(), if item.key == "copy" { "updated" } else { "unchanged" });
        client.delete_deployment(delete(&item.key)).await.unwrap();
    }
    for (name, deleted) in [("copy", true), ("9", false)] {
        let record = server.store.get(name).await.unwrap().unwrap();
        assert_eq!(record.metadata.deletion_timestamp.is_some(), deleted, "{name}");
    }
}

#[tokio::test]
async fn delete_is_ok_while_deleting_and_not_found_for_an_unknown_id() {
    let server = Server::start().await;
    let mut client = server.client().await;
    assert_eq!(client.delete_deployment(delete("a")).await.unwrap_err().code(), Code::NotFound);
    client.deploy(deploy(unit("a"))).await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.delete_deployment(delete("a")).await.unwrap().into_inner().status(), StatusCode::Ok);
    }
}

#[tokio::test]
async fn a_deploy_while_the_old_record_is_being_deleted_is_unavailable_and_says_when_to_retry() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.deploy(deploy(unit("a"))).await.unwrap();
    client.delete_deployment(delete("a")).await.unwrap();
    let status = client.deploy(deploy(unit("a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn a_record_deleted_between_read_and_write_is_not_reported_as_deployed() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.deploy(deploy(unit("a"))).await.unwrap();
    server.store.deleted_meanwhile.store(true, Ordering::SeqCst);
    let mut changed = unit("a");
    changed.functions[0].replicas = 3;
    assert_eq!(client.deploy(deploy(changed)).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn invalid_fields_are_named_as_the_caller_sent_them_and_nothing_is_written() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut bad = unit("a");
    bad.functions[0].image = String::new();
    bad.functions[0].provision_config = Some(ProvisionConfig { port: Some(70_000), ..ProvisionConfig::default() });
    bad.functions[0].config.insert("BIG".to_owned(), "x".repeat(1 << 20));
    bad.odgm_config = Some(OdgmConfig { partition_count: Some(0), ..OdgmConfig::default() });
    bad.enforcement = Some(Enforcement { mode: "maybe".to_owned(), dimensions: Vec::new() });
    bad.addons = vec!["cache".to_owned()];
    bad.package_name = "x".repeat(4096);
    let status = client.deploy(deploy(bad)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<_> =
        status.get_details_bad_request().unwrap().field_violations.into_iter().map(|one| one.field).collect();
    for field in [
        "deployment_unit.functions[0].image",
        "deployment_unit.functions[0].provision_config.port",
        "deployment_unit.functions[0].config[\"BIG\"]",
        "deployment_unit.odgm_config.partition_count",
        "deployment_unit.enforcement.mode",
        "deployment_unit.addons[0]",
        "deployment_unit.package_name",
    ] {
        assert!(fields.iter().any(|named| named == field), "{field} in {fields:?}");
        assert!(status.message().contains(field), "{field} in {}", status.message());
    }
    let no_functions = oprc_crm::grpc::pb::deployment::DeploymentUnit { functions: Vec::new(), ..unit("a") };
    for (request, field) in [
        (DeployRequest { deployment_unit: None }, "deployment_unit"),
        (deploy(unit("")), "deployment_unit.id"),
        (deploy(unit(&"x".repeat(300))), "deployment_unit.id"),
        (deploy(no_functions), "deployment_unit.functions"),
    ] {
        let status = client.deploy(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field);
        assert!(!status.message().contains("spec."), "{}", status.message());
    }
    assert_eq!(client.get_deployment_status(get("")).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(server.store.is_empty());
}

#[tokio::test]
async fn ids_of_any_characters_are_deployed_and_come_back_verbatim() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for id in ["123", "???", "ünï code/42", "UPPER", &"y".repeat(253)] {
        assert_eq!(client.deploy(deploy(unit(id))).await.unwrap().into_inner().deployment_id, id);
        let found = client.get_deployment_status(get(id)).await.unwrap().into_inner().deployment.unwrap();
        assert_eq!(found.key, id);
    }
}

#[tokio::test]
async fn a_denial_names_the_rule_and_a_warning_stands_in_the_message() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut denied = unit("a");
    denied.functions[0].image = "denied:1".to_owned();
    let status = client.deploy(deploy(denied)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("Admission/image/denied", "oaas.io"));
    assert_eq!(info.metadata["policy_revision"], "r1");
    assert!(server.store.is_empty());
    let mut warned = unit("a");
    warned.functions[0].image = "warned:1".to_owned();
    let answer = client.deploy(deploy(warned)).await.unwrap().into_inner();
    assert_eq!(answer.message(), "created; warning: Admission/image/warned: the image is warned");
}

#[tokio::test]
async fn an_unknown_template_is_refused_with_the_choices() {
    let server = Server::start().await;
    let mut asked = unit("a");
    asked.selected_template = Some("edgy".to_owned());
    let status = server.client().await.deploy(deploy(asked)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("edgy") && status.message().contains("dev"), "{}", status.message());
    assert_eq!(status.get_details_error_info().unwrap().metadata["choices"], "dev");
}

#[tokio::test]
async fn what_the_api_server_refuses_is_named_in_the_callers_terms() {
    let server = Server::start().await;
    let fault = FieldError { field: "spec.functions[0].port".to_owned(), message: "too large".to_owned() };
    server.store.failures.lock().unwrap().extend([StoreError::Invalid(vec![fault])]);
    *server.store.every_write.lock().unwrap() = server.store.failures.lock().unwrap().pop();
    let status = server.client().await.deploy(deploy(unit("a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let violation = &status.get_details_bad_request().unwrap().field_violations[0];
    assert_eq!(violation.field, "deployment_unit.functions[0].provision_config.port");
}

#[tokio::test]
async fn an_outage_is_unavailable_and_says_when_to_retry() {
    let server = Server::start().await;
    let outage =
        StoreError::Unavailable { retry_after: Duration::from_secs(7), message: "the API server is away".to_owned() };
    server.store.failures.lock().unwrap().push(outage);
    let status = server.client().await.deploy(deploy(unit("a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_internal_error_keeps_its_words_to_itself() {
    let server = Server::start().await;
    server.store.failures.lock().unwrap().push(StoreError::Internal("etcd said something secret".to_owned()));
    let status = server.client().await.get_deployment_status(get("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"), "{}", status.message());
}

#[tokio::test]
async fn conflicts_are_read_again_and_never_reach_the_caller() {
    let server = Server::start().await;
    server.store.failures.lock().unwrap().extend(vec![StoreError::Conflict; 5]);
    server.client().await.deploy(deploy(unit("a"))).await.unwrap();
    assert_eq!(server.store.writes(), 1);
}

#[tokio::test]
async fn list_filters_sorts_and_pages() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (id, package) in [("c", "p"), ("a", "p"), ("b", "q")] {
        let mut unit = unit(id);
        unit.package_name = package.to_owned();
        client.deploy(deploy(unit)).await.unwrap();
    }
    let mut keys = async |request: ListDeploymentRecordsRequest| {
        let items = client.list_deployment_records(request).await.map(|answer| answer.into_inner().items);
        items.map(|items| items.into_iter().map(|item| item.key).collect::<Vec<_>>())
    };
    let all = ListDeploymentRecordsRequest::default();
    assert_eq!(keys(all.clone()).await.unwrap(), ["a", "b", "c"]);
    let of_p = ListDeploymentRecordsRequest { package_name: Some("p".to_owned()), ..all.clone() };
    assert_eq!(keys(of_p).await.unwrap(), ["a", "c"]);
    let page = ListDeploymentRecordsRequest { limit: Some(1), offset: Some(1), ..all.clone() };
    assert_eq!(keys(page).await.unwrap(), ["b"]);
    let progressing = ListDeploymentRecordsRequest { status: Some("progressing".to_owned()), ..all.clone() };
    assert_eq!(keys(progressing).await.unwrap().len(), 3);
    let running = ListDeploymentRecordsRequest { status: Some("RUNNING".to_owned()), ..all.clone() };
    assert!(keys(running).await.unwrap().is_empty());
    let nonsense = ListDeploymentRecordsRequest { status: Some("fine".to_owned()), ..all };
    assert_eq!(keys(nonsense).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn get_record_gives_the_class_as_it_was_deployed() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.deploy(deploy(unit("a"))).await.unwrap();
    let request = GetDeploymentRecordRequest { deployment_id: "a".to_owned() };
    let found = client.get_deployment_record(request).await.unwrap().into_inner().deployment.unwrap();
    assert_eq!(found.functions, unit("a").functions);
}
