//! When two expressions are the same: by their syntax trees, so that blanks, brackets and quotes do not count.

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{EntryExpr, Expr};
use cel_interpreter::parser::Parser;

use super::{COMPILE_STACK, limits};

/// A text that is equal for expressions of the same meaning; what is no CEL stands for itself.
pub(crate) fn canonical(source: &str) -> String {
    if limits::source(source).is_err() {
        return source.to_owned();
    }
    stacker::grow(COMPILE_STACK, || {
        let parsed = Parser::new().max_recursion_depth(96).error_recovery_limit(4).parse(source);
        match parsed {
            Ok(mut tree) if limits::tree(&tree).is_ok() => {
                anonymous(&mut tree);
                format!("{tree:?}")
            }
            _ => source.to_owned(),
        }
    })
}

/// Nodes without their numbers, which count what was written.
fn anonymous(node: &mut IdedExpr) {
    node.id = 0;
    match &mut node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(anonymous),
        Expr::Comprehension(all) => {
            for part in
                [&mut all.iter_range, &mut all.accu_init, &mut all.loop_cond, &mut all.loop_step, &mut all.result]
            {
                anonymous(part);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(anonymous),
        Expr::Select(select) => anonymous(&mut select.operand),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| of_entry(&mut entry.id, &mut entry.expr)),
        Expr::Struct(one) => one.entries.iter_mut().for_each(|entry| of_entry(&mut entry.id, &mut entry.expr)),
    }
}

fn of_entry(id: &mut u64, entry: &mut EntryExpr) {
    *id = 0;
    match entry {
        EntryExpr::StructField(field) => anonymous(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            anonymous(&mut entry.key);
            anonymous(&mut entry.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn what_is_written_otherwise_and_means_the_same_is_the_same() {
        for (left, right) in [
            ("a>1.0&&b", "a > 1.0 &&\n  b"),
            ("(a > 1.0) && (b)", "a > 1.0 && b"),
            ("x == \"y\"", "x == 'y'"),
            ("l.filter(f, f.a == '').map(f, f.b)", "l.filter(f, f.a==\"\").map( f , f.b )"),
            ("has(a.b) // guard\n && a.b", "has(a.b) && a.b"),
            ("{'a': [1.0]}", "{\"a\":[1.0]}"),
        ] {
            assert_eq!(canonical(left), canonical(right), "{left} and {right}");
        }
        for (left, right) in [
            ("a > 1.0", "a >= 1.0"),
            ("a > 1.0", "a > 1.5"),
            ("a && b || c", "a && (b || c)"),
            ("x == 'y z'", "x == 'y  z'"),
            ("1.0", "1"),
            ("a", "b"),
            ("a &&", "a & &"),
        ] {
            assert_ne!(canonical(left), canonical(right), "{left} and {right}");
        }
    }
}
