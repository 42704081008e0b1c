//! What was decided about one class, carried out: numbers first, then its status, then what is said of it.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use super::act::{self, Gate, Write};
use super::component::Part;
use super::decide::Decided;
use super::look::Report;
use super::moment::Moment;
use super::number::{Pen, Unwritten};
use super::page::{self, ClassShown};
use super::report::{self, Analysis};
use super::subject::{Measured, Present};
use super::{Analyzer, Written};
use crate::api::{AppliedRecommendation, DeploymentRecordStatus};
use crate::audit::{Entry, Outcome, RecordRef, WhyNot};
use crate::cluster::ClusterError;
use crate::cluster::caches::LiveObject;
use crate::cluster::events::Reason;
use crate::cluster::record::RawRecord;
use crate::cluster::scale::{self, Owned, Reach};
use crate::controller::Problem;
use crate::decision::nfr::{Action, Samples, size_text};
use crate::model::Class;
use crate::policy::Dimension;
use crate::render::ObjectKind;
use crate::rollout::Basis;

/// What was done about a class.
#[derive(Default)]
struct Done {
    /// What stands applied.
    applied: Vec<AppliedRecommendation>,
    /// What is to be said.
    news: Vec<News>,
    /// What keeps the class from its target.
    capped: Option<Problem>,
    /// What became of each decision, by component.
    outcomes: Vec<(usize, Dimension, Outcome)>,
}

impl Done {
    /// An entry takes the place of the one that stood for the same.
    fn stands(&mut self, entry: AppliedRecommendation) {
        let same = (&entry.component, &entry.dimension);
        self.applied.retain(|old| (&old.component, &old.dimension) != same);
        self.applied.push(entry);
    }
}

struct News {
    reason: Reason,
    note: String,
    /// It has happened only once the status is written, from which the reconciler renders.
    by_status: bool,
}

impl Analyzer {
    /// Makes the writes of one class. The status as written, where it was.
    pub(super) async fn carry_out(&self, report: Report, moment: Moment) -> Option<Written> {
        let Report { record, status, basis, sighted, observed, decided, samples } = report;
        let done = match &sighted {
            Ok(measured) => self.parts((&record, &basis), &status, (measured, &decided), moment).await,
            Err(why) => Done { applied: why.standing(&status), ..Done::default() },
        };
        let Done { applied, mut news, capped, outcomes } = done;
        self.note_cap(&record, capped, &mut news);
        let parts = sighted.iter().flat_map(|measured| &measured.parts).map(|present| &present.part);
        let decided: Vec<_> = parts.zip(decided).collect();
        let generation = record.metadata.generation.unwrap_or_default();
        let analysis = report::analysis(&status, (&observed, generation), &decided, applied, moment.at);
        let stood = self.write_status(&record, &status, analysis).await;
        // Only now it is known what has happened: page, log and Events tell the same.
        let outcomes = settled(&decided, outcomes, &stood);
        self.show(&record, (&decided, &samples), &outcomes);
        self.log((&record, &basis), &decided, outcomes);
        for News { reason, note, by_status } in news {
            if stood.is_written() || !by_status {
                self.publish(&record, reason, &note).await;
            }
        }
        match stood {
            Stood::Written(written) => written.map(|written| *written),
            Stood::NoRight => None,
            Stood::Failed(error) => {
                let record = record.metadata.name.as_deref();
                tracing::warn!(record, %error, "the analysis can't be written; the next look tries again");
                None
            }
        }
    }

    /// Makes the changes of all components.
    async fn parts(
        &self,
        (record, basis): (&RawRecord, &Basis),
        status: &DeploymentRecordStatus,
        (measured, decided): (&Measured, &[Vec<Decided>]),
        moment: Moment,
    ) -> Done {
        let feature = basis.setting().features.nfr_enforcement;
        let mut done = Done::default();
        for (at, present) in measured.parts.iter().enumerate() {
            // Asked anew for each component: the right may be gone since the last write.
            let gate = Gate { feature, right: self.wiring.right.is_held(), class: &measured.class };
            done.applied.extend(act::standing(&present.part, present.replicas.as_ref(), status, &gate));
            for one in decided.get(at).map_or(&[][..], Vec::as_slice) {
                let outcome = match gate.closed(one.dimension) {
                    Some(because) if one.is_change() => Outcome::WouldApply { because },
                    Some(_) => Outcome::Held,
                    None => {
                        done.capped = done.capped.or_else(|| act::capped(&present.part, one));
                        self.change((record, basis), (&measured.class, present), one, moment, &mut done).await
                    }
                };
                done.outcomes.push((at, one.dimension, outcome));
            }
        }
        done
    }

