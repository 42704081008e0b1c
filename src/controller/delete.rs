//! A record on its way out: its children go first, then its finalizer.

use std::time::Duration;

use kube::runtime::controller::Action;

use super::children::delete_all;
use super::context::Context;
use super::memory::RecordMemory;
use super::reconcile::{ReconcileError, write_status};
use super::status::Report;
use crate::api::FINALIZER;
use crate::cluster::events::Reason;
use crate::cluster::record::RawRecord;
use crate::model::names;

/// How soon to look again, in case the news of a child's end is lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Deletes what belongs to the record; `None` once nothing is left and the finalizer is gone. Works for a record that
/// does not parse or that the policy denies: it needs the metadata only.
pub async fn delete(
    record: &RawRecord,
    ctx: &Context,
    memory: &mut RecordMemory,
) -> Result<Option<Action>, ReconcileError> {
    let meta = &record.metadata;
    if !meta.finalizers.iter().flatten().any(|one| one == FINALIZER) {
        return Ok(None);
    }
    let label = names::class_label(meta.name.as_deref().unwrap_or_default());
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let children = ctx.caches.children(namespace, meta.uid.as_deref().unwrap_or_default(), &label);
    let standing = delete_all(ctx, children).await? > 0;
    let held_by_others = meta.finalizers.iter().flatten().any(|one| one != FINALIZER);
    if standing || held_by_others {
        tell(record, ctx, memory, standing).await;
    }
    if standing {
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    // Where the cache is behind, it is gone already and has been told of.
    if ctx.applier.remove_finalizer(meta).await?
        && let Err(error) = ctx.recorder.publish(meta, Reason::Deleted, "everything of the class is gone").await
    {
        tracing::warn!(%error, "event not published");
    }
    Ok(None)
}

/// The status of a record on its way out. It is news, not state: such a record may refuse it.
async fn tell(record: &RawRecord, ctx: &Context, memory: &mut RecordMemory, standing: bool) {
    let before = memory.status_of(record);
    let report = Report {
        generation: record.metadata.generation.unwrap_or_default(),
        deleting: true,
        template: before.selected_template.clone(),
        enforcement_mode: before.enforcement_mode,
        refs: if standing { before.resource_refs.clone() } else { Vec::new() },
        decision: before.decision.clone(),
        ..Report::default()
    };
    if let Err(error) = write_status(record, ctx, memory, &before, &report).await {
        tracing::debug!(%error, "status of a record on its way out not written");
    }
}
