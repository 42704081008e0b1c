//! What the page draws of a run: no more than a chart can show, however long the load was.

use serde_json::{Value, json};

use crate::backtest::{Mark, Run, Step};

/// Most points of a chart; of a longer load each stands for several steps.
const POINTS: usize = 2000;
/// Most decisions that are drawn.
pub(super) const MARKS: usize = 3000;

/// A run, as it is drawn.
pub(super) struct Chart {
    points: Vec<Point>,
    marks: Vec<Mark>,
    /// Decisions, the ones that are not drawn too.
    decided: usize,
    /// Steps that a point stands for.
    steps: usize,
}

/// Some steps.
struct Point {
    at: i64,
    /// The highest demand of them.
    demand: Option<f64>,
    /// The lowest capacity of them.
    capacity: f64,
    /// The fewest and the most replicas.
    replicas: (f64, f64),
    /// Share of them in which more was asked for than there was.
    violated: f64,
}

impl Chart {
    /// Takes the steps out of a run: nothing of their number stays.
    pub(super) fn of(run: &mut Run) -> Self {
        let all = std::mem::take(&mut run.steps);
        let steps = all.len().div_ceil(POINTS).max(1);
        Self {
            points: all.chunks(steps).filter_map(Point::of).collect(),
            marks: run.marks.iter().take(MARKS).cloned().collect(),
            decided: run.marks.len(),
            steps,
        }
    }

    /// As the page reads it: points, and decisions.
    pub(super) fn json(&self) -> (Value, Value) {
        let marks = self.marks.iter().map(|Mark { at, from, to, by }| json!([at, from, to, by])).collect();
        (self.points.iter().map(Point::json).collect(), Value::Array(marks))
    }

    /// What is told where a point stands for several steps; it is the same for all runs of a load.
    pub(super) fn coarse(&self) -> Option<String> {
        let what = "the highest demand, the lowest capacity, fewest and most replicas of them";
        (self.steps > 1).then(|| format!("a point of the charts stands for {} steps: {what}", self.steps))
    }

    /// What is told where not every decision is drawn.
    pub(super) fn cut(&self) -> Option<String> {
        not_drawn(self.decided, "decisions")
    }
}

/// What is told where not all of them are drawn.
pub(super) fn not_drawn(all: usize, what: &str) -> Option<String> {
    (all > MARKS).then(|| format!("the first {MARKS} of {all} {what} are drawn"))
}

impl Point {
    #[expect(clippy::cast_precision_loss, reason = "no more steps than a load has")]
    fn of(steps: &[Step]) -> Option<Self> {
        let fold =
            |start: f64, of: fn(f64, f64) -> f64, value: fn(&Step) -> f64| steps.iter().map(value).fold(start, of);
        Some(Self {
            at: steps.first()?.at,
            demand: steps.iter().filter_map(|step| step.demand).reduce(f64::max),
            capacity: fold(f64::INFINITY, f64::min, |step| step.capacity),
            replicas: (fold(f64::INFINITY, f64::min, |step| step.replicas), fold(0.0, f64::max, |step| step.replicas)),
            violated: steps.iter().filter(|step| step.violated).count() as f64 / steps.len() as f64,
        })
    }

    fn json(&self) -> Value {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let (fewest, most) = self.replicas;
        json!([self.at, self.demand.map(round), round(self.capacity), fewest, most, round(self.violated)])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::cast_precision_loss)]
    use super::*;

    fn step(at: usize) -> Step {
        // Of ten steps one has a spike: it asks for much while little is there, and much is there while little is asked for.
        let (demand, capacity) = if at.is_multiple_of(10) { (9.0, 10.0) } else { (1.0, 2.0) };
        let replicas = if at % 10 == 5 { 30.0 } else { 4.0 };
        Step { at: i64::try_from(at).unwrap_or(0), demand: Some(demand), capacity, replicas, violated: at % 10 == 1 }
    }

    #[test]
    fn a_long_load_keeps_its_spikes_and_what_was_violated_of_it() {
        let mut run = Run { steps: (0..20_000).map(step).collect(), ..Run::default() };
        let mark = Mark { at: 0, from: 1.0, to: 2.0, by: "a".to_owned() };
        run.marks = vec![mark; 3500];
        let chart = Chart::of(&mut run);
        assert!(run.steps.is_empty());
        let (points, marks) = chart.json();
        assert_eq!((points.as_array().map(Vec::len), marks.as_array().map(Vec::len)), (Some(2000), Some(3000)));
        assert_eq!(points[7], json!([70, 9.0, 2.0, 4.0, 30.0, 0.1]));
        assert!(chart.coarse().is_some_and(|note| note.contains("stands for 10 steps")));
        assert_eq!(chart.cut().as_deref(), Some("the first 3000 of 3500 decisions are drawn"));
        let mut short = Run { steps: (0..20).map(step).collect(), ..Run::default() };
        let chart = Chart::of(&mut short);
        assert_eq!(chart.json().0[1], json!([1, 1.0, 2.0, 4.0, 4.0, 1.0]));
        assert_eq!((chart.coarse(), chart.cut()), (None, None));
    }
}
