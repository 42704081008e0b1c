//! One number, written: only by who has the right at that moment, and only while the object is what it was when it was
//! decided about.

use crate::api::ANNOTATION_ENFORCED;
use crate::cluster::ClusterError;
use crate::cluster::apply::Applier;
use crate::cluster::caches::LiveObject;
use crate::cluster::right::Right;
use crate::cluster::scale::{Owned, Reach, holder, is_shared, number};
use crate::render::ObjectKind;

/// Writes numbers.
pub struct Pen<'a> {
    /// Writes to the API server.
    pub applier: &'a Applier,
    /// The right to write.
    pub right: &'a Right,
}

/// Why a number was not written.
#[derive(Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// The right to write was gone by then.
    NoRight,
    /// It could not be written.
    Failed(ClusterError),
}

impl From<ClusterError> for Unwritten {
    fn from(error: ClusterError) -> Self {
        Self::Failed(error)
    }
}

impl Pen<'_> {
    /// Writes the number of an object that was seen before anything was measured. `newest` finds the object whose number
    /// counts now: the status of an autoscaler changes several times a minute, and that alone is no reason not to write.
    pub async fn write(
        &self,
        seen: &LiveObject,
        (owned, reach): (&Owned, Reach),
        newest: impl Fn() -> Option<LiveObject>,
    ) -> Result<(), Unwritten> {
        let now = newest().filter(|now| is_same(seen, now)).ok_or_else(changed)?;
        let name = (now.meta.namespace.as_deref().unwrap_or_default(), now.meta.name.as_deref().unwrap_or_default());
        // To force by a cache that is behind would be to fight an autoscaler that somebody made just now.
        if now.kind == ObjectKind::Deployment
            && reach == Reach::Forced
            && self.applier.is_scaled(name.0, name.1).await?
        {
            return Err(changed().into());
        }
        let stale = match self.put(&now, (owned, reach)).await {
            Err(Unwritten::Failed(ClusterError::Stale(message))) => ClusterError::Stale(message),
            result => return result,
        };
        let found = self.applier.read(now.kind, name.0, name.1).await?;
        let found = found.filter(|found| is_same(seen, found) && newest().is_some_and(|one| one.kind == seen.kind));
        self.put(&found.ok_or(stale)?, (owned, reach)).await
    }

    async fn put(&self, now: &LiveObject, (owned, reach): (&Owned, Reach)) -> Result<(), Unwritten> {
        if !self.right.is_held() {
            return Err(Unwritten::NoRight);
        }
        self.applier.scale(now, owned, reach).await?;
        Ok(())
    }
}

fn changed() -> ClusterError {
    ClusterError::Stale("its number, who set it, or what scales it is not what it was when it was looked at".to_owned())
}

/// Whether an object is still what was decided about: the same one, with the same number by the same hand.
pub(super) fn is_same(seen: &LiveObject, now: &LiveObject) -> bool {
    let of = |live: &LiveObject| {
        let said = live.meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_ENFORCED)).cloned();
        let most = live.content.pointer("/spec/maxReplicas").cloned();
        let whose = (holder(live).0, is_shared(live), said);
        (live.kind, live.meta.uid.clone(), number(live), most, whose)
    };
    now.meta.deletion_timestamp.is_none() && of(seen) == of(now)
}
