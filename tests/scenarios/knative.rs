//! Classes on Knative Serving: its real definitions and its own controller; autoscaler and ingress are played.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use oprc_crm::api::{DeploymentRecordStatus, Health, Phase};
use oprc_crm::cluster::diff::differences;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::IMAGE;
use crate::idle::settled;
use crate::rbac::{KNATIVE, granted, used};
use crate::support::audit;
use crate::support::class::{Namespace, SOON, condition};
use crate::support::crm::Crm;
use crate::support::knative::{Gate, knative, remove_definition};
use crate::support::nfr::{Lab, applied, class as measured};
use crate::support::policy::Bundle;
use crate::support::{CRM_USER, Cluster, eventually};

const ON: [(&str, &str); 2] = [("OPRC_CRM_FEATURES_KNATIVE", "true"), ("OPRC_CRM_FEATURES_HPA", "true")];
const MIN_SCALE: &str = "autoscaling.knative.dev/min-scale";
/// Optional kinds are looked for every half minute.
const NOTICED: Duration = Duration::from_secs(90);

/// A control plane with Knative, for all tests of this file.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::own().await;
        knative().await.install(&cluster).await;
        cluster
    };
    CLUSTER.get_or_init(start).await
}

/// A controller with the feature on, and a closed gate.
async fn start(prefix: &str) -> (Crm, Namespace, Gate) {
    let cluster = cluster().await;
    let name = cluster.namespace(prefix).await;
    let crm = Crm::start_with(cluster, &name, &ON).await;
    (crm, Namespace::new(cluster.admin(), &name), Gate::closed(&cluster.admin(), &name))
}

fn class(template: &str) -> Value {
    json!({
        "functions": [{"function_key": "f", "image": IMAGE, "port": 8080}], "selected_template": template,
        "odgm_config": {"collections": ["c"], "invocations": {"fn_routes": {"f": {}}}},
    })
}

/// The same, scaled by its load.
fn scaled(template: &str) -> Value {
    let mut class = class(template);
    class["functions"][0]["max_scale"] = json!(4);
    class
}

async fn wait_objects(ns: &Namespace, expected: &[&str]) {
    eventually(SOON, "objects of the class", || async {
        let objects = ns.own_objects().await;
        if objects == expected { Ok(()) } else { Err(format!("{objects:?}, not {expected:?}")) }
    })
    .await;
}

fn health(status: &DeploymentRecordStatus, api_version: &str) -> Option<Health> {
    status.resource_refs.iter().find(|one| one.api_version == api_version).map(|one| one.health)
}

