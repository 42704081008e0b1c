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
        let scope = self.unit.over(facts);
        let mut found = Recommended { trace: Vec::with_capacity(self.rules.len()), ..Recommended::default() };
        let mut sizes: Vec<(usize, f64)> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let (mut trace, size) = rule.size(&scope);
            let counts = trace.mode == RuleMode::Enforce;
            if let Some(size) = size.filter(|_| counts) {
                sizes.push((index, size));
            }
            if let (RuleOutcome::Error(reason), true, None) = (&trace.outcome, counts, &found.error) {
                found.error = Some((trace.rule.clone(), reason.clone()));
            }
            if let (Some(size), true) = (size, scope.is_explained() || !counts) {
                trace.effect = Some(format!("{}target {size}", if counts { "" } else { "would be " }));
            }
            found.trace.push(trace);
            if self.first && (!sizes.is_empty() || found.error.is_some()) {
                break;
            }
        }
        if !(self.first && found.error.is_some()) {
            self.choose(&scope, sizes, &mut found);
        }
        found
    }

    /// The highest size whose rule can say how sure it is.
    fn choose(&self, scope: &Scope<'_>, mut sizes: Vec<(usize, f64)>, found: &mut Recommended) {
        // Stable: of equal sizes the first rule's comes first.
        sizes.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        for (index, target) in sizes {
            let (Some(rule), Some(trace)) = (self.rules.get(index), found.trace.get_mut(index)) else { continue };
            let confidence = match rule.confidence(scope) {
                Ok(confidence) => confidence,
                Err(failure) => {
                    trace.outcome = scope.outcome(failure);
                    if let (RuleOutcome::Error(reason), None) = (&trace.outcome, &found.error) {
                        found.error = Some((trace.rule.clone(), reason.clone()));
                    }
                    continue;
                }
            };
            // Words that fail must not lose the number.
            let basis = scope.text(&rule.basis).unwrap_or_else(|reason| format!("not known: {reason}"));
            trace.effect = Some(format!("target {target}, confidence {confidence}: {basis}"));
            found.proposal = Some(Proposal { target, confidence, basis, rule: trace.rule.clone() });
            return;
        }
    }
}

impl RecommendationRule {
    fn compile(form: &RecommendationRuleForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let always = || Text { text: "true".to_owned(), at: form.id.at.clone() };
        let condition = form.when.clone().unwrap_or_else(always);
        let rule = compiler.rule(&RuleForm { id: form.id.clone(), mode: form.mode, condition }, sink);
        let holds = rule.as_ref().map(Rule::conditions).unwrap_or_default();
        let target = compiler.compile_where(&holds, &form.target, &Type::Double, sink);
        let confidence = form.confidence.as_ref().map(|text| compiler.compile_where(&holds, text, &Type::Double, sink));
        let basis = compiler.compile_where(&holds, &form.basis, &Type::Text, sink);
        let confidence = match confidence {
            None => None,
            Some(confidence) => Some(confidence?),
        };
        Some(Self { rule: rule?, target: target?, confidence, basis: basis? })
    }

    /// The rule as evaluated, and what it asks for where it applies.
    fn size(&self, scope: &Scope<'_>) -> (RuleTrace, Option<f64>) {
        let mut trace = self.rule.evaluate(scope);
        if trace.outcome != RuleOutcome::True {
            return (trace, None);
        }
        if scope.is_explained() {
            scope.note(&self.target, &mut trace.values);
            self.confidence.iter().for_each(|confidence| scope.note(confidence, &mut trace.values));
        }
        let size = match scope.try_number(&self.target) {
            Ok(size) if size < 0.0 => Err(Failure::of(format!("the target is {size}, which is below 0"))),
            size => size,
        };
        match size {
            Ok(size) => (trace, Some(size)),
            Err(failure) => {
                trace.outcome = scope.outcome(failure);
                (trace, None)
            }
        }
    }

    fn confidence(&self, scope: &Scope<'_>) -> Result<f64, Failure> {
        let confidence = self.confidence.as_ref().map_or(Ok(1.0), |confidence| scope.try_number(confidence))?;
        if (0.0..=1.0).contains(&confidence) {
            return Ok(confidence);
        }
        Err(Failure::of(format!("the confidence is {confidence}, which is not between 0 and 1")))
    }
}
