//! One look: measure, decide about every class, act, report.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;

use super::act::{self, Gate, Write};
use super::decide::{self, Decided, Frame, Known};
use super::report::{self, Analysis, Observed};
use super::subject::{Measured, Present, Subject, View};
use super::{Analyzer, Memory, SETTLE, Sight};
use crate::api::{AppliedRecommendation, DeploymentRecordStatus};
use crate::cluster::ClusterError;
use crate::cluster::events::Reason;
use crate::cluster::record::RawRecord;
use crate::decision::nfr::{Grid, size_text};
use crate::policy::Policy;
use crate::render::ObjectKind;
use crate::rollout::Rollout;
use crate::signals::{Scope, Source, Spec};

/// Why nothing is measured although the feature is on.
const NO_SOURCE: &str = "NoSource";
/// Classes that are decided about before others get the thread.
const AT_ONCE: usize = 32;

impl Analyzer {
    /// Looks once, at `now`.
    pub async fn look(&mut self, now: Timestamp) {
        let state = self.wiring.judgement.state();
        let subjects = self.subjects(&state, now);
        if let Sight::Seeing(source) = self.sight.clone() {
            self.measure(source.as_ref(), state.target().policy(), &subjects, now).await;
        }
        let mut reports = Vec::new();
        for (at, subject) in subjects.into_iter().enumerate() {
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            reports.push(self.class(&state, subject, now));
        }
        self.act(reports, now).await;
    }

    fn subjects(&mut self, state: &Rollout, now: Timestamp) -> Vec<Subject> {
        let records = self.wiring.caches.records.state();
        let uids: HashSet<&str> = records.iter().filter_map(|record| record.metadata.uid.as_deref()).collect();
        self.memory.written.retain(|uid, _| uids.contains(uid.as_str()));
        let view = View { state, caches: &self.wiring.caches, pods: &self.wiring.pods, now };
        let off = matches!(self.sight, Sight::Off);
        let subject = |record: Arc<RawRecord>| {
            let status = self.memory.status_of(&record);
            if off { Subject { record, status, measured: None } } else { view.subject(record, status) }
        };
        records.iter().cloned().map(subject).collect()
    }

    /// Asks the source what is not known yet, all signals at once.
    async fn measure(&mut self, source: &dyn Source, policy: &Policy, subjects: &[Subject], now: Timestamp) {
        let Memory { store, pods, .. } = &mut self.memory;
        let parts = || subjects.iter().filter_map(|subject| subject.measured.as_ref()).flat_map(|one| &one.parts);
        let known: HashSet<_> = parts().map(|present| present.part.key.clone()).collect();
        let specs = specs(policy, &self.options);
        let longest = specs.iter().map(Spec::window).max().unwrap_or(0);
        let now = now.as_millisecond();
        pods.update(self.wiring.pods.all(), now, now.saturating_sub(longest));
        if known.is_empty() {
            return;
        }
        let scope = Scope::of(known.iter().map(|key| key.namespace.as_str()));
        let settle = i64::try_from(SETTLE.as_millis()).unwrap_or(0);
        let asks = store.plan(&specs, &scope, now, settle);
        let answers = asks.iter().map(|ask| source.range(&ask.query));
        let answers = futures::future::join_all(answers).await;
        for (ask, answer) in asks.iter().zip(&answers) {
            let asked = store.take(ask, answer, pods, &known);
            if let Some(fault) = &asked.fault {
                tracing::warn!(signal = asked.signal, kind = fault.kind.name(), "no data: {fault}");
            }
            self.wiring.metrics.nfr.asked(&asked.signal, asked.fault.as_ref().map(|fault| fault.kind.name()));
        }
        self.wiring.metrics.nfr.kept(store.len());
    }

