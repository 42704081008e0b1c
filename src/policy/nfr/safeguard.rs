//! Compiled Safeguard documents: whether and how far a recommendation is applied.

use std::time::Duration;

use crate::policy::Inputs;
use crate::policy::bundle::Shared;
use crate::policy::cel::{Expression, Type};
use crate::policy::compiler::Compiler;
use crate::policy::diagnostic::{RANGE, Sink};
use crate::policy::document::RuleForm;
use crate::policy::facts::{Facts, Reader};
use crate::policy::trace::{RuleMode, RuleOutcome, RuleTrace};
use crate::policy::unit::{Rule, Scope, Unit};
use crate::policy::units::number;
use crate::policy::yaml::Text;

use super::Dimension;
use super::form::{GuardForm, SafeguardForm, SafeguardRuleForm, StabilizeForm};

/// A Safeguard document.
#[derive(Debug)]
pub struct SafeguardPolicy {
    name: String,
    unit: Unit,
    dimension: Dimension,
    stabilize: Stabilizing,
    /// The longest window of stability, with the params in effect.
    pub(super) longest: chrono::Duration,
    rules: Vec<SafeguardRule>,
}

#[derive(Debug)]
struct Stabilizing {
    up: Duration,
    down: Duration,
    dead_band: Share,
}

/// A share that is asked for at each decision, so what is known of it before is computed before.
#[derive(Debug)]
enum Share {
    Fixed(f64),
    Asked(Box<Expression>),
}

#[derive(Debug)]
struct SafeguardRule {
    rule: Rule,
    does: Does,
}

#[derive(Debug)]
enum Does {
    Hold { message: Option<Box<Expression>> },
    Bound { at_most: Option<Box<Expression>>, at_least: Option<Box<Expression>> },
}

/// What keeps noise from acting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stabilize {
    /// A rise must be asked for throughout this long.
    pub up: Duration,
    /// A fall must be asked for throughout this long.
    pub down: Duration,
    /// Changes of less than this share are none, percent.
    pub dead_band_pct: f64,
}

/// What one rule says about a proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Guarded {
    /// The rule as it was evaluated; its effect says what it does, or would do where its mode is not `enforce`.
    pub trace: RuleTrace,
    /// What follows; `None` where nothing does.
    pub effect: Option<Guard>,
    /// Of a rule that is asked to hold only `when` something is so: whether it was. `None` where there is no such
    /// condition, or it could not be evaluated.
    pub asked: Option<bool>,
}

/// What a rule does to a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Guard {
    /// Nothing changes.
    Hold {
        /// Why, in words.
        message: String,
    },
    /// It goes no further.
    Bound {
        /// Upper bound of the target.
        at_most: Option<f64>,
        /// Lower bound of the target.
        at_least: Option<f64>,
    },
}

impl SafeguardPolicy {
    pub(in crate::policy) fn compile(
        name: &str,
        form: &SafeguardForm,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Option<Self> {
        let mut compiler = Compiler::new(Reader::Safeguard, name, &form.definitions, shared, inputs, sink);
        let stabilize = form.stabilize.as_ref().and_then(|form| Stabilizing::compile(form, &mut compiler, sink));
        let rules = form.rules.iter().filter_map(|rule| SafeguardRule::compile(rule, &mut compiler, sink)).collect();
        let unit = compiler.finish(sink);
        let (stabilize, longest) = stabilize?;
        let (dimension, _) = form.dimension.as_ref()?;
        Some(Self { name: name.to_owned(), unit, dimension: *dimension, stabilize, longest, rules })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document itself.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// What it guards.
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &rule.rule)
    }

