//! Writes the number of replicas of a rendered object, beside its other fields.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::children::{LOOK_AGAIN, STALE_TRIES, Step, key};
use super::handover::function_of;
use super::scaling::{Aim, ScaleChange, Scaled, scale, unclaimed, unreleased};
use crate::cluster::ClusterError;
use crate::cluster::autoscalers::Scaler;
use crate::cluster::caches::{Caches, LiveObject};
use crate::cluster::ownership::belongs_to;
use crate::cluster::scale::{Enforced, Hold, Holder, Owned, Reach, holder, number};
use crate::model::{Class, names};
use crate::render::{Component, ObjectKind, Rendered, RenderedObject, min_scale};

/// Stands for a rule where an autoscaler left the number.
const HANDED_BACK: &str = "handed-back";
/// Stands for a rule where an object is born with what stood before it.
const CARRIED_OVER: &str = "carried-over";

impl Step<'_> {
    /// Birth: everything by `oprc-crm`, the same number by `oprc-crm-scale`, then everything without the number. The
    /// number is owned by the scale manager from then on and never passes through the default.
    pub(super) async fn create(&mut self, object: &RenderedObject, manifest: &Value) -> Result<(), ClusterError> {
        let number = object.replicas.zip(object.kind.scale_field());
        let number = number.map(|(base, field)| (self.first(object, base), field));
        let mut whole = manifest.clone();
        if let (Some((first, field)), Some(spec)) = (number, whole.get_mut("spec").and_then(Value::as_object_mut)) {
            spec.insert(field.to_owned(), json!(first));
        }
        // Not forced: what somebody else made in this very moment is not taken over.
        let born = self.ctx.applier.apply(object.kind, &self.class.namespace, &object.name, &whole, false).await?;
        self.wrote(object, born.clone());
        self.outcome.applied.push(format!("created {} {}", object.kind.title(), object.name));
        if let Some((first, _)) = number {
            self.set_scale(object, &born, &self.born(object, first), Reach::Lenient).await?;
            self.apply(object, manifest, Some(&born)).await?;
        }
        Ok(())
    }

    /// What an object starts with: a Deployment that comes back under its autoscaler, with what that last asked for; else,
    /// where the record lets the enforcer change replicas, with no less than there was before.
    fn first(&self, object: &RenderedObject, base: u32) -> u32 {
        let mut most = self.aim(object).map_or(u32::MAX, |aim| aim.most);
        if object.kind == ObjectKind::Deployment {
            let scalers = self.ctx.caches.scalers(&self.class.namespace, &object.name);
            let had = |one: &Scaler| one.last.map(|last| last.min(one.max_replicas).max(one.min_replicas));
            if let Some(had) = scalers.iter().filter_map(had).max() {
                return had;
            }
            let its = |one: &&RenderedObject| one.kind == ObjectKind::Autoscaler && one.name == object.name;
            let rendered = self.rendered.objects.iter().filter(its).filter_map(|one| self.aim(one)).map(|aim| aim.most);
            most = rendered.chain(scalers.iter().map(|one| one.max_replicas)).fold(most, u32::min);
        }
        let Component::Function(key) = &object.component else { return base };
        let applied = self.class.last_applied_replicas(key);
        let before = applied.into_iter().chain(self.outgoing(key)).max();
        let most = most.min(self.ctx.max_replicas);
        before.filter(|_| self.class.lets_scale()).map_or(base, |before| before.min(most).max(base))
    }

    /// The number that a function's workloads have which are no longer rendered.
    fn outgoing(&self, key: &str) -> Option<u32> {
        let class = self.class;
        let mut old = self.ctx.caches.children(&class.namespace, &class.uid, class.names.class());
        let label = names::label_value(key);
        let rendered = |old: &LiveObject| {
            self.rendered.objects.iter().any(|one| one.kind == old.kind && Some(&one.name) == old.meta.name.as_ref())
        };
        old.retain(|old| function_of(old) == Some(&label) && !rendered(old));
        old.iter().filter_map(left_by).max()
    }

    /// How `oprc-crm-scale` is to own the number of a birth.
    fn born(&self, object: &RenderedObject, number: u32) -> Owned {
        match scaled(&self.ctx.caches, self.class, self.rendered, object) {
            Scaled::Not => self.kept(object, number, CARRIED_OVER),
            Scaled::ByOurs | Scaled::ByOthers(_) => Owned::base(number),
        }
    }

    /// Ends a birth that was cut short: shares the number before `oprc-crm` lets go of it. Whether there was one.
    pub(super) async fn finish_birth(
        &mut self,
        object: &RenderedObject,
        manifest: &Value,
        live: &LiveObject,
    ) -> Result<bool, ClusterError> {
        if !unreleased(live) {
            return Ok(false);
        }
        if let Some(number) = unclaimed(live) {
            self.set_scale(object, live, &self.born(object, number), Reach::Lenient).await?;
        }
        self.apply(object, manifest, Some(live)).await?;
        Ok(true)
    }

    /// A maximum that is lowered needs the minimum lowered first. `false` where the minimum stays above it, because
    /// somebody else set it: then the maximum must wait.
    pub(super) async fn make_room(&mut self, object: &RenderedObject, live: &LiveObject) -> Result<bool, ClusterError> {
        let most = self.aim(object).map_or(i64::MAX, |aim| i64::from(aim.most));
        if object.kind != ObjectKind::Autoscaler || number(live) <= most {
            return Ok(true);
        }
        self.resize(object, live).await?;
        let newest = self.outcome.fresh.get(&key(object)).unwrap_or(live);
        Ok(number(newest) <= most)
    }

    /// Scales by the newest object: between our apply and this, the cluster's own controllers write to it too.
    pub(super) async fn resize(&mut self, object: &RenderedObject, live: &LiveObject) -> Result<(), ClusterError> {
        let mut newest = live.clone();
        for _ in 0..STALE_TRIES {
            let stale = match self.rescale(object, &newest).await {
                Err(ClusterError::Stale(message)) => ClusterError::Stale(message),
                result => return result,
            };
            let found = self.ctx.applier.read(object.kind, &self.class.namespace, &object.name).await?;
            // Another object under the same name is the next look's to judge.
            newest = found.filter(|found| found.meta.uid == live.meta.uid).ok_or(stale)?;
            self.wrote(object, newest.clone());
        }
        self.rescale(object, &newest).await
    }

    async fn rescale(&mut self, object: &RenderedObject, live: &LiveObject) -> Result<(), ClusterError> {
        let Some(aim) = self.aim(object) else { return Ok(()) };
        let title = format!("{} {}", object.kind.title(), object.name);
        let change = scale(&aim, live, &scaled(&self.ctx.caches, self.class, self.rendered, object));
        let note = change.note(object.kind, &object.name, aim.base.min(aim.most));
        match change {
            ScaleChange::Set(owned) => {
                // Where others share the number, it was agreed upon: the record may change it.
                self.set_scale(object, live, &owned, Reach::Forced).await?;
                self.outcome.applied.push(format!("scaled {title} to {}", owned.replicas));
            }
            ScaleChange::Agree(owned) => self.set_scale(object, live, &owned, Reach::Seen).await?,
            ScaleChange::TakeBack(there) => self.take_back(object, live, there).await?,
            ScaleChange::Forget(Some(there)) => self.set_scale(object, live, &Owned::base(there), Reach::Seen).await?,
            ScaleChange::Forget(None) => {
                let written = self.ctx.applier.forget_scale(live).await?;
                self.wrote(object, written);
            }
            ScaleChange::Held { by, replicas } if aim.enforced => self.note_hold(object, live, &by, replicas).await?,
            ScaleChange::None | ScaleChange::Unreadable(_) | ScaleChange::Held { .. } => {}
            // One that turns to another workload tells of that one: its old one is looked at now and then.
            ScaleChange::Left(_) => self.again(LOOK_AGAIN),
        }
        self.outcome.held.extend(note);
        Ok(())
    }

    /// What came through the scale subresource carries no time. Since when it is held is written beside it, once: the
    /// policy says after how long the enforcer goes on.
    async fn note_hold(
        &mut self,
        object: &RenderedObject,
        live: &LiveObject,
        by: &str,
        replicas: i64,
    ) -> Result<(), ClusterError> {
        if Hold::read(live).is_none_or(|hold| hold.by != by) {
            let hold = Hold { since: now(), by: by.to_owned(), replicas };
            let written = self.ctx.applier.note_hold(live, &hold).await?;
            self.wrote(object, written);
        }
        Ok(())
    }

    /// An autoscaler left the number. The cluster itself is asked: to force by a cache that is behind would be to fight.
    async fn take_back(&mut self, object: &RenderedObject, live: &LiveObject, there: u32) -> Result<(), ClusterError> {
        if self.ctx.applier.is_scaled(&self.class.namespace, &object.name).await? {
            return Ok(());
        }
        self.set_scale(object, live, &self.kept(object, there, HANDED_BACK), Reach::Forced).await?;
        self.outcome.taken.push(format!(
            "took replicas of {} {} back at {there}: the HorizontalPodAutoscaler that set them is gone",
            object.kind.title(),
            object.name
        ));
        Ok(())
    }

    /// A number that was there before. Where the enforcer may change it, it is held as if it were the enforcer's: a load that
    /// needed so many a moment ago is not left with the record's few, and what is too many goes by the safeguards.
    fn kept(&self, object: &RenderedObject, there: u32, why: &str) -> Owned {
        let above = self.aim(object).is_some_and(|aim| aim.enforced && there > aim.base);
        if !above {
            return Owned::base(there);
        }
        let revision = self.ctx.judgement.state().target().policy().revision().to_owned();
        Owned::enforced(Enforced { at: now(), target: there, rule: why.to_owned(), revision })
    }

    /// What is wanted of an object's number.
    fn aim(&self, object: &RenderedObject) -> Option<Aim> {
        Aim::of(object, self.class.lets_scale())
    }

    async fn set_scale(
        &mut self,
        object: &RenderedObject,
        live: &LiveObject,
        owned: &Owned,
        reach: Reach,
    ) -> Result<(), ClusterError> {
        let written = self.ctx.applier.scale(live, owned, reach).await?;
        self.wrote(object, written);
        Ok(())
    }
}

