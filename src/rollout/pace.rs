//! How many classes may go over now. Times are milliseconds since the epoch.

use crate::policy::Pace;

/// Time that one step of a fast pace covers: below it classes go over in groups.
const STEP_MS: i64 = 1_000;

/// When how many classes went over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Log(pub(super) Vec<(i64, u32)>);

impl Log {
    /// Classes that may go over at `now`: never more than the pace in its unit of time, wherever that begins, and spread
    /// evenly over it.
    pub(super) fn allowed(&self, pace: Pace, now: i64) -> u32 {
        let Steps { per, group, spacing } = steps(pace);
        if self.last(now).is_some_and(|last| last + spacing > now) {
            return 0;
        }
        let recent: u32 = self.past(now).filter(|(at, _)| *at > now - per).map(|(_, classes)| classes).sum();
        group.min(pace.count.saturating_sub(recent))
    }

    /// Milliseconds from `now` until the next class may go over.
    pub(super) fn wait(&self, pace: Pace, now: i64) -> i64 {
        if self.allowed(pace, now) > 0 {
            return 0;
        }
        let Steps { per, spacing, .. } = steps(pace);
        let spaced = self.last(now).map_or(0, |last| last + spacing - now);
        if spaced > 0 {
            return spaced;
        }
        // The unit of time is used up: wait until the oldest in it is no longer in it.
        let oldest = self.past(now).find(|(at, _)| *at > now - per);
        oldest.map_or(0, |(at, _)| at + per - now)
    }

    /// Notes classes that went over.
    pub(super) fn note(&mut self, pace: Pace, now: i64, classes: u32) {
        let per = steps(pace).per;
        self.0.retain(|(at, _)| (now - per + 1..=now).contains(at));
        self.0.push((now, classes));
    }

    fn last(&self, now: i64) -> Option<i64> {
        self.past(now).last().map(|(at, _)| *at)
    }

    /// What is noted for later than now comes of a clock that was set back, and must not stop the rest.
    fn past(&self, now: i64) -> impl Iterator<Item = &(i64, u32)> {
        self.0.iter().filter(move |(at, _)| *at <= now)
    }
}

struct Steps {
    /// The unit of time.
    per: i64,
    /// Classes of one step.
    group: u32,
    /// Time between two steps.
    spacing: i64,
}

fn steps(pace: Pace) -> Steps {
    let per = i64::try_from(pace.per.as_millis()).unwrap_or(i64::MAX).max(1);
    let count = i64::from(pace.count.max(1));
    let group = (count * STEP_MS / per).max(1);
    // Rounded up: rounded down, a window would at times hold one more.
    let spacing = (group * per + count - 1) / count;
    Steps { per, group: u32::try_from(group).unwrap_or(u32::MAX), spacing }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Log;
    use crate::policy::Pace;

    fn pace(count: u32, seconds: u64) -> Pace {
        Pace { count, per: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_slow_pace_goes_one_by_one_and_a_fast_one_in_groups_of_a_second() {
        let mut log = Log::default();
        assert_eq!(log.allowed(pace(10, 60), 0), 1);
        log.note(pace(10, 60), 0, 1);
        assert_eq!((log.allowed(pace(10, 60), 5_999), log.wait(pace(10, 60), 5_999)), (0, 1));
        assert_eq!(log.allowed(pace(10, 60), 6_000), 1);
        assert_eq!(Log::default().allowed(pace(600, 60), 0), 10);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let mut log = Log::default();
        log.note(pace(10, 60), 86_400_000, 1);
        assert_eq!((log.wait(pace(10, 60), 0), log.allowed(pace(10, 60), 0)), (0, 1));
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_pace_and_none_of_it_is_wasted(
            count in 1_u32..200, seconds in prop::sample::select(vec![1_u64, 60]),
            delays in prop::collection::vec(0_i64..1_500, 40..80),
        ) {
            let (pace, mut log, mut now) = (pace(count, seconds), Log::default(), 0);
            let mut all: Vec<(i64, u32)> = Vec::new();
            for delay in delays {
                now += log.wait(pace, now);
                let allowed = log.allowed(pace, now);
                prop_assert!(allowed > 0, "the wait was long enough");
                log.note(pace, now, allowed);
                all.push((now, allowed));
                let per = i64::try_from(pace.per.as_millis()).unwrap();
                let window: u32 = all.iter().filter(|(at, _)| *at > now - per).map(|(_, classes)| classes).sum();
                prop_assert!(window <= count, "{window} within {per} ms at a pace of {count}");
                now += delay;
            }
        }

        #[test]
        fn without_delays_the_pace_is_met(count in 1_u32..200) {
            let (pace, mut log, mut now, mut done) = (pace(count, 60), Log::default(), 0_i64, 0);
            while done < count * 3 {
                now += log.wait(pace, now);
                let allowed = log.allowed(pace, now);
                log.note(pace, now, allowed);
                done += allowed;
            }
            // The first class goes at once; rounding costs less than one in fifty.
            prop_assert!(now <= 3 * 61_200, "{now} ms for three minutes' worth");
        }
    }
}