    /// Names of the rules that bound a target, rather than hold it.
    pub fn bounds(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| matches!(rule.does, Does::Bound { .. })).map(|rule| rule.rule.name())
    }

    /// Names of the rules that are asked only `when` something is so, and the one outcome of that where it is constant.
    pub fn asks(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        let always = |when: &Expression| when.always().map(|(outcome, _)| *outcome);
        self.rules.iter().filter_map(move |rule| Some((rule.rule.name(), always(rule.asks()?))))
    }

    /// How long a change must be asked for, and from which share on; the field and reason where that can't be told.
    pub fn stabilize(&self, facts: &Facts) -> Result<Stabilize, (String, String)> {
        let Stabilizing { up, down, dead_band } = &self.stabilize;
        let dead_band_pct = match dead_band {
            Share::Fixed(band) => Ok(*band),
            Share::Asked(band) => {
                let band = self.unit.over(facts).number(band);
                band.and_then(|band| is_share(band).map(|()| band))
            }
        };
        let field = || format!("{}/stabilize.dead_band", self.unit.name());
        let dead_band_pct = dead_band_pct.map_err(|reason| (field(), reason))?;
        Ok(Stabilize { up: *up, down: *down, dead_band_pct })
    }

    /// Asks all rules about the proposal among the facts. A rule that counts and can't be evaluated holds: that is the
    /// safe action. Over [brief](Facts::brief) facts the first that holds is the last that is asked: nothing changes
    /// whatever the others say.
    pub fn evaluate(&self, facts: &Facts) -> Vec<Guarded> {
        let scope = self.unit.over(facts);
        let mut told = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let guarded = rule.evaluate(&scope);
            let holds = matches!(guarded.effect, Some(Guard::Hold { .. }));
            told.push(guarded);
            if holds && facts.is_brief() {
                break;
            }
        }
        told
    }
}

