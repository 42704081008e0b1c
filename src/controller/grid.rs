//! Data grids are asked how they are, beside the reconciles: what they say is kept in memory, and a record is looked at
//! again only where it would now say something else.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::status::Problem;
use crate::api::{OdgmStatus, Phase};
use crate::cluster::caches::Caches;
use crate::cluster::grid::{GridHealth, Prober};
use crate::cluster::record::RawRecord;
use crate::model::Names;

/// Grids that are asked at once.
const CONCURRENCY: usize = 8;
/// Answers in a row that must be missing before what was said counts no more.
const PATIENCE: u32 = 3;

/// What is known of each record's data grid, by UID.
#[derive(Default)]
pub struct Grids(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    /// What holds, once it is settled; what the status says holds until then, so that a restart changes nothing.
    settled: Option<GridHealth>,
    /// Answers missing in a row.
    missing: u32,
}

impl Grids {
    /// What a record's data grid says, where its status says `standing`.
    pub fn of(&self, uid: &str, standing: Option<&OdgmStatus>) -> GridHealth {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = all.get(uid).and_then(|known| known.settled.clone());
        settled.unwrap_or_else(|| standing.map(GridHealth::of).unwrap_or_default())
    }

    /// Notes an answer, or that there was none; whether something else holds now than before.
    fn hear(&self, uid: &str, answer: Option<GridHealth>, standing: &OdgmStatus) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(uid.to_owned()).or_default();
        let before = known.settled.clone().unwrap_or_else(|| GridHealth::of(standing));
        if let Some(health) = answer {
            *known = Known { settled: Some(health), missing: 0 };
        } else {
            known.missing = known.missing.saturating_add(1);
            if known.missing >= PATIENCE {
                known.settled = Some(GridHealth::default());
            }
        }
        known.settled.as_ref().is_some_and(|now| *now != before)
    }

    /// Forgets all others.
    fn keep(&self, uids: &HashSet<&str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| uids.contains(uid.as_str()));
    }
}

/// What keeps a class from being as it should be, by what its data grid says; `workload` is the grid's.
pub fn problem(odgm: &OdgmStatus, workload: &str) -> Option<Problem> {
    if let Some(partitions) = &odgm.partitions {
        let lost = partitions.total.zip(partitions.healthy).map_or(0, |(total, healthy)| total - healthy);
        let names = &partitions.degraded;
        if lost > 0 || !names.is_empty() {
            let many = if lost > 0 { lost.to_string() } else { names.len().to_string() };
            let of = partitions.total.map(|total| format!(" of {total}")).unwrap_or_default();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            let message = format!(
                "partitions of the data grid that are not healthy, as it says itself: {many}{of}{names}; look at the pods \
                 of Deployment {workload}"
            );
            return Some(Problem::new("OdgmPartitionsDegraded", message));
        }
    }
    let headless = odgm.leader.as_deref() == Some("");
    let message = || format!("the data grid says that it has no leader; look at the pods of Deployment {workload}");
    headless.then(|| Problem::new("OdgmNoLeader", message()))
}

/// Asks the data grids of all records, again and again.
pub struct GridLoop {
    /// Records.
    pub caches: Caches,
    /// Where answers are kept.
    pub grids: Arc<Grids>,
    /// Who asks.
    pub prober: Arc<dyn Prober>,
    /// Pause between two rounds.
    pub every: Duration,
    /// Asks for a look at a record.
    pub relook: mpsc::UnboundedSender<ObjectRef<RawRecord>>,
}

/// A data grid that can be asked.
struct Grid {
    uid: String,
    record: ObjectRef<RawRecord>,
    namespace: String,
    service: String,
    standing: OdgmStatus,
}

impl GridLoop {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let rounds = async {
            loop {
                tokio::time::sleep(self.every).await;
                self.round().await;
            }
        };
        let _ = shutdown.run_until_cancelled(rounds).await;
    }

    async fn round(&self) {
        let records = self.caches.records.state();
        let all: Vec<(bool, Grid)> = records.iter().filter_map(|record| grid(record)).collect();
        self.grids.keep(&all.iter().map(|(_, grid)| grid.uid.as_str()).collect());
        let settled = all.into_iter().filter_map(|(settled, grid)| settled.then_some(grid));
        let asked = futures::stream::iter(settled).map(|grid| async move {
            let answer = self.prober.ask(&grid.namespace, &grid.service).await;
            (grid, answer)
        });
        let mut asked = std::pin::pin!(asked.buffer_unordered(CONCURRENCY));
        while let Some((grid, answer)) = asked.next().await {
            if self.grids.hear(&grid.uid, answer, &grid.standing) {
                // Nobody listens any more where the controller ends.
                let _ = self.relook.send(grid.record);
            }
        }
    }
}

