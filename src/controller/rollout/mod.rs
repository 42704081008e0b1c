//! Brings a change of the policy, or of what the cluster offers, to the classes: looks for one, computes its effect,
//! keeps what is to be, says so, and only then lets classes go over. Which class may is [`crate::rollout`]'s to say.

mod fits;
mod look;
mod say;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::judgement::Judgement;
use crate::cluster::caches::Caches;
use crate::cluster::events::Reason;
use crate::cluster::keeper::Keeper;
use crate::cluster::record::RawRecord;
use crate::cluster::{ClusterError, caches::WatchesEnded};
use crate::decision::{ClusterFacts, Setting};
use crate::model::parse;
use crate::policy::{Bundle, Diagnostics, File, Inputs};
use crate::rollout::{
    Basis, ClassKey, Failure, Fixed, KeepError, LiveClass, Loaded, Offer, Origin, Released, Rollout, decode, encode,
    load,
};
use crate::telemetry::metrics::Metrics;
use fits::fits;
use look::Found;
pub use look::{Load, Lookout};
pub use say::Voice;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Shortest pause between two rounds.
const SHORTEST: Duration = Duration::from_millis(50);
/// Pause after the API server could not keep the state.
const RETRY: Duration = Duration::from_secs(2);

/// Makes policies of files, for one configuration.
#[derive(Clone, Debug)]
pub struct Loader {
    /// Profile and environment.
    pub inputs: Inputs,
    /// Commit that the configuration names.
    pub commit: Option<String>,
    /// What the operator set for all classes.
    pub fixed: Fixed,
}

impl Loader {
    /// The policy of these files; those of the binary where there are none.
    pub fn load(&self, origin: Origin, files: Option<Vec<File>>) -> Result<Loaded, Diagnostics> {
        let builtin = Bundle::builtin_files();
        match files {
            None => load(origin, builtin, Vec::new(), &self.inputs, self.commit.as_deref()),
            Some(files) => load(origin, files, builtin, &self.inputs, self.commit.as_deref()),
        }
    }

    /// What loads the files of a directory.
    pub fn of_directory(&self) -> Load {
        let loader = self.clone();
        Arc::new(move |origin, files| loader.load(origin, Some(files)))
    }

    /// The policy in a setting.
    pub fn basis(&self, loaded: &Loaded, setting: Setting) -> Basis {
        let (policy, source) = (Arc::clone(&loaded.policy), Arc::clone(&loaded.source));
        Basis::new(policy, source, setting, &self.fixed)
    }
}

/// Asks for looks at records.
pub struct Relook {
    /// At all of them.
    pub all: mpsc::Sender<()>,
    /// At this one.
    pub one: mpsc::UnboundedSender<ObjectRef<RawRecord>>,
}

/// Everything that the roll-out works with.
pub struct RolloutLoop {
    /// What holds.
    pub judgement: Arc<Judgement>,
    /// The records.
    pub caches: Caches,
    /// Where the state is kept.
    pub keeper: Keeper,
    /// Says what happens.
    pub voice: Voice,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// Makes policies of files.
    pub loader: Loader,
    /// The directory, where the policy comes from one.
    pub lookout: Option<Lookout>,
    /// What the cluster offers.
    pub facts: watch::Receiver<ClusterFacts>,
    /// Asks for looks at records.
    pub relook: Relook,
    /// The newest policy that loads, in the newest setting.
    pub wanted: Arc<Basis>,
    /// What is wrong with the newest policy, where it does not load.
    pub failed: Option<Diagnostics>,
}

/// What the loop remembers from one round to the next.
#[derive(Default)]
struct Notes {
    /// Bytes as last kept.
    kept: Option<Vec<u8>>,
    /// Not before then is the API server asked again.
    retry_at: Option<Instant>,
    looked_at: Option<Instant>,
    /// Id of a basis that can't be kept and is not taken over.
    refused: Option<String>,
}

