//! Rules as they were evaluated.

use std::fmt;
use std::sync::Arc;

use super::units::number;

/// A rule's mode: only `Enforce` has an effect, the others show what it would have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleMode {
    /// It counts.
    #[default]
    Enforce,
    /// It is reported to the record's author.
    Warn,
    /// It is traced.
    DryRun,
}

/// One rule as it was evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleTrace {
    /// Stable name of the rule: `kind/name/id`.
    pub rule: Arc<str>,
    /// The rule's mode.
    pub mode: RuleMode,
    /// The condition as written.
    pub condition: Arc<str>,
    /// What came out.
    pub outcome: RuleOutcome,
    /// Where it is explained: facts, params and variables that the condition reads, with their values, in order of appearance.
    pub values: Vec<(String, String)>,
    /// Its comparisons of numbers and durations, and how far each is from coming out the other way.
    pub margins: Vec<Margin>,
    /// What the rule did or would have done: points of a score, a message.
    pub effect: Option<Arc<str>>,
}

/// A comparison of numbers or durations within a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Margin {
    /// The comparison as written.
    pub comparison: String,
    /// Value of its left side; a duration in seconds.
    pub left: f64,
    /// Value of its right side; a duration in seconds.
    pub right: f64,
    /// It compares durations.
    pub seconds: bool,
    /// Whether it holds.
    pub holds: bool,
}

impl Margin {
    /// How far the left side is from where the comparison flips.
    pub fn distance(&self) -> f64 {
        (self.left - self.right).abs()
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distance = self.distance();
        let unit = if self.seconds { "s" } else { "" };
        // Six digits: what binary fractions add behind them is no news to anyone.
        let shown = if distance < 1e9 { (distance * 1e6).round() / 1e6 } else { distance };
        let shown = number(shown);
        match (distance > 0.0, self.holds) {
            (false, _) => write!(f, "{}: on the bound", self.comparison),
            (true, true) => write!(f, "{}: holds by {shown}{unit}", self.comparison),
            (true, false) => write!(f, "{}: {shown}{unit} short", self.comparison),
        }
    }
}

/// The three outcomes of a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuleOutcome {
    /// It holds.
    True,
    /// It does not hold.
    #[default]
    False,
    /// It could not be evaluated: neither true nor false.
    Error(String),
    /// It reads a signal that has no data and that the class does not need; why, in words. Nothing follows.
    Inapplicable(String),
}

#[cfg(test)]
mod tests {
    use super::Margin;

    #[test]
    fn a_margin_is_short_however_far_away_the_bound_is() {
        let margin = |left: f64, right: f64| {
            Margin { comparison: "a > b".to_owned(), left, right, seconds: false, holds: left > right }.to_string()
        };
        assert_eq!(margin(1e308, 2.0), "a > b: holds by 1e308");
        assert_eq!(margin(-1e300, 2.0), "a > b: 1e300 short");
        assert_eq!(margin(0.1 + 0.2, 0.1), "a > b: holds by 0.2");
    }
}
