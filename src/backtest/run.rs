//! One scaler over one load.

use super::figures::Figures;
use super::plant::{Assumptions, Plant, Served};
use super::scaler::{Scaler, Seen, Verdict, next_multiple};
use super::{Demand, Unit};

/// How finely time is cut at the least, seconds.
const TICK: i64 = 15;

/// A change of the number of replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Seconds since the epoch.
    pub at: i64,
    /// Before.
    pub from: f64,
    /// After.
    pub to: f64,
    /// What had the last word.
    pub by: String,
}

/// How it stood at a step of the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds since the epoch.
    pub at: i64,
    /// Cores that were asked for, without what waited; nothing where nothing was recorded.
    pub demand: Option<f64>,
    /// Cores that the ready pods had in its mean.
    pub capacity: f64,
    /// Replicas that there are to be at its end.
    pub replicas: f64,
    /// More was asked for, with what waited, than could be served.
    pub violated: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Name of the class.
    pub name: String,
    /// Its figures.
    pub figures: Figures,
    /// Every change.
    pub marks: Vec<Mark>,
    /// What left the number as it was, and since when, seconds since the epoch; from there on to the next of them.
    pub holds: Vec<(i64, String)>,
    /// Every step, where they are asked for.
    pub steps: Vec<Step>,
}

/// Lets a scaler decide over a load from its first step to its last. `kept` keeps every step too, for a chart.
pub fn run(
    demand: &Demand,
    unit: Unit,
    assume: &Assumptions,
    (scaler, start): (&mut dyn Scaler, f64),
    kept: bool,
) -> Run {
    let mut plant = Plant::new(*assume, start);
    let mut run = Run { name: demand.name.clone(), ..Run::default() };
    let per_unit = if unit == Unit::Rps { assume.cores_per_rps } else { 1.0 };
    for (index, value) in demand.values.iter().enumerate() {
        let begin = demand.start + i64::try_from(index).unwrap_or(i64::MAX) * demand.step;
        let cores = value.map(|value| value * per_unit);
        let rps = value.filter(|_| unit == Unit::Rps);
        let end = begin + demand.step;
        let (mut at, mut capacity, mut violated) = (begin, 0.0, false);
        while at < end {
            // Cut where the scaler measures or looks too, whatever the step.
            let next = next_multiple(at, TICK).min(end).min(scaler.next(at).max(at + 1));
            let now = Now { at, until: next, demand: cores, rps };
            let served = tick(&mut run, &mut plant, scaler, assume, now);
            capacity += served.capacity * (next - at) as f64 / demand.step as f64;
            violated |= cores.is_some() && served.is_violated();
            at = next;
        }
        if kept {
            run.steps.push(Step { at: begin, demand: cores, capacity, replicas: plant.replicas(), violated });
        }
    }
    run
}

/// A time in which nothing changes but what waits.
#[derive(Clone, Copy)]
struct Now {
    at: i64,
    until: i64,
    /// Cores that are asked for; nothing where nothing was recorded.
    demand: Option<f64>,
    rps: Option<f64>,
}

fn tick(run: &mut Run, plant: &mut Plant, scaler: &mut dyn Scaler, assume: &Assumptions, during: Now) -> Served {
    let Now { at, until, demand, rps } = during;
    let length = (until - at) as f64;
    let served = plant.serve(demand.unwrap_or(0.0), at, length);
    let figures = &mut run.figures;
    figures.replica_hours += plant.replicas() * length / 3600.0;
    if demand.is_some() {
        figures.violation_minutes += if served.is_violated() { length / 60.0 } else { 0.0 };
        figures.asked_core_hours += demand.unwrap_or(0.0) * length / 3600.0;
    }
    // What waits may be given up where nothing was recorded as well.
    figures.lost_core_hours += served.lost / 3600.0;
    if plant.replicas() >= assume.most {
        figures.minutes_at_cap += length / 60.0;
    }
    let cores = demand.map(|_| served.cores);
    let seen = Seen { now: until, seconds: length, cores, rps, replicas: plant.replicas(), ready: plant.ready() };
    if let Some(verdict) = scaler.decide(seen) {
        act(run, plant, verdict, until);
    }
    served
}

fn act(run: &mut Run, plant: &mut Plant, Verdict { target, by }: Verdict, now: i64) {
    let Some(to) = target else {
        if run.holds.last().is_none_or(|(_, before)| *before != by) {
            run.holds.push((now, by));
        }
        return;
    };
    let from = plant.replicas();
    plant.scale(to, now);
    run.figures.actuations += 1;
    run.figures.largest_step = run.figures.largest_step.max((to - from).abs());
    run.marks.push(Mark { at: now, from, to, by });
}
