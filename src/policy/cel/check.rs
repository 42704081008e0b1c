//! The static check: names, paths, functions, types and guards over the syntax tree, against the schema of facts.
//!
//! The same walk gives the tree that is evaluated: facts become single names, `&&`, `||` and `!` become
//! conditionals (so that an error is never masked, and the left side is always looked at first), division and
//! concatenation become their guarded forms, and each step of a comprehension is charged to the budget.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{
    CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};

use super::Constant;
use super::calls;
use super::env;
use super::limits;
use super::name::Slot;
pub(super) use super::paths::{Guards, label, literal_text, present};
use super::range::Known;
use super::signal::Look;
use super::types::Type;
use crate::policy::diagnostic::{NUMBER, Severity, TYPE, UNKNOWN, nearest};

/// What an expression may read.
pub(crate) trait Names {
    /// Type of a path such as `nfr.max_latency_ms`, and whether it may be absent.
    fn lookup(&self, path: &str) -> Option<(Type, bool)>;
    /// Names directly below a path (all roots for the empty path), for suggestions.
    fn below(&self, path: &str) -> Vec<String>;
    /// What is known of a value before there is one: bounds of a param, the strings that a fact can be.
    fn domain(&self, _path: &str) -> Option<Known> {
        None
    }
    /// The value of a path that has one before there are facts: of a param.
    fn constant(&self, _path: &str) -> Option<Constant> {
        None
    }
    /// Where its value is found, where that is known before there are facts.
    fn slot(&self, path: &str) -> Option<Slot>;
    /// Why a name that exists is not known here, and what to do.
    fn elsewhere(&self, _name: &str) -> Option<(String, String)> {
        None
    }
    /// Whether a path is a number.
    fn is_number(&self, path: &str) -> bool {
        self.lookup(path).is_some_and(|(ty, _)| ty == Type::Double)
    }
}

/// What is wrong at a place of an expression, in characters from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) topic: &'static str,
    pub(crate) severity: Severity,
}

/// A fact, param or variable that an expression reads.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) label: String,
    pub(crate) expr: IdedExpr,
}

/// A comparison of numbers or durations over facts, params and variables, as it is evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// As written.
    pub(crate) text: String,
    pub(crate) left: IdedExpr,
    pub(crate) right: IdedExpr,
    pub(crate) whole: IdedExpr,
    pub(crate) parts: u32,
}

pub(super) struct Checker<'a> {
    pub(super) names: &'a dyn Names,
    pub(super) source: Vec<char>,
    pub(super) info: &'a SourceInfo,
    pub(super) locals: Vec<(String, Type)>,
    pub(super) nesting: usize,
    pub(super) problems: Vec<Problem>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) reads: BTreeSet<String>,
    pub(super) comparisons: Vec<Comparison>,
    pub(super) looks: Vec<Look>,
    pub(super) patterns: Vec<Arc<super::env::Pattern>>,
}

/// Comprehensions within comprehensions.
const MAX_NESTING: usize = 2;

pub(super) fn ided(id: u64, expr: Expr) -> IdedExpr {
    IdedExpr { id, expr }
}

pub(super) fn call(id: u64, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    ided(id, Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

pub(super) fn truth(id: u64, value: bool) -> IdedExpr {
    ided(id, Expr::Literal(LiteralValue::Boolean(value.into())))
}

/// The condition, charged for so many steps.
fn tick(condition: IdedExpr, steps: usize) -> IdedExpr {
    let weight = LiteralValue::Int(i64::try_from(steps).unwrap_or(i64::MAX).into());
    let id = condition.id;
    call(id, env::TICK, vec![condition, ided(id, Expr::Literal(weight))])
}

/// The step of `map` and `filter`: one element is appended, where a condition holds.
struct Append<'a> {
    id: u64,
    condition: Option<&'a IdedExpr>,
    list: &'a IdedExpr,
    element: &'a IdedExpr,
}

/// The checked step of a loop that does nothing but append to its result.
fn append<'a>(inner: &ComprehensionExpr, step: &'a IdedExpr) -> Option<Append<'a>> {
    let starts_empty = matches!(&inner.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    let never_ends_early = matches!(&inner.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(_)));
    let is_result = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == inner.accu_var);
    let of = |expr: &'a IdedExpr, condition: Option<&'a IdedExpr>| match &expr.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == env::CONCAT => match args.as_slice() {
            [list, IdedExpr { expr: Expr::List(items), .. }] if is_result(list) => match items.elements.as_slice() {
                [element] => Some(Append { id: step.id, condition, list, element }),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if !(starts_empty && never_ends_early && is_result(&inner.result)) {
        return None;
    }
    match &step.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::CONDITIONAL => {
            match args.as_slice() {
                [condition, yes, no] if is_result(no) => of(yes, Some(condition)),
                _ => None,
            }
        }
        _ => of(step, None),
    }
}

