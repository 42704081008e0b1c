//! What was decided about one class, carried out: numbers first, then its status, then what is said of it.

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use super::act::{self, Gate, Write};
use super::decide::Decided;
use super::look::Report;
use super::report::{self, Analysis};
use super::subject::{Measured, Present};
use super::{Analyzer, Written};
use crate::api::{AppliedRecommendation, DeploymentRecordStatus};
use crate::cluster::ClusterError;
use crate::cluster::events::Reason;
use crate::cluster::record::RawRecord;
use crate::cluster::scale::{Owned, Reach};
use crate::controller::Problem;
use crate::decision::nfr::{Action, size_text};
use crate::render::ObjectKind;

/// What was done about a class.
#[derive(Default)]
struct Done {
    /// What stands applied.
    applied: Vec<AppliedRecommendation>,
    /// What is to be said.
    news: Vec<News>,
    /// What keeps the class from its target.
    capped: Option<Problem>,
}

struct News {
    reason: Reason,
    note: String,
    /// It has happened only once the status is written, from which the reconciler renders.
    by_status: bool,
}

impl Analyzer {
    /// Makes the writes of one class. The status as written, where it was.
    pub(super) async fn carry_out(&self, report: Report, now: Timestamp) -> Option<Written> {
        let Report { record, status, measured, observed, decided } = report;
        let done = match &measured {
            Some(measured) => self.parts(&record, &status, (measured, &decided), now).await,
            None => Done::default(),
        };
        let Done { applied, mut news, capped } = done;
        self.note_cap(&record, capped, &mut news);
        let parts = measured.iter().flat_map(|measured| &measured.parts).map(|present| &present.part);
        let decided: Vec<_> = parts.zip(decided).collect();
        let generation = record.metadata.generation.unwrap_or_default();
        let analysis = report::analysis(&status, (&observed, generation), &decided, applied, now);
        let written = self.write_status(&record, &status, analysis).await;
        for News { reason, note, by_status } in news {
            if written.is_ok() || !by_status {
                self.publish(&record, reason, &note).await;
            }
        }
        written.unwrap_or_else(|error| {
            let record = record.metadata.name.as_deref();
            tracing::warn!(record, %error, "the analysis can't be written; the next look tries again");
            None
        })
    }

    /// Makes the changes of all components.
    async fn parts(
        &self,
        record: &RawRecord,
        status: &DeploymentRecordStatus,
        (measured, decided): (&Measured, &[Vec<Decided>]),
        now: Timestamp,
    ) -> Done {
        let state = self.wiring.context.judgement.state();
        let feature = state.target().setting().features.nfr_enforcement;
        let mut done = Done::default();
        for (at, present) in measured.parts.iter().enumerate() {
            // Asked anew for each component: the right may be gone since the last write.
            let gate = Gate { feature, right: self.wiring.right.is_held(), class: &measured.class };
            done.applied.extend(act::standing(&present.part, present.replicas.as_ref(), status, &gate));
            for one in decided.get(at).map_or(&[][..], Vec::as_slice) {
                if gate.closed(one.dimension).is_some() {
                    continue;
                }
                done.capped = done.capped.or_else(|| act::capped(&present.part, one));
                if let Some(entry) = self.change(record, present, one, now, &mut done.news).await {
                    let same = (&entry.component, &entry.dimension);
                    done.applied.retain(|old| (&old.component, &old.dimension) != same);
                    done.applied.push(entry);
                }
            }
        }
        done
    }

