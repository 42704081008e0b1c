//! One look at one record: validate, decide, render, converge, report.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use super::announce::announce;
use super::children::{self, Outcome};
use super::context::Context;
use super::grid;
use super::handover::Handover;
use super::judgement::NeverBegun;
use super::memory::RecordMemory;
use super::observe::Observation;
use super::status::{self, ChangeReport, PolicyReport, Problem, Report, rule_reason};
use crate::api::{DecisionSummary, DeploymentRecordStatus, FINALIZER, FunctionStatus, OdgmStatus};
use crate::cluster::ClusterError;
use crate::cluster::grid::GridHealth;
use crate::cluster::record::RawRecord;
use crate::decision::{Admission, Chosen, Decision};
use crate::model::{Class, names};
use crate::render::{Component, ObjectKind, Rendered, RenderedFunction, render};
use crate::rollout::Judged;

/// Failed tries in a row after which even an error that may pass by itself is shown as Degraded, and one by others'
/// writes in between counts as a failure.
const PATIENCE: u32 = 3;
/// How soon to look again at a record whose namespace is being deleted, in case it is not.
const NAMESPACE_ENDS: Duration = Duration::from_secs(10);
/// Reasons of a choice that the status keeps.
const MAX_TRACE: usize = 16;

/// A reconcile that did not get to its end; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The caches will never be filled: the watches have ended.
    #[error("the caches are closed")]
    CachesClosed,
    /// It will never be known which policy holds.
    #[error(transparent)]
    NoPolicy(#[from] NeverBegun),
}

impl ReconcileError {
    /// Stable name of the category.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::CachesClosed => "CachesClosed",
            Self::NoPolicy(_) => "NoPolicy",
        }
    }

    /// When the API server wants the next try, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Cluster(error) => error.retry_after(),
            Self::CachesClosed | Self::NoPolicy(_) => None,
        }
    }
}

/// What one look found out, beside the report: what to say of it and when to look again.
#[derive(Default)]
pub struct Pass {
    /// The status to be.
    pub report: Report,
    /// What was done to the children.
    pub outcome: Outcome,
    /// Why this template, where one was chosen.
    pub why: Option<String>,
}

/// Brings one record to what it says.
pub async fn reconcile(record: Arc<RawRecord>, ctx: Arc<Context>) -> Result<Action, ReconcileError> {
    ctx.caches.synced().await.map_err(|_| ReconcileError::CachesClosed)?;
    ctx.judgement.begun().await?;
    let uid = record.metadata.uid.clone().unwrap_or_default();
    let mut memory = ctx.memory.take(&uid);
    let result = look(&record, &ctx, &mut memory).await;
    if let Err(ReconcileError::Cluster(ClusterError::Stale(message))) = &result
        && memory.stale < PATIENCE
    {
        // Others wrote in between, as the cluster's own controllers do after each change: nothing has failed.
        memory.stale += 1;
        let wait = backoff(memory.stale, rand::random());
        tracing::debug!(record = record.metadata.name.as_deref(), retry_in = ?wait, "looked at again: {message}");
        ctx.memory.put(&uid, memory);
        return Ok(Action::requeue(wait));
    }
    if result.is_ok() {
        memory.stale = 0;
    }
    ctx.metrics.reconciled(result.as_ref().err().map(ReconcileError::category));
    let gone = record.metadata.deletion_timestamp.is_some() && matches!(result, Ok(None));
    if !gone {
        ctx.memory.put(&uid, memory);
    }
    Ok(result?.unwrap_or_else(Action::await_change))
}

/// `None` is: nothing to wait for.
async fn look(record: &RawRecord, ctx: &Context, memory: &mut RecordMemory) -> Result<Option<Action>, ReconcileError> {
    if record.metadata.deletion_timestamp.is_some() {
        return super::delete::delete(record, ctx, memory).await;
    }
    if !record.metadata.finalizers.iter().flatten().any(|one| one == FINALIZER) {
        ctx.applier.add_finalizer(&record.metadata).await?;
    }
    let before = memory.status_of(record);
    let pass = pass(record, ctx, memory, &before).await;
    let action = pass.outcome.look_again.map(Action::requeue);
    let error = pass.outcome.error.clone();
    if let Some(ClusterError::NoSuchNamespace(_)) = error {
        // The namespace is on its way out and the record with it: nothing to say, nothing to mend.
        return Ok(Some(Action::requeue(NAMESPACE_ENDS)));
    }
    write_status(record, ctx, memory, &before, &pass.report).await?;
    announce(ctx, record, &before, &pass).await;
    // What fails for good waits for a change of the record or the policy; the rest is tried again.
    if let Some(error) = error.filter(|error| !error.is_permanent()) {
        return Err(error.into());
    }
    memory.failures = 0;
    Ok(action)
}