impl RolloutLoop {
    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut notes = Notes::default();
        let begun = shutdown.run_until_cancelled(self.begin(&mut notes)).await;
        if !matches!(begun, Some(Ok(()))) {
            return;
        }
        loop {
            // A round is brought to its end: what is kept and what is done must not part.
            self.round(&mut notes).await;
            let pause = self.judgement.state().wait(Timestamp::now()).unwrap_or(LOOK).clamp(SHORTEST, LOOK);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Finds out what was kept and goes on from there.
    async fn begin(&mut self, notes: &mut Notes) -> Result<(), WatchesEnded> {
        if let Some(diagnostics) = self.failed.take() {
            self.reject(diagnostics).await;
        } else {
            self.metrics.loaded(true);
        }
        self.caches.synced().await?;
        let kept = self.recall().await;
        match kept.as_deref().map(decode) {
            Some(Ok(state)) => {
                notes.kept = kept;
                self.judgement.set(state);
            }
            Some(Err(error)) => self.regain(Some(error)).await,
            None => self.regain(None).await,
        }
        self.metrics.kept(self.judgement.health().keep_error.is_none());
        self.adopt(notes).await;
        self.keep_now(notes).await;
        self.measure();
        let state = self.judgement.state();
        tracing::info!(revision = state.target().policy().revision(), "the policy holds");
        self.judgement.begin();
        Ok(())
    }

    /// Goes on without what was kept: classes that run and do not have what the policy gives them stay as they are until
    /// their turn. Where nothing was kept and all have it (a first start), there is nothing to say.
    async fn regain(&mut self, error: Option<KeepError>) {
        let mut live = self.live();
        self.see_fits(&mut live);
        let wanted = Arc::clone(&self.wanted);
        let Offer { next, radius } = Rollout::regain(&wanted, &live, Timestamp::now());
        self.judgement.set(next);
        if error.is_none() && radius.changes().is_empty() {
            return;
        }
        self.metrics.changed(radius.live, radius.changes().len(), radius.share());
        let error = error.map_or_else(|| "no state of the policy is kept".to_owned(), |error| error.to_string());
        let note = say::lost(&error, &self.judgement.state(), &radius);
        self.say(Reason::PolicyStateLost, &note).await;
    }

    /// Looks whether classes have what the wanted basis gives them.
    fn see_fits(&self, live: &mut [LiveClass]) {
        for one in live {
            one.fits = fits(&self.caches, &self.wanted, one);
        }
    }

    /// What was kept; waits for an API server that does not answer, and goes on without what may not be read.
    async fn recall(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.keeper.read().await {
                Ok(kept) => return kept,
                Err(error) if passes(&error) => {
                    self.note_keep_error(Some(format!("what was kept can't be read: {error}")));
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => {
                    self.note_keep_error(Some(format!("what was kept can't be read: {error}")));
                    return None;
                }
            }
        }
    }

    async fn round(&mut self, notes: &mut Notes) {
        if notes.looked_at.is_none_or(|last| last.elapsed() >= LOOK) {
            notes.looked_at = Some(Instant::now());
            self.look().await;
        }
        if notes.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.adopt(notes).await;
        self.release(notes).await;
        self.keep_now(notes).await;
    }

    /// Looks for another policy in the directory.
    async fn look(&mut self) {
        let Some(lookout) = &mut self.lookout else { return };
        match lookout.look().await {
            Found::Nothing => {}
            Found::Wrong(diagnostics) => self.reject(diagnostics).await,
            Found::Policy(loaded) => self.accept(&loaded),
        }
    }

    fn accept(&mut self, loaded: &Loaded) {
        self.metrics.loaded(true);
        for warning in &loaded.warnings {
            tracing::warn!("policy: {warning}");
        }
        let mut health = (*self.judgement.health()).clone();
        if let Some(failed) = health.failed.as_mut().filter(|failed| failed.stands) {
            failed.stands = false;
            tracing::info!(revision = loaded.policy.revision(), "the policy loads again");
        }
        self.judgement.set_health(health);
        let basis = self.loader.basis(loaded, self.wanted.setting().clone());
        if basis.id() == self.wanted.id() {
            tracing::debug!(revision = loaded.policy.revision(), "the policy says the same as before");
        } else {
            self.wanted = Arc::new(basis);
        }
    }

    /// Notes a policy that does not load; what holds goes on holding.
    async fn reject(&mut self, diagnostics: Diagnostics) {
        self.metrics.loaded(false);
        let text = diagnostics.to_string();
        let revision = self.judgement.state().target().policy().revision().to_owned();
        let mut health = (*self.judgement.health()).clone();
        if health.failed.as_ref().is_some_and(|known| known.stands && known.diagnostics == diagnostics) {
            return;
        }
        health.failed = Some(Failure { at: Timestamp::now(), stands: true, diagnostics });
        self.judgement.set_health(health);
        let note = format!("policy {revision} stays: the new one does not load: {text}");
        self.say(Reason::PolicyRejected, &note).await;
    }

    /// Takes over the newest policy in the newest setting, once its effect is known, kept and said.
    async fn adopt(&mut self, notes: &mut Notes) {
        let facts = *self.facts.borrow_and_update();
        if self.wanted.setting().cluster != facts {
            let setting = Setting { cluster: facts, ..self.wanted.setting().clone() };
            self.wanted = Arc::new(self.wanted.in_setting(setting));
        }
        let (state, wanted) = (self.judgement.state(), Arc::clone(&self.wanted));
        if wanted.id() == state.target().id() || notes.refused.as_deref() == Some(wanted.id()) {
            return;
        }
        let mut live = self.live();
        if state.pending().is_some_and(|pending| pending.lost() > 0) {
            self.see_fits(&mut live);
        }
        let before = Arc::clone(state.target());
        let computed = spawn_blocking(move || state.offer(&wanted, &live, Timestamp::now()));
        let Ok(Offer { next, radius }) = computed.await else { return };
        match self.keep(&next, notes).await {
            Ok(()) => {}
            Err(NotKept::Later) => return,
            Err(NotKept::TooLarge(error)) => {
                notes.refused = Some(self.wanted.id().to_owned());
                let at = format!("policy {}", self.wanted.policy().revision());
                return self.reject(Diagnostics(vec![crate::policy::Diagnostic::whole(&at, error)])).await;
            }
        }
        self.metrics.changed(radius.live, radius.changes().len(), radius.share());
        self.judgement.set(next);
        self.measure();
        let (reason, note) = say::adopted(&before, &self.judgement.state(), &radius);
        self.say(reason, &note).await;
        // A full channel means that a look at all is due anyway.
        let _ = self.relook.all.try_send(());
    }

    /// Lets those go over whose turn it is.
    async fn release(&mut self, notes: &mut Notes) {
        let state = self.judgement.state();
        let Some(Released { next, classes }) = state.release(|key, uid| self.find(key, uid), Timestamp::now()) else {
            return;
        };
        // Kept first: after a restart a class must not go back.
        if self.keep(&next, notes).await.is_err() {
            return;
        }
        let through = next.pending().is_none();
        self.judgement.set(next);
        self.metrics.released(classes.len());
        self.measure();
        for ClassKey { namespace, name } in classes {
            let _ = self.relook.one.send(ObjectRef::new(&name).within(&namespace));
        }
        if through {
            let revision = self.judgement.state().target().policy().revision().to_owned();
            self.say(Reason::PolicyRolledOut, &format!("every class is decided by policy {revision}")).await;
        }
    }

    /// Keeps the state as it is, where that failed before or was not done yet.
    async fn keep_now(&mut self, notes: &mut Notes) {
        if notes.kept.is_none() {
            let state = self.judgement.state();
            let _ = self.keep(&state, notes).await;
        }
    }

    /// Keeps a state, where it is not what is kept. One that may not be kept at all is taken over all the same, loudly.
    async fn keep(&mut self, state: &Rollout, notes: &mut Notes) -> Result<(), NotKept> {
        let bytes = match encode(state) {
            Ok(bytes) => bytes,
            Err(error @ KeepError::TooLarge(_)) => return Err(NotKept::TooLarge(error.to_string())),
            Err(error) => {
                self.note_keep_error(Some(error.to_string()));
                return Ok(());
            }
        };
        if notes.kept.as_ref() == Some(&bytes) {
            return Ok(());
        }
        match self.keeper.write(&bytes, say::notes(state)).await {
            Ok(()) => {
                notes.kept = Some(bytes);
                notes.retry_at = None;
                self.note_keep_error(None);
                Ok(())
            }
            Err(error) => {
                let waits = passes(&error);
                self.note_keep_error(Some(format!("the state of the policy can't be kept: {error}")));
                if waits {
                    notes.retry_at = Some(Instant::now() + RETRY);
                    return Err(NotKept::Later);
                }
                notes.kept = Some(bytes);
                Ok(())
            }
        }
    }

    fn note_keep_error(&self, error: Option<String>) {
        let mut health = (*self.judgement.health()).clone();
        self.metrics.kept(error.is_none());
        if health.keep_error == error {
            return;
        }
        let place = self.keeper.place();
        if let Some(error) = error.as_deref() {
            tracing::error!(place, "{error}");
        } else {
            tracing::info!(place, "the state of the policy is kept again");
        }
        health.keep_error = error;
        self.judgement.set_health(health);
    }

    /// Classes that run, and those that wait whatever became of their status.
    fn live(&self) -> Vec<LiveClass> {
        let (records, state) = (self.caches.records.state(), self.judgement.state());
        let runs = |one: &LiveClass| one.current.is_some() || state.waits(&one.key, &one.uid);
        records.iter().filter_map(|one| class_of(one)).filter(runs).collect()
    }

    /// A class that waits; `None` only where its record is gone or about to go.
    fn find(&self, key: &ClassKey, uid: &str) -> Option<LiveClass> {
        let record = self.caches.records.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        class_of(&record).filter(|one| one.uid == uid)
    }

    /// Says something once.
    async fn say(&self, reason: Reason, note: &str) {
        self.voice.say(&self.keeper.reference(), reason, note).await;
    }

    fn measure(&self) {
        say::measure(&self.metrics, &self.judgement.state());
    }
}

/// Why a state is not kept.
enum NotKept {
    /// The API server does not answer; later it may.
    Later,
    /// It never can be.
    TooLarge(String),
}

/// Whether a failed request may succeed later without anyone granting or mending anything.
fn passes(error: &ClusterError) -> bool {
    error.is_transient() || matches!(error, ClusterError::Unauthenticated(_) | ClusterError::Other(_))
}

/// The class of a record that runs; `None` where none does or is about to go.
pub fn live(record: &RawRecord) -> Option<LiveClass> {
    class_of(record).filter(|one| one.current.is_some())
}

/// The class of a record; `None` where that is about to go. One that can't be read is a class all the same: what it
/// runs is still there.
fn class_of(record: &RawRecord) -> Option<LiveClass> {
    let meta = &record.metadata;
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    Some(LiveClass {
        key: ClassKey {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        },
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        current: record.typed_status().selected_template,
        fits: true,
        class: record.typed().ok().and_then(|typed| parse(&typed).ok()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::{class_of, live};
    use crate::cluster::record::RawRecord;

    fn record(metadata: &Value, spec: &Value, status: &Value) -> RawRecord {
        let mut record =
            json!({"metadata": {"name": "a", "namespace": "ns", "uid": "u"}, "spec": spec, "status": status});
        record["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_class_whose_record_can_not_be_read_runs_on() {
        let (good, runs) = (json!({"function": {"image": "nginx"}}), json!({"selected_template": "edge"}));
        for wrong in [json!({"function": {"image": "nginx"}, "addons": ["nope"]}), json!({"functions": 7}), json!({})] {
            let found = live(&record(&json!({}), &wrong, &runs)).unwrap();
            assert!(found.class.is_none(), "{wrong}");
            assert_eq!((found.uid.as_str(), found.current.as_deref()), ("u", Some("edge")));
        }
        assert!(live(&record(&json!({}), &good, &runs)).unwrap().class.is_some());
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert!(class_of(&record(&deleted, &good, &runs)).is_none());
    }

    #[test]
    fn a_class_without_a_template_does_not_run_but_is_no_record_that_is_gone() {
        let fresh = record(&json!({}), &json!({"function": {"image": "nginx"}}), &json!({}));
        assert!(live(&fresh).is_none());
        assert!(class_of(&fresh).is_some());
    }
}
