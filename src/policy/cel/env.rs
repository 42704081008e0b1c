//! What expressions may call: CEL's own library, the functions of the policy language, and the guarded operators that
//! every expression is rewritten to.

#![expect(clippy::needless_pass_by_value, reason = "overloads take their arguments by value")]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};

use cel_interpreter::common::types::{
    BOOL_TYPE, CelBool, CelDouble, CelInt, CelList, CelString, DOUBLE_TYPE, DYN_TYPE, INT_TYPE, LIST_TYPE, STRING_TYPE,
};
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::{DeclarationError, Env, ExecutionError};
use regex::Regex;

use super::budget::{charge, charge_bytes};
use super::signal;

/// Division that refuses zero and what is not finite.
pub(super) const DIVIDE: &str = "@divide";
/// Remainder that refuses zero.
pub(super) const MODULO: &str = "@modulo";
/// Concatenation that is charged for its size.
pub(super) const CONCAT: &str = "@concat";
/// Equality of lists and maps, charged for their size.
pub(super) const EQUAL: &str = "@equal";
/// The search of `in`, charged for what is searched.
pub(super) const WITHIN: &str = "@search";
/// The search of a text in a text, charged for its length.
pub(super) const CONTAINS: &str = "@contains";
/// One step of a comprehension: gives its condition, charges the budget for the parts of the step.
pub(super) const TICK: &str = "@tick";
/// Match against a pattern that was compiled at load.
pub(super) const MATCHES: &str = "@matches";

/// Patterns of all expressions that are alive: each expression owns its own, what no bundle holds any more goes. So
/// reloads do not make it grow.
static PATTERNS: LazyLock<RwLock<HashMap<String, Weak<Pattern>>>> = LazyLock::new(RwLock::default);

/// Largest program of a pattern, KiB. At worst a match goes through all of it for each byte of the text.
const LARGEST: usize = 32;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Size of its program, KiB, rounded up to a power of two.
    size: usize,
}

impl Pattern {
    fn compile(pattern: &str) -> Result<Self, String> {
        let mut size = 1;
        loop {
            match regex::RegexBuilder::new(pattern).size_limit(size << 10).dfa_size_limit(256 << 10).build() {
                Ok(regex) => return Ok(Self { regex, size }),
                Err(regex::Error::CompiledTooBig(_)) if size < LARGEST => size *= 2,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err("this pattern is too large: repeat less, or match a shorter part".to_owned());
                }
                Err(error) => {
                    let error = error.to_string();
                    let reason = error.lines().last().unwrap_or_default().trim();
                    return Err(format!("this is no regular expression: {reason}"));
                }
            }
        }
    }

    /// Whether it occurs in a text. The longer the text and the larger the pattern, the more it is charged.
    pub(super) fn is_match(&self, text: &str) -> Result<bool, ExecutionError> {
        charge((text.len() * self.size).div_ceil(8) + 1)?;
        Ok(self.regex.is_match(text))
    }
}

/// Compiles a literal pattern so that evaluation finds it for as long as the answer is kept.
pub(super) fn precompile(pattern: &str) -> Result<Arc<Pattern>, String> {
    let mut patterns = PATTERNS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = patterns.get(pattern).and_then(Weak::upgrade) {
        return Ok(known);
    }
    let compiled = Arc::new(Pattern::compile(pattern)?);
    patterns.retain(|_, pattern| pattern.strong_count() > 0);
    patterns.insert(pattern.to_owned(), Arc::downgrade(&compiled));
    Ok(compiled)
}

/// Whether a pattern is still held by an expression.
#[cfg(test)]
pub(super) fn is_alive(pattern: &str) -> bool {
    let patterns = PATTERNS.read().unwrap_or_else(PoisonError::into_inner);
    patterns.get(pattern).is_some_and(|one| one.strong_count() > 0)
}

/// The environment that all expressions share.
pub(super) fn shared() -> Option<&'static Arc<Env>> {
    static ENV: LazyLock<Option<Arc<Env>>> = LazyLock::new(|| build().ok().map(Arc::new));
    ENV.as_ref()
}

