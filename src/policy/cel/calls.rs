//! The check of operators and functions: what exists, with which arguments, and what it gives.

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{CallExpr, Expr, operators};

use super::check::{Checker, Guards, call as plain, ided, literal_text, truth};
use super::env;
use super::signal;
use super::types::Type;

/// Everything that may be called by name.
const FUNCTIONS: &[&str] = &[
    "abs",
    "all",
    "ceil",
    "clamp",
    "contains",
    "double",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "exp",
    "filter",
    "floor",
    "has",
    "int",
    "log",
    "map",
    "matches",
    "max",
    "min",
    "round",
    "size",
    "startsWith",
    "string",
];

struct Arg<'a> {
    expr: &'a IdedExpr,
    ty: Type,
}

/// Checks a call that is no connective, conditional or index.
pub(super) fn call(checker: &mut Checker<'_>, expr: &IdedExpr, inner: &CallExpr, guards: &Guards) -> (Type, IdedExpr) {
    if let Some(read) = signal::call(checker, expr, inner, guards) {
        return read;
    }
    let mut args = Vec::new();
    let mut rewritten = Vec::new();
    for arg in inner.target.as_deref().into_iter().chain(&inner.args) {
        let (ty, tree) = checker.value(arg, guards);
        args.push(Arg { expr: arg, ty });
        rewritten.push(tree);
    }
    let name = inner.func_name.as_str();
    match (name, args.as_slice()) {
        (
            operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
            [l, r],
        ) => {
            let ty = arithmetic(checker, expr, name, l, r);
            let to = match (name, &ty) {
                (operators::DIVIDE, _) => env::DIVIDE,
                (operators::MODULO, _) => env::MODULO,
                (operators::ADD, Type::Text | Type::List(_)) => env::CONCAT,
                _ => name,
            };
            (ty, plain(expr.id, to, rewritten))
        }
        (operators::NEGATE, [operand]) => {
            if !operand.ty.is_number() {
                let help = match operand.ty {
                    Type::Duration => Some("subtract it from something, or write duration(\"-1m\")".to_owned()),
                    _ => None,
                };
                checker.problem(expr, format!("- needs a number, this is {}", operand.ty), help);
            }
            (operand.ty.clone(), plain(expr.id, name, rewritten))
        }
        (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [l, r]) => {
            let ordered = |ty: &Type| ty.is_number() || matches!(ty, Type::Text | Type::Duration);
            if !(ordered(&l.ty) && ordered(&r.ty) && l.ty.comparable(&r.ty)) {
                incomparable(checker, expr, l, r);
            }
            let whole = plain(expr.id, name, rewritten);
            if [&l.ty, &r.ty].into_iter().all(|ty| ty.is_number() || *ty == Type::Duration) {
                checker.comparison(expr, &whole);
            }
            (Type::Bool, whole)
        }
        (operators::EQUALS | operators::NOT_EQUALS, [l, r]) => {
            if !l.ty.comparable(&r.ty) {
                incomparable(checker, expr, l, r);
            }
            (Type::Bool, equality(expr, name, &l.ty, &r.ty, rewritten))
        }
        (operators::IN, [element, of]) => {
            let fits = match &of.ty {
                Type::List(inner) => inner.comparable(&element.ty),
                Type::Map(_) => element.ty.comparable(&Type::Text),
                Type::Any => true,
                _ => false,
            };
            if !fits {
                checker.problem(expr, format!("`in` can't find {} in {}", element.ty, of.ty), None);
            }
            // A list that stands in the file is as long as its parts, which are counted.
            let listed = matches!(of.expr.expr, Expr::List(_));
            (Type::Bool, plain(expr.id, if listed { name } else { env::WITHIN }, rewritten))
        }
        _ => function(checker, expr, inner, &args, rewritten),
    }
}

