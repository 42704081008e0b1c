//! Whether a class has what a basis gives it: asked where it is lost what it was decided by.

use crate::cluster::caches::Caches;
use crate::controller::change::{Change, change, stamped};
use crate::controller::resize::scaled;
use crate::controller::scaling::{Aim, ScaleChange, scale};
use crate::render::{ObjectKind, render};
use crate::rollout::{Basis, LiveClass};

/// Whether no object of the class would be written or removed. What others changed, and what is not there (or not
/// ours), is no reason to wait: putting it back is no change of the policy.
pub(super) fn fits(caches: &Caches, basis: &Basis, live: &LiveClass) -> bool {
    let Some(class) = &live.class else { return true };
    let decision = basis.decide(class, live.current.as_deref());
    let Some(rendered) = decision.plan().and_then(|plan| render(class, plan, basis.render()).ok()) else { return true };
    let same = rendered.objects.iter().all(|object| {
        let found = caches.get(object.kind, &class.namespace, &object.name);
        let manifest = stamped(object, &class.name);
        change(&manifest, found.as_ref(), &class.uid, class.names.class()) != Change::Update
            // The number of replicas, which no hash of the manifest tells of.
            && Aim::of(object, class.lets_scale()).zip(found).is_none_or(|(aim, found)| {
                !matches!(scale(&aim, &found, &scaled(caches, class, &rendered, object)), ScaleChange::Set(_))
            })
    });
    let wanted = |kind: ObjectKind, name: Option<&str>| {
        rendered.objects.iter().any(|object| object.kind == kind && Some(object.name.as_str()) == name)
    };
    let children = caches.children(&class.namespace, &class.uid, class.names.class());
    same && children.iter().all(|child| wanted(child.kind, child.meta.name.as_deref()))
}
