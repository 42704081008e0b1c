//! The number of replicas of a Deployment, followed through every version that it ever had.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::task::JoinHandle;

use super::class::{Namespace, SOON};
use super::{audit, cluster, eventually};

/// Numbers as they came, none twice in a row.
pub struct Numbers {
    seen: Arc<Mutex<Vec<i32>>>,
    watching: JoinHandle<()>,
}

impl Numbers {
    /// Follows a Deployment, which need not be there yet. Every version of it is seen: a watch leaves none out.
    pub fn follow(ns: &Namespace, name: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let numbers = Arc::clone(&seen);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let changes = watcher(ns.deployments(), config).applied_objects();
        let watching = tokio::spawn(async move {
            let note = |deployment: Deployment| {
                let number = deployment.spec.and_then(|spec| spec.replicas).expect("the API server writes a number");
                let mut numbers = numbers.lock().unwrap();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
                std::future::ready(Ok(()))
            };
            changes.try_for_each(note).await.expect("a watch that lasts");
        });
        Self { seen, watching }
    }

    /// Waits until the number is this one.
    pub async fn until(&self, number: i32) {
        eventually(SOON, &format!("{number} replicas"), || async {
            let seen = self.seen.lock().unwrap().clone();
            if seen.last() == Some(&number) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    /// The numbers so far.
    pub fn so_far(&self) -> Vec<i32> {
        self.seen.lock().unwrap().clone()
    }

    /// All numbers that there ever were.
    pub fn end(self) -> Vec<i32> {
        assert!(!self.watching.is_finished(), "it was watched to the end");
        self.watching.abort();
        self.so_far()
    }
}

/// Field managers that own `spec.replicas` of a Deployment.
pub async fn owners(deployments: &Api<Deployment>, name: &str) -> Vec<String> {
    let deployment = deployments.get(name).await.unwrap();
    let entries = deployment.metadata.managed_fields.unwrap_or_default();
    let owns = entries.into_iter().filter(|entry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    });
    owns.filter_map(|entry| entry.manager).collect()
}

/// Writes of the operator to Deployments of a namespace, as the API server's audit log has them.
pub async fn writes_to_deployments(ns: &Namespace) -> usize {
    let writes = audit::writes(cluster().await.plane().audit_log(), super::CRM_USER);
    let of_deployments =
        |one: &&audit::Request| one.object_ref.as_ref().is_some_and(|object| object.resource == "deployments");
    writes.iter().filter(|one| one.namespace() == ns.name).filter(of_deployments).count()
}

/// Writes of the operator in a namespace that the API server refused.
pub async fn refused(ns: &Namespace) -> Vec<audit::Request> {
    let mut writes = audit::writes(cluster().await.plane().audit_log(), super::CRM_USER);
    writes.retain(|one| one.namespace() == ns.name && (400..500).contains(&one.code()) && one.code() != 409);
    writes
}
