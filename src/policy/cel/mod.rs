//! CEL behind guards: limits, the static check, evaluation with errors as a third outcome.
//!
//! The CEL crate parses and evaluates. It reports unknown names only when they are reached, hides errors behind
//! `&&` and `||`, has no cost limit and recurses on the stack it is given; everything here makes up for that.

mod access;
mod budget;
mod calls;
mod canonical;
mod check;
mod env;
mod limits;
mod name;
mod native;
mod paths;
mod range;
mod reach;
mod signal;
mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel_interpreter::common::ast::Expr;
use cel_interpreter::common::value::Val;
use cel_interpreter::context::VariableResolver;
use cel_interpreter::parser::Parser;
use cel_interpreter::{Context, ExecutionError, IdedExpr, Value};

use crate::policy::diagnostic::Severity;
use crate::policy::trace::Margin;
use crate::policy::units::number;

pub use budget::watch;
pub(crate) use budget::{Allowance, Allowances, Purpose};
pub(crate) use canonical::canonical;
pub(crate) use check::{Comparison, Leaf, Names, Problem};
pub(crate) use name::Slot;
pub(crate) use range::{Known, Range};
pub(crate) use signal::{Look, SignalVal, missing_signal, signal_methods};
pub(crate) use types::Type;

/// Stack for parsing and checking: the parser recurses a dozen frames a level.
const COMPILE_STACK: usize = 32 << 20;
/// Evaluation gets a stack of its own where less than this is left.
const EVALUATE_RED_ZONE: usize = 384 << 10;
const EVALUATE_STACK: usize = 2 << 20;

/// A checked expression, ready to be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    source: String,
    tree: IdedExpr,
    ty: Type,
    leaves: Vec<Leaf>,
    reads: BTreeSet<String>,
    comparisons: Vec<Comparison>,
    looks: Vec<Look>,
    /// Held, so that evaluation finds them.
    #[expect(dead_code, reason = "holding them is their use")]
    patterns: Vec<Arc<env::Pattern>>,
    warnings: Vec<Problem>,
    always: Option<(bool, Problem)>,
    /// Parts that are gone through at least once.
    parts: u32,
    /// The same without the interpreter, where it can do without.
    native: Option<native::Native>,
}

/// A value that is known before there are facts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Bool(bool),
    Number(f64),
    Duration(chrono::Duration),
    Text(String),
}

/// What expressions are evaluated over: names with values, and the steps that may be spent on it.
pub(crate) trait Scope: VariableResolver {
    /// Steps that are left.
    fn allowance(&self) -> &Allowance;

    /// What is at a place; nothing where it is not known here.
    fn at(&self, slot: Slot) -> Option<&dyn Val>;

    /// Whether something is at a place.
    fn is_there(&self, slot: Slot) -> bool;

    /// Why a name has no value.
    fn unknown(&self, name: &str) -> ExecutionError {
        ExecutionError::UndeclaredReference(Arc::new(name.to_owned()))
    }
}

impl Expression {
    /// Parses and checks an expression that must be of type `wanted`.
    #[cfg(test)]
    pub(crate) fn compile(source: &str, wanted: &Type, names: &dyn Names) -> Result<Self, Vec<Problem>> {
        Self::compile_where(&[], source, wanted, names)
    }

    /// Parses and checks an expression that must be of type `wanted`. Where it is evaluated only if others, which are
    /// right, hold, what those asked for is known.
    pub(crate) fn compile_where(
        holds: &[&Self],
        source: &str,
        wanted: &Type,
        names: &dyn Names,
    ) -> Result<Self, Vec<Problem>> {
        limits::source(source).map_err(|problem| vec![problem])?;
        stacker::grow(COMPILE_STACK, || {
            let parse = |one: &&Self| Parser::new().max_recursion_depth(96).parse(&one.source).ok();
            let holds: Vec<IdedExpr> = holds.iter().filter_map(parse).collect();
            Self::compile_here(&holds, source, wanted, names)
        })
    }

