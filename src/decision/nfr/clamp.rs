//! What any policy is held to: targets are whole, within a range, and at most one step away.
//!
//! Everything is counted in the unit in which a field is written ([`Quantum`]): replicas, thousandths of a core,
//! mebibytes. A double holds such counts exactly, far beyond any that Kubernetes takes.

use serde::{Deserialize, Serialize};

use crate::policy::Dimension;

use super::exact;

/// What binary fractions add to a number of units, relative to it: three times a third of a core is one core, and
/// seven replicas and a millionth of a millionth are seven.
const NOISE: f64 = 1e-9;
/// Largest count that is still told from its neighbours.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// The unit in which a dimension is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantum(f64);

impl Quantum {
    /// Replicas and partitions are whole. Requests are written to the thousandth of a core, the finest that Kubernetes
    /// takes, and to the mebibyte: the dead-band before it, not the rounding, keeps them from flapping.
    pub(super) fn of(dimension: Dimension) -> Self {
        Self(match dimension {
            Dimension::Replicas | Dimension::Partitions => 1.0,
            Dimension::Cpu => 1e-3,
            Dimension::Memory => 1024.0 * 1024.0,
        })
    }

    /// A value in units; not whole where it lies between two.
    pub(super) fn count(self, value: f64) -> f64 {
        // By the thousand, not through the thousandth, which no double holds exactly.
        let units = if self.0 < 1.0 { value * (1.0 / self.0).round() } else { value / self.0 };
        units.clamp(-LARGEST, LARGEST)
    }

    /// The value of a count.
    pub(super) fn value(self, count: f64) -> f64 {
        if self.0 < 1.0 { count / (1.0 / self.0).round() } else { count * self.0 }
    }
}

/// Up to the next whole number, whatever binary fractions have added behind it.
pub(super) fn up(count: f64) -> f64 {
    let near = count.round();
    // Adding zero turns a negative zero, as rounding gives it, into the plain one.
    (if (count - near).abs() <= NOISE * near.abs().max(1.0) { near } else { count.ceil() }) + 0.0
}

/// Down to the next whole number, whatever binary fractions have taken off it.
pub(super) fn down(count: f64) -> f64 {
    -up(-count) + 0.0
}

/// Between what a field may be: first the floor, then the cap, which wins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    takes_none: bool,
    #[serde(with = "exact::optional")]
    floor: Option<f64>,
    #[serde(with = "exact::optional")]
    cap: Option<f64>,
}

impl Range {
    /// Replicas: at least one (of a Knative Service: none), at most the controller's limit and the `maxReplicas` of the
    /// HPA that targets the workload.
    pub fn replicas(knative: bool, limit: f64, hpa_max: Option<f64>) -> Self {
        let cap = hpa_max.map_or(limit, |max| max.min(limit));
        Self { takes_none: knative, floor: None, cap: Some(cap) }
    }

    /// A request: more than nothing, and not above the container's limit.
    pub fn request(limit: Option<f64>) -> Self {
        Self { takes_none: false, floor: None, cap: limit }
    }

    /// The same range, but with nothing below what the record and its template say. A floor that is no number is none.
    #[must_use]
    pub fn at_least(self, base: f64) -> Self {
        Self { floor: (!base.is_nan()).then_some(base), ..self }
    }

    /// The range in units. A cap that is no number is none that anything fits under.
    pub(super) fn counted(self, quantum: Quantum) -> Bounds {
        let cap = self.cap.map_or(LARGEST, |cap| if cap.is_nan() { 0.0 } else { down(quantum.count(cap)) });
        let least = if self.takes_none { 0.0 } else { 1.0 };
        let floor = self.floor.map_or(least, |floor| up(quantum.count(floor)).max(least));
        Bounds { floor, cap }
    }
}

/// A range of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) floor: f64,
    pub(super) cap: f64,
}

impl Bounds {
    /// First the floor, then the cap, which wins; never below nothing.
    pub(super) fn clamp(self, count: f64) -> f64 {
        count.max(self.floor).min(self.cap).max(0.0)
    }

    /// Whether none is a size that the field may have.
    pub(super) fn takes_none(self) -> bool {
        self.floor <= 0.0
    }
}

