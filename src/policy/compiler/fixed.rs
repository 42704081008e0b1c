//! What follows from params and literals alone has its value before there are facts: it is seen at load whether it will do.

use std::collections::BTreeMap;

use cel_interpreter::ExecutionError;
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;

use crate::policy::cel::{self, Allowance, Expression, Slot};
use crate::policy::diagnostic::{RANGE, Sink};
use crate::policy::params::Param;
use crate::policy::unit::Unit;
use crate::policy::yaml::Text;

use super::Compiler;

/// Values of params, for what follows from nothing else.
pub(super) struct Fixed<'a> {
    params: &'a BTreeMap<String, Param>,
    /// Durations are as long as they can be set to.
    longest: bool,
    allowance: Allowance,
}

impl<'a> Fixed<'a> {
    pub(super) fn new(unit: &'a Unit, longest: bool) -> Self {
        Self { params: &unit.params, longest, allowance: Allowance::default() }
    }
}

impl cel::Scope for Fixed<'_> {
    fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Nothing but params has a value yet, and those have no places.
    fn at(&self, _: Slot) -> Option<&dyn Val> {
        None
    }

    fn is_there(&self, _: Slot) -> bool {
        false
    }
}

impl VariableResolver for Fixed<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let param = self.params.get(name)?;
        match &param.longest {
            Some(longest) if self.longest => Some(CowVal::Borrowed(longest)),
            _ => Some(CowVal::Borrowed(param.value.as_ref())),
        }
    }
}

impl Compiler<'_> {
    /// The number that an expression comes to, where it follows from params and literals alone. One that `fits` refuses,
    /// saying why, is an error here rather than at every evaluation.
    pub(in crate::policy) fn fixed_number(
        &self,
        text: &Text,
        expression: &Expression,
        fits: impl Fn(f64) -> Result<(), String>,
        sink: &mut Sink,
    ) -> Option<f64> {
        let value = self.fixed(text, expression, |scope| expression.number(scope), sink)?;
        self.fitting(text, expression, fits(value), sink).then_some(value)
    }

    /// The same for a text.
    pub(in crate::policy) fn fixed_text(
        &self,
        text: &Text,
        expression: &Expression,
        fits: impl Fn(&str) -> Result<(), String>,
        sink: &mut Sink,
    ) {
        if let Some(value) = self.fixed(text, expression, |scope| expression.text(scope), sink) {
            self.fitting(text, expression, fits(&value), sink);
        }
    }

    /// The value of an expression that follows from params and literals alone; that it has none is an error.
    pub(super) fn fixed<T>(
        &self,
        text: &Text,
        expression: &Expression,
        evaluate: impl Fn(&Fixed<'_>) -> Result<T, ExecutionError>,
        sink: &mut Sink,
    ) -> Option<T> {
        // A param that has a fault of its own has no value; that is reported.
        let known = |path: &String| !path.starts_with("params.") || self.unit.params.contains_key(path);
        if !expression.is_fixed() || !expression.reads().iter().all(known) {
            return None;
        }
        match evaluate(&Fixed::new(&self.unit, false)) {
            Ok(value) => Some(value),
            Err(error) => {
                let reason = match error {
                    ExecutionError::FunctionError { message, .. } => message,
                    other => other.to_string().chars().take(200).collect(),
                };
                self.fitting(text, expression, Err(format!("this has no value: {reason}")), sink);
                None
            }
        }
    }

    /// Reports why a value does not do, with the params that it follows from.
    fn fitting(&self, text: &Text, expression: &Expression, fits: Result<(), String>, sink: &mut Sink) -> bool {
        let Err(reason) = fits else { return true };
        let params = expression.reads().iter().filter_map(|path| Some((path, self.unit.params.get(path)?)));
        let params: Vec<String> = params
            .map(|(path, param)| format!("{path} is {} ({})", cel::show(param.value.as_ref()), param.origin))
            .collect();
        let error = text.at.error(reason).topic(RANGE);
        sink.push(if params.is_empty() { error } else { error.help(params.join(", ")) });
        false
    }
}
