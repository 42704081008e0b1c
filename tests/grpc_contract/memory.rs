//! A record store in memory, for the protocol layer only, and a judge whose answer the record itself asks for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use oprc_crm::api::DeploymentRecord;
use oprc_crm::decision::{
    Admission, Chosen, Decision, Finding, SecurityPlan, TemplatePlan, TemplateProblem, WorkloadKind,
};
use oprc_crm::grpc::{Judge, NodeCount, NodeCounter, RecordStore, StoreError};
use oprc_crm::model::{InvalidRecord, Resources};

#[derive(Default)]
pub struct Memory {
    records: Mutex<BTreeMap<String, DeploymentRecord>>,
    /// Answers of the next requests of any kind, last first.
    pub failures: Mutex<Vec<StoreError>>,
    /// Every write is answered with this.
    pub every_write: Mutex<Option<StoreError>>,
    pub latency: Mutex<Duration>,
    /// Requests that have come, answered or not.
    pub begun: AtomicUsize,
    pub writes: AtomicUsize,
    /// Someone deletes each record just before it is written; a finalizer keeps it.
    pub deleted_meanwhile: AtomicBool,
    next_uid: AtomicUsize,
}

impl Memory {
    pub fn put(&self, record: DeploymentRecord) {
        let name = record.metadata.name.clone().unwrap();
        self.records.lock().unwrap().insert(name, record);
    }

    pub fn only(&self) -> DeploymentRecord {
        let records = self.records.lock().unwrap();
        assert_eq!(records.len(), 1, "{:?}", records.keys());
        records.values().next().unwrap().clone()
    }

    pub fn is_empty(&self) -> bool {
        self.records.lock().unwrap().is_empty()
    }

    pub fn is_asked(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > 0
    }

    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    async fn request(&self, write: bool) -> Result<(), StoreError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let latency = *self.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        if write && let Some(error) = self.every_write.lock().unwrap().clone() {
            return Err(error);
        }
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    fn write(&self, record: &DeploymentRecord, uid: Option<String>) -> DeploymentRecord {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let uid = uid.unwrap_or_else(|| format!("uid-{}", self.next_uid.fetch_add(1, Ordering::SeqCst)));
        let mut record = record.clone();
        record.metadata.uid = Some(uid);
        if self.deleted_meanwhile.load(Ordering::SeqCst) {
            record.metadata.deletion_timestamp = Some(serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap());
        }
        self.put(record.clone());
        record
    }
}

#[tonic::async_trait]
impl RecordStore for Memory {
    async fn get(&self, name: &str) -> Result<Option<DeploymentRecord>, StoreError> {
        self.request(false).await?;
        Ok(self.records.lock().unwrap().get(name).cloned())
    }

    async fn list(&self) -> Result<Vec<DeploymentRecord>, StoreError> {
        self.request(false).await?;
        Ok(self.records.lock().unwrap().values().cloned().collect())
    }

    async fn create(&self, record: &DeploymentRecord) -> Result<DeploymentRecord, StoreError> {
        self.request(true).await?;
        if self.records.lock().unwrap().contains_key(record.metadata.name.as_ref().unwrap()) {
            return Err(StoreError::Conflict);
        }
        Ok(self.write(record, None))
    }

    async fn update(
        &self,
        existing: &DeploymentRecord,
        record: &DeploymentRecord,
    ) -> Result<DeploymentRecord, StoreError> {
        self.request(true).await?;
        let live = self.records.lock().unwrap().get(record.metadata.name.as_ref().unwrap()).cloned();
        match live.filter(|live| live.metadata.uid == existing.metadata.uid) {
            None => Err(StoreError::Conflict),
            Some(live) => Ok(self.write(record, live.metadata.uid)),
        }
    }

    async fn delete(&self, record: &DeploymentRecord) -> Result<(), StoreError> {
        self.request(true).await?;
        // As with a finalizer: it stays until someone else removes it.
        if let Some(record) = self.records.lock().unwrap().get_mut(record.metadata.name.as_ref().unwrap()) {
            record.metadata.deletion_timestamp = Some(serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap());
        }
        Ok(())
    }
}

/// Nodes that a test counts.
#[derive(Default)]
pub struct Counted(pub Mutex<Option<NodeCount>>);

#[tonic::async_trait]
impl NodeCounter for Counted {
    async fn nodes(&self) -> Option<NodeCount> {
        *self.0.lock().unwrap()
    }
}

/// Denies images that contain `denied`, panics at `panics`, warns about `warned`, knows the template `dev` only.
pub struct ByImage;

impl Judge for ByImage {
    fn judge(&self, record: &DeploymentRecord, _: Option<&str>) -> Result<Decision, InvalidRecord> {
        let image = record.spec.functions[0].image.clone().unwrap_or_default();
        assert!(!image.contains("panics"), "as asked for");
        let finding = |word: &str| {
            let finding = Finding { rule: format!("Admission/image/{word}"), message: format!("the image is {word}") };
            image.contains(word).then_some(finding).into_iter().collect()
        };
        let template = match record.spec.selected_template.as_deref() {
            None | Some("dev") => Ok(Chosen { plan: plan(), why: "the only one".to_owned(), kept: None }),
            Some(other) => Err(TemplateProblem::Unknown { asked: other.to_owned(), choices: vec!["dev".to_owned()] }),
        };
        Ok(Decision {
            revision: "r1".to_owned(),
            admission: Admission { denials: finding("denied"), warnings: finding("warned"), trace: Vec::new() },
            template,
            candidates: Vec::new(),
        })
    }
}

fn plan() -> TemplatePlan {
    TemplatePlan {
        name: "dev".to_owned(),
        workload: WorkloadKind::Deployment,
        replicas: 1,
        resources: Resources::default(),
        termination_grace_seconds: None,
        probes: true,
        security: SecurityPlan::default(),
        autoscaler: None,
        odgm: None,
        pdb: None,
        monitor: None,
        max_replicas: None,
        own_autoscalers: std::collections::BTreeMap::new(),
    }
}