/// Writes the status where it differs from what stands there.
pub async fn write_status(
    record: &RawRecord,
    ctx: &Context,
    memory: &mut RecordMemory,
    before: &DeploymentRecordStatus,
    report: &Report,
) -> Result<(), ClusterError> {
    let status = status::build(report, before, Timestamp::now());
    if !status::same(&status, before) {
        let written = ctx.applier.status(&record.metadata, &status).await?;
        memory.wrote_status(status, &written);
    }
    Ok(())
}

async fn pass(record: &RawRecord, ctx: &Context, memory: &mut RecordMemory, before: &DeploymentRecordStatus) -> Pass {
    let generation = record.metadata.generation.unwrap_or_default();
    let typed = match record.typed() {
        Ok(typed) => typed,
        Err(error) => {
            let message = format!("the record cannot be read: {error}; write a value that the field can hold");
            return frozen(
                record,
                ctx,
                before,
                Report { degraded: Some(Problem::new("InvalidRecord", message)), ..Report::default() },
            );
        }
    };
    let current = before.selected_template.as_deref();
    let Judged { class, decision, render: settings, pending, frozen: stays } =
        match ctx.judgement.judge(&typed, current) {
            Ok(judged) => judged,
            Err(invalid) => {
                let degraded = Some(Problem::new("InvalidSpec", invalid.to_string()));
                return frozen(record, ctx, before, Report { degraded, ..Report::default() });
            }
        };
    let change = pending.map_or(ChangeReport::UpToDate, ChangeReport::of);
    if stays {
        // What runs was decided by a policy that is lost; the newest one decides when the class's turn has come.
        let policy = policy_report(&decision.admission);
        let report = Report { policy, change, enforcement_mode: Some(class.enforcement), ..Report::default() };
        return frozen(record, ctx, before, report);
    }
    let policy = policy_report(&decision.admission);
    let base = Report {
        generation,
        policy,
        decision: Some(summary(&decision)),
        enforcement_mode: Some(class.enforcement),
        capped: ctx.capped.of(&class.uid),
        change,
        ..Report::default()
    };
    if let PolicyReport::Denied(problem) = &base.policy {
        let degraded = Some(Problem::new("PolicyDenied", problem.message.clone()));
        return frozen(record, ctx, before, Report { degraded, ..base });
    }
    let chosen = match &decision.template {
        Ok(chosen) => chosen,
        Err(problem) => {
            let degraded = Some(Problem::new("NoTemplate", problem.to_string()));
            return frozen(record, ctx, before, Report { degraded, ..base });
        }
    };
    match render(&class, &chosen.plan, &settings) {
        Ok(rendered) => deploy(ctx, memory, &class, chosen, &rendered, base, before).await,
        Err(error) => {
            let degraded = Some(Problem::new("RenderFailed", error.to_string()));
            frozen(record, ctx, before, Report { degraded, ..base })
        }
    }
}

