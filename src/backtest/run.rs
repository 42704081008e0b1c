//! One scaler over one load.

use super::figures::Figures;
use super::plant::{Assumptions, Plant};
use super::scaler::{Scaler, Seen, Verdict};
use super::{Demand, Unit};

/// How finely time is cut, seconds: Kubernetes' autoscaler looks this often.
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
    /// Cores that the ready pods have.
    pub capacity: f64,
    /// Replicas that there are to be.
    pub replicas: f64,
    /// At any tick of it more was asked for than there was.
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
        if kept {
            let (capacity, replicas) = (plant.ready() * assume.pod_cores, plant.replicas());
            run.steps.push(Step { at: begin, demand: cores, capacity, replicas, violated: false });
        }
        let mut at = begin;
        while at < begin + demand.step {
            // Cut where a tick ends too, whatever the step: everything that looks looks then.
            let seconds = (TICK - at.rem_euclid(TICK)).min(begin + demand.step - at);
            tick(&mut run, &mut plant, scaler, assume, (at, seconds, cores, rps));
            at += seconds;
        }
    }
    run
}

fn tick(
    run: &mut Run,
    plant: &mut Plant,
    scaler: &mut dyn Scaler,
    assume: &Assumptions,
    (at, seconds, demand, rps): (i64, i64, Option<f64>, Option<f64>),
) {
    let length = seconds as f64;
    let served = plant.serve(demand.unwrap_or(0.0), at, length);
    let figures = &mut run.figures;
    figures.replica_hours += plant.replicas() * length / 3600.0;
    if demand.is_some() {
        figures.violation_minutes += if served.is_violated() { length / 60.0 } else { 0.0 };
        if let Some(step) = run.steps.last_mut() {
            step.violated |= served.is_violated();
        }
        figures.lost_core_hours += served.lost / 3600.0;
        figures.asked_core_hours += demand.unwrap_or(0.0) * length / 3600.0;
    }
    if plant.replicas() >= assume.most {
        figures.minutes_at_cap += length / 60.0;
    }
    let now = at + seconds;
    let cores = demand.map(|_| served.cores);
    let weight = length / TICK as f64;
    let seen = Seen { now, weight, cores, rps, replicas: plant.replicas(), ready: plant.ready() };
    let Some(Verdict { target, by }) = scaler.decide(seen) else { return };
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