/// The number of a workload that is no longer rendered. What only followed from the record follows from what the record
/// says now.
fn left_by(old: &LiveObject) -> Option<u32> {
    match old.kind {
        ObjectKind::KnativeService => min_scale(&old.content),
        ObjectKind::Deployment if holder(old).0 == Holder::Ours => {
            Enforced::read(old).ok().flatten().map(|said| said.target)
        }
        ObjectKind::Deployment => u32::try_from(number(old)).ok(),
        ObjectKind::Service
        | ObjectKind::Autoscaler
        | ObjectKind::PodDisruptionBudget
        | ObjectKind::ServiceMonitor
        | ObjectKind::PodMonitor => None,
    }
}

/// Whole seconds, as the API server writes times.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Who scales an object of a class besides us.
pub(super) fn scaled(caches: &Caches, class: &Class, rendered: &Rendered, object: &RenderedObject) -> Scaled {
    if object.kind != ObjectKind::Deployment {
        return Scaled::Not;
    }
    let is_its = |other: &RenderedObject| other.kind == ObjectKind::Autoscaler && other.name == object.name;
    if rendered.objects.iter().any(is_its) {
        return Scaled::ByOurs;
    }
    let scalers = caches.scalers(&class.namespace, &object.name);
    let ours = |one: &&Scaler| belongs_to(&one.meta, &class.uid, class.names.class());
    match scalers.iter().find(|one| !ours(one)) {
        Some(other) => Scaled::ByOthers(other.name().to_owned()),
        None if scalers.is_empty() => Scaled::Not,
        None => Scaled::ByOurs,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::{LiveObject, ObjectKind, left_by};

    #[test]
    fn of_what_is_no_longer_rendered_counts_what_did_not_follow_from_the_record() {
        let live = |kind: ObjectKind, content: Value| LiveObject {
            kind,
            meta: serde_json::from_value(content["metadata"].clone()).unwrap(),
            content,
        };
        let scale =
            |at: &str| json!({"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": at}}}});
        let knative = |at: &str| left_by(&live(ObjectKind::KnativeService, json!({"metadata": {}, "spec": scale(at)})));
        assert_eq!((knative("6"), knative("x")), (Some(6), None));
        let deployment = |manager: &str, said: Option<&str>| {
            let fields = json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
            let meta =
                json!({"managedFields": [fields], "annotations": said.map(|said| json!({"oaas.io/enforced": said}))});
            left_by(&live(ObjectKind::Deployment, json!({"metadata": meta, "spec": {"replicas": 7}})))
        };
        let said = r#"{"at":"2026-01-01T00:00:00Z","target":7,"rule":"r","revision":"r"}"#;
        assert_eq!(deployment("oprc-crm-scale", None), None, "the record's own number");
        assert_eq!(deployment("oprc-crm-scale", Some(said)), Some(7));
        assert_eq!(deployment("kube-controller-manager", None), Some(7), "an autoscaler's");
    }
}
