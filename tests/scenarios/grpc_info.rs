//! What the newest Package Managers ask for and read, on a real cluster.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use crate::support::class::{Namespace, SOON};
use crate::support::contract::{
    ALIAS, ByName, CANONICAL, CrmHealth, DeploymentUnit, FunctionDeploymentSpec, ListRequest, OdgmConfig, Pm,
    StatusResponse, Timestamp,
};
use crate::support::crm::Crm;
use crate::support::faults::{Fault, Faults};
use crate::support::{cluster, eventually};
use crate::{IMAGE, start_with};

async fn ask(pm: &Pm, method: &str, name: &str) -> CrmHealth {
    pm.call_of("oaas.health.CrmInfoService", method, ByName { name: name.to_owned() }).await.unwrap()
}

#[tokio::test]
async fn the_nodes_of_the_cluster_are_counted_and_the_last_count_stands_while_they_cannot_be() {
    let (cluster, faults) = (cluster().await, Faults::default());
    let name = cluster.namespace("info").await;
    let crm = Crm::start_through(cluster, &name, &[], &faults).await;
    let nodes: Api<Node> = Api::all(cluster.admin());
    let count = nodes.list(&ListParams::default()).await.unwrap().items.len();
    let pm = Pm::new(crm.address, ALIAS);
    // Nodes of a cluster that has just begun become ready one by one.
    let health = eventually(SOON, "every node is ready", || async {
        let health = ask(&pm, "GetClusterHealth", "").await;
        if health.ready_nodes == health.node_count { Ok(health) } else { Err(format!("{health:?}")) }
    })
    .await;
    assert_eq!((health.node_count, health.availability), (u32::try_from(count).ok(), Some(1.0)));
    assert_eq!((health.name.as_str(), health.status.as_str()), (name.as_str(), "Healthy"));

    faults.inject(usize::MAX, Fault::Broken, |seen| seen.path == "/api/v1/nodes");
    let later = eventually(SOON, "the nodes were asked for", || async {
        let health = ask(&pm, "GetEnvHealth", "prod").await;
        if faults.injected() > 0 { Ok(health) } else { Err("not yet") }
    })
    .await;
    assert_eq!((later.node_count, later.ready_nodes), (health.node_count, health.ready_nodes));
    assert_eq!(later.name, "prod");
    assert!(later.last_seen.unwrap().seconds >= health.last_seen.unwrap().seconds);
    crm.stop().await;
}

#[tokio::test]
async fn a_later_package_manager_reads_its_own_units_back_from_the_cluster() {
    let variables = [("OPRC_CRM_GRPC_PAYLOAD", "unit"), ("OPRC_MOCK_CLUSTER_AVAILABILITY", "0.25")];
    let (crm, ns): (Crm, Namespace) = start_with("unit-form", &variables).await;
    let (one, other) = (Pm::new(crm.address, CANONICAL), Pm::new(crm.address, ALIAS));
    let function = |key: &str| FunctionDeploymentSpec {
        function_key: key.to_owned(),
        image: IMAGE.to_owned(),
        ..FunctionDeploymentSpec::default()
    };
    let unit = DeploymentUnit {
        id: "Shop/Cart".to_owned(),
        package_name: "shop".to_owned(),
        functions: vec![function("zeta"), function("alpha")],
        created_at: Some(Timestamp { seconds: 1_700_000_000, nanos: 1 }),
        odgm_config: Some(OdgmConfig {
            collections: vec!["carts".to_owned()],
            partition_count: Some(4),
            odgm_node_id: Some(7),
            ..OdgmConfig::default()
        }),
        ..DeploymentUnit::default()
    };
    one.deploy(unit.clone()).await.unwrap();
    assert_eq!(other.list::<DeploymentUnit>(ListRequest::default()).await.unwrap(), std::slice::from_ref(&unit));
    assert_eq!(other.record("Shop/Cart").await.unwrap(), Some(unit.clone()));
    let status: StatusResponse<DeploymentUnit> = eventually(SOON, "its objects are named", || async {
        let status: StatusResponse<DeploymentUnit> = other.status("Shop/Cart").await.map_err(|s| s.to_string())?;
        if status.status_resource_refs.len() == 6 { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(status.deployment, Some(unit.clone()));
    assert_eq!(one.deploy(unit).await.unwrap().message.as_deref(), Some("unchanged"));
    assert_eq!(ask(&one, "GetClusterHealth", "").await.availability, Some(0.25));
    one.delete("Shop/Cart").await.unwrap();
    ns.nothing_left(&oprc_crm::model::names::record_name("Shop/Cart")).await;
    crm.stop().await;
}
