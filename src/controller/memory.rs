//! What the controller remembers of each record between two looks: only what the cluster does not hold.
//!
//! Losing it (a restart) costs a read or a repeated no-op, never a wrong write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::DeploymentRecordStatus;
use crate::cluster::record::RawRecord;
use crate::render::ObjectKind;

/// Corrections within [`DRIFT_WINDOW`] after which an object is left alone for a while.
const DRIFT_LIMIT: u32 = 3;
/// Corrections further apart than this are not a fight.
const DRIFT_WINDOW: Duration = Duration::from_secs(60);
/// First pause once it is a fight; doubled each time.
const DRIFT_PAUSE: Duration = Duration::from_secs(30);
/// How long a correction must hold before a fight counts as over.
const DRIFT_CALM: Duration = Duration::from_secs(10);
/// Longest pause.
const DRIFT_PAUSE_MAX: Duration = Duration::from_secs(600);

/// Kind and name of a child.
pub type ChildKey = (ObjectKind, String);

/// Memory of all records, by UID.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<String, RecordMemory>>);

/// Memory of one record.
#[derive(Default)]
pub struct RecordMemory {
    /// Failed reconciles in a row.
    pub failures: u32,
    /// Looks in a row that met what others had just written.
    pub stale: u32,
    /// Status as last written, and the record's version that this made: the cache may not show it yet.
    status: Option<(DeploymentRecordStatus, u64)>,
    versions: HashMap<ChildKey, u64>,
    drift: HashMap<ChildKey, Drift>,
}

struct Drift {
    corrections: u32,
    last: Instant,
    /// What was said of it when it was left alone.
    said: Option<String>,
}

impl Memory {
    /// Takes a record's memory out; the caller puts it back. (A record is never reconciled twice at once.)
    pub fn take(&self, uid: &str) -> RecordMemory {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid).unwrap_or_default()
    }

    /// Puts a record's memory back.
    pub fn put(&self, uid: &str, memory: RecordMemory) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), memory);
    }

    /// Counts a failed reconcile; the number of failures in a row.
    pub fn failed(&self, uid: &str) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = all.entry(uid.to_owned()).or_default();
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    }
}

impl RecordMemory {
    /// The status that stands there: the cached one, unless the cache is behind our own last write.
    pub fn status_of(&self, record: &RawRecord) -> DeploymentRecordStatus {
        match (&self.status, version(&record.metadata)) {
            (Some((status, written)), Some(seen)) if seen < *written => status.clone(),
            _ => record.typed_status(),
        }
    }

    /// Notes a status that was written.
    pub fn wrote_status(&mut self, status: DeploymentRecordStatus, meta: &ObjectMeta) {
        self.status = version(meta).map(|version| (status, version));
    }

    /// Notes the version that a write of ours made.
    pub fn wrote(&mut self, key: ChildKey, meta: &ObjectMeta) {
        if let Some(version) = version(meta) {
            self.versions.insert(key, version);
        }
    }

    /// Whether a cached object is older than our own last write to it.
    pub fn is_stale(&self, key: &ChildKey, cached: &ObjectMeta) -> bool {
        matches!((self.versions.get(key), version(cached)), (Some(written), Some(seen)) if seen < *written)
    }

    /// Asks to correct drift at `now`. `Err` is how long to leave the object alone: others keep changing it back.
    pub fn correct_drift(&mut self, key: &ChildKey, now: Instant) -> Result<(), Duration> {
        let drift = self.drift.entry(key.clone()).or_insert(Drift { corrections: 0, last: now, said: None });
        let since = now.saturating_duration_since(drift.last);
        if drift.corrections >= DRIFT_LIMIT {
            let doublings = (drift.corrections - DRIFT_LIMIT).min(5);
            let pause = (DRIFT_PAUSE * 2_u32.pow(doublings)).min(DRIFT_PAUSE_MAX);
            if since < pause {
                return Err(pause.saturating_sub(since));
            }
        }
        let calm = since > DRIFT_WINDOW.max(DRIFT_PAUSE_MAX * u32::from(drift.corrections >= DRIFT_LIMIT));
        drift.corrections = if calm { 1 } else { drift.corrections.saturating_add(1) };
        if calm {
            drift.said = None;
        }
        drift.last = now;
        Ok(())
    }

    /// Notes what is said of an object that others keep changing.
    pub fn contest(&mut self, key: &ChildKey, message: &str) {
        if let Some(drift) = self.drift.get_mut(key) {
            drift.said = Some(message.to_owned());
        }
    }

    /// Whether an object that is as it should be was fought over until just now: what was said of it, and when the
    /// correction will have held long enough.
    pub fn contested(&self, key: &ChildKey, now: Instant) -> Option<(String, Duration)> {
        let drift = self.drift.get(key)?;
        let left = DRIFT_CALM.saturating_sub(now.saturating_duration_since(drift.last));
        drift.said.clone().filter(|_| !left.is_zero()).map(|said| (said, left))
    }
}

/// Resource versions are ordered numbers for every API server that there is; one that is not is never stale.
fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::{Memory, RecordMemory};
    use crate::render::ObjectKind;

    fn key() -> (ObjectKind, String) {
        (ObjectKind::Deployment, "d".to_owned())
    }

    fn at(version: &str) -> ObjectMeta {
        ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() }
    }

    #[test]
    fn a_cache_behind_our_own_write_is_stale() {
        let mut memory = RecordMemory::default();
        memory.wrote(key(), &at("100"));
        assert!(memory.is_stale(&key(), &at("99")));
        assert!(!memory.is_stale(&key(), &at("100")));
        assert!(!memory.is_stale(&key(), &at("101")));
    }

    #[test]
    fn drift_that_returns_is_corrected_three_times_and_then_left_for_a_while() {
        let mut memory = RecordMemory::default();
        let start = Instant::now();
        for second in 0..3 {
            assert!(memory.correct_drift(&key(), start + Duration::from_secs(second)).is_ok(), "{second}");
        }
        assert_eq!(memory.correct_drift(&key(), start + Duration::from_secs(3)), Err(Duration::from_secs(29)));
        assert!(memory.correct_drift(&key(), start + Duration::from_secs(33)).is_ok());
        assert_eq!(memory.correct_drift(&key(), start + Duration::from_secs(34)), Err(Duration::from_secs(59)));
    }

    #[test]
    fn a_fight_is_over_once_a_correction_has_held() {
        let mut memory = RecordMemory::default();
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for second in 0..3 {
            memory.correct_drift(&key(), at(second)).unwrap();
            assert_eq!(memory.contested(&key(), at(second)), None);
        }
        assert!(memory.correct_drift(&key(), at(3)).is_err());
        memory.contest(&key(), "others");
        assert!(memory.correct_drift(&key(), at(40)).is_ok());
        assert_eq!(memory.contested(&key(), at(41)), Some(("others".to_owned(), Duration::from_secs(9))));
        assert_eq!(memory.contested(&key(), at(50)), None);
    }

    #[test]
    fn drift_far_apart_is_always_corrected() {
        let mut memory = RecordMemory::default();
        let start = Instant::now();
        for hour in 0..20 {
            assert!(memory.correct_drift(&key(), start + Duration::from_secs(3600 * hour)).is_ok(), "{hour}");
        }
    }

    #[test]
    fn failures_are_counted_until_they_are_reset() {
        let memory = Memory::default();
        assert_eq!((memory.failed("a"), memory.failed("a"), memory.failed("b")), (1, 2, 1));
        let mut one = memory.take("a");
        one.failures = 0;
        memory.put("a", one);
        assert_eq!(memory.failed("a"), 1);
    }
}