    /// Decides about one class.
    fn class(&self, state: &Rollout, subject: Subject, now: Timestamp) -> Report {
        let Subject { record, status, measured } = subject;
        let basis = state.target();
        let grid = grid(basis.policy(), &self.options);
        let blind = match &self.sight {
            Sight::Blind(why) => Some(Observed::Blind(NO_SOURCE, why.clone())),
            Sight::Off | Sight::Seeing(_) => None,
        };
        let (Some(measured), Some(grid)) = (measured, grid) else {
            return Report { record, status, measured: None, observed: Observed::Off, decided: Vec::new() };
        };
        let (policy, setting) = (basis.policy(), basis.setting());
        let frame = Frame { policy, setting, limits: self.options.limits, grid, now };
        let (mut decided, mut missing) = (Vec::new(), Vec::new());
        for Present { part, replicas, .. } in measured.parts.iter().filter(|_| blind.is_none()) {
            let samples = self.memory.store.samples(&part.key);
            let (class, since) = (&measured.class, measured.since);
            let known = Known { class, status: &status, part, replicas: replicas.as_ref(), since, samples: &samples };
            decided.push(decide::decide(&frame, &known));
            let faults = decide::missing(&frame, &known, |signal| self.memory.store.fault(&part.key, signal));
            missing.extend(faults.into_iter().map(|(signal, fault)| (part.name().to_owned(), signal, fault)));
        }
        for one in decided.iter().flatten() {
            self.wiring.metrics.nfr.decided(one.dimension.name(), one.is_change());
        }
        let observed = blind.unwrap_or(Observed::Measured(missing));
        Report { record, status, measured: Some(measured), observed, decided }
    }

    /// Makes the writes of all classes, a few at once.
    async fn act(&mut self, reports: Vec<Report>, now: Timestamp) {
        let this = &*self;
        let written: Vec<_> = futures::stream::iter(reports)
            .map(|report| async move { this.carry_out(report, now).await })
            .buffer_unordered(self.options.concurrency.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        self.memory.written.extend(written);
    }

    /// Makes the writes of one class: numbers of replicas first, then the status. The UID, the status as written and the
    /// version that this made, where one was written.
    async fn carry_out(&self, report: Report, now: Timestamp) -> Option<(String, (DeploymentRecordStatus, u64))> {
        let Report { record, status, measured, observed, decided } = report;
        let mut applied = Vec::new();
        let mut said = Vec::new();
        if let Some(measured) = &measured {
            let state = self.wiring.judgement.state();
            let feature = state.target().setting().features.nfr_enforcement;
            let gate = Gate { feature, right: self.wiring.right.is_held(), class: &measured.class };
            for (at, present) in measured.parts.iter().enumerate() {
                applied.extend(act::standing(&present.part, present.replicas.as_ref(), &status, &gate));
                let of_part = decided.get(at).map_or(&[][..], Vec::as_slice);
                for one in of_part {
                    let Some(entry) = self.change(&record, present, one, &gate, now, &mut said).await else { continue };
                    applied.retain(|old| (&old.component, &old.dimension) != (&entry.component, &entry.dimension));
                    applied.push(entry);
                }
            }
        }
        let parts = measured.iter().flat_map(|measured| &measured.parts).map(|present| &present.part);
        let decided: Vec<_> = parts.zip(decided).collect();
        let generation = record.metadata.generation.unwrap_or_default();
        let analysis = report::analysis(&status, (&observed, generation), &decided, applied, now);
        let written = self.write_status(&record, &status, analysis).await;
        // What is rendered was decided by the status: without it nothing has happened.
        for (reason, note, needs_status) in said {
            if written.is_ok() || !needs_status {
                self.publish(&record, reason, &note).await;
            }
        }
        match written {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(record = record.metadata.name.as_deref(), %error, "the analysis can't be written; it is tried again");
                None
            }
        }
    }