async fn deploy(
    ctx: &Context,
    memory: &mut RecordMemory,
    class: &Class,
    chosen: &Chosen,
    rendered: &Rendered,
    base: Report,
    before: &DeploymentRecordStatus,
) -> Pass {
    let outcome = children::converge(ctx, class, rendered, memory).await;
    let expected: Vec<_> = rendered.objects.iter().map(|object| (object.kind, object.name.clone())).collect();
    let newest = |kind: ObjectKind, name: &str| children::newest(ctx, class, &outcome, kind, name);
    let seen = Observation::of(&class.namespace, &expected, newest);
    let staying: Vec<_> = outcome.handover.stay.iter().map(children::key_of).collect();
    let old = Observation::of(&class.namespace, &staying, newest);
    let patient = outcome.error.as_ref().is_some_and(ClusterError::is_transient) && memory.failures < PATIENCE;
    let problem = outcome.problem.clone().filter(|_| !patient);
    let (odgm, unwell) = odgm(ctx, class, rendered, &seen, before).unzip();
    let degraded = problem.or_else(|| outcome.contested.clone()).or_else(|| failed(&seen)).or_else(|| unwell.flatten());
    let mut notes = outcome.held.clone();
    notes.extend(outcome.notes.iter().chain(&seen.notes).cloned());
    notes.extend(rendered.notes(&chosen.plan.name));
    notes.extend(chosen.kept.iter().map(|kept| format!("template kept: {}: {}", kept.rule, kept.message)));
    let report = Report {
        degraded,
        available: available(rendered, &seen, &outcome.handover),
        rolled_out: seen.rolled_out() && outcome.handover.stay.is_empty(),
        notes,
        template: Some(chosen.plan.name.clone()),
        functions: functions(ctx, class, rendered, &seen, &outcome.handover, before),
        odgm,
        waiting_for: seen.waiting_for.into_iter().chain(outcome.handover.waiting_for()).collect(),
        refs: seen.refs.into_iter().chain(old.refs).collect(),
        ..base
    };
    Pass { report, outcome, why: Some(chosen.why.clone()) }
}

/// A record that cannot be followed, or not yet: what runs is left as it is, and shown as it is.
fn frozen(record: &RawRecord, ctx: &Context, before: &DeploymentRecordStatus, report: Report) -> Pass {
    let meta = &record.metadata;
    let namespace = meta.namespace.clone().unwrap_or_default();
    let label = names::class_label(meta.name.as_deref().unwrap_or_default());
    let present = ctx.caches.children(&namespace, meta.uid.as_deref().unwrap_or_default(), &label);
    let expected: Vec<(ObjectKind, String)> = present.iter().map(children::key_of).collect();
    let seen = Observation::of(&namespace, &expected, |kind, name| ctx.caches.get(kind, &namespace, name));
    let report = Report {
        generation: meta.generation.unwrap_or_default(),
        available: seen.available(|_| false),
        // What can't be followed is not what the record says, whatever runs.
        rolled_out: report.degraded.is_none() && seen.rolled_out(),
        waiting_for: seen.waiting_for,
        template: before.selected_template.clone(),
        functions: before.functions.clone(),
        odgm: before.odgm.clone(),
        refs: seen.refs,
        // What runs was decided then; a record that cannot be read decides nothing new.
        decision: report.decision.clone().or_else(|| before.decision.clone()),
        enforcement_mode: report.enforcement_mode.or(before.enforcement_mode),
        ..report
    };
    Pass { report, ..Pass::default() }
}

fn failed(seen: &Observation) -> Option<Problem> {
    let ((kind, name), problem) = seen.failed()?;
    Some(Problem::new("WorkloadFailed", format!("{} {name}: {problem}", kind.title())))
}

fn functions(
    ctx: &Context,
    class: &Class,
    rendered: &Rendered,
    seen: &Observation,
    handover: &Handover,
    before: &DeploymentRecordStatus,
) -> Vec<FunctionStatus> {
    let status = |function: &RenderedFunction| {
        // Callers are sent to what serves.
        let old = before.functions.iter().find(|old| old.function_key == function.key);
        if let Some(old) = old.filter(|_| handover.is_moving(&function.key)) {
            return old.clone();
        }
        let workload = seen.workload(function.kind, &function.workload);
        // A Knative Service says itself where the outside reaches it, but not how many pods it has.
        let (url, (replicas, ready_replicas)) = match function.kind {
            ObjectKind::KnativeService => (workload.url, ctx.caches.knative_pods(&class.namespace, &function.workload)),
            ObjectKind::Deployment
            | ObjectKind::Service
            | ObjectKind::Autoscaler
            | ObjectKind::PodDisruptionBudget
            | ObjectKind::ServiceMonitor
            | ObjectKind::PodMonitor => (Some(function.url.clone()), (workload.replicas, workload.ready)),
        };
        FunctionStatus { function_key: function.key.clone(), url, replicas, ready_replicas }
    };
    rendered.functions.iter().map(status).collect()
}

