//! How long each step took.

use std::time::{Duration, Instant};

/// The steps so far.
#[derive(Debug)]
pub struct Laps {
    began: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Laps {
    /// The first step begins now.
    pub fn start() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, steps: Vec::new() }
    }

    /// A step is done and the next one begins.
    pub fn lap(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((step, now.duration_since(self.last)));
        self.last = now;
    }

    /// Since the first step began.
    pub fn total(&self) -> Duration {
        self.began.elapsed()
    }

    /// The steps and their sum, aligned.
    pub fn lines(&self) -> Vec<String> {
        let total: Duration = self.steps.iter().map(|(_, took)| *took).sum();
        lines(&[self.steps.as_slice(), &[("total", total)]].concat())
    }
}

fn lines(steps: &[(&'static str, Duration)]) -> Vec<String> {
    let times: Vec<String> = steps.iter().map(|(_, took)| format!("{:.1} s", took.as_secs_f64())).collect();
    let names = steps.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let widest = times.iter().map(String::len).max().unwrap_or(0);
    steps.iter().zip(times).map(|((name, _), time)| format!("  {name:<names$}  {time:>widest$}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_aligned_at_their_end() {
        let steps = [("control plane", Duration::from_millis(9_960)), ("total", Duration::from_millis(12_010))];
        assert_eq!(lines(&steps), ["  control plane  10.0 s", "  total          12.0 s"]);
    }
}
