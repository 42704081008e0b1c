//! What a run comes to.

use serde::Serialize;

use super::run::{Mark, Run};

/// What a run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Minutes in which more was asked for than the ready pods could serve.
    pub violation_minutes: f64,
    /// Hours that replicas were there, or on their way.
    pub replica_hours: f64,
    /// Changes of the number of replicas.
    pub actuations: u32,
    /// The largest change, replicas.
    pub largest_step: f64,
    /// Minutes at the most replicas that there may be.
    pub minutes_at_cap: f64,
    /// Core-hours that were given up because they waited too long.
    pub lost_core_hours: f64,
    /// Core-hours that were asked for.
    pub asked_core_hours: f64,
}

impl Figures {
    /// Names and units, in the order of the table and of a gate's variables.
    pub const NAMES: [(&'static str, &'static str); 7] = [
        ("violation_minutes", "min"),
        ("replica_hours", "h"),
        ("actuations", ""),
        ("largest_step", "replicas"),
        ("minutes_at_cap", "min"),
        ("lost_core_hours", "core-h"),
        ("asked_core_hours", "core-h"),
    ];

    /// The values in the order of [`Figures::NAMES`].
    pub fn values(&self) -> [f64; 7] {
        [
            self.violation_minutes,
            self.replica_hours,
            f64::from(self.actuations),
            self.largest_step,
            self.minutes_at_cap,
            self.lost_core_hours,
            self.asked_core_hours,
        ]
    }

    /// Those of several classes together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            violation_minutes: self.violation_minutes + other.violation_minutes,
            replica_hours: self.replica_hours + other.replica_hours,
            actuations: self.actuations + other.actuations,
            largest_step: self.largest_step.max(other.largest_step),
            minutes_at_cap: self.minutes_at_cap + other.minutes_at_cap,
            lost_core_hours: self.lost_core_hours + other.lost_core_hours,
            asked_core_hours: self.asked_core_hours + other.asked_core_hours,
        }
    }
}

/// A decision that another bundle makes otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// Name of the class.
    pub class: String,
    /// Seconds since the epoch.
    pub at: i64,
    /// What the base makes of it.
    pub base: Side,
    /// What the candidate makes of it.
    pub candidate: Side,
}

/// What one of two makes of a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Replicas; nothing where it leaves them.
    pub replicas: Option<f64>,
    /// The rule that had the last word about it, or that held.
    pub by: String,
}

/// The decisions of two runs over one load that differ: made by one alone, or with another target.
pub fn flips(base: &Run, candidate: &Run) -> Vec<Flip> {
    let (mut left, mut right) = (base.marks.iter().peekable(), candidate.marks.iter().peekable());
    let (mut all, of) = (Vec::new(), &candidate.name);
    loop {
        let at = match (left.peek(), right.peek()) {
            (None, None) => return all,
            (Some(one), None) | (None, Some(one)) => one.at,
            (Some(one), Some(other)) => one.at.min(other.at),
        };
        let of_base = left.next_if(|mark| mark.at == at);
        let of_candidate = right.next_if(|mark| mark.at == at);
        let same = of_base.zip(of_candidate).is_some_and(|(one, other)| one.to == other.to);
        if !same {
            let (base, candidate) = (side(base, of_base, at), side(candidate, of_candidate, at));
            all.push(Flip { class: of.clone(), at, base, candidate });
        }
    }
}

/// A change, or what held at its moment.
fn side(run: &Run, mark: Option<&Mark>, at: i64) -> Side {
    if let Some(mark) = mark {
        return Side { replicas: Some(mark.to), by: mark.by.clone() };
    }
    let next = run.holds.partition_point(|(since, _)| *since <= at);
    let held = next.checked_sub(1).and_then(|last| run.holds.get(last));
    Side { replicas: None, by: held.map_or_else(|| "no change".to_owned(), |(_, by)| by.clone()) }
}
