//! One look: measure, decide about every class, act, report.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;

use super::decide::{self, Decided, Frame, Known};
use super::moment::Moment;
use super::report::Observed;
use super::subject::{Measured, Present, Subject, Unmeasured, View};
use super::{Analyzer, Memory, SETTLE, Sight};
use crate::api::DeploymentRecordStatus;
use crate::cluster::record::RawRecord;
use crate::decision::nfr::{Grid, Samples};
use crate::policy::Policy;
use crate::rollout::{Basis, Rollout};
use crate::signals::{Scope, Source, Spec};

/// Why nothing is measured although the feature is on.
const NO_SOURCE: &str = "NoSource";
/// Classes that are decided about before others get the thread.
const AT_ONCE: usize = 32;

impl Analyzer {
    /// Looks once, at `now`.
    pub async fn look(&mut self, now: Timestamp) {
        let moment = Moment::new(now);
        let state = self.wiring.context.judgement.state();
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
        self.act(reports, moment).await;
    }

    fn subjects(&mut self, state: &Rollout, now: Timestamp) -> Vec<Subject> {
        let records = self.wiring.context.caches.records.state();
        let uids: HashSet<&str> = records.iter().filter_map(|record| record.metadata.uid.as_deref()).collect();
        self.memory.written.retain(|uid, _| uids.contains(uid.as_str()));
        self.wiring.context.capped.retain(|uid| uids.contains(uid));
        self.wiring.log.retain(|uid| uids.contains(uid));
        self.wiring.page.begin(now, |uid| uids.contains(uid));
        let view = View { state, caches: &self.wiring.context.caches, pods: &self.wiring.pods, now };
        let off = matches!(self.sight, Sight::Off);
        let subject = |record: Arc<RawRecord>| {
            let status = self.memory.status_of(&record);
            let sighted = if off { Err(Unmeasured::NotNow) } else { view.sighted(&record, &status) };
            Subject { record, status, sighted }
        };
        records.iter().cloned().map(subject).collect()
    }

    /// Asks the source what is not known yet, all signals at once.
    async fn measure(&mut self, source: &dyn Source, policy: &Policy, subjects: &[Subject], now: Timestamp) {
        let Memory { store, pods, .. } = &mut self.memory;
        let parts = || subjects.iter().filter_map(|subject| subject.sighted.as_ref().ok()).flat_map(|one| &one.parts);
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
            self.wiring.context.metrics.nfr.asked(&asked.signal, asked.fault.as_ref().map(|fault| fault.kind.name()));
        }
        self.wiring.context.metrics.nfr.kept(store.len());
    }

    /// Decides about one class.
    fn class(&self, state: &Rollout, subject: Subject, now: Timestamp) -> Report {
        let Subject { record, status, sighted } = subject;
        let basis = Arc::clone(state.target());
        let grid = grid(basis.policy(), &self.options);
        let blind = match &self.sight {
            Sight::Blind(why) => Some(Observed::Blind(NO_SOURCE, why.clone())),
            Sight::Off | Sight::Seeing(_) => None,
        };
        // A policy without signals gives no grid, and measures nothing.
        let (measured, grid) = match sighted.and_then(|measured| Ok((measured, grid.ok_or(Unmeasured::NotNow)?))) {
            Ok(sighted) => sighted,
            Err(why) => {
                let (decided, samples) = (Vec::new(), Vec::new());
                return Report { record, status, basis, sighted: Err(why), observed: Observed::Off, decided, samples };
            }
        };
        let (policy, setting) = (basis.policy(), basis.setting());
        let frame = Frame { policy, setting, limits: self.options.limits, grid, now, kept: self.wiring.log.is_on() };
        let (mut decided, mut missing, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for Present { part, replicas, .. } in measured.parts.iter().filter(|_| blind.is_none()) {
            let samples = self.memory.store.samples(&part.key);
            let (class, since) = (&measured.class, measured.since);
            let known = Known { class, status: &status, part, replicas: replicas.as_ref(), since, samples: &samples };
            decided.push(decide::decide(&frame, &known));
            let faults = decide::missing(&frame, &known, |signal| self.memory.store.fault(&part.key, signal));
            missing.extend(faults.into_iter().map(|(signal, fault)| (part.name().to_owned(), signal, fault)));
            seen.push(samples);
        }
        for one in decided.iter().flatten() {
            self.wiring.context.metrics.nfr.decided(one.dimension.name(), one.is_change());
        }
        let observed = blind.unwrap_or(Observed::Measured(missing));
        let basis = Arc::clone(&basis);
        Report { record, status, basis, sighted: Ok(measured), observed, decided, samples: seen }
    }

    /// Makes the writes of all classes, a few at once.
    async fn act(&mut self, reports: Vec<Report>, moment: Moment) {
        let this = &*self;
        let written: Vec<_> = futures::stream::iter(reports)
            .map(|report| async move { this.carry_out(report, moment).await })
            .buffer_unordered(self.options.concurrency.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        self.memory.written.extend(written.into_iter().map(|one| (one.uid.clone(), one)));
    }
}

/// What a look found out about one record.
pub(super) struct Report {
    pub(super) record: Arc<RawRecord>,
    pub(super) status: DeploymentRecordStatus,
    /// What was decided by.
    pub(super) basis: Arc<Basis>,
    pub(super) sighted: Result<Measured, Unmeasured>,
    pub(super) observed: Observed,
    /// Decisions by component, in the order of the parts.
    pub(super) decided: Vec<Vec<Decided>>,
    /// What each of them was decided from, in the same order.
    pub(super) samples: Vec<Samples>,
}

impl Memory {
    /// The status that stands there: the cached one, unless the cache is behind our own last write.
    fn status_of(&self, record: &RawRecord) -> DeploymentRecordStatus {
        let written = record.metadata.uid.as_deref().and_then(|uid| self.written.get(uid));
        let seen = record.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
        match (written, seen) {
            (Some(written), Some(seen)) if seen < written.version => written.status.clone(),
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
