//! Brings the objects of one class to what is rendered: applies what differs, prunes what is no longer rendered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::change::{Change, change, stamped};
use super::context::Context;
use super::handover::{Handover, title};
use super::memory::{ChildKey, RecordMemory};
use super::status::Problem;
use crate::cluster::ClusterError;
use crate::cluster::caches::LiveObject;
use crate::cluster::ownership::belongs_to;
use crate::model::Class;
use crate::render::{ObjectKind, Rendered, RenderedObject};

/// How soon an object is looked at again that is waited for and whose change no watch would tell.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often a write is tried again that met an object which others had just written.
pub(super) const STALE_TRIES: usize = 3;

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects created or changed, for people.
    pub applied: Vec<String>,
    /// Objects deleted because they are no longer rendered, for people.
    pub pruned: Vec<String>,
    /// Changes of others that were put back, for people.
    pub drift: Vec<String>,
    /// Others change back what was put back, again and again.
    pub contested: Option<Problem>,
    /// Replicas left as others set them, for people.
    pub held: Vec<String>,
    /// Replicas taken back by force, for people.
    pub taken: Vec<String>,
    /// What was left alone and why.
    pub notes: Vec<String>,
    /// The first problem that needs a person.
    pub problem: Option<Problem>,
    /// The first error of the API server.
    pub error: Option<ClusterError>,
    /// Objects newer than the cache, as the API server answered.
    pub fresh: HashMap<ChildKey, LiveObject>,
    /// What is no longer rendered, and what of it stays for now.
    pub handover: Handover,
    /// When to look again even if nothing happens.
    pub look_again: Option<Duration>,
}

/// Applies everything that is rendered, then prunes. Where a name belongs to somebody else nothing is applied at all:
/// half a class would call a stranger's Service. Otherwise one object that fails does not stop the others, but nothing
/// is pruned then: what is to replace it may not be there yet. What still serves is pruned once its successor does.
pub async fn converge(ctx: &Context, class: &Class, rendered: &Rendered, memory: &mut RecordMemory) -> Outcome {
    let mut outcome = Outcome::default();
    apply_all(ctx, class, rendered, memory, &mut outcome).await;
    outcome.handover = handover(ctx, class, rendered, &outcome);
    if outcome.problem.is_none() {
        prune(ctx, &mut outcome).await;
    }
    if !outcome.handover.stay.is_empty() {
        let after = outcome.look_again.map_or(LOOK_AGAIN, |before| before.min(LOOK_AGAIN));
        outcome.look_again = Some(after);
    }
    outcome
}

async fn apply_all(
    ctx: &Context,
    class: &Class,
    rendered: &Rendered,
    memory: &mut RecordMemory,
    outcome: &mut Outcome,
) {
    let lacking = |object: &&RenderedObject| !ctx.caches.has(object.kind);
    if let Some(object) = rendered.objects.iter().filter(lacking).find(|object| !object.kind.is_dispensable()) {
        outcome.problem = Some(kind_missing(object));
        return;
    }
    let missing = |object: &&RenderedObject| !ctx.caches.contains(object.kind, &class.namespace, &object.name);
    let _births = ctx.births.begin(&class.namespace, rendered.objects.iter().filter(missing).map(key)).await;
    let mut step = Step { ctx, class, rendered, memory, outcome };
    let mut found = Vec::with_capacity(rendered.objects.len());
    for object in rendered.objects.iter().filter(|object| !lacking(object)) {
        match step.survey(object).await {
            Ok(surveyed) => found.push((object, surveyed)),
            Err(error) => step.failed(object, error),
        }
    }
    if step.outcome.problem.is_some() {
        return;
    }
    let before = handover(ctx, class, rendered, step.outcome);
    for (object, surveyed) in found {
        if surveyed.change == Change::Update && before.delays(object) {
            continue;
        }
        if let Err(error) = step.object(object, surveyed).await {
            step.failed(object, error);
        }
    }
}

/// What is no longer rendered, and how far its successors are.
fn handover(ctx: &Context, class: &Class, rendered: &Rendered, outcome: &Outcome) -> Handover {
    let kept = |kind: ObjectKind, name: Option<&str>| {
        rendered.objects.iter().any(|object| object.kind == kind && Some(object.name.as_str()) == name)
    };
    let mut leftovers = ctx.caches.children(&class.namespace, &class.uid, class.names.class());
    leftovers.retain(|child| child.meta.deletion_timestamp.is_none() && !kept(child.kind, child.meta.name.as_deref()));
    Handover::of(leftovers, rendered, |object| newest(ctx, class, outcome, object.kind, &object.name))
}

