//! The HorizontalPodAutoscaler of Kubernetes (`autoscaling/v2`) on CPU utilisation, as its documentation describes it:
//! the baseline that everybody has.
//!
//! `desired = ceil(current * utilisation / target)`, nothing within the tolerance; utilisation is a whole percentage, as the
//! autoscaler computes it. While more is needed, pods that are not ready yet count as using nothing. Down to the highest
//! number that was desired in the stabilization window, the one at the start among them; up and down by no more than the
//! default policies allow in 15 s: up 100 % or 4 pods, whichever is more, down 100 %.

use std::collections::VecDeque;

use super::scaler::{Scaler, Seen, Verdict, next_multiple};

/// Seconds between two looks.
pub const SYNC: i64 = 15;
/// Share by which the utilisation may miss its target.
const TOLERANCE: f64 = 0.1;
/// Seconds for which a lower number must have been desired.
const STABILIZATION: i64 = 300;
/// Pods that may be added in one look, or as many as there are.
const ADDED: f64 = 4.0;

/// An autoscaler.
#[derive(Clone, Debug)]
pub struct Hpa {
    target: f64,
    request: f64,
    least: f64,
    most: f64,
    /// What was desired, and when.
    desired: VecDeque<(i64, f64)>,
    looked: Option<i64>,
    /// Since the last look: core-seconds that were used, and seconds of which that is known.
    used: (f64, f64),
}

impl Hpa {
    /// What it does by the defaults of `autoscaling/v2`: name, number, words.
    pub const DEFAULTS: [(&'static str, f64, &'static str); 5] = [
        ("hpa_sync_seconds", SYNC as f64, "a look every 15s"),
        ("hpa_tolerance", TOLERANCE, "a tolerance of 0.1"),
        ("hpa_up_percent", 100.0, "up by 100 %"),
        ("hpa_up_pods", ADDED, "or 4 pods in 15s"),
        ("hpa_down_window_seconds", STABILIZATION as f64, "down to the highest of 300s"),
    ];

    /// Towards a utilisation in percent of a request, between two numbers of replicas.
    pub fn new(target: f64, request: f64, (least, most): (f64, f64)) -> Self {
        Self { target, request, least, most, desired: VecDeque::new(), looked: None, used: (0.0, 0.0) }
    }

    /// The number that the utilisation asks for, before windows and bounds.
    pub fn wanted(&self, cores: f64, replicas: f64, ready: f64) -> f64 {
        if ready <= 0.0 {
            return replicas;
        }
        let utilisation = |pods: f64| (cores / (pods * self.request) * 100.0 + 1e-9).floor();
        let ratio = |pods: f64| utilisation(pods) / self.target;
        let within = |ratio: f64| (ratio - 1.0).abs() <= TOLERANCE + 1e-9;
        let of_ready = ratio(ready);
        if within(of_ready) {
            return replicas;
        }
        if of_ready < 1.0 || replicas <= ready {
            return up(of_ready * ready);
        }
        // More is needed, and some are on their way: as if these were there and idle.
        let of_all = ratio(replicas);
        if within(of_all) || of_all < 1.0 { replicas } else { up(of_all * replicas) }
    }
}

/// Up to the next whole number, but for what binary fractions add.
fn up(number: f64) -> f64 {
    (number - 1e-9).ceil()
}

impl Scaler for Hpa {
    fn decide(&mut self, seen: Seen) -> Option<Verdict> {
        if let Some(cores) = seen.cores {
            self.used.0 += cores * seen.seconds;
            self.used.1 += seen.seconds;
        }
        if self.looked.is_some_and(|last| seen.now < last + SYNC) {
            return None;
        }
        if self.looked.is_none() {
            self.desired.push_back((seen.now, seen.replicas));
        }
        self.looked = Some(seen.now);
        let (used, seconds) = std::mem::take(&mut self.used);
        if seconds <= 0.0 {
            return None;
        }
        let wanted = self.wanted(used / seconds, seen.replicas, seen.ready).clamp(self.least, self.most);
        self.desired.push_back((seen.now, wanted));
        while self.desired.front().is_some_and(|(at, _)| *at <= seen.now - STABILIZATION) {
            self.desired.pop_front();
        }
        let highest = self.desired.iter().map(|(_, desired)| *desired).fold(wanted, f64::max);
        let stable = if wanted < seen.replicas { highest.min(seen.replicas) } else { wanted };
        let target = stable.min(seen.replicas + seen.replicas.max(ADDED)).clamp(self.least, self.most);
        (target != seen.replicas).then(|| Verdict { target: Some(target), by: "utilisation".to_owned() })
    }

    fn next(&self, after: i64) -> i64 {
        self.looked.map_or_else(|| next_multiple(after, SYNC), |last| last + SYNC)
    }
}