/// The data grid as its Deployment shows it and, where pods of it are ready, as it says itself; and what is wrong by that.
fn odgm(
    ctx: &Context,
    class: &Class,
    rendered: &Rendered,
    seen: &Observation,
    before: &DeploymentRecordStatus,
) -> Option<(OdgmStatus, Option<Problem>)> {
    let object = rendered
        .objects
        .iter()
        .find(|object| object.component == Component::Odgm && object.kind == ObjectKind::Deployment)?;
    let workload = seen.workload(object.kind, &object.name);
    let (replicas, ready_replicas) = (workload.replicas, workload.ready);
    if ready_replicas == 0 {
        return Some((OdgmStatus { replicas, ready_replicas, ..OdgmStatus::default() }, None));
    }
    let GridHealth { leader, partitions } = ctx.grids.of(&class.uid, before.odgm.as_ref());
    let status = OdgmStatus { replicas, ready_replicas, leader, partitions };
    let problem = grid::problem(&status, &object.name);
    Some((status, problem))
}

/// Every workload serves, or the one that it replaces still does.
fn available(rendered: &Rendered, seen: &Observation, handover: &Handover) -> bool {
    seen.available(|(kind, name)| {
        let mut functions = rendered.functions.iter();
        let function = functions.find(|function| function.kind == *kind && function.workload == *name);
        function.is_some_and(|function| handover.serves_instead(&function.key))
    })
}

fn policy_report(admission: &Admission) -> PolicyReport {
    if let Some(first) = admission.denials.first() {
        let all: Vec<String> = admission.denials.iter().map(|one| format!("{} ({})", one.message, one.rule)).collect();
        return PolicyReport::Denied(Problem::new(
            &rule_reason(&first.rule),
            format!("denied by policy: {}", all.join("; ")),
        ));
    }
    PolicyReport::Accepted(admission.warnings.iter().map(|one| format!("{} ({})", one.message, one.rule)).collect())
}

fn summary(decision: &Decision) -> DecisionSummary {
    if !decision.admission.denials.is_empty() {
        let denied = decision.admission.denials.iter().map(|one| format!("denied by {}", one.rule));
        let trace = denied.take(MAX_TRACE).collect();
        return DecisionSummary { policy_revision: decision.revision.clone(), template: None, trace };
    }
    let chosen = decision.template.as_ref().ok();
    let scores = decision.candidates.iter().map(|candidate| {
        let state = match (candidate.enabled, candidate.score) {
            (Some(false), _) => "off".to_owned(),
            (_, Some(score)) => format!("{score}"),
            (_, None) => "not known".to_owned(),
        };
        format!("{}: {state}", candidate.name)
    });
    let mut trace: Vec<String> = chosen.map(|chosen| chosen.why.clone()).into_iter().collect();
    trace.extend(scores.take(MAX_TRACE));
    DecisionSummary {
        policy_revision: decision.revision.clone(),
        template: chosen.map(|chosen| chosen.plan.name.clone()),
        trace,
    }
}

/// How long to wait after the `failures`th failure in a row: doubled each time, capped, spread by `jitter` (0..1) so
/// that many records that fail for one cause do not come back at once.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    const BASE: f64 = 0.5;
    const CAP: f64 = 300.0;
    let full = (BASE * 2_f64.powi(i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX).min(16))).min(CAP);
    Duration::from_secs_f64(full * (0.75 + 0.5 * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::backoff;

    #[test]
    fn waits_double_up_to_a_cap() {
        let half_way = |failures| backoff(failures, 0.5).as_secs_f64();
        assert!(
            (half_way(1) - 0.5).abs() < 1e-9 && (half_way(2) - 1.0).abs() < 1e-9 && (half_way(5) - 8.0).abs() < 1e-9
        );
        assert!((half_way(40) - 300.0).abs() < 1e-9);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        assert!(backoff(3, 0.0).as_secs_f64() >= 1.5 && backoff(3, 1.0).as_secs_f64() <= 2.5);
    }
}
