//! The rights that are shipped: enough for everything that runs, and nothing besides.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use oprc_crm::grpc::pb::deployment::{DeploymentUnit, ListDeploymentRecordsRequest, OdgmConfig};
use serde_json::{Value, json};

use crate::support::audit::{self, Request};
use crate::support::class::{Namespace, SOON, condition};
use crate::support::crm::Crm;
use crate::support::pm::{canonical, delete, done, running, unit};
use crate::support::{CRM_USER, cluster, eventually, from_json, shipped};
use crate::{IMAGE, start_with};

const RBAC: &str = "k8s/rbac/crm-rbac.yaml";
/// Never asked for by a request of its own: the admission plugin OwnerReferencesPermissionEnforcement asks whether the
/// controller may, each time it makes a child that blocks its record's deletion. Shown by a test below.
const ASKED_BY_ADMISSION: &str = "oaas.io deploymentrecords/finalizers update";

/// Rights to Knative's objects.
pub const KNATIVE: &str = "serving.knative.dev ";
/// Rights that are used only where the Prometheus operator is installed.
pub const MONITORS: &str = "monitoring.coreos.com ";

/// `group resource verb` of every right in the file; `resource#name` where it is to one object alone.
pub fn granted() -> BTreeSet<String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&shipped(RBAC)).unwrap();
    let roles = documents.into_iter().filter(|document| document["kind"] == "ClusterRole");
    let roles: Vec<ClusterRole> = roles.map(from_json).collect();
    assert!(!roles.is_empty());
    let mut rights = BTreeSet::new();
    for rule in roles.into_iter().flat_map(|role| role.rules.unwrap_or_default()) {
        assert!(rule.non_resource_urls.is_none(), "not compared yet: {rule:?}");
        let names: Vec<String> = rule.resource_names.iter().flatten().map(|name| format!("#{name}")).collect();
        let names = if names.is_empty() { vec![String::new()] } else { names };
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for name in &names {
                    rights.extend(rule.verbs.iter().map(|verb| format!("{group} {resource}{name} {verb}")));
                }
            }
        }
    }
    rights
}

/// The rights that a request was answered by. An apply that makes something needs `create` too: the audit log tells
/// it by the 201.
pub fn used(request: &Request) -> Vec<String> {
    let Some(object) = &request.object_ref else { return Vec::new() };
    let sub = if object.subresource.is_empty() { String::new() } else { format!("/{}", object.subresource) };
    let made = request.verb == "patch" && request.code() == 201;
    // As a right to all objects of a kind, and as one to this object alone.
    let rights = |verb: &str| {
        let (group, resource) = (&object.api_group, &object.resource);
        [format!("{group} {resource}{sub} {verb}"), format!("{group} {resource}{sub}#{} {verb}", object.name)]
    };
    rights(&request.verb).into_iter().chain(made.then(|| rights("create")).into_iter().flatten()).collect()
}

/// What the operator asked for in this namespace, and of the cluster.
async fn asked(ns: &Namespace) -> Vec<Request> {
    let mut requests = audit::requests(cluster().await.plane().audit_log());
    // A test of the command line asks with the same rights for the records of all namespaces: that is not the operator.
    let of_cluster = |request: &Request| {
        let resource = request.object_ref.as_ref().map_or("", |object| object.resource.as_str());
        request.namespace().is_empty() && resource != "deploymentrecords"
    };
    requests
        .retain(|request| request.user.username == CRM_USER && (request.namespace() == ns.name || of_cluster(request)));
    requests
}

