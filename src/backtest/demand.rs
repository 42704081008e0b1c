//! A recorded load, brought onto a regular grid.

/// What a load counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Cores that the work takes.
    #[default]
    Cores,
    /// Requests a second.
    Rps,
}

/// A load as it was recorded: seconds since the epoch and values, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// Name of the class: a column, or the labels of a series.
    pub name: String,
    /// Seconds since the epoch, and values.
    pub points: Vec<(f64, f64)>,
    /// The values only ever grow, and start anew at 0: what counts is how fast.
    pub is_counter: bool,
    /// What the values count, where the recording says so: `seconds`, `cores`, `requests`.
    pub counts: Option<String>,
}

/// A load on a regular grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Name of the class.
    pub name: String,
    /// Seconds since the epoch of the first step.
    pub start: i64,
    /// Seconds between two steps.
    pub step: i64,
    /// Values, one a step; what was not recorded is nothing.
    pub values: Vec<Option<f64>>,
    /// What was wrong with the recording.
    pub notes: Vec<String>,
}

/// Why a recording makes no load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// Nothing in it.
    #[error("{0}: there are no samples in it")]
    Empty(String),
    /// Fewer than two steps.
    #[error("{name}: {seconds} s of samples are too few; two steps of {step} s are the least")]
    Short {
        /// Name of the class.
        name: String,
        /// Length of the recording.
        seconds: i64,
        /// Length of a step.
        step: i64,
    },
    /// A value that no load has.
    #[error("{name}: the value at {at} is {value}; a load is from 0 to {MOST:e}")]
    OutOfRange {
        /// Name of the class.
        name: String,
        /// When, seconds since the epoch.
        at: String,
        /// What.
        value: String,
    },
    /// Almost all of it is one gap: most often one of its times is wrong.
    #[error("{name}: from {from} to {to}, most of its time, there is no sample; is one of its times wrong?")]
    Gap {
        /// Name of the class.
        name: String,
        /// The last sample before the gap.
        from: String,
        /// The first sample after it.
        to: String,
    },
    /// A time that no calendar has.
    #[error("{name}: {at} is no time of a calendar; write seconds, milli-, micro- or nanoseconds since the epoch")]
    NoTime {
        /// Name of the class.
        name: String,
        /// What stands there.
        at: String,
    },
    /// More steps than anybody plays: most often one of its times is wrong.
    #[error("{name}: from {from} to {to} are more than {LONGEST} steps of {step} s; is one of its times wrong?")]
    Long {
        /// Name of the class.
        name: String,
        /// Its first sample.
        from: String,
        /// Its last sample.
        to: String,
        /// Length of a step, seconds.
        step: i64,
    },
}

/// Largest load, cores or requests a second.
const MOST: f64 = 1e9;
/// Most steps of a load: five years of 30 s.
const LONGEST: i64 = 5_256_000;

/// Longest gap as a share of a load that is longer than a day.
const MOSTLY_GAP: f64 = 0.9;
/// Samples that are this many steps apart make one suspect the unit of their times.
const SPARSE: f64 = 20.0;

/// Seconds since the epoch; milli-, micro- or nanoseconds where the number is that large: nobody recorded a load before 1973
/// in milliseconds, nor after 5138 in seconds.
pub(super) fn epoch_seconds(number: f64) -> f64 {
    let units = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3)];
    let unit = units.iter().find(|(from, _)| number.abs() >= *from);
    unit.map_or(number, |(_, a_second)| number / a_second)
}

/// Seconds since the epoch as a date, for people; as a number where no calendar has them.
pub fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// `1 gap`, `2 gaps`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Unit {
    /// Whether a recording that says what it counts can be meant: CPU seconds grow by cores, requests by requests a second.
    pub fn fits(self, recorded: &Recorded) -> bool {
        let Some(counts) = recorded.counts.as_deref() else { return true };
        match (self, recorded.is_counter) {
            (Self::Cores, true) => counts == "seconds",
            (Self::Cores, false) => counts == "cores",
            (Self::Rps, true) => counts == "requests",
            (Self::Rps, false) => ["rps", "requests_per_second"].contains(&counts),
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Rps => "requests a second",
        }
    }
}

impl Demand {
    /// Seconds since the epoch at which the last step is over.
    pub fn end(&self) -> i64 {
        self.start + self.step * i64::try_from(self.values.len()).unwrap_or(i64::MAX)
    }
}