/// The newest state that is known of an object, where it belongs to the class: what belongs to somebody else is no part
/// of it, whatever its name.
pub fn newest(ctx: &Context, class: &Class, outcome: &Outcome, kind: ObjectKind, name: &str) -> Option<LiveObject> {
    let fresh = outcome.fresh.get(&(kind, name.to_owned())).cloned();
    let newest = fresh.or_else(|| ctx.caches.get(kind, &class.namespace, name));
    newest.filter(|live| belongs_to(&live.meta, &class.uid, class.names.class()))
}

/// Deletes the given objects, as far as that has not been asked for; those that still stand.
pub async fn delete_all(ctx: &Context, children: Vec<LiveObject>) -> Result<usize, ClusterError> {
    let standing = children.len();
    for child in children.iter().filter(|child| child.meta.deletion_timestamp.is_none()) {
        ctx.applier.delete(child).await?;
    }
    Ok(standing)
}

/// The policy chose it while the cluster had it, or by a rule that doesn't ask.
fn kind_missing(object: &RenderedObject) -> Problem {
    let (kind, api_version) = (object.kind.title(), object.kind.api_version());
    let message = format!(
        "{kind} {:?} cannot be made: this cluster does not have {api_version}; install Knative Serving, or name another \
         template in spec.selected_template; what runs is left as it is",
        object.name
    );
    Problem::new("KindMissing", message)
}

fn apply_problem(name: &str, error: &ClusterError) -> Problem {
    let advice = match error {
        ClusterError::Forbidden(_) => "; grant it (k8s/rbac/crm-rbac.yaml has the rights that the controller needs)",
        ClusterError::Invalid(_) => "; mend the record, or the policy where the field comes from the template",
        ClusterError::AdmissionDenied(_) => "; ask whoever runs the cluster's admission rules",
        _ => "",
    };
    Problem::new("ApplyFailed", format!("{name} cannot be applied: {error}{advice}"))
}

pub(super) struct Step<'a> {
    pub(super) ctx: &'a Context,
    pub(super) class: &'a Class,
    pub(super) rendered: &'a Rendered,
    memory: &'a mut RecordMemory,
    pub(super) outcome: &'a mut Outcome,
}

/// An object as it is to be and as it is, and what that asks for.
struct Surveyed {
    manifest: Value,
    live: Option<LiveObject>,
    change: Change,
}