impl Stabilizing {
    fn compile(form: &StabilizeForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<(Self, chrono::Duration)> {
        let up = compiler.fixed_duration(&form.up, sink);
        let down = compiler.fixed_duration(&form.down, sink);
        let band = compiler.compile(&form.dead_band, &Type::Double, sink)?;
        let fixed = compiler.fixed_number(&form.dead_band, &band, is_share, sink);
        let dead_band = fixed.map_or_else(|| Share::Asked(Box::new(band)), Share::Fixed);
        let (rise, fall) = (up?, down?);
        // They are not negative, which is all that could not be converted.
        let length = |length: chrono::Duration| length.to_std().ok();
        Some((Self { up: length(rise)?, down: length(fall)?, dead_band }, rise.max(fall)))
    }
}

impl SafeguardRule {
    fn compile(form: &SafeguardRuleForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let of = |condition: Text| RuleForm { id: form.id.clone(), mode: form.mode, condition };
        match &form.does {
            GuardForm::Hold { condition, message } => {
                let rule = compiler.rule_when(form.when.as_ref(), &of(condition.clone()), sink);
                let message = match message {
                    None => None,
                    Some(text) => Some(Box::new(compiler.compile_under(rule.as_ref(), text, &Type::Text, sink)?)),
                };
                Some(Self { rule: rule?, does: Does::Hold { message } })
            }
            GuardForm::Bound { at_most, at_least } => {
                let always = || Text { text: "true".to_owned(), at: form.id.at.clone() };
                let rule = compiler.rule(&of(form.when.clone().unwrap_or_else(always)), sink);
                let mut bound = |text: &Option<Text>| match text {
                    None => Some(None),
                    Some(text) => {
                        let bound = compiler.compile_under(rule.as_ref(), text, &Type::Double, sink);
                        bound.map(|bound| Some(Box::new(bound)))
                    }
                };
                let texts = (at_most, at_least);
                let (at_most, at_least) = (bound(at_most), bound(at_least));
                let (at_most, at_least) = (at_most?, at_least?);
                let mut fixed = |text: &Option<Text>, bound: &Option<Box<Expression>>| {
                    compiler.fixed_number(text.as_ref()?, bound.as_ref()?, is_bound, sink)
                };
                let (most, least) = (fixed(texts.0, &at_most), fixed(texts.1, &at_least));
                if let (Some(most), Some(least), Some(text)) = (most, least, texts.1)
                    && most < least
                {
                    let message = format!("at_least {} is above at_most {}", number(least), number(most));
                    sink.push(text.at.error(message).topic(RANGE).help("nothing lies between them: swap them"));
                }
                Some(Self { rule: rule?, does: Does::Bound { at_most, at_least } })
            }
        }
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Guarded {
        let (mut trace, asked) = self.rule.evaluate_asked(scope);
        let mode = self.rule.mode();
        let guard = match &trace.outcome {
            RuleOutcome::True => scope.for_mode(mode, || match &self.does {
                Does::Hold { message } => Some(Guard::Hold { message: self.message(message.as_deref(), scope) }),
                Does::Bound { at_most, at_least } => {
                    bound(scope, (at_most.as_deref(), at_least.as_deref()), &mut trace)
                }
            }),
            RuleOutcome::False | RuleOutcome::Error(_) | RuleOutcome::Inapplicable(_) => None,
        };
        let guard = match &trace.outcome {
            RuleOutcome::Error(reason) => Some(Guard::Hold { message: format!("it could not be evaluated: {reason}") }),
            _ => guard,
        };
        trace.effect = guard.as_ref().map(|guard| guard.to_string().into());
        let effect = guard.filter(|_| mode == RuleMode::Enforce);
        Guarded { trace, effect, asked }
    }

    /// What a rule that holds is asked under, besides its own condition.
    fn asks(&self) -> Option<&Expression> {
        match self.rule.conditions().as_slice() {
            [when, _] => Some(*when),
            _ => None,
        }
    }

    fn message(&self, message: Option<&Expression>, scope: &Scope<'_>) -> String {
        match message {
            None => self.rule.condition().source().trim().to_owned(),
            // Words that fail must not lift what the condition decided.
            Some(message) => scope.words(message).unwrap_or_else(|reason| {
                format!("{} (its message could not be evaluated: {reason})", self.rule.condition().source().trim())
            }),
        }
    }
}

fn is_share(band: f64) -> Result<(), String> {
    if (0.0..100.0).contains(&band) {
        return Ok(());
    }
    Err(format!("{} is no percentage from 0 to below 100", number(band)))
}

fn is_bound(bound: f64) -> Result<(), String> {
    if bound < 0.0 { Err(format!("the bound is {}, no target is below 0", number(bound))) } else { Ok(()) }
}

/// How far a rule lets a change go; why it can't be told goes into its trace.
fn bound(
    scope: &Scope<'_>,
    (at_most, at_least): (Option<&Expression>, Option<&Expression>),
    trace: &mut RuleTrace,
) -> Option<Guard> {
    if scope.is_explained() {
        at_most.into_iter().chain(at_least).for_each(|bound| scope.note(bound, &mut trace.values));
    }
    let number = |bound: Option<&Expression>| bound.map(|bound| scope.try_number(bound)).transpose();
    let bounds = number(at_most).and_then(|at_most| Ok((at_most, number(at_least)?)));
    match bounds {
        Ok((at_most, at_least)) => Some(Guard::Bound { at_most, at_least }),
        Err(failure) => {
            trace.outcome = scope.outcome(failure);
            None
        }
    }
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |bound: &f64| number(*bound);
        match self {
            Self::Hold { message } => write!(f, "hold: {message}"),
            Self::Bound { at_most: Some(most), at_least: Some(least) } => {
                write!(f, "at most {}, at least {}", shown(most), shown(least))
            }
            Self::Bound { at_most: Some(most), at_least: None } => write!(f, "at most {}", shown(most)),
            Self::Bound { at_most: None, at_least: Some(least) } => write!(f, "at least {}", shown(least)),
            Self::Bound { at_most: None, at_least: None } => f.write_str("no bound"),
        }
    }
}
