//! The controller's loop: which changes lead to a look at which record, how many at once, and how soon again.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::reconcile::{ReconcileError, backoff, reconcile};
use crate::api::ANNOTATION_RECORD;
use crate::cluster::autoscalers::target;
use crate::cluster::caches::{Caches, Watches};
use crate::cluster::ownership::controller_of;
use crate::cluster::record::RawRecord;
use crate::cluster::revisions::service_of;
use crate::render::ObjectKind;

/// How long changes of one record are gathered before it is looked at.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// What leads to looks besides a change of a record or its children.
pub struct Looks<A, O> {
    /// At every record, as when the policy or the cluster changed.
    pub all: A,
    /// At one record, as when its turn has come.
    pub one: O,
}

/// How the loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Records that are worked on at once.
    pub concurrency: u16,
}

/// Runs until `shutdown`; reconciles that have begun are brought to their end.
pub async fn run(
    ctx: Arc<Context>,
    watches: Watches,
    looks: Looks<impl Stream<Item = ()> + Send + 'static, impl Stream<Item = ObjectRef<RawRecord>> + Send + 'static>,
    options: Options,
    shutdown: CancellationToken,
) {
    let config = Config::default().concurrency(options.concurrency).debounce(DEBOUNCE);
    let caches = ctx.caches.clone();
    let of_services = caches.clone();
    // Every change of a record counts, one of its status too: somebody else may have made it. Our own leads to one
    // more look, which finds nothing to do.
    Controller::for_stream(watches.records, ctx.caches.records.clone())
        .with_config(config)
        .watches_stream(watches.deployments, |child| owners(&child))
        .watches_stream(watches.services, |child| owners(&child))
        .watches_stream(watches.knative, |child| owners(&child))
        .watches_stream(watches.service_monitors, |child| owners(&child))
        .watches_stream(watches.pod_monitors, |child| owners(&child))
        .watches_stream(watches.autoscalers, move |scaler| scaled(&caches, &scaler))
        .watches_stream(watches.budgets, |child| owners(&child))
        .watches_stream(watches.revisions, move |version| served(&of_services, &version))
        .reconcile_all_on(looks.all)
        .reconcile_on(looks.one)
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(reconcile, retry, ctx)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "reconcile did not end well");
            }
        })
        .await;
}

/// The record that a child belongs to: by its controller reference or, where somebody took that away, by our annotation.
fn owners<K: Resource>(child: &K) -> Vec<ObjectRef<RawRecord>> {
    owners_of(child.meta())
}

fn owners_of(meta: &ObjectMeta) -> Vec<ObjectRef<RawRecord>> {
    let namespace = meta.namespace.clone().unwrap_or_default();
    let annotated = || meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_RECORD)).cloned();
    let name = match controller_of(meta) {
        Some(owner) => (owner.kind == RawRecord::kind(&())).then(|| owner.name.clone()),
        None => annotated(),
    };
    name.map(|name| ObjectRef::new(&name).within(&namespace)).into_iter().collect()
}

/// The records that an autoscaler matters to: its own, and that of the Deployment that it targets.
fn scaled(caches: &Caches, scaler: &HorizontalPodAutoscaler) -> Vec<ObjectRef<RawRecord>> {
    let own = owners(scaler);
    if !own.is_empty() {
        return own;
    }
    let namespace = scaler.metadata.namespace.as_deref().unwrap_or_default();
    let target = target(scaler).and_then(|name| caches.get(ObjectKind::Deployment, namespace, name));
    target.map(|deployment| owners_of(&deployment.meta)).unwrap_or_default()
}

/// The record of the Knative Service that a Deployment is a version of.
fn served(caches: &Caches, version: &Deployment) -> Vec<ObjectRef<RawRecord>> {
    let namespace = version.metadata.namespace.as_deref().unwrap_or_default();
    let service = service_of(version).and_then(|name| caches.get(ObjectKind::KnativeService, namespace, name));
    service.map(|service| owners_of(&service.meta)).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the controller's")]
fn retry(record: Arc<RawRecord>, error: &ReconcileError, ctx: Arc<Context>) -> Action {
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let failures = ctx.memory.failed(uid);
    // Not before the API server wants to be asked again, where it says when.
    let wait = backoff(failures, rand::random()).max(error.retry_after().unwrap_or_default());
    tracing::warn!(
        record = record.metadata.name.as_deref(),
        namespace = record.metadata.namespace.as_deref(),
        category = error.category(),
        failures,
        retry_in = ?wait,
        "reconcile failed: {error}"
    );
    Action::requeue(wait)
}
