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
    let label = names::dns_label(meta.name.as_deref().unwrap_or_default(), names::MAX_LABEL);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let children = ctx.caches.children(namespace, meta.uid.as_deref().unwrap_or_default(), &label);
    if delete_all(ctx, children).await? > 0 {
        let before = memory.status.clone().unwrap_or_else(|| record.typed_status());
        let report = Report {
            generation: meta.generation.unwrap_or_default(),
            deleting: true,
            template: before.selected_template.clone(),
            enforcement_mode: before.enforcement_mode,
            refs: before.resource_refs.clone(),
            functions: before.functions.clone(),
            odgm: before.odgm.clone(),
            decision: before.decision.clone(),
            ..Report::default()
        };
        // The status is news, not state: a record on its way out may refuse it.
        if let Err(error) = write_status(record, ctx, memory, &before, &report).await {
            tracing::debug!(%error, "status of a record on its way out not written");
        }
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    ctx.applier.finalizer(meta, false).await?;
    if let Err(error) = ctx.recorder.publish(meta, Reason::Deleted, "everything of the class is gone").await {
        tracing::warn!(%error, "event not published");
    }
    Ok(None)
}