    /// Makes one change that may be made; what became of it.
    async fn change(
        &self,
        (record, basis): (&RawRecord, &Basis),
        (class, present): (&Class, &Present),
        decided: &Decided,
        moment: Moment,
        done: &mut Done,
    ) -> Outcome {
        let part = &present.part;
        let write = || act::write(part, decided, (present.replicas.as_ref(), present.field.as_ref()), moment.by_now());
        if write().is_none() {
            return Outcome::Held;
        }
        if let Some(entry) = entry((record, basis), part, decided, Outcome::Begun) {
            self.wiring.log.record_first(entry).await;
        }
        // Only now, because to log may take a while, and cooldowns count from here.
        let Some(write) = write() else { return Outcome::Held };
        let note = note(present, decided);
        match write {
            Write::Render(entry) => {
                done.news.push(News { reason: Reason::NfrApplied, note, by_status: true });
                done.stands(entry);
            }
            Write::Scale { field, owned, reach, taken_back } => {
                match self.scale(record, (class, part), decided, (&field, &owned, reach)).await {
                    Ok(()) => {}
                    Err(Unwritten::NoRight) => return Outcome::WouldApply { because: WhyNot::NoRight },
                    Err(Unwritten::Failed(error)) => return Outcome::Failed { error: error.to_string() },
                }
                let (reason, note) = match taken_back {
                    Some(by) => {
                        (Reason::ScaleTakenBack, format!("{note}; it was set by {by}, and the grace for that is over"))
                    }
                    None => (Reason::NfrApplied, note),
                };
                done.news.push(News { reason, note, by_status: false });
                if let Some(entry) = act::scaled(part, &owned) {
                    done.stands(entry);
                }
            }
        }
        Outcome::Applied
    }

    /// Writes a number.
    async fn scale(
        &self,
        record: &RawRecord,
        (class, part): (&Class, &Part),
        decided: &Decided,
        (field, owned, reach): (&LiveObject, &Owned, Reach),
    ) -> Result<(), Unwritten> {
        let context = &self.wiring.context;
        let pen = Pen { applier: &context.applier, right: &self.wiring.right };
        let newest = || scale::current(&context.caches, class, &part.key.workload)?.field;
        let written = pen.write(field, (owned, reach), newest).await;
        let failure = match &written {
            Ok(()) => None,
            Err(Unwritten::NoRight) => return written,
            Err(Unwritten::Failed(error)) => Some(error),
        };
        context.metrics.nfr.applied(decided.dimension.name(), failure.map(ClusterError::category));
        // That somebody wrote in between is no fault: the next look sees it.
        if let Some(error) = failure.filter(|error| !matches!(error, ClusterError::Stale(_))) {
            let record = record.metadata.name.as_deref();
            tracing::warn!(record, %error, "a recommendation can't be applied; the next look tries again");
        }
        written
    }

    /// Logs what became of each decision.
    fn log(
        &self,
        (record, basis): (&RawRecord, &Basis),
        decided: &[(&Part, Vec<Decided>)],
        outcomes: Vec<(usize, Dimension, Outcome)>,
    ) {
        for (at, dimension, outcome) in outcomes {
            let Some((part, all)) = decided.get(at) else { continue };
            let Some(one) = all.iter().find(|one| one.dimension == dimension) else { continue };
            if let Some(entry) = entry((record, basis), part, one, outcome) {
                self.wiring.log.record(entry);
            }
        }
    }