/// The data grid of a record, where pods of it are ready, and whether the class has come to rest.
fn grid(record: &RawRecord) -> Option<(bool, Grid)> {
    record.status.get("odgm")?;
    let status = record.typed_status();
    let standing = status.odgm.filter(|odgm| odgm.ready_replicas > 0)?;
    let settled = matches!(status.phase, Some(Phase::Available | Phase::Degraded));
    let (name, namespace) = (record.metadata.name.as_deref()?, record.metadata.namespace.as_deref()?);
    let grid = Grid {
        uid: record.metadata.uid.clone()?,
        record: ObjectRef::new(name).within(namespace),
        namespace: namespace.to_owned(),
        service: Names::new(name, std::iter::empty()).odgm_service(),
        standing,
    };
    Some((settled, grid))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::{Grids, PATIENCE, grid, problem};
    use crate::api::{OdgmPartitions, OdgmStatus};
    use crate::cluster::grid::GridHealth;
    use crate::cluster::record::RawRecord;

    fn led(leader: &str) -> GridHealth {
        GridHealth { leader: Some(leader.to_owned()), partitions: None }
    }

    fn standing(leader: Option<&str>) -> OdgmStatus {
        OdgmStatus { leader: leader.map(str::to_owned), ..OdgmStatus::default() }
    }

    #[test]
    fn an_answer_is_news_once() {
        let (grids, none) = (Grids::default(), standing(None));
        assert!(grids.hear("u", Some(led("1")), &none));
        assert!(!grids.hear("u", Some(led("1")), &none), "whatever the status says meanwhile");
        assert!(grids.hear("u", Some(led("2")), &none));
        assert_eq!(grids.of("u", None), led("2"));
    }

    #[test]
    fn after_a_restart_what_the_status_says_holds_and_the_same_answer_is_no_news() {
        let (grids, said) = (Grids::default(), standing(Some("1")));
        assert_eq!(grids.of("u", Some(&said)), led("1"));
        assert!(!grids.hear("u", Some(led("1")), &said));
        assert!(Grids::default().hear("u", Some(led("2")), &said));
    }

    #[test]
    fn what_was_said_counts_until_answers_are_missing_again_and_again() {
        let (grids, said) = (Grids::default(), standing(Some("1")));
        for _ in 1..PATIENCE {
            assert!(!grids.hear("u", None, &said));
        }
        assert_eq!(grids.of("u", Some(&said)), led("1"));
        assert!(grids.hear("u", None, &said));
        assert_eq!(grids.of("u", Some(&said)), GridHealth::default());
        assert!(!grids.hear("u", None, &said), "silence is news once");
        assert!(grids.hear("u", Some(led("1")), &standing(None)));
        assert!(!grids.hear("u", None, &standing(Some("1"))), "an answer begins the count anew");
    }

    #[test]
    fn a_grid_that_never_answers_is_never_news() {
        let grids = Grids::default();
        assert!((0..10).all(|_| !grids.hear("u", None, &standing(None))));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let grids = Grids::default();
        grids.hear("a", Some(led("1")), &standing(None));
        grids.hear("b", Some(led("2")), &standing(None));
        grids.keep(&HashSet::from(["b"]));
        assert_eq!((grids.of("a", None), grids.of("b", None)), (GridHealth::default(), led("2")));
    }

    fn partitions(total: Option<i32>, healthy: Option<i32>, degraded: &[&str]) -> OdgmStatus {
        let degraded = degraded.iter().map(ToString::to_string).collect();
        OdgmStatus { partitions: Some(OdgmPartitions { total, healthy, degraded }), ..OdgmStatus::default() }
    }

    #[test]
    fn partitions_that_are_not_healthy_are_a_problem_that_names_them() {
        for (status, part) in [
            (
                partitions(Some(8), Some(6), &["a/1", "a/2"]),
                "itself: 2 of 8 (a/1, a/2); look at the pods of Deployment s",
            ),
            (partitions(Some(8), Some(6), &[]), "itself: 2 of 8; look"),
            (partitions(None, None, &["a/1"]), "itself: 1 (a/1); look"),
            (partitions(Some(8), Some(8), &["a/1"]), "itself: 1 of 8 (a/1); look"),
        ] {
            let problem = problem(&status, "s").unwrap();
            assert_eq!(problem.reason, "OdgmPartitionsDegraded");
            assert!(problem.message.contains(part), "{}", problem.message);
        }
        for fine in [partitions(Some(8), Some(8), &[]), partitions(Some(8), None, &[]), OdgmStatus::default()] {
            assert_eq!(problem(&fine, "s"), None, "{fine:?}");
        }
    }

    #[test]
    fn no_leader_is_a_problem_and_nothing_said_of_it_is_none() {
        assert_eq!(problem(&standing(Some("")), "s").unwrap().reason, "OdgmNoLeader");
        assert_eq!((problem(&standing(Some("1")), "s"), problem(&standing(None), "s")), (None, None));
    }

    fn record(status: &Value) -> RawRecord {
        let metadata = json!({"name": "shop.eu", "namespace": "team", "uid": "u"});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    #[test]
    fn only_grids_with_ready_pods_of_classes_at_rest_are_asked() {
        let with = |phase: &str, ready: i32| {
            let record = record(&json!({"phase": phase, "odgm": {"replicas": 1, "ready_replicas": ready}}));
            grid(&record).map(|(settled, _)| settled)
        };
        assert_eq!((with("Available", 1), with("Degraded", 1)), (Some(true), Some(true)));
        assert_eq!((with("Progressing", 1), with("Available", 0)), (Some(false), None));
        assert!(grid(&record(&json!({"phase": "Available"}))).is_none());
        assert!(grid(&record(&Value::Null)).is_none());
    }

    #[test]
    fn a_grid_is_asked_at_the_service_that_is_rendered_for_it() {
        let (_, grid) = grid(&record(&json!({"phase": "Available", "odgm": {"ready_replicas": 1}}))).unwrap();
        let class = crate::model::Names::new("shop.eu", ["f"]);
        assert_eq!((grid.namespace.as_str(), grid.service.as_str()), ("team", class.odgm_service().as_str()));
    }
}
