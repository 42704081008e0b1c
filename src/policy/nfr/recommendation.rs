//! Compiled Recommendation documents: what follows from what is measured.

use crate::policy::Inputs;
use crate::policy::bundle::Shared;
use crate::policy::cel::{Expression, Type};
use crate::policy::compiler::Compiler;
use crate::policy::diagnostic::Sink;
use crate::policy::document::RuleForm;
use crate::policy::facts::{Facts, Reader};
use crate::policy::trace::{RuleMode, RuleOutcome, RuleTrace};
use crate::policy::unit::{Failure, Rule, Scope, Unit};
use crate::policy::units::number;
use crate::policy::yaml::Text;

use super::form::{RecommendationForm, RecommendationRuleForm};
use super::{ComponentKind, Dimension};

/// A Recommendation document.
#[derive(Debug)]
pub struct RecommendationPolicy {
    name: String,
    unit: Unit,
    component: ComponentKind,
    dimension: Dimension,
    /// The first rule that applies answers; otherwise the one that asks for most.
    first: bool,
    rules: Vec<RecommendationRule>,
}

#[derive(Debug)]
struct RecommendationRule {
    rule: Rule,
    target: Expression,
    confidence: Option<Expression>,
    basis: Expression,
}

/// What a document recommends at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recommended {
    /// What is proposed, where a rule applies.
    pub proposal: Option<Proposal>,
    /// The first rule that counts and could not be evaluated, and why: what it would have asked for is not known.
    pub error: Option<(String, String)>,
    /// The rules, in their order.
    pub trace: Vec<RuleTrace>,
}

/// A size that a rule proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Replicas, cores, bytes or partitions, as computed: neither rounded nor bounded.
    pub target: f64,
    /// How sure the rule is, 0 to 1.
    pub confidence: f64,
    /// What it rests on, in words.
    pub basis: String,
    /// The rule, as `Recommendation/name/id`.
    pub rule: String,
}

