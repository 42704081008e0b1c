//! Conditions that can't come out both ways, and divisions that can be by zero.
//!
//! The walk follows an expression in the order of its evaluation, with what is known at each place of the facts that
//! were looked at before: `x > 3.0 && x < 1.0` leaves nothing that `x` could be. What it says is certain; what it
//! can't see (functions, what loops go through) it takes as possible.

use std::cell::Cell;
use std::collections::BTreeMap;

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, operators};

use super::check::{Checker, Problem, label, literal_text};
use super::range::{Known, Range};
use crate::policy::diagnostic::{CONSTANT, DIVISION, Severity, UNREACHABLE};

/// What is known, by label; `?label` is whether it is there.
type Env = BTreeMap<String, Known>;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// The one outcome that the whole expression can have, with the place and reason.
    pub(super) always: Option<(bool, Problem)>,
}

/// Walks an expression that is right otherwise; `holds` are conditions that came out true before.
pub(super) fn findings(checker: &Checker<'_>, holds: &[IdedExpr], tree: &IdedExpr, condition: bool) -> Findings {
    let mut walk = Walk { checker, problems: Vec::new(), left: Cell::new(QUESTIONS) };
    let env = holds.iter().try_fold(Env::new(), |env, holds| walk.assume(&env, holds, true)).unwrap_or_default();
    let always = condition.then(|| walk.constant(tree, &env)).flatten();
    let always = always.map(|outcome| {
        let (place, env) = walk.culprit(tree, &env, !outcome);
        let message = if outcome { "this condition always holds" } else { "this condition can never hold" };
        (outcome, walk.note(place, outcome, message, &env))
    });
    if always.is_none() {
        walk.visit(tree, &env);
    }
    Findings { problems: walk.problems, always }
}

/// Questions that one walk answers: far more than a sensible expression raises, and few enough for milliseconds. What
/// is asked beyond them is taken as possible.
const QUESTIONS: u32 = 4_000;

struct Walk<'a> {
    checker: &'a Checker<'a>,
    problems: Vec<Problem>,
    left: Cell<u32>,
}

fn literal_bool(expr: &IdedExpr) -> Option<bool> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Some(*value.inner()),
        _ => None,
    }
}

fn binary(expr: &IdedExpr) -> Option<(&str, &IdedExpr, &IdedExpr)> {
    match &expr.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) => match args.as_slice() {
            [left, right] => Some((func_name.as_str(), left, right)),
            _ => None,
        },
        _ => None,
    }
}

/// What holds where either does; `None` is "impossible".
fn join(left: Option<Env>, right: Option<Env>) -> Option<Env> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (one, other) => return one.or(other),
    };
    let both = |(name, known): (String, Known)| Some((name.clone(), known.join(right.get(&name)?)?));
    Some(left.into_iter().filter_map(both).collect())
}

/// The comparison that holds where this one does not.
fn opposite(operator: &str) -> &str {
    match operator {
        operators::LESS => operators::GREATER_EQUALS,
        operators::LESS_EQUALS => operators::GREATER,
        operators::GREATER => operators::LESS_EQUALS,
        operators::GREATER_EQUALS => operators::LESS,
        operators::EQUALS => operators::NOT_EQUALS,
        operators::NOT_EQUALS => operators::EQUALS,
        other => other,
    }
}

/// The comparison with its sides swapped.
fn mirrored(operator: &str) -> &str {
    match operator {
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        other => other,
    }
}

/// What a number must be so that `it OPERATOR other` can hold.
fn allowed(operator: &str, other: Range) -> Range {
    match operator {
        operators::LESS => Range::below(other.high, true),
        operators::LESS_EQUALS => Range::below(other.high, other.high_open),
        operators::GREATER => Range::above(other.low, true),
        operators::GREATER_EQUALS => Range::above(other.low, other.low_open),
        operators::EQUALS => other,
        operators::NOT_EQUALS if other.point() == Some(0.0) => Range { not_zero: true, ..Range::ALL },
        _ => Range::ALL,
    }
}

