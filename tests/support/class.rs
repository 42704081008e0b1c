//! Classes in a namespace, as a person with kubectl handles them.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use oprc_crm::api::{DeploymentRecordStatus, Phase};
use oprc_crm::cluster::record::RawRecord;
use serde_json::{Value, json};

use super::eventually;

/// Long enough for a roll-out on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// One namespace with an administrator's rights.
#[derive(Clone)]
pub struct Namespace {
    pub name: String,
    pub client: Client,
}

impl Namespace {
    pub fn new(client: Client, name: &str) -> Self {
        Self { name: name.to_owned(), client }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Untyped, so that a record that does not parse can be handled like the others.
    pub fn records(&self) -> Api<RawRecord> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn autoscalers(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn budgets(&self) -> Api<PodDisruptionBudget> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// `kubectl apply --server-side` of a record with this spec.
    pub async fn apply(&self, name: &str, spec: Value) -> RawRecord {
        self.try_apply(name, spec).await.expect("the record is accepted")
    }

    pub async fn try_apply(&self, name: &str, spec: Value) -> Result<RawRecord, kube::Error> {
        let record = json!({
            "apiVersion": "oaas.io/v1alpha1", "kind": "DeploymentRecord", "metadata": {"name": name}, "spec": spec,
        });
        self.records().patch(name, &PatchParams::apply("kubectl").force(), &Patch::Apply(&record)).await
    }

    /// Status once it describes the present spec and `holds` says so; fails with the last status seen.
    pub async fn status(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&DeploymentRecordStatus) -> bool,
    ) -> DeploymentRecordStatus {
        let records = self.records();
        eventually(SOON, &format!("record {name}: {what}"), || async {
            let record = records.get(name).await.map_err(|error| error.to_string())?;
            let status = record.typed_status();
            let current = status.observed_generation == record.metadata.generation;
            if current && holds(&status) { Ok(status) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    pub async fn available(&self, name: &str) -> DeploymentRecordStatus {
        self.status(name, "Available", |status| status.phase == Some(Phase::Available)).await
    }

    /// The record's status with this phase.
    pub async fn degraded(&self, name: &str) -> DeploymentRecordStatus {
        self.status(name, "Degraded", |status| status.phase == Some(Phase::Degraded)).await
    }

    pub async fn delete(&self, name: &str) {
        self.records().delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    }

    /// Waits until neither the record nor anything of it is there.
    pub async fn nothing_left(&self, name: &str) {
        eventually(SOON, &format!("nothing of {name} is left"), || async {
            let record = self.records().get_opt(name).await.map_err(|error| error.to_string())?;
            let objects = self.objects().await;
            match record {
                None if objects.is_empty() => Ok(()),
                record => Err(format!("record: {}, objects: {objects:?}", record.is_some())),
            }
        })
        .await;
    }

    /// Waits until the record is gone, and everything with it that carries its name.
    pub async fn nothing_left_of(&self, name: &str) {
        eventually(SOON, &format!("nothing of {name} is left"), || async {
            let record = self.records().get_opt(name).await.map_err(|error| error.to_string())?;
            let deployment = self.deployments().get_opt(name).await.map_err(|error| error.to_string())?;
            let left = (record.is_some(), deployment.is_some());
            if left == (false, false) { Ok(()) } else { Err(format!("record, deployment: {left:?}")) }
        })
        .await;
    }

    /// `Kind/name` of every Deployment, Service, autoscaler and PodDisruptionBudget, sorted.
    pub async fn objects(&self) -> Vec<String> {
        let list = ListParams::default();
        let deployments = self.deployments().list(&list).await.expect("a list").items;
        let services = self.services().list(&list).await.expect("a list").items;
        let mut all: Vec<String> = deployments
            .into_iter()
            .map(|one| format!("Deployment/{}", one.metadata.name.unwrap_or_default()))
            .collect();
        all.extend(services.into_iter().map(|one| format!("Service/{}", one.metadata.name.unwrap_or_default())));
        let autoscalers = self.autoscalers().list(&list).await.expect("a list").items;
        all.extend(
            autoscalers
                .into_iter()
                .map(|one| format!("HorizontalPodAutoscaler/{}", one.metadata.name.unwrap_or_default())),
        );
        let budgets = self.budgets().list(&list).await.expect("a list").items;
        let name = |one: PodDisruptionBudget| format!("PodDisruptionBudget/{}", one.metadata.name.unwrap_or_default());
        all.extend(budgets.into_iter().map(name));
        all.sort();
        all
    }

    pub async fn deployment(&self, name: &str) -> Deployment {
        self.deployments().get(name).await.unwrap_or_else(|error| panic!("Deployment {name}: {error}"))
    }

    /// Environment variable of the first container of a Deployment.
    pub async fn env(&self, deployment: &str, variable: &str) -> Option<String> {
        let object = serde_json::to_value(self.deployment(deployment).await).expect("JSON");
        let env = object.pointer("/spec/template/spec/containers/0/env")?.as_array()?.clone();
        env.iter().find(|one| one["name"] == variable).and_then(|one| one["value"].as_str().map(str::to_owned))
    }

    /// `(reason, note)` of every event on a record, oldest first.
    pub async fn events(&self, record: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.name);
        let mut events = api.list(&ListParams::default()).await.expect("a list").items;
        events.retain(|event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|of| of.kind.as_deref() == Some("DeploymentRecord") && of.name.as_deref() == Some(record))
        });
        events.sort_by_key(|event| event.event_time.clone());
        events.into_iter().map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits for an event with this reason; its note.
    pub async fn event(&self, record: &str, reason: &str) -> String {
        eventually(SOON, &format!("event {reason} on {record}"), || async {
            let events = self.events(record).await;
            let found = events.iter().find(|(seen, _)| seen == reason).map(|(_, note)| note.clone());
            found.ok_or_else(|| format!("{events:#?}"))
        })
        .await
    }
}

/// The status of a condition, and its message.
pub fn condition<'a>(status: &'a DeploymentRecordStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.map_or(("absent", "", ""), |one| (one.status.as_str(), one.reason.as_str(), one.message.as_str()))
}
