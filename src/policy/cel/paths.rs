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
            [of, key] => entry(of, key),
            _ => None,
        },
        _ => None,
    }
}

/// The label of an entry of a map or list: `class.labels.team`, `class.functions[0]`, `class.labels[class.name]`.
fn entry(of: &IdedExpr, key: &IdedExpr) -> Option<String> {
    let of = label(of)?;
    match (literal_text(key), &key.expr) {
        (Some(text), _) => Some(format!("{of}.{text}")),
        (None, Expr::Literal(LiteralValue::Int(index))) => Some(format!("{of}[{}]", index.inner())),
        (None, Expr::Literal(_)) => None,
        (None, _) => Some(format!("{of}[{}]", label(key)?)),
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
            (operators::IN, [key, of]) if outcome => entry(of, key).into_iter().collect(),
            _ => Guards::new(),
        },
        _ => Guards::new(),
    }
}