/// At most one step from where the field is: from half of it, rounded up, to twice as much. From none to one, and to
/// none only from one, where none is a size at all.
pub(super) fn one_step(current: f64, wanted: f64, takes_none: bool) -> f64 {
    if current <= 0.0 {
        return wanted.clamp(0.0, 1.0);
    }
    let lowest = if takes_none && current <= 1.0 { 0.0 } else { up(current / 2.0) };
    wanted.clamp(lowest, down(current * 2.0).max(1.0).max(lowest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_binary_fractions_add_is_no_replica() {
        for (count, expected) in [
            (7.0, 7.0),
            (7.000_000_000_1, 7.0),
            (7.000_001, 8.0),
            (6.999_999_999_9, 7.0),
            (0.1 + 0.2, 1.0),
            ((0.1 + 0.2) * 10.0, 3.0),
            (0.0, 0.0),
            (1e-12, 0.0),
        ] {
            assert!((up(count) - expected).abs() < f64::EPSILON, "{count}: {}", up(count));
        }
        assert!((down(2.999_999_999_9) - 3.0).abs() < f64::EPSILON && (down(2.9) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn requests_are_counted_without_an_error() {
        let (cpu, memory) = (Quantum::of(Dimension::Cpu), Quantum::of(Dimension::Memory));
        for milli in 0..5000_u32 {
            let cores = f64::from(milli) / 1000.0;
            assert!((up(cpu.count(cores)) - f64::from(milli)).abs() < f64::EPSILON, "{milli}");
            assert!((cpu.value(f64::from(milli)) - cores).abs() < f64::EPSILON, "{milli}");
        }
        assert!((up(memory.count(100.5 * 1_048_576.0)) - 101.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_cap_wins_over_the_floor() {
        let bounds = |range: Range| range.counted(Quantum::of(Dimension::Replicas));
        let clamped = |range, count| bounds(range).clamp(count);
        for (range, count, expected) in [
            (Range::replicas(false, 20.0, None), 0.0, 1.0),
            (Range::replicas(true, 20.0, None), 0.0, 0.0),
            (Range::replicas(false, 20.0, Some(7.0)), 9.0, 7.0),
            (Range::replicas(false, 5.0, Some(7.0)), 9.0, 5.0),
            (Range::replicas(false, 20.0, Some(0.0)), 9.0, 0.0),
            (Range::replicas(false, -3.0, None), 9.0, 0.0),
            (Range::replicas(false, 20.0, None).at_least(3.0), 1.0, 3.0),
            (Range::replicas(true, 20.0, None).at_least(0.0), 0.0, 0.0),
            (Range::replicas(false, 20.0, Some(2.0)).at_least(3.0), 1.0, 2.0),
            (Range::replicas(false, 20.0, None).at_least(f64::NAN), 0.0, 1.0),
        ] {
            assert!((clamped(range, count) - expected).abs() < f64::EPSILON, "{range:?} {count}");
        }
        let cpu = Range::request(Some(0.5)).counted(Quantum::of(Dimension::Cpu));
        assert_eq!((cpu.floor, cpu.cap), (1.0, 500.0));
    }

    #[test]
    fn a_step_is_half_to_double() {
        for (current, wanted, takes_none, expected) in [
            (4.0, 20.0, false, 8.0),
            (4.0, 1.0, false, 2.0),
            (5.0, 1.0, false, 3.0),
            (1.0, 0.0, false, 1.0),
            (1.0, 0.0, true, 0.0),
            (2.0, 0.0, true, 1.0),
            (0.0, 9.0, false, 1.0),
            (0.0, 9.0, true, 1.0),
            (0.0, 0.0, true, 0.0),
            (1.0, 9.0, false, 2.0),
            (3.0, 4.0, false, 4.0),
        ] {
            let got = one_step(current, wanted, takes_none);
            assert!((got - expected).abs() < f64::EPSILON, "{current} -> {wanted}: {got}");
        }
    }

    proptest! {
        #[test]
        fn a_step_ends_whole_within_half_and_double(current in 0_u32..5000, wanted in 0_u32..9000, none in any::<bool>()) {
            let (current, wanted) = (f64::from(current), f64::from(wanted));
            let got = one_step(current, wanted, none);
            prop_assert!(got.fract() == 0.0 && got >= 0.0);
            if current > 1.0 {
                prop_assert!(got >= current / 2.0 && got <= current * 2.0);
            }
            prop_assert!((got - wanted).abs() <= (current - wanted).abs(), "never away from what is wanted");
        }
    }
}