impl Append<'_> {
    /// The same step, charged, in the form that the evaluator runs in place. Anything else than a literal `true` as the
    /// loop's condition and a plain `result + [element]` as its step would copy the whole result for each element.
    fn charged(&self, steps: usize) -> IdedExpr {
        let Self { id, condition, list, element } = *self;
        let appended = |element: IdedExpr| {
            let one = ided(id, Expr::List(ListExpr::new(vec![element])));
            call(id, operators::ADD, vec![list.clone(), one])
        };
        if let Some(condition) = condition {
            let parts = vec![tick(condition.clone(), steps), appended(element.clone()), list.clone()];
            return call(id, operators::CONDITIONAL, parts);
        }
        let charged = vec![tick(truth(id, true), steps), element.clone(), truth(id, false)];
        appended(call(id, operators::CONDITIONAL, charged))
    }
}

impl Checker<'_> {
    pub(super) fn problem(&mut self, at: &IdedExpr, message: impl Into<String>, help: Option<String>) {
        self.report(at, TYPE, message, help);
    }

    pub(super) fn report(
        &mut self,
        at: &IdedExpr,
        topic: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let (start, end) = self.extent(at);
        let len = end.saturating_sub(start).max(1);
        let problem = Problem { start, len, message: message.into(), help, topic, severity: Severity::Error };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes a comparison, so that it can be shown how near it is to flipping. What a loop compares has no one value.
    pub(super) fn comparison(&mut self, at: &IdedExpr, whole: &IdedExpr) {
        let Expr::Call(CallExpr { args, .. }) = &whole.expr else { return };
        if let ([left, right], true) = (args.as_slice(), self.locals.is_empty()) {
            let text = self.written(at);
            let parts = u32::try_from(limits::parts(whole)).unwrap_or(u32::MAX);
            let (left, right) = (left.clone(), right.clone());
            self.comparisons.push(Comparison { text, left, right, whole: whole.clone(), parts });
        }
    }

    /// The text of an expression, on one line.
    fn written(&self, expr: &IdedExpr) -> String {
        let (start, end) = self.extent(expr);
        let text: String = self.source.iter().skip(start).take(end.saturating_sub(start)).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Notes a figure of a signal, so that traces show it. What a loop computes has no one value.
    pub(super) fn computed(&mut self, at: &IdedExpr, rewritten: &IdedExpr) {
        let label = self.written(at);
        if self.locals.is_empty() && !self.leaves.iter().any(|leaf| leaf.label == label) {
            self.leaves.push(Leaf { label, expr: rewritten.clone() });
        }
    }

    /// Where an expression stands in its source: first character and the one behind the last.
    pub(super) fn extent(&self, expr: &IdedExpr) -> (usize, usize) {
        // The parser counts bytes; a caret stands under a character.
        let chars = |bytes: u32| self.info.source.char_indices().take_while(|(at, _)| *at < bytes as usize).count();
        let own = self.info.offset_for(expr.id).map(|(start, stop)| (chars(start), chars(stop) + 1));
        let (start, end) = own.unwrap_or((0, 1));
        match &expr.expr {
            Expr::Ident(name) => (start, start + name.chars().count()),
            Expr::Select(select) if !select.test => {
                let skip = self.source.iter().skip(start + 1).take_while(|c| c.is_whitespace()).count();
                (self.extent(&select.operand).0, start + 1 + skip + select.field.chars().count())
            }
            Expr::Select(select) => (start.saturating_sub(3), self.extent(&select.operand).1 + select.field.len() + 2),
            Expr::Call(CallExpr { func_name, target, args }) => {
                let first = target.as_deref().or(args.first()).map(|first| self.extent(first).0);
                let last = args.last().map(|last| self.extent(last).1);
                let named = target.is_none() && func_name.chars().all(char::is_alphanumeric);
                let start = if named { start.saturating_sub(func_name.chars().count()) } else { start };
                let last = last.unwrap_or(end).max(end);
                // A method ends with its bracket, behind its last argument.
                let rest = self.source.iter().skip(last);
                let blank = rest.clone().take_while(|c| c.is_whitespace()).count();
                let closed = target.is_some() && rest.clone().nth(blank) == Some(&')');
                let end = if closed { last + blank + 1 } else { last + usize::from(named) };
                (first.unwrap_or(start).min(start), end)
            }
            Expr::Comprehension(inner) => (self.extent(&inner.iter_range).0, end),
            _ => (start, end),
        }
    }

    /// Checks an expression; gives its type and the tree to evaluate.
    pub(super) fn check(&mut self, expr: &IdedExpr, guards: &Guards) -> (Type, IdedExpr) {
        match &expr.expr {
            Expr::Literal(literal) => (self.literal(expr, literal), expr.clone()),
            Expr::Ident(name) => self.ident(expr, name),
            Expr::Select(select) => self.select(expr, select, guards),
            Expr::Call(inner) => self.call(expr, inner, guards),
            Expr::List(list) => self.list(expr, list, guards),
            Expr::Comprehension(inner) => self.comprehension(expr, inner, guards),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.problem(expr, "maps and messages can't be built in a policy", None);
                (Type::Any, expr.clone())
            }
        }
    }

    /// Checks an expression that must be a value, not a group of facts.
    pub(super) fn value(&mut self, expr: &IdedExpr, guards: &Guards) -> (Type, IdedExpr) {
        let (ty, rewritten) = self.check(expr, guards);
        // An element of a list of groups may be handed on; a group of facts is only a way to them.
        if let Type::Object(path) = &ty
            && !path.contains("[]")
        {
            let names = self.names.below(path).join(", ");
            self.problem(
                expr,
                format!("{ty} is no value by itself"),
                Some(format!("choose one of its facts: {names}")),
            );
            return (Type::Any, rewritten);
        }
        if ty == Type::Signal {
            let written = self.written(expr);
            let help = format!("ask for a figure: {written}.last(), {written}.max_over(duration(\"5m\"))");
            self.problem(expr, "a signal is no value by itself", Some(help));
            return (Type::Any, rewritten);
        }
        (ty, rewritten)
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Type {
        match literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Double(value) => {
                if !value.inner().is_finite() {
                    self.problem(at, "this number is too large", None);
                }
                Type::Double
            }
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::Null => {
                self.problem(at, "no fact is ever null", Some("ask with has(...) whether a fact is there".to_owned()));
                Type::Any
            }
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                self.problem(at, "facts are doubles and strings; this literal equals none", None);
                Type::Any
            }
        }
    }

    fn ident(&mut self, expr: &IdedExpr, name: &str) -> (Type, IdedExpr) {
        if let Some((_, ty)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return (ty.clone(), expr.clone());
        }
        let Some((ty, _)) = self.names.lookup(name) else {
            if let Some((message, help)) = self.names.elsewhere(name) {
                self.report(expr, UNKNOWN, message, Some(help));
                return (Type::Any, expr.clone());
            }
            let mut known = self.names.below("");
            known.extend(self.locals.iter().map(|(local, _)| local.clone()));
            self.unknown(expr, &format!("there is no `{name}` here"), name, &known);
            return (Type::Any, expr.clone());
        };
        if !matches!(ty, Type::Object(_)) {
            self.leaf(name, expr.clone());
        }
        (ty, expr.clone())
    }

    fn leaf(&mut self, path: &str, expr: IdedExpr) {
        self.reads.insert(path.to_owned());
        if !self.leaves.iter().any(|leaf| leaf.label == path) {
            self.leaves.push(Leaf { label: path.to_owned(), expr });
        }
    }

    pub(super) fn unknown(&mut self, at: &IdedExpr, message: &str, wrong: &str, known: &[String]) {
        let help = match nearest(wrong, known.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None if known.is_empty() => return self.report(at, UNKNOWN, message, None),
            None => format!("known: {}", known.join(", ")),
        };
        self.report(at, UNKNOWN, message, Some(help));
    }

    fn select(&mut self, expr: &IdedExpr, select: &SelectExpr, guards: &Guards) -> (Type, IdedExpr) {
        let (of, operand) = self.check(&select.operand, guards);
        let keep = |operand: IdedExpr| {
            ided(expr.id, Expr::Select(SelectExpr { operand: Box::new(operand), ..select.clone() }))
        };
        let written = label(&select.operand).map(|label| format!("{label}.{}", select.field));
        let guarded = written.as_ref().is_some_and(|label| guards.contains(label));
        match of {
            Type::Object(prefix) => {
                let path = format!("{prefix}.{}", select.field);
                let Some((ty, optional)) = self.names.lookup(&path) else {
                    let known = self.names.below(&prefix);
                    self.unknown(expr, &format!("`{prefix}` has no `{}`", select.field), &select.field, &known);
                    return (Type::Any, expr.clone());
                };
                // A root fact becomes one name; what hangs on a comprehension's variable stays a selection.
                let root = matches!(&operand.expr, Expr::Ident(name) if *name == prefix);
                let name = |name: String| ided(expr.id, Expr::Ident(name));
                if ty == Type::Signal {
                    self.reads.insert(path.clone());
                }
                if select.test {
                    if ty == Type::Signal {
                        let help = format!("write has_data({path}, duration(\"2m\"))");
                        self.problem(expr, format!("`{path}` is always there, its data may not be"), Some(help));
                        return (Type::Bool, expr.clone());
                    }
                    if !optional {
                        self.problem(expr, format!("`{path}` is always there"), Some("leave has() out".to_owned()));
                    }
                    let test = if root { name(format!("?{path}")) } else { keep(operand) };
                    if root {
                        self.leaf(&path, name(path.clone()));
                    }
                    return (Type::Bool, test);
                }
                if optional && !guarded {
                    self.unguarded(expr, written.as_deref().unwrap_or(&path));
                }
                let rewritten = if root { name(path.clone()) } else { keep(operand) };
                if root && !matches!(ty, Type::Object(_) | Type::Signal) {
                    self.leaf(&path, rewritten.clone());
                }
                (ty, rewritten)
            }
            Type::Map(_) if select.test => (Type::Bool, keep(operand)),
            Type::Map(entry) => {
                if !guarded {
                    self.unguarded(expr, written.as_deref().unwrap_or(&select.field));
                }
                (*entry, keep(operand))
            }
            Type::Any => (if select.test { Type::Bool } else { Type::Any }, keep(operand)),
            other => {
                self.problem(expr, format!("{other} has no fields; `.{}` does not exist", select.field), None);
                (Type::Any, expr.clone())
            }
        }
    }

    fn list(&mut self, expr: &IdedExpr, list: &ListExpr, guards: &Guards) -> (Type, IdedExpr) {
        let mut of = Type::Any;
        let mut elements = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let (ty, rewritten) = self.value(element, guards);
            if !of.comparable(&ty) {
                self.problem(element, format!("{ty} in a list that starts with {of}"), None);
            } else if of == Type::Any {
                of = ty;
            }
            elements.push(rewritten);
        }
        (Type::list(of), ided(expr.id, Expr::List(ListExpr::new(elements))))
    }

    fn call(&mut self, expr: &IdedExpr, inner: &CallExpr, guards: &Guards) -> (Type, IdedExpr) {
        let CallExpr { func_name, target, args } = inner;
        match (func_name.as_str(), target, args.as_slice()) {
            (operators::LOGICAL_AND, None, [left, right]) => self.connective(expr, left, right, guards, true),
            (operators::LOGICAL_OR, None, [left, right]) => self.connective(expr, left, right, guards, false),
            (operators::LOGICAL_NOT, None, [operand]) => {
                let operand = self.boolean(operand, guards, "! needs a condition");
                let parts = vec![operand, truth(expr.id, false), truth(expr.id, true)];
                (Type::Bool, call(expr.id, operators::CONDITIONAL, parts))
            }
            (operators::NOT_STRICTLY_FALSE, None, [operand]) => {
                (Type::Bool, self.boolean(operand, guards, "a condition is needed"))
            }
            (operators::CONDITIONAL, None, [condition, yes, no]) => self.conditional(expr, condition, yes, no, guards),
            (operators::INDEX, None, [of, key]) => self.index(expr, of, key, guards),
            _ => calls::call(self, expr, inner, guards),
        }
    }

    fn boolean(&mut self, expr: &IdedExpr, guards: &Guards, what: &str) -> IdedExpr {
        let (ty, rewritten) = self.value(expr, guards);
        if !matches!(ty, Type::Bool | Type::Any) {
            self.problem(expr, format!("{what}, this is {ty}"), None);
        }
        rewritten
    }

    fn connective(
        &mut self,
        expr: &IdedExpr,
        left: &IdedExpr,
        right: &IdedExpr,
        guards: &Guards,
        and: bool,
    ) -> (Type, IdedExpr) {
        let what = if and { "&& needs conditions on both sides" } else { "|| needs conditions on both sides" };
        let first = self.boolean(left, guards, what);
        let known: Guards = guards.union(&present(left, and)).cloned().collect();
        let second = self.boolean(right, &known, what);
        let parts =
            if and { vec![first, second, truth(expr.id, false)] } else { vec![first, truth(expr.id, true), second] };
        (Type::Bool, call(expr.id, operators::CONDITIONAL, parts))
    }

    fn conditional(
        &mut self,
        expr: &IdedExpr,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
        guards: &Guards,
    ) -> (Type, IdedExpr) {
        let test = self.boolean(condition, guards, "?: needs a condition before the ?");
        let known: Guards = guards.union(&present(condition, true)).cloned().collect();
        let (left, first) = self.value(yes, &known);
        let known: Guards = guards.union(&present(condition, false)).cloned().collect();
        let (right, second) = self.value(no, &known);
        let ty = self.join(expr, (&left, yes), (&right, no));
        (ty, call(expr.id, operators::CONDITIONAL, vec![test, first, second]))
    }

    fn join(&mut self, at: &IdedExpr, left: (&Type, &IdedExpr), right: (&Type, &IdedExpr)) -> Type {
        match (left.0, right.0) {
            (Type::Any, other) | (other, Type::Any) => other.clone(),
            (Type::List(inner), other @ Type::List(_)) if **inner == Type::Any => other.clone(),
            (same, other) if same == other => same.clone(),
            (other @ Type::List(_), Type::List(inner)) if **inner == Type::Any => other.clone(),
            (Type::Int, Type::Double) => self.mixed(left.1, right.1),
            (Type::Double, Type::Int) => self.mixed(right.1, left.1),
            (one, other) => {
                self.problem(at, format!("?: gives {one} or {other}; both sides must be of one type"), None);
                Type::Any
            }
        }
    }

    /// Reports a whole number among doubles, with the way to write it.
    pub(super) fn mixed(&mut self, whole: &IdedExpr, _double: &IdedExpr) -> Type {
        let help = if let Expr::Literal(LiteralValue::Int(value)) = &whole.expr {
            format!("write {}.0", value.inner())
        } else {
            let (start, end) = self.extent(whole);
            let text: String = self.source.iter().skip(start).take(end.saturating_sub(start)).collect();
            format!("write double({text})")
        };
        self.report(whole, NUMBER, "a whole number where every number is a double", Some(help));
        Type::Double
    }

    fn comprehension(&mut self, expr: &IdedExpr, inner: &ComprehensionExpr, guards: &Guards) -> (Type, IdedExpr) {
        let (range, iter_range) = self.value(&inner.iter_range, guards);
        // A loop goes through the keys of a map: their entries are there.
        let keys = matches!(range, Type::Map(_)).then(|| label(&inner.iter_range)).flatten();
        let element = match range {
            Type::List(element) => *element,
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                self.problem(&inner.iter_range, format!("{other} has no elements to go through"), None);
                Type::Any
            }
        };
        if self.nesting >= MAX_NESTING {
            self.problem(expr, format!("more than {MAX_NESTING} loops within each other"), None);
            return (Type::Any, expr.clone());
        }
        if inner.iter_var2.is_some() {
            self.problem(expr, "a loop has one variable", None);
        }
        if self.names.below("").contains(&inner.iter_var) {
            let message = format!("`{}` is a fact; the loop's variable would hide it", inner.iter_var);
            self.problem(expr, message, Some("give the variable another name, such as `f`".to_owned()));
        }
        let (initial, accu_init) = self.value(&inner.accu_init, guards);
        let depth = self.locals.len();
        // What is known of an outer loop's variable of the same name says nothing about this one.
        let own = format!("{}.", inner.iter_var);
        let mut guards: Guards = guards.iter().filter(|label| !label.starts_with(&own)).cloned().collect();
        guards.extend(keys.map(|map| format!("{map}[{}]", inner.iter_var)));
        self.nesting += 1;
        self.locals.push((inner.accu_var.clone(), initial));
        self.locals.push((inner.iter_var.clone(), element));
        let (_, condition) = self.value(&inner.loop_cond, &guards);
        let (stepped, loop_step) = self.value(&inner.loop_step, &guards);
        if let Some((_, accumulated)) = self.locals.get_mut(depth) {
            *accumulated = stepped;
        }
        let (ty, result) = self.value(&inner.result, &guards);
        let steps = limits::parts(&loop_step) + 1;
        let (loop_cond, loop_step) = match append(inner, &loop_step) {
            Some(appending) => (condition, appending.charged(steps)),
            None => (tick(condition, steps), loop_step),
        };
        self.locals.truncate(depth);
        self.nesting -= 1;
        let rebuilt = ComprehensionExpr {
            iter_range,
            iter_var: inner.iter_var.clone(),
            iter_var2: None,
            accu_var: inner.accu_var.clone(),
            accu_init,
            loop_cond,
            loop_step,
            result,
        };
        (ty, ided(expr.id, Expr::Comprehension(Box::new(rebuilt))))
    }
}
