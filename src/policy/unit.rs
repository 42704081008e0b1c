//! A compiled document: its params and variables, and its rules over the facts of one class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cel_interpreter::ExecutionError;
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;

use super::cel::{self, Allowances, Expression, Purpose, SignalVal, Slot};
use super::facts::{self, Facts};
use super::nfr::SignalPolicy;
use super::params::{Origin, Param};
use super::trace::{RuleMode, RuleOutcome, RuleTrace};

/// A compiled document.
#[derive(Debug)]
pub struct Unit {
    /// `Kind/name`.
    pub(super) name: String,
    pub(super) params: BTreeMap<String, Param>,
    pub(super) variables: Vec<(String, Expression)>,
    /// Paths that its expressions read.
    pub(super) reads: BTreeSet<String>,
    /// Signals that its expressions read.
    pub(super) readings: Vec<Reading>,
    /// All signals of the bundle.
    pub(super) signals: Arc<[SignalPolicy]>,
}

/// A signal that a document reads.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) name: String,
    /// Its place among the signals of the bundle.
    pub(super) index: usize,
    /// `signals.NAME`.
    pub(super) path: Arc<str>,
    /// How far back its samples are kept, milliseconds.
    pub(super) keeps: i64,
    /// How far back the document looks, with the params in effect.
    pub(super) look_back: Duration,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) mode: RuleMode,
    /// It is asked only where this holds.
    pub(super) when: Option<Expression>,
    pub(super) condition: Expression,
    /// Both, as written.
    pub(super) text: Arc<str>,
}

impl Unit {
    /// Whether an expression of the document reads a path.
    pub(super) fn reads(&self, path: &str) -> bool {
        self.reads.contains(path)
    }

    /// Paths that its expressions read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.reads.iter().map(String::as_str)
    }

    /// Variables of the environment that set one of its params.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.params.values().filter_map(|param| match &param.origin {
            Origin::Environment(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// `Kind/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far back the document looks at a signal; `None` where it does not read it at all.
    pub fn look_back(&self, signal: &str) -> Option<Duration> {
        self.readings.iter().find(|reading| reading.name == signal).map(|reading| reading.look_back)
    }

    /// Names of the signals that the document reads.
    pub fn signals(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(|reading| reading.name.as_str())
    }

    /// The document over the facts of one class: its variables are evaluated once, in order.
    pub fn over<'a>(&'a self, facts: &'a Facts) -> Scope<'a> {
        let signals = facts.now().map(|now| self.readings.iter().map(|one| one.at(facts, now)).collect());
        let signals = signals.unwrap_or_default();
        let mut scope = Scope {
            facts,
            unit: self,
            signals,
            variables: Vec::with_capacity(self.variables.len()),
            steps: Allowances::default(),
            purpose: AtomicU8::new(Purpose::Decide as u8),
        };
        for (_, expression) in &self.variables {
            let value = expression.value(&scope).and_then(|value| {
                value.try_into().map_err(|_| ExecutionError::function_error("variable", "it has an unexpected type"))
            });
            let value = value.map_err(|error| scope.failure(&error));
            scope.variables.push(value);
        }
        scope
    }

    /// Whether the environment sets one of its params.
    pub(super) fn follows_environment(&self) -> bool {
        self.params.values().any(|param| matches!(param.origin, Origin::Environment(_)))
    }

    /// Params with their values and where those come from, for people.
    pub fn params(&self) -> impl Iterator<Item = (&str, String, String)> {
        self.params.iter().map(|(path, param)| {
            let name = path.strip_prefix("params.").unwrap_or(path);
            (name, cel::show(param.value.as_ref()), param.origin.to_string())
        })
    }
}

impl Reading {
    /// The signal as of a time.
    fn at(&self, facts: &Facts, now: i64) -> SignalVal {
        let (path, series) = match facts.signal(&self.name) {
            Some((path, series)) => (path, Some(Arc::clone(series))),
            None => (&self.path, None),
        };
        SignalVal { path: Arc::clone(path), series, now, keeps: self.keeps }
    }
}

/// A document over the facts of one class.
pub struct Scope<'a> {
    facts: &'a Facts,
    unit: &'a Unit,
    signals: Vec<SignalVal>,
    variables: Vec<Result<Box<dyn Val>, Failure>>,
    /// What the document may spend, where it does not share with others.
    steps: Allowances,
    /// What evaluations are for now.
    purpose: AtomicU8,
}

/// Why an expression has no value.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// The signal whose data is missing, where it is that.
    missing: Option<String>,
}

