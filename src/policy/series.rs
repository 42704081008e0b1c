//! Samples of one signal, and what rules ask of them.
//!
//! Everything here is plain arithmetic over the points of a window. Windows are half-open, `(now - length, now]`: two
//! windows that meet share no point. A point weighs the same wherever it lies in its window, as in the `_over_time`
//! functions of Prometheus. Too little data is `None`, never a zero, and so is a result that is not finite.

use jiff::Timestamp;

/// Samples of one signal: ascending in time, finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    points: Vec<(i64, f64)>,
}

/// Why points make no series.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SeriesError {
    /// Infinite, or no number at all.
    #[error("the value at {at} is {value}, which is no finite number")]
    NotFinite {
        /// When.
        at: Timestamp,
        /// What.
        value: f64,
    },
    /// A point that is not later than the one before it, in milliseconds.
    #[error("the point at {at} is not later than the one before it")]
    NotAscending {
        /// When.
        at: Timestamp,
    },
}

impl Series {
    pub(crate) const EMPTY: Self = Self { points: Vec::new() };

    /// A series of points in the order of time; to the millisecond, no two at once.
    pub fn new(points: impl IntoIterator<Item = (Timestamp, f64)>) -> Result<Self, SeriesError> {
        let points = points.into_iter();
        let mut kept: Vec<(i64, f64)> = Vec::with_capacity(points.size_hint().0);
        for (at, value) in points {
            let time = at.as_millisecond();
            if !value.is_finite() {
                return Err(SeriesError::NotFinite { at, value });
            }
            if kept.last().is_some_and(|(before, _)| *before >= time) {
                return Err(SeriesError::NotAscending { at });
            }
            kept.push((time, value));
        }
        Ok(Self { points: kept })
    }

    /// This series and what came after it, in milliseconds, without what is older than `oldest`. What is not later than
    /// the point before it, or not finite, is left out.
    #[must_use]
    pub fn continued(&self, points: &[(i64, f64)], oldest: i64) -> Self {
        let from = self.points.partition_point(|(time, _)| *time < oldest);
        let kept = self.points.get(from..).unwrap_or_default();
        let mut all: Vec<(i64, f64)> = Vec::with_capacity(kept.len() + points.len());
        all.extend_from_slice(kept);
        for (time, value) in points.iter().filter(|(time, value)| *time >= oldest && value.is_finite()) {
            if all.last().is_none_or(|(last, _)| last < time) {
                all.push((*time, *value));
            }
        }
        Self { points: all }
    }

    /// All points: milliseconds since the epoch, and the value.
    pub fn points(&self) -> &[(i64, f64)] {
        &self.points
    }

    /// What lies in `(now - length, now]`, both in milliseconds.
    pub fn window(&self, now: i64, length: i64) -> Window<'_> {
        let start = now.saturating_sub(length);
        let from = self.points.partition_point(|(time, _)| *time <= start);
        let to = self.points.partition_point(|(time, _)| *time <= now);
        Window { points: self.points.get(from..to).unwrap_or_default(), now }
    }
}

/// The points of a series within a window, as of the window's end.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    points: &'a [(i64, f64)],
    now: i64,
}