#[tokio::test]
async fn a_class_is_available_once_knatives_own_controller_says_that_its_service_is_ready() {
    let (crm, ns, gate) = start("kn").await;
    let function = |image: &str| {
        json!({
            "function_key": "f", "image": image, "port": 8080, "max_concurrency": 7, "need_http2": true,
            "min_scale": 1, "max_scale": 4, "env": {"A": "$(B)"}, "resources": {"cpu_request": "1000m"},
        })
    };
    let spec = |image: &str| json!({"functions": [function(image)], "selected_template": "knative"});
    ns.apply("k", spec(IMAGE)).await;
    let waiting = ns
        .status("k", "waits for its Knative Service", |status| {
            status.phase == Some(Phase::Progressing) && status.functions.iter().any(|function| function.url.is_some())
        })
        .await;
    assert_eq!(health(&waiting, "serving.knative.dev/v1"), Some(Health::Progressing));
    assert_eq!(condition(&waiting, "Available").0, "False");
    assert!(waiting.message.as_ref().unwrap().contains("Knative Service k"), "{:?}", waiting.message);
    gate.open();
    let status = ns.available("k").await;
    assert_eq!(health(&status, "serving.knative.dev/v1"), Some(Health::Healthy));
    let service = ns.knative_services().get("k").await.unwrap();
    let url = service.data.pointer("/status/url").and_then(Value::as_str).map(str::to_owned);
    assert!(url.is_some());
    assert_eq!(status.functions[0].url, url);
    assert_eq!(ns.own_objects().await, ["Knative/k"]);
    let ready = |status: &DeploymentRecordStatus| status.ready_summary.as_deref() == Some("1/1");
    let status = ns.status("k", "the pods of its versions are counted", ready).await;
    assert_eq!((status.functions[0].replicas, status.functions[0].ready_replicas), (1, 1));

    let version = ns.revisions().get("k-00001").await.unwrap();
    assert_eq!(version.data.pointer("/spec/containerConcurrency"), Some(&json!(7)));
    let scale = |bound: &str| version.metadata.annotations.as_ref().unwrap()[bound].clone();
    assert_eq!(scale("autoscaling.knative.dev/min-scale"), "1");
    assert_eq!(scale("autoscaling.knative.dev/max-scale"), "4");
    let made = serde_json::to_value(ns.deployment("k-00001-deployment").await).unwrap();
    let containers = made.pointer("/spec/template/spec/containers").and_then(Value::as_array).unwrap();
    let container = containers.iter().find(|one| one["name"] == "function").unwrap();
    assert!(container["env"].as_array().unwrap().contains(&json!({"name": "A", "value": "$$(B)"})), "{container}");
    assert_eq!(container["resources"]["requests"]["cpu"], "1");
    // Silence, once it is as it should be.
    settled(&crm).await;

    ns.apply("k", spec("docker.io/library/nginx:1.28")).await;
    eventually(SOON, "the new version serves", || async {
        let service = ns.knative_services().get("k").await.map_err(|error| error.to_string())?;
        let ready = service.data.pointer("/status/latestReadyRevisionName").cloned().unwrap_or_default();
        if ready == "k-00002" { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    ns.available("k").await;
    ns.delete("k").await;
    eventually(SOON, "the record is gone", || async {
        let record = ns.records().get_opt("k").await.map_err(|error| error.to_string())?;
        if record.is_none() { Ok(()) } else { Err("still there".to_owned()) }
    })
    .await;
    wait_objects(&ns, &[]).await;
    crm.stop().await;
}

/// Looks all the time whether something serves, and whether what the data grid's pods send requests to does.
struct Witness {
    faults: Arc<Mutex<Vec<String>>>,
    looks: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Witness {
    fn of(ns: &Namespace) -> Self {
        let (faults, looks) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (ns, told, count) = (ns.clone(), Arc::clone(&faults), Arc::clone(&looks));
        let task = tokio::spawn(async move {
            loop {
                let routes = routes(&ns).await;
                let serving = serving(&ns).await;
                if serving.is_empty() {
                    told.lock().unwrap().push("nothing serves".to_owned());
                }
                // A pod that was replaced between the two looks is no fault.
                let still = self::routes(&ns).await;
                for route in routes.intersection(&still).filter(|route| !serving.contains(*route)) {
                    told.lock().unwrap().push(format!("the data grid sends to {route}, and {serving:?} serve"));
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { faults, looks, task }
    }

    /// After at least so many looks; a busy machine has time for a few only.
    async fn seen_nothing_wrong(self, least: usize) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.as_ref().is_err_and(tokio::task::JoinError::is_cancelled), "it has looked to the end: {ended:?}");
        let looks = self.looks.load(Ordering::SeqCst);
        assert!(looks >= least, "it has looked {looks} times");
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

/// URLs behind which something serves.
async fn serving(ns: &Namespace) -> BTreeSet<String> {
    let mut urls = BTreeSet::new();
    let available = |deployment: k8s_openapi::api::apps::v1::Deployment| {
        deployment.status.and_then(|status| status.available_replicas).unwrap_or(0) > 0
    };
    let deployment = ns.deployments().get_opt("k").await.unwrap();
    if deployment.is_some_and(available) && ns.services().get_opt("k-svc").await.unwrap().is_some() {
        urls.insert(format!("http://k-svc.{}.svc", ns.name));
    }
    let service = ns.knative_services().get_opt("k").await.unwrap();
    let conditions = service.and_then(|service| service.data.pointer("/status/conditions").cloned());
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    if conditions.and_then(|all| all.as_array().cloned()).is_some_and(|all| all.iter().any(ready)) {
        urls.insert(format!("http://k.{}.svc", ns.name));
    }
    urls
}

/// Where the ready pods of the data grid send requests to.
async fn routes(ns: &Namespace) -> BTreeSet<String> {
    let pods: Api<Pod> = Api::namespaced(ns.client(), &ns.name);
    let pods = pods.list(&ListParams::default().labels("app=k-odgm")).await.unwrap().items;
    let url = |pod: Pod| {
        if pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let pod = serde_json::to_value(pod).unwrap();
        let env = pod.pointer("/spec/containers/0/env")?.as_array()?.clone();
        let collection = env.iter().find(|one| one["name"] == "ODGM_COLLECTION")?["value"].as_str()?.to_owned();
        let collections: Value = serde_json::from_str(&collection).unwrap();
        collections.pointer("/0/invocations/fn_routes/f/url")?.as_str().map(str::to_owned)
    };
    pods.into_iter().filter_map(url).collect()
}

#[tokio::test]
async fn from_deployments_to_knative_and_back_something_serves_at_any_time_and_nothing_is_left_over() {
    let (crm, ns, gate) = start("kn-switch").await;
    let on_deployments =
        ["Deployment/k", "Deployment/k-odgm", "HorizontalPodAutoscaler/k", "Service/k-odgm-svc", "Service/k-svc"];
    let on_knative = ["Deployment/k-odgm", "Knative/k", "Service/k-odgm-svc"];
    ns.apply("k", scaled("edge")).await;
    let before = ns.available("k").await;
    let old_url = Some(format!("http://k-svc.{}.svc", ns.name));
    assert_eq!(before.functions[0].url, old_url);
    assert_eq!(ns.own_objects().await, on_deployments);
    let witness = Witness::of(&ns);

    ns.apply("k", scaled("knative")).await;
    let moving = ns
        .status("k", "the Knative Service is there and waits", |status| {
            status.selected_template.as_deref() == Some("knative") && status.resource_refs.len() >= 6
        })
        .await;
    assert_eq!(moving.phase, Some(Phase::Progressing));
    assert_eq!(condition(&moving, "Available").0, "True", "the Deployment still serves");
    assert_eq!(moving.functions[0].url, old_url, "callers are sent to what serves");
    assert!(moving.message.as_ref().unwrap().contains("Deployment k goes"), "{:?}", moving.message);
    let mut both: Vec<&str> = on_deployments.into_iter().chain(["Knative/k"]).collect();
    both.sort_unstable();
    wait_objects(&ns, &both).await;
    assert_eq!(routes(&ns).await, BTreeSet::from([old_url.clone().unwrap()]), "the data grid has not been touched");
    gate.open();
    let status = ns.available("k").await;
    wait_objects(&ns, &on_knative).await;
    assert!(status.functions[0].url.is_some() && status.functions[0].url != old_url, "{:?}", status.functions);
    assert_eq!(routes(&ns).await, BTreeSet::from([format!("http://k.{}.svc", ns.name)]));

    ns.apply("k", scaled("edge")).await;
    let status = ns.available("k").await;
    assert_eq!(status.functions[0].url, old_url);
    wait_objects(&ns, &on_deployments).await;
    witness.seen_nothing_wrong(10).await;
    settled(&crm).await;
    crm.stop().await;
}

#[tokio::test]
async fn a_switch_that_is_taken_back_before_it_is_through_leaves_nothing_behind() {
    let (crm, ns, _gate) = start("kn-back").await;
    ns.apply("k", class("edge")).await;
    ns.available("k").await;
    let witness = Witness::of(&ns);
    ns.apply("k", class("knative")).await;
    ns.status("k", "both are there", |status| status.resource_refs.len() >= 5).await;
    ns.apply("k", class("edge")).await;
    ns.available("k").await;
    wait_objects(&ns, &["Deployment/k", "Deployment/k-odgm", "Service/k-odgm-svc", "Service/k-svc"]).await;
    witness.seen_nothing_wrong(1).await;
    crm.stop().await;
}

#[tokio::test]
async fn with_the_feature_switched_off_a_class_that_did_not_ask_for_knative_goes_back_to_deployments() {
    let (crm, ns, gate) = start("kn-off").await;
    gate.open();
    let spec = json!({
        "function": {"image": IMAGE}, "nfr_requirements": {"min_throughput_rps": 500, "max_latency_ms": 100},
    });
    crm.stop().await;
    let full = [("OPRC_CRM_PROFILE", "full")];
    let cluster = cluster().await;
    let on: Vec<_> = full.into_iter().chain(ON).collect();
    let crm = Crm::start_with(cluster, &ns.name, &on).await;
    ns.apply("k", spec).await;
    let status = ns.available("k").await;
    assert_eq!(status.selected_template.as_deref(), Some("knative"));
    assert_eq!(ns.own_objects().await, ["Knative/k"]);
    crm.stop().await;
    let crm = Crm::start_with(cluster, &ns.name, &full).await;
    wait_objects(&ns, &["Deployment/k", "Service/k-svc"]).await;
    let status = ns.available("k").await;
    assert_eq!(status.selected_template.as_deref(), Some("full"));
    ns.apply("asks", class("knative")).await;
    let status = ns.degraded("asks").await;
    let (_, reason, message) = condition(&status, "PolicyViolation");
    assert_eq!(reason, "Admission:knative:feature_off");
    assert!(message.contains("OPRC_CRM_FEATURES_KNATIVE=true"), "{message}");
    crm.stop().await;
}

#[tokio::test]
async fn a_change_that_others_make_to_a_knative_service_is_put_back() {
    let (crm, ns, gate) = start("kn-drift").await;
    gate.open();
    ns.apply("k", json!({"function": {"image": IMAGE}, "selected_template": "knative"})).await;
    ns.available("k").await;
    let services = ns.knative_services();
    let drift = json!({"spec": {"traffic": [{"revisionName": "k-00001", "percent": 100}]}});
    let params = kube::api::PatchParams::default();
    services.patch("k", &params, &kube::api::Patch::Merge(&drift)).await.unwrap();
    let note = ns.event("k", "DriftCorrected").await;
    assert!(note.contains("Knative Service k: spec.traffic"), "{note}");
    ns.available("k").await;
    crm.stop().await;
}

/// Rights are compared here for Knative as rbac.rs does for the rest, where Knative is not installed.
#[tokio::test]
async fn the_rights_to_knative_services_are_enough_and_no_broader_than_what_is_used() {
    let (crm, ns, gate) = start("kn-rbac").await;
    gate.open();
    let spec = |image: &str, template: &str| json!({"function": {"image": image}, "selected_template": template});
    ns.apply("k", spec(IMAGE, "knative")).await;
    ns.available("k").await;
    ns.apply("k", spec("docker.io/library/nginx:1.28", "knative")).await;
    ns.available("k").await;
    ns.apply("k", spec(IMAGE, "edge")).await;
    wait_objects(&ns, &["Deployment/k", "Service/k-svc"]).await;
    crm.stop().await;
    let granted: BTreeSet<String> = granted().into_iter().filter(|right| right.starts_with(KNATIVE)).collect();
    assert!(!granted.is_empty());
    let log = cluster().await.plane().audit_log();
    // A watch is written down when it has ended.
    eventually(SOON, "every right has been used", || async {
        let mut requests = audit::requests(log);
        requests.retain(|request| request.user.username == CRM_USER && request.namespace() == ns.name);
        let refused: Vec<_> = requests.iter().filter(|request| request.code() == 403).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        let used: BTreeSet<String> = requests.iter().flat_map(used).collect();
        let unused: Vec<&String> = granted.difference(&used).collect();
        if unused.is_empty() { Ok(()) } else { Err(format!("never used: {unused:#?}; used: {used:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn knative_that_is_missing_is_said_and_what_comes_or_goes_later_is_noticed() {
    let cluster = Cluster::own().await;
    let name = cluster.namespace("kn-later").await;
    let ns = Namespace::new(cluster.admin(), &name);
    let variables: Vec<_> = ON.into_iter().chain([("OPRC_CRM_PROFILE", "full")]).collect();
    let crm = Crm::start_with(&cluster, &name, &variables).await;
    let hints = json!({"min_throughput_rps": 500, "max_latency_ms": 100});
    ns.apply("scored", json!({"function": {"image": IMAGE}, "nfr_requirements": hints})).await;
    ns.apply("asks", json!({"function": {"image": IMAGE}, "selected_template": "knative"})).await;
    assert_eq!(ns.available("scored").await.selected_template.as_deref(), Some("full"));
    let denied = ns.degraded("asks").await;
    let (_, reason, message) = condition(&denied, "PolicyViolation");
    assert_eq!(reason, "Admission:knative:not_installed");
    assert!(message.contains("install Knative Serving"), "{message}");

    // Without its controller nothing becomes ready: what serves goes on serving.
    let definition = knative().await.service_definition();
    oprc_crm::sandbox::install::apply_yaml(&cluster.admin(), "Knative Service", &definition).await.unwrap();
    eventually(NOTICED, "Knative is noticed", || async {
        let objects = ns.own_objects().await;
        let expected = ["Deployment/scored", "Knative/asks", "Knative/scored", "Service/scored-svc"];
        if objects == expected { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
    let moving = ns.status("scored", "moves", |status| status.selected_template.as_deref() == Some("knative")).await;
    assert_eq!(condition(&moving, "Available").0, "True");

    remove_definition(&cluster.admin(), "services.serving.knative.dev").await;
    eventually(NOTICED, "that Knative is gone is noticed", || async {
        let scored = ns.records().get("scored").await.unwrap().typed_status();
        let asks = ns.records().get("asks").await.unwrap().typed_status();
        let seen = (scored.selected_template.as_deref(), scored.phase, condition(&asks, "PolicyViolation").0);
        if seen == (Some("full"), Some(Phase::Available), "True") { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert_eq!(ns.objects().await, ["Deployment/scored", "PodDisruptionBudget/scored", "Service/scored-svc"]);
    crm.stop().await;
}

/// A template that is a Knative Service and does not ask whether there can be one.
const CARELESS: &str = "
apiVersion: policy.oaas.io/v1alpha1
kind: Template
metadata: {name: careless, description: Never asks.}
spec:
  score: [{id: any, when: 'profile == \"edge\"', add: 1}]
  workload: {kind: KnativeService, replicas: '1.0'}
";

#[tokio::test]
async fn a_policy_that_wants_knative_where_there_is_none_is_said_once_and_what_runs_is_left_alone() {
    let bundle = Bundle::new("", "");
    bundle.write("careless.yaml", CARELESS);
    let (crm, ns) = crate::start_with("kn-careless", &[("OPRC_CRM_POLICY_DIR", bundle.path())]).await;
    ns.apply("k", class("edge")).await;
    let url = ns.available("k").await.functions[0].url.clone();
    let before = ns.objects().await;
    ns.apply("k", class("careless")).await;
    let status = ns.degraded("k").await;
    let (_, reason, message) = condition(&status, "Degraded");
    assert_eq!(reason, "KindMissing");
    assert!(message.contains("serving.knative.dev/v1") && message.contains("install Knative Serving"), "{message}");
    assert_eq!(condition(&status, "Available").0, "True", "the Deployment still serves");
    assert_eq!((&status.functions[0].url, ns.objects().await), (&url, before));
    settled(&crm).await;
    crm.stop().await;
}

/// The samples as Knative Services.
/// The lower bound of each version of a service, and when it was made, the oldest first.
async fn fewest(ns: &Namespace) -> Vec<(jiff::Timestamp, u32)> {
    let versions = ns.revisions().list(&ListParams::default()).await.expect("a list").items;
    let mut found: Vec<_> = versions
        .iter()
        .map(|version| {
            let made = version.metadata.creation_timestamp.as_ref().expect("a time").0;
            let bound = version.metadata.annotations.as_ref().and_then(|all| all.get(MIN_SCALE));
            (made, bound.map_or(0, |bound| bound.parse().expect("a number")))
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn the_fewest_pods_of_a_service_follow_its_load_with_one_version_a_cooldown_and_a_restart_makes_none() {
    let lab = Lab::on(cluster().await, "kn-nfr").await;
    let gate = Gate::closed(&lab.ns.client(), &lab.ns.name);
    gate.open();
    let crm = lab.crm(&[("OPRC_CRM_FEATURES_KNATIVE", "true")]).await;
    let mut spec = measured("enforce", &["replicas"], 2);
    spec["selected_template"] = json!("knative");
    spec["functions"][0]["max_scale"] = json!(8);
    lab.cores("k", 2.3);
    lab.ns.apply("k", spec).await;
    let six = |status: &DeploymentRecordStatus| applied(status, "replicas").is_some_and(|one| one.target == "6");
    let status = lab.ns.status("k", "six replicas", six).await;
    assert_eq!(applied(&status, "replicas").unwrap().base.as_deref(), Some("2"));
    let event = lab.ns.event("k", "NfrApplied").await;
    assert!(event.contains("min-scale of f 2 -> "), "{event}");

    eventually(SOON, "a version with at least six pods", || async {
        let seen = fewest(&lab.ns).await;
        if seen.last().is_some_and(|(_, bound)| *bound == 6) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let seen = fewest(&lab.ns).await;
    for pair in seen.windows(2) {
        let ((before, from), (after, to)) = (pair[0], pair[1]);
        assert!(from < to && to <= from * 2, "by steps: {seen:?}");
        // Creation times are whole seconds; the cooldown of this policy is four.
        assert!(after.duration_since(before).as_secs() >= 3 || from == 2, "one a cooldown: {seen:?}");
    }
    crm.stop().await;
    let again = lab.crm(&[("OPRC_CRM_FEATURES_KNATIVE", "true")]).await;
    lab.measured("k").await;
    settled(&again).await;
    assert_eq!(fewest(&lab.ns).await, seen, "a restart is no reason for a version");
    again.stop().await;
}

fn rendered() -> Vec<Value> {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().ends_with(".knative.yaml"));
    let manifests = files.flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_multiple::<Value>(&text).unwrap()
    });
    manifests.filter(|one| one["apiVersion"] == "serving.knative.dev/v1").collect()
}

#[tokio::test]
async fn knatives_admission_takes_what_is_rendered_and_what_it_adds_is_no_difference() {
    let services = rendered();
    assert!(services.len() >= 6, "{}", services.len());
    for (service, admitted) in services.iter().zip(knative().await.admit(&services)) {
        assert!(admitted.pointer("/spec/template/spec/timeoutSeconds").is_some(), "its defaults are there");
        assert_eq!(differences(service, &admitted), Vec::<String>::new(), "{admitted:#}");
    }
}

#[tokio::test]
async fn knative_takes_as_much_concurrency_as_the_policy_lets_through_and_no_more() {
    let service = rendered().swap_remove(0);
    let [taken, refused] = [1000, 1001].map(|most| {
        let mut service = service.clone();
        service["spec"]["template"]["spec"]["containerConcurrency"] = json!(most);
        service
    });
    let judged = knative().await.judge(&[taken, refused]);
    assert!(judged[0].is_ok(), "{:?}", judged[0]);
    let why = judged[1].as_ref().unwrap_err();
    assert!(why.contains("containerConcurrency") && why.contains("1000"), "{why}");
}