impl Failure {
    /// A value that is none of those that it may be.
    pub(crate) fn of(reason: String) -> Self {
        Self { reason, missing: None }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(path) = name.strip_prefix('?') {
            let present = cel_interpreter::common::types::CelBool::from(self.facts.has(path));
            return Some(CowVal::owned(present));
        }
        if name.starts_with("signals.") {
            let signal = self.signals.iter().find(|signal| *signal.path == *name)?;
            return Some(CowVal::Borrowed(signal));
        }
        if name.starts_with("variables.") {
            let index = self.unit.variables.iter().position(|(variable, _)| variable == name)?;
            let value = self.variables.get(index)?.as_ref().ok()?;
            return Some(CowVal::Borrowed(value.as_ref()));
        }
        if let Some(value) = self.facts.get(name) {
            return Some(CowVal::Borrowed(value));
        }
        self.unit.params.get(name).map(|param| CowVal::Borrowed(param.value.as_ref()))
    }
}

impl cel::Scope for Scope<'_> {
    fn allowance(&self) -> &cel::Allowance {
        self.facts.shared_steps().unwrap_or(&self.steps).of(self.purpose())
    }

    fn at(&self, slot: Slot) -> Option<&dyn Val> {
        match slot {
            Slot::Fact(position) => self.facts.at(position),
            Slot::Signal(index) => {
                let reading = self.unit.readings.iter().position(|reading| reading.index == index)?;
                self.signals.get(reading).map(|signal| signal as &dyn Val)
            }
            Slot::Variable(index) => self.variables.get(index)?.as_ref().ok().map(AsRef::as_ref),
        }
    }

    fn is_there(&self, slot: Slot) -> bool {
        match slot {
            Slot::Fact(position) => self.facts.has_at(position),
            Slot::Signal(_) | Slot::Variable(_) => self.at(slot).is_some(),
        }
    }
}

impl Scope<'_> {
    fn purpose(&self) -> Purpose {
        [Purpose::Observe, Purpose::Explain]
            .into_iter()
            .find(|purpose| *purpose as u8 == self.purpose.load(Ordering::Relaxed))
            .unwrap_or(Purpose::Decide)
    }

    /// Evaluates for a purpose. A scope is used by one thread at a time.
    fn for_purpose<T>(&self, purpose: Purpose, evaluate: impl FnOnce() -> T) -> T {
        let before = self.purpose.swap(purpose as u8, Ordering::Relaxed);
        let value = evaluate();
        self.purpose.store(before, Ordering::Relaxed);
        value
    }

    /// Evaluates what belongs to a rule of this mode.
    pub(crate) fn for_mode<T>(&self, mode: RuleMode, evaluate: impl FnOnce() -> T) -> T {
        let purpose = if mode == RuleMode::Enforce { Purpose::Decide } else { Purpose::Observe };
        self.for_purpose(purpose, evaluate)
    }

    /// An evaluation error in words: which fact is not known, which variable failed and why.
    fn failure(&self, error: &ExecutionError) -> Failure {
        let missing = cel::missing_signal(error).map(str::to_owned);
        let reason = match error {
            ExecutionError::UndeclaredReference(name) => {
                let position = self.unit.variables.iter().position(|(variable, _)| *variable == **name);
                match position.and_then(|index| self.variables.get(index)) {
                    Some(Err(Failure { reason, missing })) => {
                        return Failure { reason: format!("{name}: {reason}"), missing: missing.clone() };
                    }
                    _ => format!("{name} is not known"),
                }
            }
            ExecutionError::FunctionError { message, .. } => message.clone(),
            ExecutionError::NoSuchKey(key) => format!("there is no entry {key:?}"),
            other => other.to_string().chars().take(200).collect(),
        };
        Failure { reason, missing }
    }

    /// What a failure makes of a rule: it is inapplicable where all that is missing is data that the class does not
    /// need.
    pub(crate) fn outcome(&self, failure: Failure) -> RuleOutcome {
        let signal = failure.missing.as_ref();
        let signal = signal.and_then(|name| self.unit.signals.iter().find(|signal| signal.name() == name));
        // What can't be told is taken for needed.
        match signal.map(|signal| signal.required(self.facts)) {
            Some(Ok(false)) => RuleOutcome::Inapplicable(failure.reason),
            _ => RuleOutcome::Error(failure.reason),
        }
    }

    /// Whether rules note what they read.
    pub(crate) fn is_explained(&self) -> bool {
        self.facts.is_explained()
    }

    /// What an expression reads, with values, added to what is there already.
    pub(crate) fn note(&self, expression: &Expression, values: &mut Vec<(String, String)>) {
        for (label, value) in self.for_purpose(Purpose::Explain, || expression.values(self)) {
            if !values.iter().any(|(known, _)| *known == label) {
                values.push(self.shown(label, value));
            }
        }
    }

    /// What a rule read, as people see it: a changed bound with where it comes from, and what has no value.
    fn shown(&self, label: String, value: Option<String>) -> (String, String) {
        let shown = match (value, self.unit.params.get(&label).map(|param| &param.origin)) {
            (Some(value), None | Some(Origin::Default)) => value,
            (Some(value), Some(origin)) => format!("{value} ({origin})"),
            (None, _) if label.starts_with("signals.") => "no data".to_owned(),
            (None, _) if self.facts.has(&label) => "present".to_owned(),
            (None, _) if facts::may_be_absent(&label) => "absent".to_owned(),
            (None, _) => "not known".to_owned(),
        };
        (label, shown)
    }

    /// Evaluates a number.
    pub(crate) fn number(&self, expression: &Expression) -> Result<f64, String> {
        self.try_number(expression).map_err(|failure| failure.reason)
    }

    /// Evaluates a number; the failure tells missing data from the rest.
    pub(crate) fn try_number(&self, expression: &Expression) -> Result<f64, Failure> {
        expression.number(self).map_err(|error| self.failure(&error))
    }

    /// Whether a block is enabled, which one without a condition is; the field and reason where that can't be told.
    pub(crate) fn enabled(&self, condition: Option<&Expression>) -> Result<bool, (&'static str, String)> {
        condition.map_or(Ok(true), |condition| self.condition(condition)).map_err(|reason| ("enabled", reason))
    }

    /// Evaluates a condition.
    pub(crate) fn condition(&self, expression: &Expression) -> Result<bool, String> {
        self.try_condition(expression).map_err(|failure| failure.reason)
    }

    fn try_condition(&self, expression: &Expression) -> Result<bool, Failure> {
        expression.condition(self).map_err(|error| self.failure(&error))
    }

    /// Evaluates a duration.
    pub(crate) fn duration(&self, expression: &Expression) -> Result<Duration, String> {
        let length = expression.duration(self).map_err(|error| self.failure(&error).reason)?;
        length.to_std().map_err(|_| "the duration is negative".to_owned())
    }

    /// Evaluates words for people. They take no steps from what decides, and where answers are brief they are none.
    pub(crate) fn words(&self, expression: &Expression) -> Result<String, String> {
        if self.facts.is_brief() {
            return Ok(String::new());
        }
        self.for_purpose(Purpose::Explain, || self.text(expression))
    }

    /// Evaluates a string.
    pub(crate) fn text(&self, expression: &Expression) -> Result<String, String> {
        expression.text(self).map_err(|error| self.failure(&error).reason)
    }
}

