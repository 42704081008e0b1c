//! A compiled document: its params and variables, and its rules over the facts of one class.

use std::collections::{BTreeMap, BTreeSet};

use cel_interpreter::ExecutionError;
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;

use super::Inputs;
use super::bundle::Shared;
use super::cel::{self, Expression, Known, Names, Type};
use super::diagnostic::{Diagnostic, Severity, Sink, UNUSED};
use super::document::{Definitions, RuleForm};
use super::facts::{self, Facts};
use super::params::{Origin, Param};
use super::trace::{RuleMode, RuleOutcome, RuleTrace};
use super::yaml::Text;

/// A compiled document.
#[derive(Debug)]
pub struct Unit {
    /// `Kind/name`.
    name: String,
    params: BTreeMap<String, Param>,
    variables: Vec<(String, Expression)>,
    /// Paths that its expressions read.
    reads: BTreeSet<String>,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    name: String,
    mode: RuleMode,
    condition: Expression,
}

/// Compiles the expressions of one document, and sees what they use.
pub(super) struct Compiler<'a> {
    names: Scoped,
    unit: Unit,
    definitions: &'a Definitions,
}

#[derive(Default)]
struct Scoped(BTreeMap<String, (Type, Option<Known>)>);

/// A literal that its author chose.
fn plain(text: &str) -> bool {
    matches!(text.trim(), "true" | "false")
}

impl Names for Scoped {
    fn lookup(&self, path: &str) -> Option<(Type, bool)> {
        match path {
            "params" | "variables" => Some((Type::Object(path.to_owned()), false)),
            _ => self.0.get(path).map(|(ty, _)| (ty.clone(), false)).or_else(|| facts::lookup(path)),
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        if path.is_empty() {
            let mut names = facts::below("");
            names.extend(["params".to_owned(), "variables".to_owned()]);
            return names;
        }
        let prefix = format!("{path}.");
        let own = self.0.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned);
        own.chain(facts::below(path)).collect()
    }

    fn domain(&self, path: &str) -> Option<Known> {
        match self.0.get(path) {
            Some((_, known)) => known.clone(),
            None => facts::domain(path),
        }
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        name: String,
        definitions: &'a Definitions,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Self {
        let mut names = Scoped::default();
        let mut params = BTreeMap::new();
        for shared_param in shared.params {
            let form = &shared_param.form;
            let path = format!("params.{}", form.name.text);
            names.0.insert(path.clone(), (form.cel(), form.domain()));
            if let Some(param) = form.resolve(inputs, shared.override_of_shared(shared_param), sink) {
                params.insert(path, param);
            }
        }
        for form in &definitions.params {
            let path = format!("params.{}", form.name.text);
            super::document::twice(&form.name, shared.params.iter().map(|shared| &shared.form.name), "param", sink);
            names.0.insert(path.clone(), (form.cel(), form.domain()));
            if let Some(param) = form.resolve(inputs, shared.override_of(&name, &form.name.text), sink) {
                params.insert(path, param);
            }
        }
        let unit = Unit { name, params, variables: Vec::new(), reads: BTreeSet::new() };
        let mut compiler = Self { names, unit, definitions };
        for (name, expression) in &definitions.variables {
            let variable = compiler.compile(expression, &Type::Any, sink);
            if let Some((_, problem)) = variable.as_ref().and_then(Expression::always)
                && !plain(&expression.text)
            {
                sink.push(expression.at.inside(&expression.text, problem.clone()));
            }
            let ty = variable.as_ref().map_or(Type::Any, |variable| variable.ty().clone());
            compiler.names.0.insert(format!("variables.{}", name.text), (ty, None));
            if let Some(variable) = variable {
                compiler.unit.variables.push((format!("variables.{}", name.text), variable));
            }
        }
        compiler
    }

    pub(super) fn compile(&mut self, text: &Text, wanted: &Type, sink: &mut Sink) -> Option<Expression> {
        match Expression::compile(&text.text, wanted, &self.names) {
            Ok(expression) => {
                self.unit.reads.extend(expression.reads().iter().cloned());
                for warning in expression.warnings() {
                    sink.push(text.at.inside(&text.text, warning.clone()));
                }
                Some(expression)
            }
            Err(problems) => {
                for problem in problems {
                    sink.push(text.at.inside(&text.text, problem));
                }
                None
            }
        }
    }

    /// Compiles a condition that no rule is made of: a plain `true` or `false` is a choice, all else must vary.
    pub(super) fn condition(&mut self, text: &Text, sink: &mut Sink) -> Option<Expression> {
        let condition = self.compile(text, &Type::Bool, sink)?;
        if let (Some((_, problem)), false) = (condition.always(), plain(&text.text)) {
            sink.push(text.at.inside(&text.text, problem.clone()));
        }
        Some(condition)
    }

    /// Compiles a rule. One that can never hold is a mistake; one that always holds says so by a plain `true`.
    pub(super) fn rule(&mut self, form: &RuleForm, sink: &mut Sink) -> Option<Rule> {
        let text = &form.condition;
        let condition = self.compile(text, &Type::Bool, sink)?;
        match condition.always() {
            Some((false, problem)) => {
                let problem = text.at.inside(&text.text, problem.clone());
                sink.push(Diagnostic { severity: Severity::Error, ..problem });
                return None;
            }
            Some((true, problem)) if !plain(&text.text) => sink.push(text.at.inside(&text.text, problem.clone())),
            _ => {}
        }
        Some(Rule { name: format!("{}/{}", self.unit.name, form.id.text), mode: form.mode, condition })
    }