pub(super) type Values<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn build() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib();
    let d = || DOUBLE_TYPE;
    for Unary { name, overload, .. } in &UNARY {
        env.add_overload(name, &format!("{name}_double"), vec![d()], *overload)?;
    }
    for arity in 2..=4 {
        env.add_overload("min", &format!("min_{arity}"), std::iter::repeat_with(d).take(arity).collect(), least)?;
        env.add_overload("max", &format!("max_{arity}"), std::iter::repeat_with(d).take(arity).collect(), greatest)?;
    }
    env.add_overload("clamp", "clamp_double", vec![d(), d(), d()], clamp)?;
    env.add_overload(DIVIDE, "divide_double", vec![d(), d()], divide)?;
    env.add_overload(DIVIDE, "divide_int", vec![INT_TYPE, INT_TYPE], divide_int)?;
    env.add_overload(MODULO, "modulo_double", vec![d(), d()], modulo)?;
    env.add_overload(MODULO, "modulo_int", vec![INT_TYPE, INT_TYPE], modulo_int)?;
    env.add_overload(CONCAT, "concat_string", vec![STRING_TYPE, STRING_TYPE], concat)?;
    env.add_overload(CONCAT, "concat_list", vec![LIST_TYPE, LIST_TYPE], concat_list)?;
    env.add_overload(EQUAL, "equal_dyn", vec![DYN_TYPE, DYN_TYPE], equal)?;
    env.add_overload(WITHIN, "search_dyn", vec![DYN_TYPE, DYN_TYPE], search)?;
    env.add_overload(CONTAINS, "contains_string", vec![STRING_TYPE, STRING_TYPE], contains)?;
    env.add_overload(TICK, "tick_bool", vec![BOOL_TYPE, INT_TYPE], tick)?;
    env.add_overload(MATCHES, "matches_literal", vec![STRING_TYPE, STRING_TYPE], matches)?;
    signal::register(&mut env)?;
    Ok(env)
}

pub(super) type Overload = for<'b, 'v> fn(Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError>;

/// A function of one number.
#[derive(Debug)]
pub(super) struct Unary {
    name: &'static str,
    pub(super) apply: fn(f64) -> f64,
    overload: Overload,
}

static UNARY: [Unary; 6] = [
    Unary { name: "ceil", apply: f64::ceil, overload: |args| unary(&args, f64::ceil) },
    Unary { name: "floor", apply: f64::floor, overload: |args| unary(&args, f64::floor) },
    Unary { name: "round", apply: f64::round, overload: |args| unary(&args, f64::round) },
    Unary { name: "abs", apply: f64::abs, overload: |args| unary(&args, f64::abs) },
    Unary { name: "log", apply: f64::ln, overload: |args| unary(&args, f64::ln) },
    Unary { name: "exp", apply: f64::exp, overload: |args| unary(&args, f64::exp) },
];

/// The function of one number with this name.
pub(super) fn unary_function(name: &str) -> Option<&'static Unary> {
    UNARY.iter().find(|one| one.name == name)
}

pub(super) fn number(args: &Values<'_, '_>, index: usize) -> Result<f64, ExecutionError> {
    args.get(index)
        .and_then(|value| value.downcast_ref::<CelDouble>())
        .map(|double| *double.inner())
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

fn whole(args: &Values<'_, '_>, index: usize) -> Result<i64, ExecutionError> {
    args.get(index)
        .and_then(|value| value.downcast_ref::<CelInt>())
        .map(|int| *int.inner())
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

fn text<'a>(args: &'a Values<'_, '_>, index: usize) -> Result<&'a str, ExecutionError> {
    args.get(index)
        .and_then(|value| value.downcast_ref::<CelString>())
        .map(CelString::inner)
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

/// A result, which must be finite.
pub(super) fn finite(value: f64, what: &str) -> Result<f64, ExecutionError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(ExecutionError::function_error(what, "the result is not a finite number"))
    }
}

fn double<'b, 'v>(value: f64) -> CowVal<'b, 'v> {
    CowVal::owned(CelDouble::from(value))
}

fn unary<'b, 'v>(args: &Values<'b, 'v>, apply: fn(f64) -> f64) -> Outcome<'b, 'v> {
    finite(apply(number(args, 0)?), "math").map(double)
}

fn least<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    fold(&args, f64::min)
}

fn greatest<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    fold(&args, f64::max)
}

fn fold<'b, 'v>(args: &Values<'b, 'v>, apply: fn(f64, f64) -> f64) -> Outcome<'b, 'v> {
    let mut value = number(args, 0)?;
    for index in 1..args.len() {
        value = apply(value, number(args, index)?);
    }
    finite(value, "min/max").map(double)
}

