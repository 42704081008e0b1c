//! What is decided about one dimension of one component, and why.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::policy::{Dimension, Margin, RuleMode, RuleOutcome, RuleTrace};

/// What is decided about one dimension of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct NfrDecision {
    /// Revision of the policy that decided.
    pub revision: String,
    /// What is decided about.
    pub dimension: Dimension,
    /// The newest point of the grid: what was measured is as of then.
    pub at: Timestamp,
    /// What the rules recommend, whatever is done about it.
    pub recommendation: Option<NfrRecommendation>,
    /// What to do.
    pub action: Action,
    /// What had the last word.
    pub by: By,
    /// Why, in a sentence.
    pub reason: String,
    /// How it came about.
    pub trace: NfrTrace,
}

/// What the rules recommend.
#[derive(Clone, Debug, PartialEq)]
pub struct NfrRecommendation {
    /// The size, as it would be written: whole replicas, thousandths of a core, mebibytes in bytes.
    pub target: f64,
    /// The size as computed at the newest point.
    pub raw: f64,
    /// How sure the rule is, 0 to 1.
    pub confidence: f64,
    /// What it rests on, in words.
    pub basis: String,
    /// The rule, as `Recommendation/name/id`.
    pub rule: String,
    /// Since when this target is recommended.
    pub since: Timestamp,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Write this size.
    Apply {
        /// Replicas, cores or bytes.
        target: f64,
    },
    /// Write nothing.
    Hold,
}

/// What had the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A rule of the policy, as `Kind/name/id`.
    Rule(String),
    /// What holds under any policy.
    Invariant(Invariant),
}

/// What holds under any policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// No rule recommends anything, or what is there can't be decided about.
    NoRecommendation,
    /// The controller does not resize this: what is recommended is advice.
    Advice,
    /// The policy has no Safeguard for the dimension.
    NoSafeguard,
    /// What is recommended is so near to what there is that it makes no difference.
    DeadBand,
    /// A required signal has no data.
    Signals,
    /// The window does not count: samples are missing, or it reaches back past a change of spec or policy.
    History,
    /// The window does not agree with its newest point.
    Stability,
    /// Floor and cap of the field.
    Range,
    /// Half to double.
    Step,
}

impl Invariant {
    /// Its name, as tests and logs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRecommendation => "no-recommendation",
            Self::Advice => "advice",
            Self::NoSafeguard => "no-safeguard",
            Self::DeadBand => "dead-band",
            Self::Signals => "signals",
            Self::History => "history",
            Self::Stability => "stability",
            Self::Range => "range",
            Self::Step => "step",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(name) => f.write_str(name),
            Self::Invariant(invariant) => f.write_str(invariant.name()),
        }
    }
}

impl By {
    /// Whether a name means this: a rule's whole name or its id, or the name of an invariant.
    pub fn is(&self, name: &str) -> bool {
        match self {
            Self::Rule(rule) => rule == name || rule.rsplit('/').next() == Some(name),
            Self::Invariant(invariant) => invariant.name() == name,
        }
    }
}

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More.
    Up,
    /// Less.
    Down,
}

impl Direction {
    /// As policies name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How a decision came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NfrTrace {
    /// Rules of the Recommendations, at the newest point.
    pub recommendation: Vec<RuleTrace>,
    /// The window that was asked for a change.
    pub window: Option<WindowTrace>,
    /// Rules of the Safeguard, about the proposed change.
    pub safeguard: Vec<RuleTrace>,
    /// Those of them that are asked only `when` something is so, and whether it was.
    pub asked: Vec<(String, bool)>,
    /// Bounds that the Safeguard's rules set to the proposed change.
    pub bounds: Vec<BoundTrace>,
    /// What narrowed the change, in order.
    pub limits: Vec<LimitTrace>,
}

/// A bound that a rule sets to a proposed change.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundTrace {
    /// The rule, as `Safeguard/name/id`.
    pub rule: String,
    /// Upper bound.
    pub at_most: Option<f64>,
    /// Lower bound.
    pub at_least: Option<f64>,
    /// The proposal lies outside.
    pub binds: bool,
}