impl Window<'_> {
    /// Whether there is a point at all.
    pub fn has_data(&self) -> bool {
        !self.points.is_empty()
    }

    /// Number of points, as it is.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Number of points.
    #[expect(clippy::cast_precision_loss, reason = "a window has far fewer points than a double can count")]
    pub fn count(&self) -> f64 {
        self.points.len() as f64
    }

    /// The newest value, in the signal's unit. Needs one point.
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }

    /// Milliseconds since the newest point, at least 0. Needs one point.
    pub fn age(&self) -> Option<i64> {
        self.points.last().map(|(time, _)| self.now.saturating_sub(*time))
    }

    /// The least value. Needs one point.
    pub fn min(&self) -> Option<f64> {
        self.values().reduce(f64::min)
    }

    /// The greatest value. Needs one point.
    pub fn max(&self) -> Option<f64> {
        self.values().reduce(f64::max)
    }

    /// Arithmetic mean, between the least and the greatest value. Needs one point.
    pub fn avg(&self) -> Option<f64> {
        if self.points.is_empty() {
            return None;
        }
        finite(self.values().map(|value| value / self.count()).sum())
    }

    /// The value that a share `q` (0 to 1) of the values does not exceed, linear between the two nearest of them:
    /// rank `q * (n - 1)` of the values in order, from 0 (type 7 of Hyndman and Fan, *Sample Quantiles in Statistical
    /// Packages*, 1996; `quantile_over_time` of Prometheus). Needs one point, and a `q` within 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank lies between 0 and n - 1")]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.points.is_empty() || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * (self.count() - 1.0);
        let mut values: Vec<f64> = self.values().collect();
        let (_, low, above) = values.select_nth_unstable_by(rank.floor() as usize, f64::total_cmp);
        let low = *low;
        let high = above.iter().copied().reduce(f64::min).unwrap_or(low);
        let share = rank.fract();
        finite(low * (1.0 - share) + high * share)
    }

    /// Change a second, in the signal's unit: the slope of the line through the points by least squares, as `deriv`
    /// of Prometheus. Needs two points.
    pub fn slope(&self) -> Option<f64> {
        let first = self.points.first()?.0;
        let seconds = |time: i64| seconds(time.saturating_sub(first));
        let middle = self.points.iter().map(|(time, _)| seconds(*time)).sum::<f64>() / self.count();
        let mean = self.avg()?;
        let (mut along, mut across) = (0.0, 0.0);
        for (time, value) in self.points {
            let off = seconds(*time) - middle;
            along += off * off;
            across += off * (value - mean);
        }
        (along > 0.0).then_some(across / along).and_then(finite)
    }

    /// Standard deviation of the values, at least 0: the root of the mean squared distance from their mean (the
    /// whole population's, as `stddev_over_time` of Prometheus). Needs two points.
    pub fn stddev(&self) -> Option<f64> {
        if self.points.len() < 2 {
            return None;
        }
        let mean = self.avg()?;
        let squares: f64 = self.values().map(|value| (value - mean).powi(2)).sum();
        finite((squares / self.count()).sqrt())
    }

    /// Mean absolute change from one point to the next, at least 0: how jumpy the load is at the grain of its grid.
    /// A gap counts as one step. Needs two points.
    pub fn mean_step(&self) -> Option<f64> {
        if self.points.len() < 2 {
            return None;
        }
        let steps = self.values().zip(self.values().skip(1)).map(|(before, after)| (after - before).abs());
        finite(steps.sum::<f64>() / (self.count() - 1.0))
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, value)| *value)
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[expect(clippy::cast_precision_loss, reason = "windows are far shorter than what a double can count")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// One point each 30 s, the first at 30 s.
    fn series(values: &[f64]) -> Series {
        Series::new((1..).map(|step| at(step * 30_000)).zip(values.iter().copied())).unwrap()
    }

    fn near(left: Option<f64>, right: f64) -> bool {
        left.is_some_and(|left| (left - right).abs() <= 1e-9 * right.abs().max(1.0))
    }

    #[test]
    fn points_that_are_no_series_are_refused_and_named() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = Series::new([(at(0), 1.0), (at(1), value)]).unwrap_err();
            assert!(error.to_string().starts_with("the value at 1970-01-01T00:00:00.001Z is "), "{error}");
        }
        for later in [1_000, 999] {
            let error = Series::new([(at(1_000), 1.0), (at(later), 1.0)]).unwrap_err();
            assert_eq!(error, SeriesError::NotAscending { at: at(later) });
        }
        assert_eq!(Series::new([]).unwrap(), Series::default());
    }

    #[test]
    fn a_window_has_its_end_and_not_its_start() {
        let series = series(&[1.0, 2.0, 3.0, 4.0]);
        let last = |now, length| series.window(now, length).last();
        assert_eq!(series.window(120_000, 60_000).points, [(90_000, 3.0), (120_000, 4.0)]);
        assert_eq!(series.window(119_999, 60_000).points, [(60_000, 2.0), (90_000, 3.0)]);
        assert_eq!((last(120_000, 1), last(120_001, 1), last(120_001, 2)), (Some(4.0), None, Some(4.0)));
        assert_eq!((last(120_000, 0), last(29_999, 60_000), last(i64::MAX, i64::MAX)), (None, None, Some(4.0)));
        assert_eq!(last(120_000, -5), None);
        assert_eq!(series.window(130_000, 60_000).age(), Some(10_000));
    }

    #[test]
    fn figures_of_a_window_are_those_of_a_pocket_calculator() {
        let series = series(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        let all = series.window(240_000, 600_000);
        assert_eq!((all.count(), all.last(), all.age()), (8.0, Some(9.0), Some(0)));
        assert_eq!((all.min(), all.max(), all.avg()), (Some(2.0), Some(9.0), Some(5.0)));
        assert_eq!(all.stddev(), Some(2.0));
        assert_eq!(all.mean_step(), Some(1.0));
        assert_eq!((all.quantile(0.0), all.quantile(0.5), all.quantile(1.0)), (Some(2.0), Some(4.5), Some(9.0)));
        assert!(near(all.quantile(0.9), 7.6));
        assert_eq!((all.quantile(-0.1), all.quantile(1.1), all.quantile(f64::NAN)), (None, None, None));
        // Sum of (t - mean t)(v - mean v) is 34 steps, that of (t - mean t)^2 is 42 steps squared; a step is 30 s.
        assert!(near(all.slope(), 34.0 / 42.0 / 30.0));
    }

    #[test]
    fn too_little_data_is_none_and_never_zero() {
        let series = series(&[5.0]);
        let none = series.window(10, 10);
        assert!(!none.has_data() && none.count() == 0.0);
        let figures = [none.last(), none.min(), none.max(), none.avg(), none.quantile(0.5)];
        assert_eq!(figures, [None; 5]);
        assert_eq!((none.age(), none.slope(), none.stddev(), none.mean_step()), (None, None, None, None));
        let one = series.window(30_000, 10);
        assert!(one.has_data());
        let figures = [one.last(), one.min(), one.max(), one.avg(), one.quantile(0.9)];
        assert_eq!(figures, [Some(5.0); 5]);
        assert_eq!((one.slope(), one.stddev(), one.mean_step()), (None, None, None));
    }

    #[test]
    fn what_is_not_finite_is_none() {
        let series = series(&[f64::MAX, -f64::MAX, f64::MAX]);
        let all = series.window(90_000, 600_000);
        assert_eq!((all.mean_step(), all.stddev()), (None, None));
        assert!(all.avg().is_some() && all.quantile(0.5) == Some(f64::MAX));
    }

    fn points() -> impl Strategy<Value = Vec<(i64, f64)>> {
        prop::collection::vec((1..90_000_i64, -1e6..1e6_f64), 0..40).prop_map(|steps| {
            let mut now = 0;
            let step = |(gap, value)| {
                now += gap;
                (now, value)
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        #[test]
        fn figures_keep_their_ranges_and_agree_with_each_other(
            points in points(), now in 0..2_000_000_i64, length in 0..900_000_i64, q in 0.0..=1.0_f64,
        ) {
            let series = Series::new(points.iter().map(|(time, value)| (at(*time), *value))).unwrap();
            let window = series.window(now, length);
            let within: Vec<_> =
                points.iter().copied().filter(|(time, _)| now - length < *time && *time <= now).collect();
            prop_assert_eq!(window.points, &within);
            let Some((newest, last)) = within.last().copied() else {
                prop_assert!(!window.has_data());
                return Ok(());
            };
            prop_assert_eq!((window.last(), window.age()), (Some(last), Some(now - newest)));
            let (min, max) = (window.min().unwrap(), window.max().unwrap());
            let slack = 1e-9 * min.abs().max(max.abs()).max(1.0);
            for figure in [window.avg().unwrap(), window.quantile(q).unwrap()] {
                prop_assert!(min - slack <= figure && figure <= max + slack, "{} not in {}..{}", figure, min, max);
            }
            prop_assert_eq!((window.quantile(0.0), window.quantile(1.0)), (Some(min), Some(max)));
            if within.len() < 2 {
                return Ok(());
            }
            let (deviation, step) = (window.stddev().unwrap(), window.mean_step().unwrap());
            prop_assert!((0.0..=(max - min) / 2.0 + slack).contains(&deviation));
            prop_assert!((0.0..=max - min + slack).contains(&step));
        }

        #[test]
        fn a_quantile_never_falls_where_its_share_rises(points in points(), low in 0.0..=1.0_f64, high in 0.0..=1.0_f64) {
            prop_assume!(low <= high && !points.is_empty());
            let series = Series::new(points.iter().map(|(time, value)| (at(*time), *value))).unwrap();
            let all = series.window(i64::MAX, i64::MAX);
            prop_assert!(all.quantile(low).unwrap() <= all.quantile(high).unwrap() + 1e-6);
        }

        #[test]
        fn the_slope_of_a_line_is_its_slope_whatever_the_gaps(
            points in points(), start in -1e3..1e3_f64, slope in -10.0..10.0_f64,
        ) {
            prop_assume!(points.len() > 1);
            let line = |time: i64| start + slope * seconds(time);
            let series = Series::new(points.iter().map(|(time, _)| (at(*time), line(*time)))).unwrap();
            let found = series.window(i64::MAX, i64::MAX).slope().unwrap();
            prop_assert!((found - slope).abs() < 1e-6, "{} is not {}", found, slope);
        }
    }
}