impl RecommendationPolicy {
    pub(in crate::policy) fn compile(
        name: &str,
        form: &RecommendationForm,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Option<Self> {
        let mut compiler = Compiler::new(Reader::Recommendation, name, &form.definitions, shared, inputs, sink);
        let rules =
            form.rules.iter().filter_map(|rule| RecommendationRule::compile(rule, &mut compiler, sink)).collect();
        Some(Self {
            name: name.to_owned(),
            unit: compiler.finish(sink),
            component: form.component?,
            dimension: form.dimension?,
            first: form.first,
            rules,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document itself.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Kind of component that it sizes.
    pub fn component(&self) -> ComponentKind {
        self.component
    }

    /// What of the component it sizes.
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &rule.rule)
    }

    /// Asks the rules, with the signals as of the time of the facts.
    ///
    /// With `combine: max` every rule is asked and the highest target wins, the first of them where several are equal:
    /// what a rule that failed would have asked for is not known, so `error` says that the answer is a lower bound.
    /// With `combine: first` the first rule that applies answers, and one that fails before it leaves no answer. Rules
    /// that only warn or run dry are traced and count for nothing.
    pub fn evaluate(&self, facts: &Facts) -> Recommended {
        self.ask(facts, true)
    }

    /// The same answer without trace and basis: for the many points of a window, of which only the size counts.
    pub fn glance(&self, facts: &Facts) -> Recommended {
        self.ask(facts, false)
    }

    fn ask(&self, facts: &Facts, words: bool) -> Recommended {
        let scope = self.unit.over(facts);
        let mut found = Recommended::default();
        let mut sizes: Vec<(usize, f64)> = Vec::with_capacity(self.rules.len());
        for (index, rule) in self.rules.iter().enumerate() {
            let counts = rule.rule.mode() == RuleMode::Enforce;
            if !words && !counts {
                continue;
            }
            let mut trace = if words { Some(rule.rule.evaluate(&scope)) } else { None };
            let outcome = trace.as_ref().map_or_else(|| rule.rule.outcome(&scope), |trace| trace.outcome.clone());
            let (outcome, size) = rule.size(&scope, outcome);
            if let Some(size) = size.filter(|_| counts) {
                sizes.push((index, size));
            }
            if let (RuleOutcome::Error(reason), true, None) = (&outcome, counts, &found.error) {
                found.error = Some((rule.rule.name().to_owned(), reason.clone()));
            }
            if let Some(mut trace) = trace.take() {
                rule.note(&scope, &outcome, size, &mut trace);
                trace.outcome = outcome;
                found.trace.push(trace);
            }
            if self.first && (!sizes.is_empty() || found.error.is_some()) {
                break;
            }
        }
        if !(self.first && found.error.is_some()) {
            self.choose(&scope, sizes, words, &mut found);
        }
        found
    }

    /// The highest size whose rule can say how sure it is.
    fn choose(&self, scope: &Scope<'_>, mut sizes: Vec<(usize, f64)>, words: bool, found: &mut Recommended) {
        // Stable: of equal sizes the first rule's comes first.
        sizes.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        for (index, target) in sizes {
            let Some(rule) = self.rules.get(index) else { continue };
            let name = rule.rule.name();
            let trace = found.trace.get_mut(index).filter(|_| words);
            match rule.confidence(scope) {
                Ok(confidence) => {
                    // Words that fail must not lose the number.
                    let basis = || scope.words(&rule.basis).unwrap_or_else(|reason| format!("not known: {reason}"));
                    let basis = if words { basis() } else { String::new() };
                    if let Some(trace) = trace {
                        trace.effect =
                            Some(format!("target {}, confidence {confidence}: {basis}", number(target)).into());
                    }
                    found.proposal = Some(Proposal { target, confidence, basis, rule: name.to_owned() });
                    return;
                }
                Err(failure) => {
                    let outcome = scope.outcome(failure);
                    if let (RuleOutcome::Error(reason), None) = (&outcome, &found.error) {
                        found.error = Some((name.to_owned(), reason.clone()));
                    }
                    if let Some(trace) = trace {
                        trace.outcome = outcome;
                    }
                }
            }
        }
    }
}

impl RecommendationRule {
    fn compile(form: &RecommendationRuleForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let always = || Text { text: "true".to_owned(), at: form.id.at.clone() };
        let condition = form.when.clone().unwrap_or_else(always);
        let rule = compiler.rule(&RuleForm { id: form.id.clone(), mode: form.mode, condition }, sink);
        let target = compiler.compile_under(rule.as_ref(), &form.target, &Type::Double, sink);
        let confidence = form.confidence.as_ref();
        let confidence = confidence.map(|text| compiler.compile_under(rule.as_ref(), text, &Type::Double, sink));
        let basis = compiler.compile_under(rule.as_ref(), &form.basis, &Type::Text, sink);
        let confidence = match confidence {
            None => None,
            Some(confidence) => Some(confidence?),
        };
        if let Some(target) = &target {
            compiler.fixed_number(&form.target, target, is_size, sink);
        }
        if let (Some(text), Some(confidence)) = (&form.confidence, &confidence) {
            compiler.fixed_number(text, confidence, is_confidence, sink);
        }
        Some(Self { rule: rule?, target: target?, confidence, basis: basis? })
    }

    /// What the rule asks for where its condition came out true, and how it comes out then.
    fn size(&self, scope: &Scope<'_>, outcome: RuleOutcome) -> (RuleOutcome, Option<f64>) {
        if outcome != RuleOutcome::True {
            return (outcome, None);
        }
        match scope.for_mode(self.rule.mode(), || scope.try_number(&self.target)) {
            Ok(size) => match is_size(size) {
                Ok(()) => (outcome, Some(size)),
                Err(reason) => (RuleOutcome::Error(reason), None),
            },
            Err(failure) => (scope.outcome(failure), None),
        }
    }

    /// Notes what the size was computed from, and the size where it is not the answer anyway.
    fn note(&self, scope: &Scope<'_>, outcome: &RuleOutcome, size: Option<f64>, trace: &mut RuleTrace) {
        let applies = trace.outcome == RuleOutcome::True;
        if scope.is_explained() && applies {
            scope.note(&self.target, &mut trace.values);
            self.confidence.iter().for_each(|confidence| scope.note(confidence, &mut trace.values));
        }
        let counts = trace.mode == RuleMode::Enforce;
        if let (Some(size), RuleOutcome::True, true) = (size, outcome, scope.is_explained() || !counts) {
            trace.effect = Some(format!("{}target {}", if counts { "" } else { "would be " }, number(size)).into());
        }
    }

    fn confidence(&self, scope: &Scope<'_>) -> Result<f64, Failure> {
        let confidence = self.confidence.as_ref().map_or(Ok(1.0), |confidence| scope.try_number(confidence))?;
        is_confidence(confidence).map(|()| confidence).map_err(Failure::of)
    }
}

fn is_size(size: f64) -> Result<(), String> {
    if size < 0.0 { Err(format!("the target is {}, which is below 0", number(size))) } else { Ok(()) }
}

fn is_confidence(confidence: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&confidence) {
        return Ok(());
    }
    Err(format!("the confidence is {}, which is not between 0 and 1", number(confidence)))
}
