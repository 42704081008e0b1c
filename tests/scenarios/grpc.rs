//! What the Package Manager does, from the wire to running pods and back.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use oprc_crm::api::{ANNOTATION_CORRELATION_ID, ANNOTATION_DEPLOYMENT_ID, DeploymentRecord};
use oprc_crm::grpc::pb::deployment::{DeploymentUnit, ListDeploymentRecordsRequest, OdgmConfig};
use oprc_crm::grpc::pb::oaas::common::{StatusCode, Timestamp};
use oprc_crm::model::names::record_name;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::support::class::{Namespace, SOON};
use crate::support::pm::{
    alias, assert_try_again, canonical, code_of_get, delete, deploy, done, fields, get, running, unit,
};
use crate::support::{cluster, eventually};
use crate::{IMAGE, start};

const NEWER: &str = "docker.io/library/nginx:1.28";

async fn record(ns: &Namespace, id: &str) -> DeploymentRecord {
    let record = ns.records().get(&record_name(id)).await.unwrap_or_else(|error| panic!("record of {id:?}: {error}"));
    record.typed().unwrap_or_else(|error| panic!("record of {id:?}: {error}"))
}

async fn image(ns: &Namespace, deployment: &str) -> Value {
    let deployment = serde_json::to_value(ns.deployment(deployment).await).unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

/// `kubectl patch --type merge`.
async fn edit(ns: &Namespace, name: &str, patch: Value) {
    ns.records().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("it can be edited");
}

#[tokio::test]
async fn a_class_lives_its_whole_life_by_grpc_under_either_name_of_the_service() {
    let (crm, ns) = start("grpc").await;
    let (one, other) = (canonical(&crm).await, alias(&crm).await);
    for (client, second, id) in [(&one, &other, "Shop/Cart@1"), (&other, &one, "2nd_shop")] {
        assert_eq!(done(client, unit(id, IMAGE)).await, "created");
        let answer = running(second, id).await;
        let name = record_name(id);
        assert_eq!(answer.status(), StatusCode::Ok);
        let found = answer.deployment.unwrap();
        assert_eq!((found.key.as_str(), found.functions[0].image.as_str()), (id, IMAGE));
        let refs: Vec<_> = found.resource_refs.iter().map(|one| format!("{}/{}", one.kind, one.name)).collect();
        assert_eq!(refs, [format!("Deployment/{name}"), format!("Service/{name}-svc")]);
        let uid = ns.deployment(&name).await.metadata.uid;
        assert!(uid.is_some() && found.resource_refs[0].uid == uid);
        assert_eq!(answer.status_resource_refs, found.resource_refs);

        crate::idle::settled(&crm).await;
        let (writes, version) = (crm.writes(), record(&ns, id).await.metadata.resource_version);
        let again = DeploymentUnit { created_at: Some(Timestamp { seconds: 1, nanos: 0 }), ..unit(id, IMAGE) };
        assert_eq!(done(second, again).await, "unchanged");
        assert_eq!(done(client, unit(id, IMAGE)).await, "unchanged");
        crate::idle::settled(&crm).await;
        assert_eq!((crm.writes(), record(&ns, id).await.metadata.resource_version), (writes, version));

        assert_eq!(done(second, unit(id, NEWER)).await, "updated");
        running(client, id).await;
        assert_eq!(record(&ns, id).await.spec.functions[0].image.as_deref(), Some(NEWER));
        assert_eq!(image(&ns, &name).await, NEWER);

        let answer = second.clone().delete_deployment(delete(id)).await.unwrap().into_inner();
        assert_eq!(answer.status(), StatusCode::Ok);
        ns.nothing_left(&name).await;
        assert_eq!(code_of_get(client, id).await, Code::NotFound);
    }
    crm.stop().await;
}

#[tokio::test]
async fn sixty_four_deploys_of_one_id_at_once_are_64_ok_and_one_record() {
    let (crm, ns) = start("grpc-64").await;
    let client = canonical(&crm).await;
    let outcomes = join_all((0..64).map(|_| done(&client, unit("One/Id", IMAGE)))).await;
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "created").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "unchanged").count(), 63, "{outcomes:?}");
    let records = ns.records().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].metadata.generation, Some(1));

    // Units that differ: one of them wins, whole; none is an error.
    let tags: Vec<String> = (0..16).map(|tag| format!("docker.io/library/nginx:1.{tag}")).collect();
    join_all(tags.iter().map(|tag| done(&client, unit("One/Id", tag)))).await;
    let records = ns.records().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(records.len(), 1);
    running(&client, "One/Id").await;
    let last = record(&ns, "One/Id").await.spec.functions[0].image.clone().unwrap();
    assert!(tags.contains(&last));
    assert_eq!(image(&ns, &record_name("One/Id")).await, json!(last));
    crm.stop().await;
}

