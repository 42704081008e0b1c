//! The controller's loop: which changes lead to a look at which record, how many at once, and how soon again.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::reconcile::{ReconcileError, backoff, reconcile};
use crate::api::ANNOTATION_RECORD;
use crate::cluster::caches::Watches;
use crate::cluster::ownership::controller_of;
use crate::cluster::record::RawRecord;

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
    // Every change of a record counts, one of its status too: somebody else may have made it. Our own leads to one
    // more look, which finds nothing to do.
    Controller::for_stream(watches.records, ctx.caches.records.clone())
        .with_config(config)
        .watches_stream(watches.deployments, |child| owners(&child))
        .watches_stream(watches.services, |child| owners(&child))
        .watches_stream(watches.knative, |child| owners(&child))
        .watches_stream(watches.budgets, |child| owners(&child))
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
    let meta = child.meta();
    let namespace = meta.namespace.clone().unwrap_or_default();
    let annotated = || meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_RECORD)).cloned();
    let name = match controller_of(meta) {
        Some(owner) => (owner.kind == RawRecord::kind(&())).then(|| owner.name.clone()),
        None => annotated(),
    };
    name.map(|name| ObjectRef::new(&name).within(&namespace)).into_iter().collect()
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
