//! What the samples have to do: most of them always the same, and the one that follows its load in waves.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::exporter::{Exporter, Load};
use super::samples::ENFORCED;

/// How often loads are set.
const TICK: Duration = Duration::from_secs(1);
const MIB: f64 = 1_048_576.0;

/// Steady loads by workload: cores and MiB of a pod.
const STEADY: [(&str, f64, f64); 8] = [
    ("hello", 0.05, 40.0),
    ("thumbnails", 0.25, 180.0),
    ("carts", 0.12, 90.0),
    ("carts-odgm", 0.13, 260.0),
    ("media-probe", 0.1, 70.0),
    ("media-encode", 0.3, 300.0),
    ("media-notify", 0.02, 30.0),
    ("sketch", 0.05, 50.0),
];

/// The class of many requests.
const BUSY: (&str, Load) =
    ("trading", Load { cores: 0.2, memory: 120.0 * MIB, shared: 0.0, rps: 1200.0, latency: 0.02 });

/// A wave: low, up, high, down and low again, seconds from its start. The long trough is there because pods are taken
/// away only after minutes.
const WAVE: [(f64, f64); 6] = [(0.0, LOW), (60.0, LOW), (80.0, HIGH), (200.0, HIGH), (230.0, LOW), (660.0, LOW)];
const LOW: f64 = 0.3;
const HIGH: f64 = 1.5;

/// Loads that are set until this is dropped.
#[derive(Debug)]
pub struct Loads(JoinHandle<()>);

impl Drop for Loads {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Loads {
    /// Sets the loads of the samples in a namespace from now on.
    pub fn start(exporter: Exporter, namespace: &'static str) -> Self {
        for (workload, cores, memory) in STEADY {
            exporter.set(namespace, workload, Load { cores, memory: memory * MIB, ..Load::default() });
        }
        exporter.set(namespace, BUSY.0, BUSY.1);
        Self(tokio::spawn(async move {
            let began = Instant::now();
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                let now = ticks.tick().await;
                let cores = wave(now.saturating_duration_since(began));
                exporter.set(namespace, ENFORCED, Load { cores, memory: 60.0 * MIB, ..Load::default() });
            }
        }))
    }
}

/// Cores of the wave, so long after its start.
fn wave(after: Duration) -> f64 {
    let period = WAVE.last().map_or(1.0, |(end, _)| *end);
    let at = after.as_secs_f64() % period;
    let between = WAVE.windows(2).find_map(|pair| match pair {
        [(from, low), (to, high)] if (*from..*to).contains(&at) => Some(low + (high - low) * (at - from) / (to - from)),
        _ => None,
    });
    between.unwrap_or(LOW)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{HIGH, LOW, wave};

    #[test]
    fn the_wave_rises_stays_falls_and_begins_anew() {
        let at = |seconds| wave(Duration::from_secs(seconds));
        let is = |seconds, cores: f64| (at(seconds) - cores).abs() < 1e-9;
        for (seconds, cores) in [(0, LOW), (59, LOW), (80, HIGH), (199, HIGH), (230, LOW), (659, LOW), (660, LOW)] {
            assert!(is(seconds, cores), "{seconds}: {}", at(seconds));
        }
        assert!(is(70, f64::midpoint(LOW, HIGH)) && is(70 + 660, at(70)));
    }
}
