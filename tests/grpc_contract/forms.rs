//! Both forms of the payload, read by a client that knows the contract only.

use std::collections::BTreeMap;

use oprc_crm::grpc::pb;
use oprc_crm::grpc::{Options, Payload, record_of};
use prost::Message as _;

use crate::contract::{
    ALIAS, CANONICAL, CollectionShardAssignments, DeployRequest, DeploymentUnit, Enforcement, FunctionDeploymentSpec,
    FunctionRoute, InvocationRoutes, ListRequest, NfrRequirements, OClassDeployment, OdgmConfig, OdgmNodeIds,
    PROGRESSING, Pm, ProvisionConfig, ResourceRequirements, ShardAssignmentSpec, Timestamp,
};
use crate::harness::Server;

fn text(text: &str) -> String {
    text.to_owned()
}

fn nfr(availability: f64) -> NfrRequirements {
    NfrRequirements {
        max_latency_ms: Some(250),
        min_throughput_rps: Some(90),
        availability: Some(availability),
        cpu_utilization_target: Some(0.7),
    }
}

fn function(key: &str) -> FunctionDeploymentSpec {
    FunctionDeploymentSpec {
        function_key: text(key),
        replicas: 3,
        resource_requirements: Some(ResourceRequirements {
            cpu_request: text("250m"),
            memory_request: text("128Mi"),
            cpu_limit: Some(text("1")),
            memory_limit: Some(text("1Gi")),
        }),
        image: format!("example/{key}:1"),
        description: Some(text("what it does")),
        available_location: Some(text("edge")),
        nfr_requirements: Some(nfr(0.995)),
        provision_config: Some(ProvisionConfig {
            container_image: Some(text("example/other:2")),
            port: Some(9000),
            max_concurrency: 7,
            need_http2: true,
            cpu_request: Some(text("250m")),
            memory_request: Some(text("128Mi")),
            cpu_limit: Some(text("1")),
            memory_limit: Some(text("1Gi")),
            min_scale: Some(1),
            max_scale: Some(5),
            wasm_module_url: Some(text("oci://example/module")),
        }),
        config: BTreeMap::from([(text("MODE"), text("fast"))]),
    }
}

fn odgm() -> OdgmConfig {
    let route = FunctionRoute {
        url: text("http://elsewhere"),
        stateless: Some(true),
        standby: Some(false),
        active_group: vec![1, 2],
        function_key: Some(text("one")),
    };
    let shard = ShardAssignmentSpec { primary: Some(1), replica: vec![2, 3], shard_ids: vec![4] };
    OdgmConfig {
        collections: vec![text("things")],
        partition_count: Some(4),
        replica_count: Some(2),
        shard_type: Some(text("raft")),
        invocations: Some(InvocationRoutes {
            fn_routes: BTreeMap::from([(text("one"), route)]),
            disabled_fn: vec![text("two")],
        }),
        options: BTreeMap::from([(text("k"), text("v"))]),
        log: Some(text("debug")),
        env_node_ids: BTreeMap::from([(text("prod"), OdgmNodeIds { ids: vec![5, 6] })]),
        odgm_node_id: Some(7),
        collection_assignments: BTreeMap::from([(
            text("things"),
            CollectionShardAssignments { assignments: vec![shard] },
        )]),
    }
}

/// Every field is stated.
fn unit(id: &str) -> DeploymentUnit {
    DeploymentUnit {
        id: text(id),
        package_name: text("shop"),
        class_key: text("Cart"),
        target_cluster: text("cluster-1"),
        functions: vec![function("one"), function("two")],
        target_env: text("prod"),
        nfr_requirements: Some(nfr(0.999)),
        created_at: Some(Timestamp { seconds: 1_700_000_000, nanos: 42 }),
        odgm_config: Some(odgm()),
        selected_template: Some(text("dev")),
        addons: vec![text("odgm")],
        enforcement: Some(Enforcement { mode: text("enforce"), dimensions: vec![text("replicas"), text("cpu")] }),
    }
}

#[test]
fn the_generated_messages_have_the_contracts_numbers_and_types() {
    let bytes = DeployRequest { deployment_unit: Some(unit("a")) }.encode_to_vec();
    let read = pb::deployment::DeployRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(read.deployment_unit.as_ref().unwrap().functions[0].provision_config.as_ref().unwrap().port, Some(9000));
    // What the generated types do not know they drop.
    assert_eq!(DeployRequest::decode(read.encode_to_vec().as_slice()).unwrap().deployment_unit.unwrap(), unit("a"));
}

#[tokio::test]
async fn a_package_manager_of_the_first_release_reads_classes() {
    let server = Server::start().await;
    for (id, service) in [("Shop/Cart", CANONICAL), ("Shop/Till", ALIAS)] {
        let pm = Pm::new(server.addr, service);
        let sent = unit(id);
        assert_eq!(pm.deploy(sent.clone()).await.unwrap().deployment_id, id);
        let wanted = OClassDeployment {
            key: text(id),
            package_name: sent.package_name,
            class_key: sent.class_key,
            target_env: sent.target_env,
            target_clusters: vec![sent.target_cluster],
            nfr_requirements: sent.nfr_requirements,
            functions: sent.functions,
            created_at: sent.created_at,
            summarized_status: Some(PROGRESSING),
            resource_refs: Vec::new(),
        };
        assert_eq!(pm.status(id).await.unwrap().deployment.as_ref(), Some(&wanted));
        assert_eq!(pm.record(id).await.unwrap().as_ref(), Some(&wanted));
        let listed: Vec<OClassDeployment> = pm.list(ListRequest::default()).await.unwrap();
        assert!(listed.contains(&wanted), "{listed:?}");
    }
}

#[tokio::test]
async fn a_later_package_manager_reads_the_very_units_that_it_sent() {
    let server = Server::with_options(Options { payload: Payload::Unit, ..Options::default() }).await;
    for (id, service) in [("Shop/Cart", CANONICAL), ("Shop/Till", ALIAS)] {
        let pm = Pm::new(server.addr, service);
        pm.deploy(unit(id)).await.unwrap();
        assert_eq!(pm.status(id).await.unwrap().deployment, Some(unit(id)));
        assert_eq!(pm.record(id).await.unwrap(), Some(unit(id)));
        // What was read and is sent back is no change.
        let again = pm.deploy(pm.record(id).await.unwrap().unwrap()).await.unwrap();
        assert_eq!(again.message.as_deref(), Some("unchanged"));
    }
    let pm = Pm::new(server.addr, CANONICAL);
    let listed: Vec<DeploymentUnit> = pm.list(ListRequest::default()).await.unwrap();
    assert_eq!(listed, [unit("Shop/Cart"), unit("Shop/Till")]);
    let none = ListRequest { status: Some(text("RUNNING")), ..ListRequest::default() };
    assert!(pm.list::<DeploymentUnit>(none).await.unwrap().is_empty(), "filters know the status in this form too");
}

#[test]
fn the_seeds_of_the_fuzzer_are_units_of_the_contract_and_all_but_one_are_accepted() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/units");
    let mut refused = Vec::new();
    for seed in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(seed.path()).unwrap();
        let read = pb::deployment::DeploymentUnit::decode(bytes.as_slice()).unwrap();
        assert_eq!(DeploymentUnit::decode(bytes.as_slice()).unwrap().encode_to_vec(), bytes, "{seed:?}");
        if record_of(&read).is_err() {
            refused.push(seed.file_name());
        }
    }
    assert_eq!(refused, ["refused"]);
}