    /// Compiles a rule of `enabled`, where a plain `false` switches a template off.
    pub(super) fn switch(&mut self, form: &RuleForm, sink: &mut Sink) -> Option<Rule> {
        if form.condition.text.trim() != "false" {
            return self.rule(form, sink);
        }
        let condition = self.compile(&form.condition, &Type::Bool, sink)?;
        Some(Rule { name: format!("{}/{}", self.unit.name, form.id.text), mode: form.mode, condition })
    }

    /// The unit; params and variables that nothing reads are warned of, where the rest is right.
    pub(super) fn finish(self, sink: &mut Sink) -> Unit {
        if !sink.has_errors() {
            let params = self.definitions.params.iter().map(|form| ("param", "params", &form.name));
            let variables = self.definitions.variables.iter().map(|(name, _)| ("variable", "variables", name));
            for (what, root, name) in params.chain(variables) {
                if !self.unit.reads.contains(&format!("{root}.{}", name.text)) {
                    let message = format!("{what} `{}` is not used", name.text);
                    sink.push(name.at.error(message).topic(UNUSED).warning().help("remove it, or use it in a rule"));
                }
            }
        }
        self.unit
    }
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

    /// The document over the facts of one class: its variables are evaluated once, in order.
    pub fn over<'a>(&'a self, facts: &'a Facts) -> Scope<'a> {
        let mut scope = Scope { facts, unit: self, variables: Vec::with_capacity(self.variables.len()) };
        for (_, expression) in &self.variables {
            let value = expression.value(&scope).and_then(|value| {
                value.try_into().map_err(|_| ExecutionError::function_error("variable", "it has an unexpected type"))
            });
            let value = value.map_err(|error| scope.explain(&error));
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

/// A document over the facts of one class.
pub struct Scope<'a> {
    facts: &'a Facts,
    unit: &'a Unit,
    variables: Vec<Result<Box<dyn Val>, String>>,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(path) = name.strip_prefix('?') {
            let present = cel_interpreter::common::types::CelBool::from(self.facts.has(path));
            return Some(CowVal::owned(present));
        }
        if let Some(value) = self.facts.get(name) {
            return Some(CowVal::Borrowed(value));
        }
        if let Some(param) = self.unit.params.get(name) {
            return Some(CowVal::Borrowed(param.value.as_ref()));
        }
        let index = self.unit.variables.iter().position(|(variable, _)| variable == name)?;
        let value = self.variables.get(index)?.as_ref().ok()?;
        Some(CowVal::Borrowed(value.as_ref()))
    }
}

impl cel::Scope for Scope<'_> {
    fn allowance(&self) -> &cel::Allowance {
        self.facts.allowance()
    }
}

impl Scope<'_> {
    /// An evaluation error in words: which fact is not known, which variable failed and why.
    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::UndeclaredReference(name) => {
                let position = self.unit.variables.iter().position(|(variable, _)| *variable == **name);
                match position.and_then(|index| self.variables.get(index)) {
                    Some(Err(reason)) => format!("{name}: {reason}"),
                    _ => format!("{name} is not known"),
                }
            }
            ExecutionError::FunctionError { message, .. } => message.clone(),
            ExecutionError::NoSuchKey(key) => format!("there is no entry {key:?}"),
            other => other.to_string().chars().take(200).collect(),
        }
    }

    /// What a rule read, as people see it: a changed bound with where it comes from, and what has no value.
    fn shown(&self, label: String, value: Option<String>) -> (String, String) {
        let shown = match (value, self.unit.params.get(&label).map(|param| &param.origin)) {
            (Some(value), None | Some(Origin::Default)) => value,
            (Some(value), Some(origin)) => format!("{value} ({origin})"),
            (None, _) if self.facts.has(&label) => "present".to_owned(),
            (None, _) if facts::lookup(&label).is_some_and(|(_, optional)| optional) => "absent".to_owned(),
            (None, _) => "not known".to_owned(),
        };
        (label, shown)
    }

    /// Evaluates a number.
    pub(crate) fn number(&self, expression: &Expression) -> Result<f64, String> {
        expression.number(self).map_err(|error| self.explain(&error))
    }

    /// Evaluates a condition.
    pub(crate) fn condition(&self, expression: &Expression) -> Result<bool, String> {
        expression.condition(self).map_err(|error| self.explain(&error))
    }

    /// Evaluates a string.
    pub(crate) fn text(&self, expression: &Expression) -> Result<String, String> {
        expression.text(self).map_err(|error| self.explain(&error))
    }
}

impl Rule {
    /// Stable name: `kind/name/id`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one outcome that its condition can have, where it is constant.
    pub fn always(&self) -> Option<bool> {
        self.condition.always().map(|(outcome, _)| *outcome)
    }

    /// Its mode.
    pub fn mode(&self) -> RuleMode {
        self.mode
    }

    /// Evaluates the rule, with everything that it looked at.
    pub fn evaluate(&self, scope: &Scope<'_>) -> RuleTrace {
        let outcome = match scope.condition(&self.condition) {
            Ok(true) => RuleOutcome::True,
            Ok(false) => RuleOutcome::False,
            Err(reason) => RuleOutcome::Error(reason),
        };
        let (mut values, mut margins) = (Vec::new(), Vec::new());
        if scope.facts.is_explained() {
            let read = self.condition.values(scope).into_iter();
            values = read.map(|(label, value)| scope.shown(label, value)).collect();
            margins = self.condition.margins(scope);
        }
        RuleTrace {
            rule: self.name.clone(),
            mode: self.mode,
            condition: self.condition.source().to_owned(),
            outcome,
            values,
            margins,
            effect: None,
        }
    }
}