    /// Makes one change, where it is to be made; the entry that stands for it.
    async fn change(
        &self,
        record: &RawRecord,
        present: &Present,
        decided: &Decided,
        gate: &Gate<'_>,
        now: Timestamp,
        said: &mut Vec<(Reason, String, bool)>,
    ) -> Option<AppliedRecommendation> {
        let part = &present.part;
        let write = act::write(part, decided, (present.replicas.as_ref(), present.field.as_ref()), now)?;
        if gate.closed(decided.dimension).is_some() {
            return None;
        }
        let note = change_note(present, decided);
        match write {
            Write::Render(entry) => {
                said.push((Reason::NfrApplied, note, true));
                Some(entry)
            }
            Write::Scale { field, owned, reach, taken_back } => {
                let written = self.wiring.applier.scale(&field, &owned, reach).await;
                self.wiring
                    .metrics
                    .nfr
                    .applied(decided.dimension.name(), written.as_ref().err().map(ClusterError::category));
                match written {
                    Ok(_) => {
                        if let Some(by) = taken_back {
                            let note = format!(
                                "{} of {} was set by {by}, and its grace is over: {note}",
                                decided.dimension.name(),
                                part.name()
                            );
                            said.push((Reason::ScaleTakenBack, note, false));
                        } else {
                            said.push((Reason::NfrApplied, note, false));
                        }
                        act::scaled(part, &owned)
                    }
                    // Somebody wrote in between: the next look sees it.
                    Err(ClusterError::Stale(_)) => None,
                    Err(error) => {
                        tracing::warn!(record = record.metadata.name.as_deref(), %error, "a recommendation can't be applied");
                        None
                    }
                }
            }
        }
    }

    async fn write_status(
        &self,
        record: &RawRecord,
        status: &DeploymentRecordStatus,
        analysis: Analysis,
    ) -> Result<Option<(String, (DeploymentRecordStatus, u64))>, ClusterError> {
        if analysis.stands_in(status) || !self.wiring.right.is_held() {
            return Ok(None);
        }
        let whole = analysis.clone().over(status);
        let written = self.wiring.applier.analysis(&record.metadata, &analysis.into_status()).await?;
        self.wiring.metrics.nfr.reported();
        let version = written.resource_version.as_deref().and_then(|version| version.parse().ok());
        Ok(record.metadata.uid.clone().zip(version).map(|(uid, version)| (uid, (whole, version))))
    }

    async fn publish(&self, record: &RawRecord, reason: Reason, note: &str) {
        if let Err(error) = self.wiring.recorder.publish(&record.metadata, reason, note).await {
            tracing::warn!(%error, ?reason, note, "event not published");
        }
    }
}

/// What a look found out about one record.
struct Report {
    record: Arc<RawRecord>,
    status: DeploymentRecordStatus,
    measured: Option<Measured>,
    observed: Observed,
    /// Decisions by component, in the order of the parts.
    decided: Vec<Vec<Decided>>,
}

impl Memory {
    /// The status that stands there: the cached one, unless the cache is behind our own last write.
    fn status_of(&self, record: &RawRecord) -> DeploymentRecordStatus {
        let written = record.metadata.uid.as_deref().and_then(|uid| self.written.get(uid));
        let seen = record.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
        match (written, seen) {
            (Some((status, version)), Some(seen)) if seen < *version => status.clone(),
            _ => record.typed_status(),
        }
    }
}

fn specs(policy: &Policy, options: &super::Options) -> Vec<Spec> {
    policy.signals().iter().map(|signal| Spec::of(signal, options.window, options.step)).collect()
}

/// Rules are asked as often as the signal that comes most seldom: every point then has a sample of each.
fn grid(policy: &Policy, options: &super::Options) -> Option<Grid> {
    let steps = specs(policy, options).iter().map(Spec::step).max().unwrap_or(0);
    let step = std::time::Duration::from_millis(u64::try_from(steps).unwrap_or(0)).max(options.step);
    Grid::new(step, SETTLE)
}

fn change_note(present: &Present, decided: &Decided) -> String {
    let Decided { dimension, state, decision } = decided;
    let what = match (dimension.name(), present.part.workload, present.field.as_ref().map(|field| field.kind)) {
        ("replicas", ObjectKind::Deployment, Some(ObjectKind::Autoscaler)) => "minReplicas".to_owned(),
        ("replicas", ObjectKind::KnativeService, _) => "min-scale".to_owned(),
        (name, ..) => name.to_owned(),
    };
    let target = match decision.action {
        crate::decision::nfr::Action::Apply { target } => size_text(*dimension, target),
        crate::decision::nfr::Action::Hold => "unchanged".to_owned(),
    };
    let from = size_text(*dimension, state.current);
    format!("{what} of {} {from} -> {target}: {} (policy {})", present.part.name(), decision.reason, decision.revision)
}