/// Equality of what has one size is the operator, of all else its charged form.
fn equality(expr: &IdedExpr, name: &str, left: &Type, right: &Type, sides: Vec<IdedExpr>) -> IdedExpr {
    let small = |ty: &Type| matches!(ty, Type::Bool | Type::Double | Type::Int | Type::Text | Type::Duration);
    if small(left) || small(right) {
        return plain(expr.id, name, sides);
    }
    let equal = plain(expr.id, env::EQUAL, sides);
    if name == operators::EQUALS {
        return equal;
    }
    plain(expr.id, operators::CONDITIONAL, vec![equal, truth(expr.id, false), truth(expr.id, true)])
}

fn incomparable(checker: &mut Checker<'_>, at: &IdedExpr, left: &Arg<'_>, right: &Arg<'_>) {
    let duration = [&left.ty, &right.ty].contains(&&Type::Duration);
    let help = if duration { Some("write a duration, such as duration(\"30s\")".to_owned()) } else { None };
    checker.problem(at, format!("{} can't be compared with {}", left.ty, right.ty), help);
}

fn arithmetic(checker: &mut Checker<'_>, at: &IdedExpr, name: &str, left: &Arg<'_>, right: &Arg<'_>) -> Type {
    match (&left.ty, &right.ty) {
        (Type::Any, other) | (other, Type::Any) => other.clone(),
        (Type::Double, Type::Double) => Type::Double,
        (Type::Int, Type::Int) => Type::Int,
        (Type::Int, Type::Double) => checker.mixed(left.expr, right.expr),
        (Type::Double, Type::Int) => checker.mixed(right.expr, left.expr),
        (Type::Text, Type::Text) if name == operators::ADD => Type::Text,
        (Type::Duration, Type::Duration) if matches!(name, operators::ADD | operators::SUBSTRACT) => Type::Duration,
        (Type::List(of), Type::List(other)) if name == operators::ADD && of.comparable(other) => {
            Type::list(if **of == Type::Any { (**other).clone() } else { (**of).clone() })
        }
        (one, other) => {
            let sign = name.trim_matches('_');
            let help = match (one, other) {
                (Type::Text, Type::Double | Type::Int | Type::Bool)
                | (Type::Double | Type::Int | Type::Bool, Type::Text)
                    if name == operators::ADD =>
                {
                    Some("make it a string with string(...)".to_owned())
                }
                _ => None,
            };
            checker.problem(at, format!("{one} {sign} {other} does not exist"), help);
            Type::Any
        }
    }
}

fn function(
    checker: &mut Checker<'_>,
    expr: &IdedExpr,
    inner: &CallExpr,
    args: &[Arg<'_>],
    rewritten: Vec<IdedExpr>,
) -> (Type, IdedExpr) {
    let name = inner.func_name.as_str();
    let keep = |mut parts: Vec<IdedExpr>| {
        let target = inner.target.as_ref().map(|_| Box::new(parts.remove(0)));
        ided(expr.id, Expr::Call(CallExpr { func_name: name.to_owned(), target, args: parts }))
    };
    let ty = match (name, args.len()) {
        ("ceil" | "floor" | "round" | "abs" | "log" | "exp", 1) | ("min" | "max", 2..=4) | ("clamp", 3) => {
            for arg in args {
                number(checker, arg);
            }
            return (Type::Double, plain(expr.id, name, rewritten));
        }
        ("matches", 2) => {
            text(checker, args);
            pattern(checker, args);
            return (Type::Bool, plain(expr.id, env::MATCHES, rewritten));
        }
        ("contains", 2) if inner.target.is_some() => {
            text(checker, args);
            return (Type::Bool, plain(expr.id, env::CONTAINS, rewritten));
        }
        ("startsWith" | "endsWith", 2) if inner.target.is_some() => {
            text(checker, args);
            Type::Bool
        }
        ("string", 1) => Type::Text,
        ("double", 1) => Type::Double,
        ("size" | "int", 1) => Type::Int,
        ("duration", 1) => {
            text(checker, args);
            length(checker, args);
            Type::Duration
        }
        _ => {
            wrong_call(checker, expr, inner, args.len());
            return (Type::Any, expr.clone());
        }
    };
    let fits = |arg: &Arg<'_>| match name {
        "size" => matches!(arg.ty, Type::Text | Type::List(_) | Type::Map(_) | Type::Any),
        "double" | "int" => arg.ty.is_number() || arg.ty == Type::Text,
        "string" => !matches!(arg.ty, Type::List(_) | Type::Map(_) | Type::Object(_)),
        _ => true,
    };
    for arg in args.iter().filter(|arg| !fits(arg)) {
        checker.problem(arg.expr, format!("{name}() does not take {}", arg.ty), None);
    }
    (ty, keep(rewritten))
}

