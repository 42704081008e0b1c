//! Rules as they were evaluated.

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
    pub rule: String,
    /// The rule's mode.
    pub mode: RuleMode,
    /// The condition as written.
    pub condition: String,
    /// What came out.
    pub outcome: RuleOutcome,
    /// Facts, params and variables that the condition reads, with their values, in order of appearance.
    pub values: Vec<(String, String)>,
    /// What the rule did or would have done: points of a score, a message.
    pub effect: Option<String>,
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
}