    fn compile_here(holds: &[IdedExpr], source: &str, wanted: &Type, names: &dyn Names) -> Result<Self, Vec<Problem>> {
        let (tree, info) = Parser::new()
            .max_recursion_depth(96)
            .error_recovery_limit(4)
            .parse_with_source_info(source)
            .map_err(|errors| limits::syntax(source, &errors))?;
        limits::tree(&tree).map_err(|problem| vec![problem])?;
        let mut checker = check::Checker {
            names,
            source: source.chars().collect(),
            info: &info,
            locals: Vec::new(),
            nesting: 0,
            problems: Vec::new(),
            leaves: Vec::new(),
            reads: BTreeSet::new(),
            comparisons: Vec::new(),
            looks: Vec::new(),
            patterns: Vec::new(),
        };
        let guards = holds.iter().flat_map(|holds| check::present(holds, true)).collect();
        let (ty, rewritten) = checker.value(&tree, &guards);
        if ty == Type::Int && *wanted == Type::Double {
            checker.mixed(&tree, &tree);
        } else if *wanted != Type::Any && !ty.comparable(wanted) {
            checker.problem(&tree, format!("{wanted} is needed here, this is {ty}"), None);
        }
        if !checker.problems.is_empty() {
            return Err(checker.problems);
        }
        let reach::Findings { problems, always } = reach::findings(&checker, holds, &tree, ty == Type::Bool);
        if problems.iter().any(|one| one.severity == Severity::Error) {
            return Err(problems);
        }
        let check::Checker { leaves, reads, comparisons, looks, patterns, .. } = checker;
        Ok(Self {
            source: source.to_owned(),
            parts: u32::try_from(limits::parts(&rewritten)).unwrap_or(u32::MAX),
            native: native::Native::compile(&rewritten, &ty, names),
            tree: rewritten,
            ty,
            leaves,
            reads,
            comparisons,
            looks,
            patterns,
            warnings: problems,
            always,
        })
    }

    /// What its author should look at.
    pub(crate) fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The one outcome that a condition can have, whatever the facts, and why.
    pub(crate) fn always(&self) -> Option<&(bool, Problem)> {
        self.always.as_ref()
    }

    /// The expression as written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Type of its values.
    pub(crate) fn ty(&self) -> &Type {
        &self.ty
    }

    /// Paths that it reads.
    pub(crate) fn reads(&self) -> &BTreeSet<String> {
        &self.reads
    }

    /// Where it reads the past of signals, and how far back.
    pub(crate) fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Whether it has one value, whatever the facts: it follows from params and literals.
    pub(crate) fn is_fixed(&self) -> bool {
        signal::fixed(&self.tree)
    }

    /// Evaluates a condition.
    pub(crate) fn condition(&self, scope: &dyn Scope) -> Result<bool, ExecutionError> {
        self.with(scope, |value| if let Value::Bool(value) = value { Some(value) } else { None })
    }

    /// Evaluates a number, which is finite.
    pub(crate) fn number(&self, scope: &dyn Scope) -> Result<f64, ExecutionError> {
        let value = self.with(scope, |value| if let Value::Float(value) = value { Some(value) } else { None })?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(ExecutionError::function_error("result", "the result is not a finite number"))
        }
    }

    /// Evaluates a string.
    pub(crate) fn text(&self, scope: &dyn Scope) -> Result<String, ExecutionError> {
        self.with(scope, |value| if let Value::String(text) = value { Some(text.as_str().to_owned()) } else { None })
    }

    /// Evaluates a duration.
    pub(crate) fn duration(&self, scope: &dyn Scope) -> Result<chrono::Duration, ExecutionError> {
        self.with(scope, |value| if let Value::Duration(value) = value { Some(value) } else { None })
    }

    /// Evaluates any value, cut loose from what it was computed from.
    pub(crate) fn value(&self, scope: &dyn Scope) -> Result<Value, ExecutionError> {
        let value = self.with(scope, Some)?;
        match &value {
            Value::Float(number) if !number.is_finite() => {
                Err(ExecutionError::function_error("result", "the result is not a finite number"))
            }
            Value::String(text) if text.len() > limits::MAX_VALUE => {
                Err(ExecutionError::function_error("result", "the result is too long"))
            }
            Value::List(items) if items.len() > limits::MAX_ITEMS => {
                Err(ExecutionError::function_error("result", "the result has too many items"))
            }
            _ => Ok(value),
        }
    }

    /// What the interpreter says, and whether the expression does without it.
    #[cfg(test)]
    fn interpreted(&self, scope: &dyn Scope) -> (Result<Value, ExecutionError>, bool) {
        (evaluate(&self.tree, self.parts, scope), self.native.is_some())
    }

    /// What the expression reads, with values, in order of appearance; `None` for what has none.
    pub(crate) fn values(&self, scope: &dyn Scope) -> Vec<(String, Option<String>)> {
        self.leaves
            .iter()
            .map(|leaf| {
                let shown = match &leaf.expr.expr {
                    Expr::Ident(name) => scope.resolve(name).map(|value| show(value.as_ref())),
                    _ => evaluate(&leaf.expr, 0, scope).ok().map(|value| show_value(&value, 0)),
                };
                (leaf.label.clone(), shown)
            })
            .collect()
    }

    fn with<T>(&self, scope: &dyn Scope, take: impl Fn(Value) -> Option<T>) -> Result<T, ExecutionError> {
        let value = match &self.native {
            Some(native) => stacker::maybe_grow(EVALUATE_RED_ZONE, EVALUATE_STACK, || {
                budget::within(scope.allowance(), self.parts, || native.value(scope))
            }),
            None => evaluate(&self.tree, self.parts, scope),
        };
        take(value?).ok_or_else(|| ExecutionError::function_error("result", "it has an unexpected type"))
    }

    /// The comparisons of numbers and durations whose two sides have values here, and how they come out.
    pub(crate) fn margins(&self, scope: &dyn Scope) -> Vec<Margin> {
        self.comparisons.iter().filter_map(|one| margin(one, scope)).collect()
    }
}