    /// Makes one change that may be made; the entry that stands for it.
    async fn change(
        &self,
        record: &RawRecord,
        present: &Present,
        decided: &Decided,
        now: Timestamp,
        news: &mut Vec<News>,
    ) -> Option<AppliedRecommendation> {
        let part = &present.part;
        let write = act::write(part, decided, (present.replicas.as_ref(), present.field.as_ref()), now)?;
        let note = note(present, decided);
        match write {
            Write::Render(entry) => {
                news.push(News { reason: Reason::NfrApplied, note, by_status: true });
                Some(entry)
            }
            Write::Scale { field, owned, reach, taken_back } => {
                self.scale(record, decided, (&field, &owned, reach)).await?;
                let (reason, note) = match taken_back {
                    Some(by) => {
                        (Reason::ScaleTakenBack, format!("{note}; it was set by {by}, and the grace for that is over"))
                    }
                    None => (Reason::NfrApplied, note),
                };
                news.push(News { reason, note, by_status: false });
                act::scaled(part, &owned)
            }
        }
    }

    /// Writes a number; `None` where that did not succeed.
    async fn scale(
        &self,
        record: &RawRecord,
        decided: &Decided,
        (field, owned, reach): (&crate::cluster::caches::LiveObject, &Owned, Reach),
    ) -> Option<()> {
        let context = &self.wiring.context;
        let written = context.applier.scale(field, owned, reach).await;
        let failure = written.as_ref().err().map(ClusterError::category);
        context.metrics.nfr.applied(decided.dimension.name(), failure);
        match written {
            Ok(_) => Some(()),
            // Somebody wrote in between: the next look sees it.
            Err(ClusterError::Stale(_)) => None,
            Err(error) => {
                let record = record.metadata.name.as_deref();
                tracing::warn!(record, %error, "a recommendation can't be applied; the next look tries again");
                None
            }
        }
    }

    /// Tells the reconciler what keeps a class from its target, and asks it for a look where that is news.
    fn note_cap(&self, record: &RawRecord, capped: Option<Problem>, news: &mut Vec<News>) {
        let uid = record.metadata.uid.as_deref().unwrap_or_default();
        if !self.wiring.context.capped.note(uid, capped.as_ref()) {
            return;
        }
        let said = capped.map(|problem| News { reason: Reason::NfrCapped, note: problem.message, by_status: false });
        news.extend(said);
        // It fails only when the reconciler has ended, and the program with it.
        let _ = self.wiring.relook.send(ObjectRef::from_obj(record));
    }

    /// Writes the analyzer's part of a status where it differs from what stands there.
    async fn write_status(
        &self,
        record: &RawRecord,
        status: &DeploymentRecordStatus,
        analysis: Analysis,
    ) -> Result<Option<Written>, ClusterError> {
        if analysis.stands_in(status) || !self.wiring.right.is_held() {
            return Ok(None);
        }
        let whole = analysis.clone().over(status);
        let written = self.wiring.context.applier.analysis(&record.metadata, &analysis.into_status()).await?;
        self.wiring.context.metrics.nfr.reported();
        let version = written.resource_version.as_deref().and_then(|version| version.parse().ok());
        let uid = record.metadata.uid.clone();
        Ok(uid.zip(version).map(|(uid, version)| Written { uid, status: whole, version }))
    }

    async fn publish(&self, record: &RawRecord, reason: Reason, note: &str) {
        if let Err(error) = self.wiring.context.recorder.publish(&record.metadata, reason, note).await {
            tracing::warn!(%error, ?reason, note, "event not published");
        }
    }
}

/// A change, for people.
fn note(present: &Present, decided: &Decided) -> String {
    let Decided { dimension, state, decision } = decided;
    let what = match (dimension.name(), present.part.workload, present.field.as_ref().map(|field| field.kind)) {
        ("replicas", ObjectKind::Deployment, Some(ObjectKind::Autoscaler)) => "minReplicas",
        ("replicas", ObjectKind::KnativeService, _) => "min-scale",
        (name, ..) => name,
    };
    let target = match decision.action {
        Action::Apply { target } => target,
        Action::Hold => state.current,
    };
    let size = |size| size_text(*dimension, size);
    let (from, to) = (size(state.current), size(target));
    format!("{what} of {} {from} -> {to}: {} (policy {})", present.part.name(), decision.reason, decision.revision)
}