fn number(checker: &mut Checker<'_>, arg: &Arg<'_>) {
    match &arg.ty {
        Type::Double | Type::Any => {}
        Type::Int => {
            checker.mixed(arg.expr, arg.expr);
        }
        other => checker.problem(arg.expr, format!("a number is needed, this is {other}"), None),
    }
}

fn text(checker: &mut Checker<'_>, args: &[Arg<'_>]) {
    for arg in args.iter().filter(|arg| !arg.ty.comparable(&Type::Text)) {
        checker.problem(arg.expr, format!("a string is needed, this is {}", arg.ty), None);
    }
}

/// A pattern must stand in the file, so that it is compiled (and refused) at load.
fn pattern(checker: &mut Checker<'_>, args: &[Arg<'_>]) {
    let Some(arg) = args.get(1) else { return };
    match literal_text(arg.expr).map(env::precompile) {
        Some(Ok(pattern)) => checker.patterns.push(pattern),
        Some(Err(error)) => checker.problem(arg.expr, error, None),
        None => {
            let help = Some("write it as a literal, such as x.matches('^[a-z]+$')".to_owned());
            checker.problem(arg.expr, "the pattern of matches() must be a literal string", help);
        }
    }
}

/// A duration that stands in the file is one.
fn length(checker: &mut Checker<'_>, args: &[Arg<'_>]) {
    let Some(arg) = args.first() else { return };
    if let Some(text) = literal_text(arg.expr).filter(|text| !is_duration(text)) {
        let help = Some("write numbers with units: duration(\"1h30m\"), duration(\"90s\")".to_owned());
        checker.problem(arg.expr, format!("{text:?} is no duration"), help);
    } else if literal_text(arg.expr).is_some() {
        let call = plain(arg.expr.id, "duration", vec![arg.expr.clone()]);
        if super::interpret_constant(&call).is_none() {
            checker.problem(arg.expr, "the duration is too long", None);
        }
    }
}

fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let (number, tail) =
            rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len()));
        let unit = ["ms", "us", "ns", "h", "m", "s"].into_iter().find(|unit| tail.starts_with(unit));
        let (Ok(_), Some(unit)) = (number.parse::<f64>(), unit) else { return false };
        rest = tail.get(unit.len()..).unwrap_or_default();
    }
    true
}

fn wrong_call(checker: &mut Checker<'_>, expr: &IdedExpr, inner: &CallExpr, count: usize) {
    let name = inner.func_name.as_str();
    if FUNCTIONS.contains(&name) {
        let usage = match name {
            "min" | "max" => "takes 2 to 4 numbers",
            "clamp" => "takes a number and its lower and upper bound",
            "contains" | "startsWith" | "endsWith" => "is called on a string with a string: name.startsWith('a')",
            "matches" => "is called on a string with a pattern: name.matches('^a')",
            "has" => "takes a path: has(nfr.max_latency_ms)",
            "all" | "exists" | "exists_one" | "map" | "filter" => {
                "is called on a list with a variable and an expression: class.functions.all(f, f.port > 0.0)"
            }
            _ => "takes one argument",
        };
        // A macro in a form that is none comes here with what it is called on.
        let here = if usage.starts_with("is called on") { String::new() } else { format!("; here it has {count}") };
        checker.problem(expr, format!("{name}() {usage}{here}"), None);
        return;
    }
    let known: Vec<String> = FUNCTIONS.iter().copied().chain(signal::names()).map(str::to_owned).collect();
    checker.unknown(expr, &format!("there is no function `{name}`"), name, &known);
}
