//! The grid of the timeline: wall-clock multiples of a step, so that every look and every replay asks at the same
//! moments.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most points that a window has: the longest window of a policy is bounded, this bounds a tiny step beneath it.
const MAX_POINTS: i64 = 4096;

/// Moments at which the rules are asked. All times within are milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "GridForm")]
pub struct Grid {
    #[serde(rename = "step_ms")]
    step: i64,
    #[serde(rename = "settle_ms")]
    settle: i64,
}

/// A grid as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GridForm {
    step_ms: u64,
    settle_ms: u64,
}

impl TryFrom<GridForm> for Grid {
    type Error = &'static str;

    fn try_from(form: GridForm) -> Result<Self, Self::Error> {
        let GridForm { step_ms, settle_ms } = form;
        let grid = Self::new(Duration::from_millis(step_ms), Duration::from_millis(settle_ms));
        grid.ok_or("a grid has a step_ms of at least 1000")
    }
}

/// The points of a window `(end - length, end]`, the newest of them being its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    end: i64,
    step: i64,
    points: i64,
}

impl Grid {
    /// A grid of this step. A point is asked for only when it is `settle` old: until then its samples may still come.
    /// `None` where the step is below a second: no signal is scraped that often.
    pub fn new(step: Duration, settle: Duration) -> Option<Self> {
        let (step, settle) = (millis(step), millis(settle));
        (step >= 1000).then_some(Self { step, settle })
    }

    /// Length of a step, milliseconds.
    pub(super) fn step(self) -> i64 {
        self.step
    }

    /// The newest point that is due, milliseconds since the epoch.
    pub fn newest(self, now: Timestamp) -> i64 {
        now.as_millisecond().saturating_sub(self.settle).div_euclid(self.step).saturating_mul(self.step)
    }

    /// The window of this length that ends with a point. A window shorter than a step is the newest point alone.
    pub(super) fn span(self, end: i64, length: Duration) -> Span {
        let points = millis(length).saturating_add(self.step - 1) / self.step;
        Span { end, step: self.step, points: points.clamp(1, MAX_POINTS) }
    }
}

impl Span {
    /// Its moments, newest first.
    pub(super) fn newest_first(self) -> impl Iterator<Item = i64> {
        (0..self.points).map(move |back| self.end - back * self.step)
    }

    /// How many points it has.
    pub(super) fn len(self) -> usize {
        usize::try_from(self.points).unwrap_or(usize::MAX)
    }

    /// Its start, which is no part of it.
    pub(super) fn start(self) -> i64 {
        self.end - self.points * self.step
    }

    /// The oldest of its moments.
    pub(super) fn oldest(self) -> i64 {
        self.start() + self.step
    }

    /// The same window, longer by a look back.
    pub(super) fn reaching_back(self, length: Duration) -> Self {
        let more = millis(length).saturating_add(self.step - 1) / self.step;
        Self { points: self.points.saturating_add(more).min(2 * MAX_POINTS), ..self }
    }

    /// How the samples of a signal lie in the window.
    pub(super) fn samples(self, points: &[(i64, f64)]) -> Cover {
        let start = self.start();
        let from = points.partition_point(|(time, _)| *time <= start);
        let to = points.partition_point(|(time, _)| *time <= self.end);
        let within = points.get(from..to).unwrap_or_default();
        let (mut cells, mut last_cell, mut last, mut gap) = (0, None, start, 0);
        for (time, _) in within {
            let cell = (time - start - 1) / self.step;
            cells += usize::from(last_cell != Some(cell));
            gap = gap.max(time - last);
            (last_cell, last) = (Some(cell), *time);
        }
        gap = gap.max(self.end - last);
        let first_cell = within.first().map(|(time, _)| (time - start - 1) / self.step);
        Cover {
            of: self.len(),
            cells,
            oldest: first_cell == Some(0),
            newest: last_cell == Some(self.points - 1),
            longest_gap: gap,
        }
    }
}