fn clamp<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    clamped(number(&args, 0)?, number(&args, 1)?, number(&args, 2)?).map(double)
}

/// A number within bounds.
pub(super) fn clamped(value: f64, low: f64, high: f64) -> Result<f64, ExecutionError> {
    if low > high {
        return Err(ExecutionError::function_error(
            "clamp",
            format!("the lower bound {low} is above the upper {high}"),
        ));
    }
    finite(value.max(low).min(high), "clamp")
}

fn zero(left: &str) -> ExecutionError {
    ExecutionError::function_error("division", format!("{left} divided by zero"))
}

fn divide<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    divided(number(&args, 0)?, number(&args, 1)?).map(double)
}

/// A quotient; there is none by zero.
pub(super) fn divided(left: f64, right: f64) -> Result<f64, ExecutionError> {
    if right == 0.0 { Err(zero(&left.to_string())) } else { finite(left / right, "division") }
}

fn modulo<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    remainder(number(&args, 0)?, number(&args, 1)?).map(double)
}

/// What a division leaves; there is none by zero.
pub(super) fn remainder(left: f64, right: f64) -> Result<f64, ExecutionError> {
    if right == 0.0 { Err(zero(&left.to_string())) } else { finite(left % right, "remainder") }
}

fn divide_int<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (left, right) = (whole(&args, 0)?, whole(&args, 1)?);
    left.checked_div(right).map(|value| CowVal::owned(CelInt::from(value))).ok_or_else(|| zero(&left.to_string()))
}

fn modulo_int<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (left, right) = (whole(&args, 0)?, whole(&args, 1)?);
    left.checked_rem(right).map(|value| CowVal::owned(CelInt::from(value))).ok_or_else(|| zero(&left.to_string()))
}

fn concat<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (left, right) = (text(&args, 0)?, text(&args, 1)?);
    charge_bytes(left.len() + right.len())?;
    Ok(CowVal::owned(CelString::from([left, right].concat())))
}

fn concat_list<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let mut all = Vec::new();
    for value in &args {
        let list = value.downcast_ref::<CelList>().ok_or_else(ExecutionError::missing_argument_or_target)?;
        charge(list.inner().len() + 1)?;
        all.extend(list.inner().iter().map(|item| item.clone_as_boxed()));
    }
    Ok(CowVal::owned(CelList::from(all)))
}

/// What it costs to go through a value once.
fn size(value: &dyn Val) -> usize {
    if let Some(list) = value.downcast_ref::<CelList>() {
        return 1 + list.inner().iter().map(|item| size(item.as_ref())).sum::<usize>();
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return text.inner().len() / 16 + 1;
    }
    // A group of facts has a dozen.
    value.as_sizer().and_then(|sizer| usize::try_from(*sizer.size().inner()).ok()).map_or(1, |entries| 1 + entries * 2)
}

fn equal<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let [left, right] = args.as_slice() else { return Err(ExecutionError::missing_argument_or_target()) };
    charge(size(left.as_ref()))?;
    Ok(CowVal::owned(CelBool::from(left == right)))
}

fn search<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let [value, of] = args.as_slice() else { return Err(ExecutionError::missing_argument_or_target()) };
    charge(size(of.as_ref()))?;
    let container = of.as_container().ok_or_else(ExecutionError::missing_argument_or_target)?;
    container.contains(value.as_ref()).map(|found| CowVal::owned(CelBool::from(found)))
}

fn contains<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (value, part) = (text(&args, 0)?, text(&args, 1)?);
    charge_bytes(value.len())?;
    Ok(CowVal::owned(CelBool::from(value.contains(part))))
}

fn tick<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    charge(usize::try_from(whole(&args, 1)?).unwrap_or(usize::MAX))?;
    args.into_iter().next().ok_or_else(ExecutionError::missing_argument_or_target)
}

fn matches<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (value, pattern) = (text(&args, 0)?, text(&args, 1)?);
    let patterns = PATTERNS.read().unwrap_or_else(PoisonError::into_inner);
    let known = patterns.get(pattern).and_then(Weak::upgrade);
    let known = known.ok_or_else(|| ExecutionError::function_error("matches", "unknown pattern"))?;
    known.is_match(value).map(|found| CowVal::owned(CelBool::from(found)))
}