#[tokio::test]
async fn ids_of_every_shape_live_and_die_independently() {
    let (crm, ns) = start("grpc-ids").await;
    let client = canonical(&crm).await;
    let long = "x".repeat(253);
    let longer = format!("{}y", "x".repeat(252));
    let ids = [
        "a",
        "A",
        "1",
        "1st-class",
        "-a",
        "???",
        "...",
        "--",
        "ünïcode/日本語",
        "a b",
        "../../etc/passwd",
        "a-svc",
        "a-odgm",
        "line\nbreak",
        "\"quoted\"",
        &long,
        &longer,
    ];
    for id in ids {
        assert_eq!(done(&client, unit(id, IMAGE)).await, "created", "{id:?}");
    }
    let names: BTreeSet<String> = ids.iter().map(|id| record_name(id)).collect();
    assert_eq!(names.len(), ids.len(), "{names:?}");
    for id in ids {
        let found = running(&client, id).await.deployment.unwrap();
        assert_eq!(found.key, id);
    }
    assert_eq!(ns.deployments().list(&ListParams::default()).await.unwrap().items.len(), ids.len());
    let all = client.clone().list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap();
    let listed: BTreeSet<String> = all.into_inner().items.into_iter().map(|item| item.key).collect();
    assert_eq!(listed, ids.iter().map(|id| (*id).to_owned()).collect());

    for (gone, kept) in ids.iter().step_by(2).zip(ids.iter().skip(1).step_by(2)) {
        client.clone().delete_deployment(delete(gone)).await.unwrap();
        ns.nothing_left_of(&record_name(gone)).await;
        assert_eq!(code_of_get(&client, gone).await, Code::NotFound, "{gone:?}");
        assert_eq!(code_of_get(&client, kept).await, Code::Ok, "{kept:?} after the delete of {gone:?}");
    }
    for id in ids.iter().skip(1).step_by(2) {
        assert_eq!(running(&client, id).await.deployment.unwrap().key, *id);
    }
    crm.stop().await;
}

#[tokio::test]
async fn an_id_that_is_too_long_or_empty_is_refused_with_the_field_named() {
    let (crm, ns) = start("grpc-long").await;
    for client in [canonical(&crm).await, alias(&crm).await] {
        for id in [String::new(), "x".repeat(254), "x".repeat(300), "ü".repeat(150)] {
            let mut client = client.clone();
            let refused = client.deploy(deploy(unit(&id, IMAGE))).await.unwrap_err();
            assert_eq!(fields(&refused), ["deployment_unit.id"]);
            let refused = client.get_deployment_status(get(&id)).await.unwrap_err();
            assert_eq!(fields(&refused), ["deployment_id"]);
            let refused = client.delete_deployment(delete(&id)).await.unwrap_err();
            assert_eq!(fields(&refused), ["deployment_id"]);
        }
    }
    assert!(ns.records().list(&ListParams::default()).await.unwrap().items.is_empty());
    crm.stop().await;
}

#[tokio::test]
async fn an_id_that_maps_to_the_record_of_another_touches_nothing() {
    let (crm, ns) = start("grpc-taken").await;
    let mut client = canonical(&crm).await;
    let name = record_name("Mine");
    ns.apply(&name, json!({"function": {"image": IMAGE}})).await;
    edit(&ns, &name, json!({"metadata": {"annotations": {ANNOTATION_DEPLOYMENT_ID: "other"}}})).await;
    ns.available(&name).await;
    crate::idle::settled(&crm).await;
    let before = ns.records().get(&name).await.unwrap();
    let writes = crm.writes();

    let refused = client.deploy(deploy(unit("Mine", NEWER))).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(
        refused.message().contains("\"Mine\"") && refused.message().contains(&format!("{name:?}")),
        "{}",
        refused.message()
    );
    assert_eq!(code_of_get(&client, "Mine").await, Code::NotFound);
    assert_eq!(client.delete_deployment(delete("Mine")).await.unwrap_err().code(), Code::NotFound);
    // What it says of itself is not its id where that would stand under another name; its name is.
    assert_eq!(code_of_get(&client, "other").await, Code::NotFound);
    assert_eq!(client.get_deployment_status(get(&name)).await.unwrap().into_inner().deployment.unwrap().key, name);
    crate::idle::settled(&crm).await;
    assert_eq!(crm.writes(), writes);
    assert_eq!(ns.records().get(&name).await.unwrap().metadata.resource_version, before.metadata.resource_version);
    assert_eq!(image(&ns, &name).await, IMAGE);
    crm.stop().await;
}