/// A window of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowTrace {
    /// Which way a change would go.
    pub direction: Direction,
    /// Points of the window.
    pub of: usize,
    /// Points that have a proposal.
    pub there: usize,
    /// The lowest proposal of a window upwards, the highest of one downwards.
    pub bound: Option<f64>,
    /// Why the window does not count.
    pub shortfall: Option<String>,
    /// The proposal of each point that was asked, newest first.
    pub points: Vec<(Timestamp, Option<f64>)>,
}

/// One thing that a proposed change was held to.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitTrace {
    /// What held it.
    pub by: By,
    /// Before.
    pub from: f64,
    /// After.
    pub to: f64,
}

impl NfrDecision {
    /// The rule that is to be named for what was done: the one that had the last word, else the one that recommends it.
    pub fn by_rule(&self) -> String {
        match (&self.by, &self.recommendation) {
            (By::Rule(rule), _) => rule.clone(),
            (By::Invariant(_), Some(recommendation)) => recommendation.rule.clone(),
            (By::Invariant(invariant), None) => invariant.name().to_owned(),
        }
    }

    /// The decision as JSON, keys in order: the same decision gives the same bytes.
    pub fn json(&self) -> Value {
        let target = match self.action {
            Action::Apply { target } => Some(target),
            Action::Hold => None,
        };
        json!({
            "revision": self.revision,
            "dimension": self.dimension.name(),
            "at": self.at.to_string(),
            "recommendation": self.recommendation.as_ref().map(NfrRecommendation::json),
            "action": if target.is_some() { "apply" } else { "hold" },
            "target": target,
            "by": self.by.to_string(),
            "reason": self.reason,
            "recommendation_rules": json_of_rules(&self.trace.recommendation),
            "window": self.trace.window.as_ref().map(WindowTrace::json),
            "safeguard_rules": json_of_rules(&self.trace.safeguard),
            "bounds": self.trace.bounds.iter().map(|one| {
                json!({"rule": one.rule, "at_most": one.at_most, "at_least": one.at_least, "binds": one.binds})
            }).collect::<Vec<_>>(),
            "limits": self.trace.limits.iter().map(|one| {
                json!({"by": one.by.to_string(), "from": one.from, "to": one.to})
            }).collect::<Vec<_>>(),
        })
    }
}

impl NfrRecommendation {
    fn json(&self) -> Value {
        json!({
            "target": self.target, "raw": self.raw, "confidence": self.confidence, "basis": self.basis,
            "rule": self.rule, "since": self.since.to_string(),
        })
    }
}

impl WindowTrace {
    fn json(&self) -> Value {
        let points: Vec<Value> =
            self.points.iter().map(|(at, value)| json!({"at": at.to_string(), "proposal": value})).collect();
        json!({
            "direction": self.direction.name(), "points": points, "of": self.of, "there": self.there,
            "bound": self.bound, "shortfall": self.shortfall,
        })
    }
}

/// Rules as JSON, in their order.
pub fn json_of_rules(traces: &[RuleTrace]) -> Vec<Value> {
    traces.iter().map(rule).collect()
}

fn rule(trace: &RuleTrace) -> Value {
    let (outcome, error) = match &trace.outcome {
        RuleOutcome::True => ("true", None),
        RuleOutcome::False => ("false", None),
        RuleOutcome::Error(reason) => ("error", Some(reason)),
        RuleOutcome::Inapplicable(reason) => ("inapplicable", Some(reason)),
    };
    let mode = match trace.mode {
        RuleMode::Enforce => "enforce",
        RuleMode::Warn => "warn",
        RuleMode::DryRun => "dry-run",
    };
    let values: Vec<Value> = trace.values.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "margins": trace.margins.iter().map(margin).collect::<Vec<_>>(),
        "rule": &*trace.rule, "mode": mode, "condition": &*trace.condition, "outcome": outcome, "error": error,
        "values": values, "effect": trace.effect.as_deref(),
    })
}

fn margin(one: &Margin) -> Value {
    json!({
        "comparison": one.comparison, "left": one.left, "right": one.right, "holds": one.holds,
        "distance": one.distance(), "unit": if one.seconds { Some("s") } else { None },
    })
}