impl Rule {
    /// Stable name: `kind/name/id`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one outcome that its condition can have, where it is constant.
    pub fn always(&self) -> Option<bool> {
        if self.when.is_some() {
            return None;
        }
        self.condition.always().map(|(outcome, _)| *outcome)
    }

    /// Its mode.
    pub fn mode(&self) -> RuleMode {
        self.mode
    }

    /// What is asked of it, last.
    pub(crate) fn condition(&self) -> &Expression {
        &self.condition
    }

    /// All that holds where it does.
    pub(crate) fn conditions(&self) -> Vec<&Expression> {
        self.when.iter().chain([&self.condition]).collect()
    }

    /// Evaluates the rule, and notes nothing.
    pub(crate) fn outcome(&self, scope: &Scope<'_>) -> RuleOutcome {
        self.ask(scope).1
    }

    /// Whether its `when` holds, where it has one that can be told, and what comes out of the whole.
    fn ask(&self, scope: &Scope<'_>) -> (Option<bool>, RuleOutcome) {
        scope.for_mode(self.mode, || {
            let when = self.when.as_ref().map(|when| scope.try_condition(when));
            let asked = when.as_ref().and_then(|when| when.as_ref().ok()).copied();
            let holds = when.unwrap_or(Ok(true)).and_then(|asked| Ok(asked && scope.try_condition(&self.condition)?));
            let outcome = match holds {
                Ok(true) => RuleOutcome::True,
                Ok(false) => RuleOutcome::False,
                Err(failure) => scope.outcome(failure),
            };
            (asked, outcome)
        })
    }

    /// Evaluates the rule, with everything that it looked at.
    pub fn evaluate(&self, scope: &Scope<'_>) -> RuleTrace {
        self.evaluate_asked(scope).0
    }

    /// The same, and whether its `when` holds.
    pub(crate) fn evaluate_asked(&self, scope: &Scope<'_>) -> (RuleTrace, Option<bool>) {
        let (asked, outcome) = self.ask(scope);
        let (mut values, mut margins) = (Vec::new(), Vec::new());
        if scope.is_explained() {
            for condition in self.when.iter().chain([&self.condition]) {
                scope.note(condition, &mut values);
                margins.extend(scope.for_purpose(Purpose::Explain, || condition.margins(scope)));
            }
        }
        let trace = RuleTrace {
            rule: Arc::clone(&self.name),
            mode: self.mode,
            condition: Arc::clone(&self.text),
            outcome,
            values,
            margins,
            effect: None,
        };
        (trace, asked)
    }
}