#[tokio::test]
async fn delete_is_idempotent_and_a_deploy_meanwhile_is_to_be_tried_again() {
    let (crm, ns) = start("grpc-delete").await;
    let mut client = canonical(&crm).await;
    assert_eq!(client.delete_deployment(delete("held")).await.unwrap_err().code(), Code::NotFound);
    done(&client, unit("held", IMAGE)).await;
    running(&client, "held").await;
    let hold = json!({"metadata": {"finalizers": ["oaas.io/finalizer", "test.example/hold"]}});
    edit(&ns, "held", hold).await;
    for _ in 0..3 {
        let answer = client.delete_deployment(delete("held")).await.unwrap().into_inner();
        assert_eq!(answer.status(), StatusCode::Ok);
    }
    assert_try_again(&client.deploy(deploy(unit("held", NEWER))).await.unwrap_err());
    let answer = client.get_deployment_status(get("held")).await.unwrap().into_inner();
    assert_eq!(answer.message.as_deref(), Some("being deleted"));
    eventually(SOON, "the children are gone while the record is held", || async {
        let left = ns.objects().await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert_try_again(&client.deploy(deploy(unit("held", NEWER))).await.unwrap_err());
    edit(&ns, "held", json!({"metadata": {"finalizers": null}})).await;
    ns.nothing_left("held").await;
    assert_eq!(client.delete_deployment(delete("held")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(done(&client, unit("held", NEWER)).await, "created");
    running(&client, "held").await;
    assert_eq!(image(&ns, "held").await, NEWER);
    crm.stop().await;
}

#[tokio::test]
async fn the_correlation_id_of_a_deploy_is_on_the_record_its_events_and_every_answer() {
    let (crm, ns) = start("grpc-correlation").await;
    let mut client = alias(&crm).await;
    let with = |id: &'static str, request| {
        let mut request = Request::new(request);
        request.metadata_mut().insert("x-correlation-id", id.parse().unwrap());
        request
    };
    let answer = client.deploy(with("pm-1", deploy(unit("c", IMAGE)))).await.unwrap();
    assert_eq!(answer.metadata().get("x-correlation-id").unwrap(), "pm-1");
    running(&client, "c").await;
    let annotation = |record: DeploymentRecord| record.metadata.annotations.unwrap()[ANNOTATION_CORRELATION_ID].clone();
    assert_eq!(annotation(record(&ns, "c").await), "pm-1");
    client.deploy(with("pm-2", deploy(unit("c", IMAGE)))).await.unwrap();
    assert_eq!(annotation(record(&ns, "c").await), "pm-1", "nothing was written");
    let refused = client.deploy(with("pm-3", deploy(unit("c", "Not An Image!")))).await.unwrap_err();
    assert_eq!(refused.metadata().get("x-correlation-id").unwrap(), "pm-3");
    assert_eq!(annotation(record(&ns, "c").await), "pm-1", "nothing was written");
    client.deploy(with("pm-4", deploy(unit("c", NEWER)))).await.unwrap();
    assert_eq!(annotation(record(&ns, "c").await), "pm-4");

    let events: Api<Event> = Api::namespaced(cluster().await.admin(), &ns.name);
    for (id, what) in [("pm-1", "created Deployment c"), ("pm-4", "changed Deployment c")] {
        eventually(SOON, &format!("an event {what:?} of {id}"), || async {
            let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let found = all.iter().any(|event| {
                let correlation =
                    event.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION_CORRELATION_ID));
                event.reason.as_deref() == Some("Applied")
                    && event.note.as_ref().is_some_and(|note| note.contains(what))
                    && correlation.is_some_and(|one| one == id)
            });
            if found { Ok(()) } else { Err(format!("{all:#?}")) }
        })
        .await;
    }
    crm.stop().await;
}

#[tokio::test]
async fn a_record_that_people_applied_is_read_changed_and_deleted_by_its_name() {
    let (crm, ns) = start("grpc-people").await;
    let mut client = canonical(&crm).await;
    let spec = json!({
        "function": {"image": IMAGE, "port": 9000}, "addons": ["odgm"], "nfr": {"enforcement": {"mode": "enforce"}},
    });
    ns.apply("mine", spec).await;
    let found = running(&client, "mine").await.deployment.unwrap();
    assert_eq!((found.key.as_str(), found.functions[0].image.as_str()), ("mine", IMAGE));
    assert_eq!(done(&client, unit("mine", NEWER)).await, "updated");
    running(&client, "mine").await;
    let spec = record(&ns, "mine").await.spec;
    assert!(spec.function.is_none(), "the unit says all that it can: {spec:?}");
    assert!(spec.addons == ["odgm"] && spec.nfr.is_some(), "what this unit does not state is left to people: {spec:?}");
    assert_eq!(image(&ns, "mine").await, NEWER);
    assert_eq!(done(&client, unit("mine", NEWER)).await, "unchanged");
    client.delete_deployment(delete("mine")).await.unwrap();
    ns.nothing_left("mine").await;
    crm.stop().await;
}

#[tokio::test]
async fn enforcement_that_people_ask_for_stays_until_the_unit_states_it_and_other_edits_go() {
    let (crm, ns) = start("grpc-edited").await;
    let client = canonical(&crm).await;
    done(&client, unit("edited", IMAGE)).await;
    running(&client, "edited").await;
    let mode = |record: &DeploymentRecord| {
        serde_json::to_value(&record.spec).unwrap().pointer("/nfr/enforcement/mode").cloned()
    };
    edit(&ns, "edited", json!({"spec": {"nfr": {"enforcement": {"mode": "enforce"}}}})).await;
    assert_eq!(done(&client, unit("edited", IMAGE)).await, "unchanged", "a field that the unit does not have");
    assert_eq!(done(&client, unit("edited", NEWER)).await, "updated");
    assert_eq!(mode(&record(&ns, "edited").await), Some(json!("enforce")));

    edit(&ns, "edited", json!({"spec": {"functions": [{"function_key": "f", "image": IMAGE}]}})).await;
    assert_eq!(done(&client, unit("edited", NEWER)).await, "updated");
    assert_eq!(record(&ns, "edited").await.spec.functions[0].image.as_deref(), Some(NEWER));
    running(&client, "edited").await;
    assert_eq!(image(&ns, "edited").await, NEWER);

    let mut said = unit("edited", NEWER);
    said.enforcement = Some(oprc_crm::grpc::pb::deployment::Enforcement { mode: "off".to_owned(), dimensions: vec![] });
    assert_eq!(done(&client, said).await, "updated");
    assert_eq!(mode(&record(&ns, "edited").await), Some(json!("off")), "the unit says it now");
    crm.stop().await;
}

#[tokio::test]
async fn what_people_edit_in_a_deployed_record_is_put_back_by_the_next_deploy_of_any_unit() {
    let (crm, ns) = start("grpc-hacked").await;
    let client = canonical(&crm).await;
    let ours = |image| DeploymentUnit { target_env: "prod".to_owned(), ..unit("edit1", image) };
    done(&client, ours(IMAGE)).await;
    let clean = record(&ns, "edit1").await.spec;
    let hack = json!({"spec": {
        "selected_template": "dev", "target_env": "hacked", "odgm_config": {"collections": ["c"]},
        "nfr_requirements": {"max_latency_ms": 1},
        "functions": [{"function_key": "f", "image": IMAGE, "port": 1}, {"function_key": "theirs", "image": IMAGE}],
    }});
    edit(&ns, "edit1", hack.clone()).await;
    assert_ne!(record(&ns, "edit1").await.spec, clean);
    assert_eq!(done(&client, ours(IMAGE)).await, "updated", "the same unit");
    assert_eq!(record(&ns, "edit1").await.spec, clean);

    edit(&ns, "edit1", hack.clone()).await;
    assert_eq!(done(&client, ours(NEWER)).await, "updated", "a changed unit");
    let mut newer = clean.clone();
    newer.functions[0].image = Some(NEWER.to_owned());
    assert_eq!(record(&ns, "edit1").await.spec, newer);

    // Nobody is known to own anything: what the unit does not say goes all the same.
    edit(&ns, "edit1", hack).await;
    edit(&ns, "edit1", json!({"metadata": {"managedFields": [{}]}})).await;
    assert_eq!(done(&client, ours(NEWER)).await, "updated", "an edit without owners");
    assert_eq!(record(&ns, "edit1").await.spec, newer);

    // Nor after the next status, whose owners are then the only ones that are known.
    edit(&ns, "edit1", json!({"spec": {"target_env": "hacked", "odgm_config": {"collections": ["c"]}}})).await;
    edit(&ns, "edit1", json!({"metadata": {"managedFields": [{}]}})).await;
    let status = json!({
        "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "status": {"message": "said by somebody"},
    });
    let elsewhere = PatchParams::apply("elsewhere").force();
    ns.records().patch_status("edit1", &elsewhere, &Patch::Apply(&status)).await.expect("a status");
    assert_eq!(done(&client, ours(NEWER)).await, "updated", "an edit whose owners were lost");
    assert_eq!(record(&ns, "edit1").await.spec, newer);

    // A field of the unit that people removed comes back.
    edit(&ns, "edit1", json!({"spec": {"target_env": null}})).await;
    assert_eq!(done(&client, ours(NEWER)).await, "updated", "an edit that removes");
    assert_eq!(record(&ns, "edit1").await.spec, newer);

    running(&client, "edit1").await;
    crate::idle::settled(&crm).await;
    let (writes, version) = (crm.writes(), record(&ns, "edit1").await.metadata.resource_version);
    assert_eq!(done(&client, ours(NEWER)).await, "unchanged");
    crate::idle::settled(&crm).await;
    assert_eq!((crm.writes(), record(&ns, "edit1").await.metadata.resource_version), (writes, version));
    crm.stop().await;
}

#[tokio::test]
async fn odgm_config_of_a_unit_is_rendered_and_goes_with_it() {
    let (crm, ns) = start("grpc-odgm").await;
    let client = alias(&crm).await;
    let odgm_config = OdgmConfig {
        collections: vec!["carts".to_owned()],
        partition_count: Some(4),
        replica_count: Some(2),
        shard_type: Some("raft".to_owned()),
        ..OdgmConfig::default()
    };
    let with = DeploymentUnit { odgm_config: Some(odgm_config), ..unit("grid", IMAGE) };
    assert!(done(&client, with.clone()).await.starts_with("created"));
    running(&client, "grid").await;
    let collection = r#"[{"name":"carts","partition_count":4,"replica_count":2,"shard_type":"raft","shard_assignments":[],"options":{},"invocations":{"fn_routes":{}}}]"#;
    for deployment in ["grid", "grid-odgm"] {
        assert_eq!(ns.env(deployment, "ODGM_COLLECTION").await.as_deref(), Some(collection), "{deployment}");
    }
    assert_eq!(ns.deployment("grid-odgm").await.spec.unwrap().replicas, Some(2));
    assert_eq!(done(&client, with).await, "unchanged");
    assert_eq!(done(&client, unit("grid", IMAGE)).await, "updated");
    eventually(SOON, "the data grid is gone", || async {
        let objects = ns.objects().await;
        if objects == ["Deployment/grid", "Service/grid-svc"] { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    running(&client, "grid").await;
    assert_eq!(ns.env("grid", "ODGM_COLLECTION").await, None);
    crm.stop().await;
}

#[tokio::test]
async fn what_people_applied_under_any_name_is_read_updated_and_deleted_by_it() {
    let (crm, ns) = start("grpc-people").await;
    let client = canonical(&crm).await;
    let names = ["com.example.cart", "9lives", "cart-0123456789", &"x".repeat(80)];
    for name in names {
        ns.apply(name, json!({"function": {"image": IMAGE}})).await;
    }
    let listed = client.clone().list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap();
    let listed: BTreeSet<_> = listed.into_inner().items.into_iter().map(|class| class.key).collect();
    assert_eq!(listed, names.map(str::to_owned).into());
    for name in names {
        running(&client, name).await;
        assert_eq!(done(&client, unit(name, NEWER)).await, "updated");
        assert_eq!(done(&client, unit(name, NEWER)).await, "unchanged");
    }
    let records = ns.records().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(records.len(), names.len(), "no second record of any");
    for name in names {
        client.clone().delete_deployment(delete(name)).await.unwrap();
    }
    for name in names {
        ns.nothing_left(name).await;
        assert_eq!(code_of_get(&client, name).await, Code::NotFound);
    }
    crm.stop().await;
}