impl Step<'_> {
    /// What is there now under the object's name; that it belongs to somebody else is noted as a problem.
    async fn survey(&mut self, object: &RenderedObject) -> Result<Surveyed, ClusterError> {
        let live = self.live(object).await?;
        let manifest = stamped(object, &self.class.name);
        let change = change(&manifest, live.as_ref(), &self.class.uid, self.class.names.class());
        if let Change::NameConflict { owner } = &change {
            self.conflict(object, owner);
        }
        Ok(Surveyed { manifest, live, change })
    }

    async fn object(&mut self, object: &RenderedObject, surveyed: Surveyed) -> Result<(), ClusterError> {
        let Surveyed { manifest, live, change } = surveyed;
        let to_write = matches!(change, Change::None | Change::Update | Change::Drift(_));
        if let Some(live) = live.as_ref().filter(|_| to_write && object.replicas.is_some()) {
            if !self.make_room(object, live).await? {
                return Ok(());
            }
            if self.finish_birth(object, &manifest, live).await? {
                return self.resize_newest(object, Some(live.clone())).await;
            }
        }
        match change {
            Change::None => self.calm(object),
            Change::Create => return self.create(object, &manifest).await,
            Change::Update => {
                self.apply(object, &manifest, live.as_ref()).await?;
                self.outcome.applied.push(format!("changed {} {}", object.kind.title(), object.name));
            }
            Change::Drift(fields) => self.drift(object, &manifest, live.as_ref(), &fields).await?,
            Change::AwaitDeletion => {
                self.outcome.notes.push(format!("{} {} is being deleted", object.kind.title(), object.name));
                self.again(LOOK_AGAIN);
                return Ok(());
            }
            // Noted by the survey, which ends there.
            Change::NameConflict { .. } => return Ok(()),
        }
        self.resize_newest(object, live).await
    }

    /// By the newest that is known: an apply of just now may have made it newer than the cache.
    async fn resize_newest(&mut self, object: &RenderedObject, live: Option<LiveObject>) -> Result<(), ClusterError> {
        match self.outcome.fresh.get(&key(object)).cloned().or(live) {
            Some(live) if object.replicas.is_some() => self.resize(object, &live).await,
            _ => Ok(()),
        }
    }

    fn failed(&mut self, object: &RenderedObject, error: ClusterError) {
        let name = format!("{} {:?}", object.kind.title(), object.name);
        self.outcome.problem.get_or_insert_with(|| apply_problem(&name, &error));
        self.outcome.error.get_or_insert(error);
    }

    /// The object from the cache or, where the cache has none or is behind our own last write, from the API server.
    async fn live(&mut self, object: &RenderedObject) -> Result<Option<LiveObject>, ClusterError> {
        let key = key(object);
        let cached = self.ctx.caches.get(object.kind, &self.class.namespace, &object.name);
        if let Some(cached) = cached.filter(|cached| !self.memory.is_stale(&key, &cached.meta)) {
            return Ok(Some(cached));
        }
        let live = self.ctx.applier.read(object.kind, &self.class.namespace, &object.name).await?;
        if let Some(live) = &live {
            self.outcome.fresh.insert(key, live.clone());
        }
        Ok(live)
    }

    async fn drift(
        &mut self,
        object: &RenderedObject,
        manifest: &Value,
        live: Option<&LiveObject>,
        fields: &[String],
    ) -> Result<(), ClusterError> {
        let name = format!("{} {}", object.kind.title(), object.name);
        let fields = fields.join(", ");
        match self.memory.correct_drift(&key(object), Instant::now()) {
            Ok(()) => {
                self.apply(object, manifest, live).await?;
                self.outcome.drift.push(format!("{name}: {fields}"));
                self.calm(object);
            }
            Err(pause) => {
                let message = format!(
                    "{name}: others keep changing {fields}, which is put back at longer and longer intervals; find out who (a webhook, another controller) and stop one of the two"
                );
                self.memory.contest(&key(object), &message);
                self.outcome.contested.get_or_insert_with(|| Problem::new("DriftReturns", message));
                self.again(pause);
            }
        }
        Ok(())
    }

    /// What is as it should be may have been fought over until just now: the fight is over when that has lasted.
    fn calm(&mut self, object: &RenderedObject) {
        if let Some((message, left)) = self.memory.contested(&key(object), Instant::now()) {
            self.outcome.contested.get_or_insert_with(|| Problem::new("DriftReturns", message));
            self.again(left);
        }
    }

    pub(super) async fn apply(
        &mut self,
        object: &RenderedObject,
        manifest: &Value,
        live: Option<&LiveObject>,
    ) -> Result<(), ClusterError> {
        let mut manifest = manifest.clone();
        if let (Some(uid), Some(metadata)) = (
            live.and_then(|live| live.meta.uid.as_deref()),
            manifest.get_mut("metadata").and_then(Value::as_object_mut),
        ) {
            metadata.insert("uid".to_owned(), json!(uid));
        }
        let written = self.ctx.applier.apply(object.kind, &self.class.namespace, &object.name, &manifest, true).await?;
        self.wrote(object, written);
        Ok(())
    }

    pub(super) fn wrote(&mut self, object: &RenderedObject, written: LiveObject) {
        self.memory.wrote(key(object), &written.meta);
        self.outcome.fresh.insert(key(object), written);
    }

    fn conflict(&mut self, object: &RenderedObject, owner: &str) {
        let message = format!(
            "{} {:?} exists and belongs to {owner}, not to DeploymentRecord {:?}; rename the record or remove that object",
            object.kind.title(),
            object.name,
            self.class.name
        );
        self.outcome.problem.get_or_insert_with(|| Problem::new("NameConflict", message));
        self.again(LOOK_AGAIN);
    }

    pub(super) fn again(&mut self, after: Duration) {
        self.outcome.look_again = Some(self.outcome.look_again.map_or(after, |before| before.min(after)));
    }
}

async fn prune(ctx: &Context, outcome: &mut Outcome) {
    for child in &outcome.handover.go {
        let name = title(child.kind, child.meta.name.as_deref());
        match ctx.applier.delete(child).await {
            Ok(()) => outcome.pruned.push(format!("removed {name}")),
            Err(error) => {
                let problem =
                    Problem::new("PruneFailed", format!("{name} is no longer wanted and cannot be deleted: {error}"));
                outcome.problem.get_or_insert(problem);
                outcome.error.get_or_insert(error);
            }
        }
    }
}

/// Kind and name of an object as it stands.
pub fn key_of(live: &LiveObject) -> ChildKey {
    (live.kind, live.meta.name.clone().unwrap_or_default())
}

pub(super) fn key(object: &RenderedObject) -> ChildKey {
    (object.kind, object.name.clone())
}