    /// Shows what was decided, and what became of it.
    fn show(
        &self,
        record: &RawRecord,
        (decided, samples): (&[(&Part, Vec<Decided>)], &[Samples]),
        outcomes: &[(usize, Dimension, Outcome)],
    ) {
        let components = decided.iter().zip(samples).enumerate().map(|(at, ((part, all), samples))| {
            let known = all.iter().filter_map(|one| {
                let found = outcomes.iter().find(|(index, dimension, _)| (*index, *dimension) == (at, one.dimension));
                Some((one, found?.2.clone()))
            });
            page::component(part, samples, known)
        });
        let (components, RecordRef { namespace, name, uid, .. }) = (components.collect(), reference(record));
        self.wiring.page.note(&uid, ClassShown { namespace, name, components });
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
    async fn write_status(&self, record: &RawRecord, status: &DeploymentRecordStatus, analysis: Analysis) -> Stood {
        if analysis.stands_in(status) {
            return Stood::Written(None);
        }
        if !self.wiring.right.is_held() {
            return Stood::NoRight;
        }
        let whole = analysis.clone().over(status);
        let written = match self.wiring.context.applier.analysis(&record.metadata, &analysis.into_status()).await {
            Ok(written) => written,
            Err(error) => return Stood::Failed(error),
        };
        self.wiring.context.metrics.nfr.reported();
        let version = written.resource_version.as_deref().and_then(|version| version.parse().ok());
        let uid = record.metadata.uid.clone();
        Stood::Written(uid.zip(version).map(|(uid, version)| Box::new(Written { uid, status: whole, version })))
    }

    async fn publish(&self, record: &RawRecord, reason: Reason, note: &str) {
        if !self.wiring.right.is_held() {
            return;
        }
        if let Err(error) = self.wiring.context.recorder.publish(&record.metadata, reason, note).await {
            tracing::warn!(%error, ?reason, note, "event not published");
        }
    }
}

/// What became of the analyzer's part of a status.
pub(super) enum Stood {
    /// It stands, and this is what was written for it; `None` where it stood before.
    Written(Option<Box<Written>>),
    /// The right to write was gone by then.
    NoRight,
    /// It could not be written.
    Failed(ClusterError),
}

impl Stood {
    fn is_written(&self) -> bool {
        matches!(self, Self::Written(_))
    }
}

/// What became of each decision once it is known whether the status stands: what is rendered from it has not happened
/// where it does not.
pub(super) fn settled(
    decided: &[(&Part, Vec<Decided>)],
    outcomes: Vec<(usize, Dimension, Outcome)>,
    stood: &Stood,
) -> Vec<(usize, Dimension, Outcome)> {
    let is_rendered = |at: usize, dimension| decided.get(at).is_some_and(|(part, _)| act::is_rendered(part, dimension));
    let settle = |(at, dimension, outcome)| {
        let outcome = match (outcome, stood) {
            (Outcome::Applied, Stood::NoRight) if is_rendered(at, dimension) => {
                Outcome::WouldApply { because: WhyNot::NoRight }
            }
            (Outcome::Applied, Stood::Failed(error)) if is_rendered(at, dimension) => {
                Outcome::Failed { error: error.to_string() }
            }
            (outcome, _) => outcome,
        };
        (at, dimension, outcome)
    };
    outcomes.into_iter().map(settle).collect()
}

/// A decision as it is logged; `None` where what it followed from was not kept, because nothing is logged.
fn entry((record, basis): (&RawRecord, &Basis), part: &Part, decided: &Decided, outcome: Outcome) -> Option<Entry> {
    Some(Entry {
        record: reference(record),
        component: part.name().to_owned(),
        inputs: decided.inputs.clone()?,
        decision: decided.decision.clone(),
        outcome,
        policy: Arc::clone(basis.policy()),
        source: Arc::clone(basis.source()),
    })
}

fn reference(record: &RawRecord) -> RecordRef {
    let meta = &record.metadata;
    RecordRef {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
    }
}

/// A change, for people.
fn note(present: &Present, decided: &Decided) -> String {
    let Decided { dimension, state, decision, .. } = decided;
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