/// Creates, updates, scales, prunes and deletes, by gRPC and as with kubectl.
async fn live_a_life(crm: &Crm, ns: &Namespace) {
    let newer = "docker.io/library/nginx:1.28";
    let client = canonical(crm).await;
    let odgm_config = Some(OdgmConfig { collections: vec!["c".to_owned()], ..OdgmConfig::default() });
    done(&client, DeploymentUnit { odgm_config, ..unit("sent", IMAGE) }).await;
    let functions = |image: &str, replicas: u32| json!([{"function_key": "f", "image": image, "replicas": replicas}]);
    let scaled = json!([{"function_key": "f", "image": IMAGE, "replicas": 1, "max_scale": 3}]);
    ns.apply("applied", json!({"functions": scaled, "addons": ["odgm", "pdb"]})).await;
    running(&client, "sent").await;
    ns.available("applied").await;

    done(&client, unit("sent", newer)).await;
    ns.apply("applied", json!({"functions": functions(newer, 2), "selected_template": "dev"})).await;
    eventually(SOON, "the data grids and budgets are pruned", || async {
        let objects = ns.objects().await;
        let gone = |object: &String| !object.contains("odgm") && !object.contains("Budget");
        if objects.iter().all(gone) { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    running(&client, "sent").await;
    ns.available("applied").await;

    let drift = json!({"spec": {"template": {"spec": {"containers": [{"name": "function", "image": "evil:1"}]}}}});
    ns.deployments().patch("applied", &PatchParams::default(), &Patch::Strategic(&drift)).await.unwrap();
    ns.event("applied", "DriftCorrected").await;
    ns.services().delete("applied-svc", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "the Service is back", || async { ns.services().get("applied-svc").await }).await;
    client.clone().list_deployment_records(ListDeploymentRecordsRequest::default()).await.unwrap();

    client.clone().delete_deployment(delete("sent")).await.unwrap();
    ns.delete("applied").await;
    ns.nothing_left("sent").await;
    ns.nothing_left("applied").await;
}

#[tokio::test]
async fn the_rights_as_shipped_are_enough_and_no_broader_than_what_is_used() {
    // Pods are looked at for the signals alone; what Prometheus answers does not matter here, so there is none.
    let env = [
        ("OPRC_CRM_FEATURES_HPA", "true"),
        ("OPRC_CRM_FEATURES_PROMETHEUS", "true"),
        ("OPRC_CRM_PROM_URL", "http://127.0.0.1:9"),
    ];
    let (crm, ns) = start_with("rbac", &env).await;
    live_a_life(&crm, &ns).await;
    crm.stop().await;
    let granted = granted();
    assert!(granted.contains(ASKED_BY_ADMISSION));
    // A watch is written down when it has ended, which is a moment after the controller.
    eventually(SOON, &format!("every right in {RBAC} has been used"), || async {
        let requests = asked(&ns).await;
        let refused: Vec<&Request> = requests.iter().filter(|request| request.code() == 403).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        let used: BTreeSet<String> = requests.iter().flat_map(used).collect();
        let mut unused: Vec<&String> = granted.difference(&used).collect();
        // Those of Knative and of monitors are compared where these are installed: knative.rs, monitors.rs.
        unused.retain(|right| {
            *right != ASKED_BY_ADMISSION && !right.starts_with(KNATIVE) && !right.starts_with(MONITORS)
        });
        if unused.is_empty() { Ok(()) } else { Err(format!("never used: {unused:#?}; used: {used:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn without_the_right_to_finalizers_no_child_can_be_made_and_the_record_says_so() {
    let cluster = cluster().await;
    // The shipped role without that right, in a namespace where the operator has nothing else.
    let name = cluster.namespace("rbac-finalizers").await;
    let roles: Api<ClusterRole> = Api::all(cluster.admin());
    let mut role = roles.get("oprc-crm").await.unwrap();
    role.metadata = from_json(json!({"name": name}));
    role.rules.iter_mut().flatten().for_each(|rule| {
        rule.resources.iter_mut().flatten().for_each(|resource| {
            if resource == "deploymentrecords/finalizers" {
                "nothing".clone_into(resource);
            }
        });
    });
    roles.create(&PostParams::default(), &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin(), &name);
    bindings.delete("oprc-crm", &DeleteParams::default()).await.unwrap();
    let binding = json!({
        "metadata": {"name": "narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "oprc-crm", "namespace": "oaas-system"}],
    });
    bindings.create(&PostParams::default(), &from_json(binding)).await.unwrap();
    cluster.await_right(&name, "update", "deploymentrecords", "finalizers", false).await;
    cluster.await_right(&name, "list", "deploymentrecords", "", true).await;

    let ns = Namespace::new(cluster.admin(), &name);
    let crm = Crm::start(cluster, &name).await;
    ns.apply("r", json!({"function": {"image": IMAGE}})).await;
    let status = ns.degraded("r").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "ApplyFailed");
    assert!(message.contains("finalizers") && message.contains(RBAC), "{message}");
    assert!(ns.objects().await.is_empty());
    roles.delete(&name, &DeleteParams::default()).await.unwrap();
    crm.stop().await;
}
