//! What the tests of a bundle have seen of its rules: each evaluated, each condition with both outcomes.

use std::collections::BTreeMap;

use crate::policy::{
    AdmissionPolicy, Policy, RecommendationPolicy, Rule, RuleOutcome, RuleTrace, SafeguardPolicy, SignalPolicy,
    TemplatePolicy,
};

use super::nfr::NfrTrace;

/// What tests have seen of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It was evaluated, whatever came out.
    pub evaluated: bool,
    /// Its condition held.
    pub held: bool,
    /// Its condition did not hold.
    pub failed: bool,
    /// The one outcome that a constant condition can have.
    pub always: Option<bool>,
}

/// What tests have seen of the rules of a bundle, by the rules' stable names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    rules: BTreeMap<String, Seen>,
}

/// A bound of a rule is a condition too: it binds a proposal, or lets it be.
fn binding(rule: &str) -> String {
    format!("{rule} (its bound)")
}

/// What a rule is asked under is a condition beside its own.
fn asking(rule: &str) -> String {
    format!("{rule} (its when)")
}

impl Coverage {
    /// Nothing seen yet of any rule of a policy.
    pub(super) fn expect(&mut self, policy: &Policy) {
        let admissions = policy.admissions().iter().flat_map(AdmissionPolicy::rules);
        let rules: Vec<&Rule> = admissions.chain(policy.templates().iter().flat_map(TemplatePolicy::rules)).collect();
        let recommendations = policy.recommendations().iter().flat_map(RecommendationPolicy::rules);
        let sizes = recommendations.chain(policy.safeguards().iter().flat_map(SafeguardPolicy::rules));
        for rule in rules.into_iter().chain(sizes) {
            let seen = self.rules.entry(rule.name().to_owned()).or_default();
            seen.always = rule.always();
        }
        let needs = policy.signals().iter().filter_map(SignalPolicy::required_when);
        let bounds = policy.safeguards().iter().flat_map(SafeguardPolicy::bounds).map(binding);
        for name in needs.chain(bounds) {
            self.rules.entry(name).or_default();
        }
        for (rule, always) in policy.safeguards().iter().flat_map(SafeguardPolicy::asks) {
            self.rules.entry(asking(rule)).or_default().always = always;
        }
    }

    /// A condition that no rule is made of: whether a class needs a signal, whether a bound binds.
    pub(super) fn outcome(&mut self, name: String, held: bool) {
        let seen = self.rules.entry(name).or_default();
        seen.evaluated = true;
        if held { seen.held = true } else { seen.failed = true }
    }

    /// What the rules of a decision have come to.
    pub(super) fn decided(&mut self, trace: &NfrTrace) {
        // A rule that was not asked says nothing about its own condition.
        let unasked = |rule: &RuleTrace| trace.asked.iter().any(|(name, asked)| !asked && **name == *rule.rule);
        let guards = trace.safeguard.iter().filter(|rule| !unasked(rule));
        trace.recommendation.iter().chain(guards).for_each(|rule| self.see(rule));
        trace.asked.iter().for_each(|(rule, asked)| self.outcome(asking(rule), *asked));
        trace.bounds.iter().for_each(|bound| self.outcome(binding(&bound.rule), bound.binds));
    }

    pub(super) fn see(&mut self, trace: &RuleTrace) {
        let seen = self.rules.entry(trace.rule.to_string()).or_default();
        seen.evaluated = true;
        match trace.outcome {
            RuleOutcome::True => seen.held = true,
            RuleOutcome::False => seen.failed = true,
            RuleOutcome::Error(_) | RuleOutcome::Inapplicable(_) => {}
        }
    }

    /// Every rule, in the order of names.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Seen)> {
        self.rules.iter().map(|(name, seen)| (name.as_str(), *seen))
    }

    /// Rules that were evaluated, of how many.
    pub fn evaluated(&self) -> (usize, usize) {
        (self.rules.values().filter(|seen| seen.evaluated).count(), self.rules.len())
    }

    /// Outcomes of conditions that came up, of how many; a constant condition has one.
    pub fn outcomes(&self) -> (usize, usize) {
        let came = |seen: &Seen| usize::from(seen.held) + usize::from(seen.failed);
        let possible = |seen: &Seen| if seen.always.is_some() { 1 } else { 2 };
        (self.rules.values().map(came).sum(), self.rules.values().map(possible).sum())
    }

    /// The lower share of the two, rounded down: 100 only where nothing is missing.
    pub fn percent(&self) -> usize {
        let share = |(part, all): (usize, usize)| (part * 100).checked_div(all).unwrap_or(100);
        share(self.evaluated()).min(share(self.outcomes()))
    }

    /// What no test has seen, in words.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, seen) in self.rules() {
            if !seen.evaluated {
                missing.push(format!("{name} is never evaluated"));
                continue;
            }
            for (outcome, came, words) in [(true, seen.held, "never holds"), (false, seen.failed, "is never false")] {
                if !came && seen.always.is_none_or(|always| always == outcome) {
                    missing.push(format!("{name} {words} in any case"));
                }
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::policy::RuleMode;

    fn trace(rule: &str, outcome: RuleOutcome) -> RuleTrace {
        RuleTrace { rule: rule.into(), mode: RuleMode::Enforce, outcome, ..RuleTrace::default() }
    }

    #[test]
    fn both_outcomes_of_a_condition_count_and_an_error_is_neither() {
        let mut coverage = Coverage::default();
        for name in ["a", "b"] {
            coverage.rules.insert(name.to_owned(), Seen::default());
        }
        coverage.rules.insert("c".to_owned(), Seen { always: Some(true), ..Seen::default() });
        assert_eq!((coverage.evaluated(), coverage.outcomes(), coverage.percent()), ((0, 3), (0, 5), 0));
        coverage.see(&trace("a", RuleOutcome::True));
        coverage.see(&trace("b", RuleOutcome::Error("x".to_owned())));
        coverage.see(&trace("c", RuleOutcome::True));
        assert_eq!((coverage.evaluated(), coverage.outcomes(), coverage.percent()), ((3, 3), (2, 5), 40));
        assert_eq!(
            coverage.missing(),
            ["a is never false in any case", "b never holds in any case", "b is never false in any case"]
        );
        for (rule, outcome) in [("a", RuleOutcome::False), ("b", RuleOutcome::True), ("b", RuleOutcome::False)] {
            coverage.see(&trace(rule, outcome));
        }
        assert_eq!((coverage.percent(), coverage.missing()), (100, Vec::new()));
    }
}