impl Walk<'_> {
    /// Takes one question; `false` where there are none left.
    fn may_ask(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// What is known where an expression came out as `outcome`; `None` where it can't.
    fn assume(&self, env: &Env, expr: &IdedExpr, outcome: bool) -> Option<Env> {
        if !self.may_ask() {
            return Some(env.clone());
        }
        if let Some(value) = literal_bool(expr) {
            return (value == outcome).then(|| env.clone());
        }
        if let Expr::Select(SelectExpr { operand, field, test: true }) = &expr.expr {
            let Some(of) = label(operand) else { return Some(env.clone()) };
            return self.learn(env, &format!("?{of}.{field}"), &Known::Bool(outcome));
        }
        if let Some(name) = label(expr) {
            return self.learn(env, &name, &Known::Bool(outcome));
        }
        let Expr::Call(CallExpr { func_name, target: None, args }) = &expr.expr else { return Some(env.clone()) };
        match (func_name.as_str(), args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => self.assume(env, inner, !outcome),
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let both = (func_name == operators::LOGICAL_AND) == outcome;
                if both {
                    return self.assume(&self.assume(env, left, outcome)?, right, outcome);
                }
                let past = self.assume(env, left, !outcome).and_then(|env| self.assume(&env, right, outcome));
                join(self.assume(env, left, outcome), past)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => join(
                self.assume(env, condition, true).and_then(|env| self.assume(&env, yes, outcome)),
                self.assume(env, condition, false).and_then(|env| self.assume(&env, no, outcome)),
            ),
            (operators::IN, [element, of]) => self.member(env, element, of, outcome),
            (operator, [left, right]) => self.compare(env, operator, (left, right), outcome),
            _ => Some(env.clone()),
        }
    }

    fn learn(&self, env: &Env, name: &str, known: &Known) -> Option<Env> {
        let before = env.get(name).cloned().or_else(|| self.checker.names.domain(name));
        let after = match before {
            Some(before) => before.meet(known)?,
            None => known.clone(),
        };
        let mut env = env.clone();
        env.insert(name.to_owned(), after);
        Some(env)
    }

    fn texts(&self, env: &Env, expr: &IdedExpr, texts: &[&str], outcome: bool) -> Option<Env> {
        if let Some(text) = literal_text(expr) {
            return (texts.contains(&text) == outcome).then(|| env.clone());
        }
        let Some(name) = label(expr) else { return Some(env.clone()) };
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.learn(env, &name, &if outcome { Known::OneOf(texts) } else { Known::NoneOf(texts) })
    }

    fn member(&self, env: &Env, element: &IdedExpr, of: &IdedExpr, outcome: bool) -> Option<Env> {
        if let Expr::List(list) = &of.expr {
            let texts: Option<Vec<&str>> = list.elements.iter().map(literal_text).collect();
            return match texts {
                Some(texts) if !list.elements.is_empty() => self.texts(env, element, &texts, outcome),
                // Nothing is in an empty list.
                Some(_) => (!outcome).then(|| env.clone()),
                None => Some(env.clone()),
            };
        }
        match (literal_text(element), label(of)) {
            (Some(key), Some(of)) => self.learn(env, &format!("?{of}.{key}"), &Known::Bool(outcome)),
            _ => Some(env.clone()),
        }
    }

    fn compare(&self, env: &Env, operator: &str, (left, right): (&IdedExpr, &IdedExpr), outcome: bool) -> Option<Env> {
        let equality = matches!(operator, operators::EQUALS | operators::NOT_EQUALS);
        let equal = (operator == operators::EQUALS) == outcome;
        for (one, other) in [(left, right), (right, left)] {
            if let (true, Some(text)) = (equality, literal_text(other)) {
                return self.texts(env, one, &[text], equal);
            }
            if let (true, Some(value)) = (equality, literal_bool(other)) {
                return self.assume(env, one, value == equal);
            }
        }
        let operator = if outcome { operator } else { opposite(operator) };
        let (first, second) = match (self.range(env, left), self.range(env, right)) {
            (Some(first), Some(second)) => (first, second),
            // Types are right, so what is compared with a number is one.
            (Some(first), None) => (first, Range::ALL),
            (None, Some(second)) => (Range::ALL, second),
            (None, None) => return Some(env.clone()),
        };
        if let (operators::NOT_EQUALS, Some(one), Some(other)) = (operator, first.point(), second.point()) {
            return (one.total_cmp(&other).is_ne()).then(|| env.clone());
        }
        if first.meet(allowed(operator, second)).is_empty() {
            return None;
        }
        let mut env = env.clone();
        let sides = [(left, operator, second), (right, mirrored(operator), first)];
        for (side, operator, other) in sides {
            if let Some(name) = label(side) {
                env = self.learn(&env, &name, &Known::Number(allowed(operator, other)))?;
            }
        }
        Some(env)
    }

    /// What a number can be; `None` for what may be none.
    fn range(&self, env: &Env, expr: &IdedExpr) -> Option<Range> {
        if !self.may_ask() {
            return None;
        }
        match &expr.expr {
            Expr::Literal(LiteralValue::Double(value)) => Some(Range::between(*value.inner(), *value.inner())),
            #[expect(clippy::cast_precision_loss, reason = "bounds of conditions are small")]
            Expr::Literal(LiteralValue::Int(value)) => {
                Some(Range::between(*value.inner() as f64, *value.inner() as f64))
            }
            Expr::Literal(_) => None,
            Expr::Call(call) if call.func_name != operators::INDEX => self.range_of_call(env, call),
            _ => {
                let name = label(expr)?;
                match env.get(&name).cloned().or_else(|| self.checker.names.domain(&name)) {
                    Some(Known::Number(range)) => Some(range),
                    _ => self.checker.names.is_number(&name).then_some(Range::ALL),
                }
            }
        }
    }

    fn range_of_call(&self, env: &Env, call: &CallExpr) -> Option<Range> {
        let range = |expr: &IdedExpr| self.range(env, expr);
        let parts: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), parts.as_slice()) {
            (operators::NEGATE, [one]) => Some(range(one)?.negate()),
            (operators::ADD, [left, right]) => Some(range(left)?.add(range(right)?)),
            (operators::SUBSTRACT, [left, right]) => Some(range(left)?.add(range(right)?.negate())),
            (operators::MULTIPLY, [left, right]) => Some(range(left)?.multiply(range(right)?)),
            // By a literal only: among whole numbers a division cuts off.
            (operators::DIVIDE, [left, right]) => match &right.expr {
                Expr::Literal(LiteralValue::Double(by)) if *by.inner() > 0.0 => {
                    let share = 1.0 / *by.inner();
                    Some(range(left)?.multiply(Range::between(share, share)))
                }
                _ => Some(Range::ALL),
            },
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let yes = self.assume(env, condition, true).map(|env| self.range(&env, yes));
                let no = self.assume(env, condition, false).map(|env| self.range(&env, no));
                match (yes, no) {
                    (Some(yes), Some(no)) => Some(yes?.hull(no?)),
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => None,
                }
            }
            ("max" | "min", all) => {
                let pick = if call.func_name == "max" { f64::max } else { f64::min };
                let ranges: Option<Vec<Range>> = all.iter().map(|one| range(one)).collect();
                ranges?.into_iter().reduce(|one, two| Range::between(pick(one.low, two.low), pick(one.high, two.high)))
            }
            ("clamp", [_, low, high]) => Some(Range::between(range(low)?.low, range(high)?.high)),
            ("abs", [one]) => Some(range(one)?.abs()),
            ("ceil", [one]) => Some(range(one)?.map(f64::ceil)),
            ("floor", [one]) => Some(range(one)?.map(f64::floor)),
            ("round", [one]) => Some(range(one)?.map(f64::round)),
            ("double", [one]) => Some(range(one).unwrap_or(Range::ALL)),
            ("size" | "count", [_]) | ("stddev_over" | "mean_step_over", [_, _]) => Some(Range::above(0.0, false)),
            ("exp", [_]) => Some(Range::above(0.0, true)),
            (operators::MODULO | "log" | "int", _) => Some(Range::ALL),
            _ => None,
        }
    }

    /// The one outcome that a condition can have.
    fn constant(&self, expr: &IdedExpr, env: &Env) -> Option<bool> {
        match (self.assume(env, expr, true), self.assume(env, expr, false)) {
            (Some(_), None) => Some(true),
            (None, Some(_)) => Some(false),
            _ => None,
        }
    }

    /// The smallest part that by itself keeps a condition from coming out as `outcome`.
    fn culprit<'e>(&self, expr: &'e IdedExpr, env: &Env, outcome: bool) -> (&'e IdedExpr, Env) {
        if let Some((operator, left, right)) = binary(expr)
            && ((operator == operators::LOGICAL_AND && outcome) || (operator == operators::LOGICAL_OR && !outcome))
        {
            return match self.assume(env, left, outcome) {
                None => self.culprit(left, env, outcome),
                Some(known) if self.assume(&known, right, outcome).is_none() => self.culprit(right, &known, outcome),
                Some(_) => (expr, env.clone()),
            };
        }
        (expr, env.clone())
    }

    fn note(&self, at: &IdedExpr, outcome: bool, message: &str, env: &Env) -> Problem {
        let (start, end) = self.checker.extent(at);
        let topic = if outcome { CONSTANT } else { UNREACHABLE };
        let severity = Severity::Warning;
        let help = Some(self.reason(at, env, outcome));
        Problem { start, len: end.saturating_sub(start).max(1), message: message.to_owned(), help, topic, severity }
    }

    /// What is known of the labels of a part, which leaves it only one outcome.
    fn reason(&self, at: &IdedExpr, env: &Env, outcome: bool) -> String {
        let mut labels = Vec::new();
        labels_of(at, &mut labels);
        let known = |name: &String| {
            let known = env.get(name).cloned().or_else(|| self.checker.names.domain(name))?;
            Some(match (name.strip_prefix('?'), &known) {
                (Some(name), Known::Bool(true)) => format!("`{name}` is there"),
                (Some(name), _) => format!("`{name}` is absent"),
                (None, known) => format!("`{name}` {}", known.describe()),
            })
        };
        let known: Vec<String> = labels.iter().filter_map(known).collect();
        match (known.is_empty(), outcome) {
            (false, _) => format!("here {}", known.join(" and ")),
            (true, true) => "leave it out, or compare with something that varies".to_owned(),
            (true, false) => "remove it, or compare with something that varies".to_owned(),
        }
    }

    fn visit(&mut self, expr: &IdedExpr, env: &Env) {
        match &expr.expr {
            Expr::Call(call) => self.visit_call(expr, call, env),
            Expr::Select(select) => self.visit(&select.operand, env),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element, env)),
            Expr::Comprehension(inner) => self.visit_loop(inner, env),
            _ => {}
        }
    }

    fn visit_call(&mut self, expr: &IdedExpr, call: &CallExpr, env: &Env) {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let and = call.func_name == operators::LOGICAL_AND;
                let sign = if and { "&&" } else { "||" };
                self.side(left, env, sign);
                if let Some(known) = self.assume(env, left, and) {
                    self.side(right, &known, sign);
                }
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.side(condition, env, "?:");
                for (branch, outcome) in [(yes, true), (no, false)] {
                    if let Some(known) = self.assume(env, condition, outcome) {
                        self.visit(branch, &known);
                    }
                }
            }
            (operators::DIVIDE | operators::MODULO, [left, right]) => {
                self.visit(left, env);
                self.visit(right, env);
                self.divisor(expr, right, env);
            }
            _ => call.target.as_deref().into_iter().chain(&call.args).for_each(|part| self.visit(part, env)),
        }
    }

    /// A condition within: it should be able to come out both ways.
    fn side(&mut self, expr: &IdedExpr, env: &Env, sign: &str) {
        let Some(outcome) = self.constant(expr, env) else { return self.visit(expr, env) };
        let what = if outcome { "always holds" } else { "can never hold" };
        let note = self.note(expr, outcome, &format!("this side of {sign} {what}"), env);
        self.problems.push(note);
    }

    fn divisor(&mut self, at: &IdedExpr, divisor: &IdedExpr, env: &Env) {
        let range = self.range(env, divisor).unwrap_or(Range::ALL);
        // Where nothing more can be asked, nothing is claimed.
        if !range.contains_zero() || self.left.get() == 0 {
            return;
        }
        let (start, end) = self.checker.extent(divisor);
        let written: String = self.checker.source.iter().skip(start).take(end.saturating_sub(start)).collect();
        let always = range.point().is_some();
        let (message, severity) = if always {
            ("this divides by zero".to_owned(), Severity::Error)
        } else {
            (format!("this divides by `{written}`, which can be zero"), Severity::Warning)
        };
        let help = if always {
            "divide by something else".to_owned()
        } else if label(divisor).is_some() {
            format!("guard it: {written} > 0.0 && ..., or give it a lower bound: max({written}, 1.0)")
        } else {
            format!("give it a lower bound: max({written}, 1.0)")
        };
        let (start, end) = self.checker.extent(if always { at } else { divisor });
        let len = end.saturating_sub(start).max(1);
        self.problems.push(Problem { start, len, message, help: Some(help), topic: DIVISION, severity });
    }

    fn visit_loop(&mut self, inner: &ComprehensionExpr, env: &Env) {
        self.visit(&inner.iter_range, env);
        // What is known of an outer loop's variable of the same name says nothing about this one.
        let own = |name: &str| {
            let name = name.trim_start_matches('?');
            [&inner.iter_var, &inner.accu_var].iter().any(|variable| {
                name.strip_prefix(variable.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let env: Env =
            env.iter().filter(|(name, _)| !own(name)).map(|(name, known)| (name.clone(), known.clone())).collect();
        self.visit(&inner.loop_step, &env);
    }
}

fn labels_of(expr: &IdedExpr, found: &mut Vec<String>) {
    let name = match &expr.expr {
        Expr::Select(SelectExpr { operand, field, test: true }) => label(operand).map(|of| format!("?{of}.{field}")),
        _ => label(expr),
    };
    match (name, &expr.expr) {
        (Some(name), _) if found.contains(&name) => {}
        (Some(name), _) => found.push(name),
        (None, Expr::Call(call)) => {
            if let (operators::IN, [element, of]) = (call.func_name.as_str(), call.args.as_slice())
                && let (Some(key), Some(of)) = (literal_text(element), label(of))
            {
                found.push(format!("?{of}.{key}"));
            }
            call.target.iter().map(AsRef::as_ref).chain(&call.args).for_each(|part| labels_of(part, found));
        }
        (None, Expr::List(list)) => list.elements.iter().for_each(|part| labels_of(part, found)),
        _ => {}
    }
}