impl Recorded {
    /// The load at each step of a grid: the mean of what was recorded in it, its end included. Where nothing was, but the
    /// samples around are no further apart than three of their usual steps, the value before goes on.
    pub fn onto(mut self, step: i64) -> Result<Demand, DemandError> {
        let mut notes = self.in_order();
        if self.is_counter {
            self.rates(&mut notes);
        }
        let (Some((first, _)), Some((last, _))) = (self.points.first(), self.points.last()) else {
            return Err(DemandError::Empty(self.name));
        };
        for at in [first, last] {
            if jiff::Timestamp::from_second(*at as i64).is_err() {
                return Err(DemandError::NoTime { name: self.name, at: at.to_string() });
            }
        }
        if let Some((at, value)) = self.points.iter().find(|(_, value)| !(0.0..=MOST).contains(value)) {
            return Err(DemandError::OutOfRange { name: self.name, at: at.to_string(), value: format!("{value:?}") });
        }
        let (start, end) = (whole(first / step as f64) * step, whole(last / step as f64) * step);
        if end - start < 2 * step {
            return Err(DemandError::Short { name: self.name, seconds: end - start, step });
        }
        if (end - start) / step > LONGEST {
            return Err(DemandError::Long { name: self.name, from: moment(start), to: moment(end), step });
        }
        if let Some((from, to)) = self.gap().filter(|_| end - start > 86_400) {
            return Err(DemandError::Gap { name: self.name, from: moment(whole(from)), to: moment(whole(to)) });
        }
        let steps = usize::try_from((end - start) / step).unwrap_or(0) + 1;
        let mut sums = vec![(0.0, 0_u32); steps];
        for (at, value) in &self.points {
            let cell = usize::try_from((at.ceil() as i64 - start + step - 1).div_euclid(step)).unwrap_or(0);
            if let Some((sum, count)) = sums.get_mut(cell) {
                *sum += value;
                *count += 1;
            }
        }
        let usual = self.usual_step();
        if usual > SPARSE * step as f64 {
            notes.push(format!("its samples are {usual} s apart, for steps of {step} s; are its times seconds?"));
        }
        let reach = (usual * 3.0).max(step as f64);
        let values = filled(&sums, (reach / step as f64).ceil() as usize, &mut notes);
        // A sample tells of the time before it.
        Ok(Demand { name: self.name, start: start - step, step, values, notes })
    }

    /// Sorts the samples; drops what is no number, and the second of two of one moment.
    fn in_order(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let before = self.points.len();
        self.points.retain(|(at, value)| at.is_finite() && value.is_finite());
        let dropped = before - self.points.len();
        if dropped > 0 {
            notes.push(format!("{}: no finite number, left out", counted(dropped, "sample")));
        }
        if !self.points.is_sorted_by(|(one, _), (other, _)| one <= other) {
            notes.push("samples are not in the order of time; they were sorted".to_owned());
            self.points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        }
        let before = self.points.len();
        self.points.dedup_by(|(one, _), (other, _)| one.total_cmp(other).is_eq());
        let twice = before - self.points.len();
        if twice > 0 {
            notes.push(format!("{} of a moment that has one already: the first counts", counted(twice, "sample")));
        }
        notes
    }

    /// How fast a counter grows, between each sample and the one before it. Where it fell it began anew at 0.
    fn rates(&mut self, notes: &mut Vec<String>) {
        let mut resets = 0_usize;
        let rate = |pair: &[(f64, f64)]| match pair {
            [(from, before), (to, after)] => {
                let grown = if after < before {
                    resets += 1;
                    *after
                } else {
                    after - before
                };
                Some((*to, grown / (to - from)))
            }
            _ => None,
        };
        self.points = self.points.windows(2).filter_map(rate).collect();
        if resets > 0 {
            notes.push(format!("the counter began anew {}", counted(resets, "time")));
        }
    }

    /// A gap that is almost all of the load.
    fn gap(&self) -> Option<(f64, f64)> {
        let length = self.points.last()?.0 - self.points.first()?.0;
        let pairs = self.points.iter().zip(self.points.iter().skip(1)).map(|((from, _), (to, _))| (*from, *to));
        pairs
            .max_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)))
            .filter(|(from, to)| to - from > length * MOSTLY_GAP)
    }

    /// Half of the steps between samples are no longer than this, seconds.
    fn usual_step(&self) -> f64 {
        let mut steps: Vec<f64> =
            self.points.iter().zip(self.points.iter().skip(1)).map(|((from, _), (to, _))| to - from).collect();
        steps.sort_by(f64::total_cmp);
        steps.get(steps.len() / 2).copied().unwrap_or(0.0)
    }
}

/// The mean of each step; short gaps are bridged by the value before them.
fn filled(sums: &[(f64, u32)], reach: usize, notes: &mut Vec<String>) -> Vec<Option<f64>> {
    let mut values: Vec<Option<f64>> = Vec::with_capacity(sums.len());
    let (mut last, mut missing, mut gaps) = (None::<f64>, 0_usize, 0_usize);
    for (sum, count) in sums {
        if *count > 0 {
            (last, missing) = (Some(sum / f64::from(*count)), 0);
            values.push(last);
            continue;
        }
        missing += 1;
        if missing == reach.max(1) {
            gaps += 1;
        }
        values.push(last.filter(|_| missing < reach.max(1)));
    }
    if gaps > 0 {
        let without = values.iter().filter(|value| value.is_none()).count();
        notes.push(format!("{}, {without} of {} steps without a sample", counted(gaps, "gap"), values.len()));
    }
    values
}

/// Up to the next whole number; a time that no calendar has is 0.
fn whole(seconds: f64) -> i64 {
    let up = seconds.ceil();
    if up.abs() < 1e15 { up as i64 } else { 0 }
}