/// How the samples of a signal lie in a window. A point has a sample where one came in the step that ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cover {
    /// Points of the window.
    pub(super) of: usize,
    /// Points that have a sample.
    pub(super) cells: usize,
    /// The oldest point has one.
    pub(super) oldest: bool,
    /// The newest point has one.
    pub(super) newest: bool,
    /// Longest time without a sample, the edges of the window included; milliseconds.
    pub(super) longest_gap: i64,
}

/// Whether so many of all points are there that a window counts: nine of ten.
pub(super) fn enough(there: usize, of: usize) -> bool {
    there.saturating_mul(10) >= of.saturating_mul(9)
}

/// Whether a sample came in the step that ends with a point.
pub(super) fn sampled(points: &[(i64, f64)], at: i64, step: i64) -> bool {
    within(points, (at - step + 1)..=at)
}

fn within(points: &[(i64, f64)], moments: RangeInclusive<i64>) -> bool {
    let next = points.partition_point(|(time, _)| time < moments.start());
    points.get(next).is_some_and(|(time, _)| time <= moments.end())
}

/// A duration in milliseconds, as far as a sum of a few of them can be computed with.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const STEP: i64 = 30_000;

    fn grid(settle: u64) -> Grid {
        Grid::new(Duration::from_secs(30), Duration::from_secs(settle)).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn samples(seconds: &[i64]) -> Vec<(i64, f64)> {
        seconds.iter().map(|second| (second * 1000, 1.0)).collect()
    }

    #[test]
    fn points_are_multiples_of_the_step_and_settled() {
        for (settle, now, newest) in [(0, 60, 60), (0, 89, 60), (0, 90, 90), (10, 99, 60), (10, 100, 90), (0, -1, -30)]
        {
            assert_eq!(grid(settle).newest(at(now)), newest * 1000, "{settle} {now}");
        }
        assert_eq!(Grid::new(Duration::from_millis(999), Duration::ZERO), None);
    }

    #[test]
    fn a_window_is_half_open_and_never_without_its_newest_point() {
        let points = |seconds| grid(0).span(300_000, Duration::from_secs(seconds)).newest_first().collect::<Vec<_>>();
        assert_eq!(points(0), [300_000]);
        assert_eq!(points(15), [300_000]);
        assert_eq!(points(60), [300_000, 270_000]);
        assert_eq!(points(61), [300_000, 270_000, 240_000]);
        assert_eq!(grid(0).span(0, Duration::MAX).len(), 4096);
    }

    #[test]
    fn samples_between_points_count_for_the_point_that_follows() {
        let span = grid(0).span(300_000, Duration::from_secs(120));
        let cover = |seconds: &[i64]| span.samples(&samples(seconds));
        let whole = cover(&[181, 240, 241, 270]);
        assert_eq!((whole.cells, whole.of, whole.oldest, whole.newest), (3, 4, true, false));
        assert_eq!(whole.longest_gap, 59_000);
        let none = cover(&[180, 301]);
        assert_eq!((none.cells, none.oldest, none.newest, none.longest_gap), (0, false, false, 120_000));
        assert!(sampled(&samples(&[271]), 300_000, STEP) && !sampled(&samples(&[270, 301]), 300_000, STEP));
    }

    #[test]
    fn nine_of_ten_points_are_enough() {
        for (there, of, expected) in [(1, 1, true), (1, 2, false), (9, 10, true), (17, 20, false), (18, 20, true)] {
            assert_eq!(enough(there, of), expected, "{there} of {of}");
        }
    }

    proptest! {
        #[test]
        fn cells_agree_with_asking_for_each_point(
            mut seconds in prop::collection::btree_set(0_i64..700, 0..40), length in 0_u64..600,
        ) {
            let points = samples(&std::mem::take(&mut seconds).into_iter().collect::<Vec<_>>());
            let span = grid(0).span(600_000, Duration::from_secs(length));
            let cover = span.samples(&points);
            let there: Vec<bool> = span.newest_first().map(|at| sampled(&points, at, STEP)).collect();
            prop_assert_eq!(cover.cells, there.iter().filter(|there| **there).count());
            prop_assert_eq!(Some(&cover.newest), there.first());
            prop_assert_eq!(Some(&cover.oldest), there.last());
            prop_assert_eq!(cover.of, there.len());
        }
    }
}
