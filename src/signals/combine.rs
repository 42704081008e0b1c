//! From the pods of a component to one number at each moment.

use std::collections::BTreeMap;

use crate::policy::Combine;

/// Puts the values of a component's parts together; `None` where there is none, or the result is not finite.
pub(super) fn combine(how: Combine, values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values = values.into_iter();
    let first = values.next()?;
    let result = match how {
        Combine::Sum => values.fold(first, |sum, value| sum + value),
        Combine::Max => values.fold(first, f64::max),
        Combine::Min => values.fold(first, f64::min),
        Combine::Avg => {
            let (sum, count) = values.fold((first, 1.0), |(sum, count), value| (sum + value, count + 1.0));
            sum / count
        }
    };
    result.is_finite().then_some(result)
}

/// Cumulative counts of a histogram by their upper bounds, as `le` gives them: ordered by bound.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    counts: BTreeMap<OrderedBound, f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct OrderedBound(f64);

impl Eq for OrderedBound {}

impl PartialOrd for OrderedBound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedBound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Buckets {
    /// Adds a pod's bucket to those of the others.
    pub(super) fn add(&mut self, bound: f64, count: f64) {
        *self.counts.entry(OrderedBound(bound)).or_default() += count;
    }

    /// The value that a share `q` of what was counted does not exceed, linear within its bucket, whose lower bound is
    /// that of the one before it or 0; what lies in the last bucket is taken for the highest finite bound. (The formula of
    /// `histogram_quantile` of Prometheus, its documentation's section of that name.)
    ///
    /// Nothing counted is 0: nobody waited. `None` without a bucket of all (`+Inf`) or without a finite one.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let (last, total) = self.counts.last_key_value()?;
        if last.0 != f64::INFINITY || self.counts.len() < 2 {
            return None;
        }
        if *total <= 0.0 {
            return Some(0.0);
        }
        let rank = q * total;
        let (mut lower, mut below) = (0.0_f64, 0.0_f64);
        for (OrderedBound(bound), count) in &self.counts {
            // Counts of pods that were scraped at different moments may fall a little; they never do in truth.
            let count = count.max(below);
            if count >= rank {
                if bound.is_infinite() {
                    return Some(lower);
                }
                if count <= below {
                    return Some(*bound);
                }
                let start = if lower == 0.0 && *bound <= 0.0 { *bound } else { lower };
                return Some(start + (bound - start) * (rank - below) / (count - below));
            }
            (lower, below) = (*bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: Option<f64>, right: f64) -> bool {
        left.is_some_and(|left| (left - right).abs() < 1e-9)
    }

    #[test]
    fn parts_are_put_together_as_the_signal_says() {
        let values = [3.0, 1.0, 2.0];
        for (how, expected) in [(Combine::Sum, 6.0), (Combine::Max, 3.0), (Combine::Min, 1.0), (Combine::Avg, 2.0)] {
            assert!(near(combine(how, values), expected), "{how:?}");
        }
        assert_eq!(combine(Combine::Sum, []), None);
        assert_eq!(combine(Combine::Sum, [f64::MAX, f64::MAX]), None);
    }

    fn buckets(all: &[(f64, f64)]) -> Buckets {
        let mut buckets = Buckets::default();
        for (bound, count) in all {
            buckets.add(*bound, *count);
        }
        buckets
    }

    #[test]
    fn a_quantile_is_linear_within_its_bucket() {
        let all = buckets(&[(0.1, 50.0), (0.5, 90.0), (1.0, 100.0), (f64::INFINITY, 100.0)]);
        assert!(near(all.quantile(0.5), 0.1));
        assert!(near(all.quantile(0.9), 0.5));
        assert!(near(all.quantile(0.95), 0.75));
        assert!(near(all.quantile(0.25), 0.05));
        assert!(near(all.quantile(1.0), 1.0));
    }

    #[test]
    fn what_lies_beyond_the_last_bound_is_that_bound() {
        assert!(near(buckets(&[(0.1, 1.0), (f64::INFINITY, 100.0)]).quantile(0.95), 0.1));
    }

    #[test]
    fn a_sum_over_pods_is_not_a_mean_of_their_quantiles() {
        let mut all = buckets(&[(0.1, 990.0), (1.0, 1000.0), (f64::INFINITY, 1000.0)]);
        for (bound, count) in [(0.1, 0.0), (1.0, 10.0), (f64::INFINITY, 10.0)] {
            all.add(bound, count);
        }
        // 959.5 of 1010 lie within 990 of up to 0.1, whatever the quiet pod's own quantile is.
        assert!(near(all.quantile(0.95), 0.1 * 959.5 / 990.0));
    }

    #[test]
    fn nothing_counted_is_nobody_who_waited_and_no_buckets_is_no_data() {
        assert!(near(buckets(&[(0.1, 0.0), (f64::INFINITY, 0.0)]).quantile(0.95), 0.0));
        assert_eq!(buckets(&[(0.1, 1.0)]).quantile(0.95), None);
        assert_eq!(buckets(&[(f64::INFINITY, 1.0)]).quantile(0.95), None);
        assert_eq!(Buckets::default().quantile(0.5), None);
    }
}
