//! What an entry of a map or list must be known of before it is read.

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{Expr, LiteralValue, operators};

use super::check::{Checker, call};
use super::paths::{Guards, label, literal_text};
use super::types::Type;
use crate::policy::diagnostic::UNGUARDED;

impl Checker<'_> {
    pub(super) fn index(
        &mut self,
        expr: &IdedExpr,
        of: &IdedExpr,
        key: &IdedExpr,
        guards: &Guards,
    ) -> (Type, IdedExpr) {
        let (container, first) = self.value(of, guards);
        let (by, second) = self.value(key, guards);
        let ty = match container {
            Type::Map(entry) => {
                if !by.comparable(&Type::Text) {
                    self.problem(key, format!("the key of a map is a string, this is {by}"), None);
                }
                self.entry(expr, of, key, guards);
                *entry
            }
            Type::List(element) => {
                if !by.is_number() {
                    self.problem(key, format!("the index of a list is a number, this is {by}"), None);
                }
                self.position(of, key);
                *element
            }
            Type::Any => Type::Any,
            other => {
                self.problem(of, format!("{other} can't be indexed"), None);
                Type::Any
            }
        };
        (ty, call(expr.id, operators::INDEX, vec![first, second]))
    }

    /// An entry of a map must be known to be there.
    fn entry(&mut self, expr: &IdedExpr, of: &IdedExpr, key: &IdedExpr, guards: &Guards) {
        let Some(written) = label(expr) else {
            let help = "give the key a name in `variables`, then guard it: variables.key in ... && ...".to_owned();
            return self.report(expr, UNGUARDED, "an entry with a computed key may be absent", Some(help));
        };
        if guards.contains(&written) {
            return;
        }
        let plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match (literal_text(key), label(key), label(of)) {
            (Some(text), _, Some(of)) if !plain(text) => self.absent(expr, &written, &format!("{text:?} in {of}")),
            (None, Some(key), Some(of)) => self.absent(expr, &written, &format!("{key} in {of}")),
            _ => self.unguarded(expr, &written),
        }
    }

    /// A position that stands in the file can be there.
    fn position(&mut self, of: &IdedExpr, key: &IdedExpr) {
        let negated = matches!(&key.expr, Expr::Call(call) if call.func_name == operators::NEGATE);
        let index = if let Expr::Literal(LiteralValue::Int(index)) = &key.expr { Some(*index.inner()) } else { None };
        if negated || index.is_some_and(|index| index < 0) {
            self.problem(key, "the first position of a list is 0", None);
        }
        if let (Expr::List(list), Some(index)) = (&of.expr, index)
            && usize::try_from(index).is_ok_and(|index| index >= list.elements.len())
        {
            self.problem(key, format!("the list has {} elements", list.elements.len()), None);
        }
    }

    pub(super) fn unguarded(&mut self, at: &IdedExpr, written: &str) {
        self.absent(at, written, &format!("has({written})"));
    }

    fn absent(&mut self, at: &IdedExpr, written: &str, guard: &str) {
        self.report(at, UNGUARDED, format!("`{written}` may be absent"), Some(format!("guard it: {guard} && ...")));
    }
}