/// Evaluates a checked tree, under the budget of one evaluation.
fn evaluate(tree: &IdedExpr, parts: u32, scope: &dyn Scope) -> Result<Value, ExecutionError> {
    let env = env::shared().ok_or_else(|| ExecutionError::function_error("CEL", "its library does not load"))?;
    stacker::maybe_grow(EVALUATE_RED_ZONE, EVALUATE_STACK, || {
        budget::within(scope.allowance(), parts, || {
            let mut context = Context::with_env(Arc::clone(env));
            context.set_variable_resolver(scope);
            // Not `resolve_val`: it is inlined here, and without optimisation takes 30 KiB of stack a level.
            Value::resolve(tree, &context)
        })
    })
}

/// The value of a tree of literals.
fn interpret_constant(tree: &IdedExpr) -> Option<Value> {
    let context = Context::with_env(Arc::clone(env::shared()?));
    Value::resolve(tree, &context).ok()
}

fn margin(one: &Comparison, scope: &dyn Scope) -> Option<Margin> {
    let size = |tree: &IdedExpr| match evaluate(tree, one.parts, scope).ok()? {
        Value::Float(number) => Some((number, false)),
        #[expect(clippy::cast_precision_loss, reason = "sizes of lists and strings are small")]
        Value::Int(number) => Some((number as f64, false)),
        Value::Duration(duration) => Some((duration.as_seconds_f64(), true)),
        _ => None,
    };
    let ((left, seconds), (right, _)) = (size(&one.left)?, size(&one.right)?);
    let Value::Bool(holds) = evaluate(&one.whole, one.parts, scope).ok()? else { return None };
    Some(Margin { comparison: one.text.clone(), left, right, seconds, holds })
}

/// Evaluates how far back a look goes, over the values of params.
pub(crate) fn length_of(look: &Look, params: &dyn Scope) -> Option<chrono::Duration> {
    match evaluate(&look.length, 0, params).ok()? {
        Value::Duration(length) => Some(length),
        _ => None,
    }
}

/// A value as people read it.
pub(crate) fn show(value: &dyn Val) -> String {
    Value::try_from(value).map_or_else(|_| "?".to_owned(), |value| show_value(&value, 0))
}

fn show_value(value: &Value, depth: usize) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => number(*value),
        Value::String(value) => format!("{value:?}"),
        Value::Duration(value) => humantime::format_duration(value.to_std().unwrap_or_default()).to_string(),
        Value::List(items) if depth < 1 && items.iter().all(|item| !matches!(item, Value::Map(_))) => {
            let items: Vec<String> = items.iter().take(8).map(|item| show_value(item, depth + 1)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::List(items) if items.len() == 1 => "1 item".to_owned(),
        Value::List(items) => format!("{} items", items.len()),
        Value::Map(map) => {
            let mut entries: Vec<String> =
                map.map.iter().map(|(key, value)| format!("{key}: {}", show_value(value, depth + 1))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests;
