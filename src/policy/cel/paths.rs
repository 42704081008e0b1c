//! Paths within expressions: how they are written, and which are known to be there.

use std::collections::BTreeSet;

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};

/// Labels known to be present where an expression is evaluated.
pub(super) type Guards = BTreeSet<String>;

/// The text of a literal string.
pub(super) fn literal_text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// An expression's path as written, such as `f.resources.cpu_request` or `class.labels.team`.
pub(super) fn label(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(SelectExpr { operand, field, test: false }) => Some(format!("{}.{field}", label(operand)?)),
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => match args.as_slice() {
            [of, key] => Some(format!("{}.{}", label(of)?, literal_text(key)?)),
            _ => None,
        },
        _ => None,
    }
}

/// What is known to be present where a condition came out as `outcome`.
pub(super) fn present(condition: &IdedExpr, outcome: bool) -> Guards {
    match &condition.expr {
        Expr::Select(SelectExpr { operand, field, test: true }) if outcome => {
            label(operand).map(|of| format!("{of}.{field}")).into_iter().collect()
        }
        Expr::Call(CallExpr { func_name, args, target: None }) => match (func_name.as_str(), args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => present(inner, !outcome),
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let (left, right) = (present(left, outcome), present(right, outcome));
                // `a && b` true, or `a || b` false: both came out that way; else only what both agree on is sure.
                if (func_name == operators::LOGICAL_AND) == outcome {
                    left.union(&right).cloned().collect()
                } else {
                    left.intersection(&right).cloned().collect()
                }
            }
            (operators::IN, [key, of]) if outcome => {
                literal_text(key).zip(label(of)).map(|(key, of)| format!("{of}.{key}")).into_iter().collect()
            }
            _ => Guards::new(),
        },
        _ => Guards::new(),
    }
}
