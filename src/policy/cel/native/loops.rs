//! `exists` and `all` without the interpreter.

use std::sync::Arc;

use cel_interpreter::common::ast::{ComprehensionExpr, Expr, LiteralValue, operators};
use cel_interpreter::common::types::{CelBool, CelList, CelString};
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;
use cel_interpreter::{ExecutionError, IdedExpr};

use super::{Condition, Outcome, call, name};
use crate::policy::cel::budget::charge;
use crate::policy::cel::check::Names;
use crate::policy::cel::env;
use crate::policy::cel::name::Name;
use crate::policy::cel::types::Type;
use crate::policy::cel::{Allowance, Constant, Scope, Slot};

/// Whether a condition holds for one element of a list, or for all.
#[derive(Clone, Debug)]
pub(in crate::policy::cel) struct Quantifier {
    list: Name,
    variable: String,
    condition: Box<Condition>,
    /// The outcome of the condition at which the loop ends: true for `exists`, false for `all`.
    ends_at: bool,
    /// Steps that are charged for each element.
    steps: usize,
}

impl Quantifier {
    /// The loop, where it is one of the two as the check writes them: `accumulated ? true : condition` goes on while
    /// nothing is found, `accumulated ? condition : false` while all is well.
    pub(super) fn compile(inner: &ComprehensionExpr, names: &dyn Names) -> Option<Self> {
        let ComprehensionExpr { iter_range, iter_var, accu_var, accu_init, loop_cond, loop_step, result, .. } = inner;
        let accumulated = |tree: &IdedExpr| matches!(&tree.expr, Expr::Ident(name) if name == accu_var);
        let ends_at = !literal(accu_init)?;
        let (env::TICK, [_, steps]) = call(loop_cond)? else { return None };
        let Expr::Literal(LiteralValue::Int(steps)) = &steps.expr else { return None };
        let (operators::CONDITIONAL, [when, yes, no]) = call(loop_step)? else { return None };
        let (condition, other) = if ends_at { (no, yes) } else { (yes, no) };
        if !accumulated(when) || !accumulated(result) || literal(other) != Some(ends_at) {
            return None;
        }
        let path = name(iter_range)?;
        let Type::List(element) = names.lookup(&path)?.0 else { return None };
        let list = Name::of(path, names);
        let names = Within { names, variable: iter_var, element: &element };
        Some(Self {
            list,
            variable: iter_var.clone(),
            condition: Box::new(Condition::compile(condition, &names)?),
            ends_at,
            steps: usize::try_from(*steps.inner()).ok()?,
        })
    }

    pub(super) fn value(&self, scope: &dyn Scope) -> Outcome<bool> {
        let list = self.list.value(scope)?;
        let list = list.downcast_ref::<CelList>().ok_or_else(ExecutionError::missing_argument_or_target)?;
        let mut found = false;
        for element in list.inner() {
            // The interpreter charges before it looks whether it is done.
            charge(self.steps)?;
            if found {
                break;
            }
            let scope = Element { scope, variable: &self.variable, value: element.as_ref() };
            found = self.condition.value(&scope)? == self.ends_at;
        }
        Ok(found == self.ends_at)
    }
}

fn literal(tree: &IdedExpr) -> Option<bool> {
    if let Expr::Literal(LiteralValue::Boolean(value)) = &tree.expr { Some(*value.inner()) } else { None }
}

/// What follows the loop's variable in a path of its element: nothing, or fields.
fn own<'a>(path: &'a str, variable: &str) -> Option<&'a str> {
    path.strip_prefix(variable).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Names within a loop.
struct Within<'a> {
    names: &'a dyn Names,
    variable: &'a str,
    element: &'a Type,
}

impl Names for Within<'_> {
    fn lookup(&self, path: &str) -> Option<(Type, bool)> {
        match (own(path, self.variable), self.element) {
            (Some(""), element) => Some((element.clone(), false)),
            (Some(fields), Type::Object(group)) => self.names.lookup(&format!("{group}{fields}")),
            (Some(_), _) => None,
            (None, _) => self.names.lookup(path),
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        self.names.below(path)
    }

    fn slot(&self, path: &str) -> Option<Slot> {
        if own(path, self.variable).is_some() { None } else { self.names.slot(path) }
    }

    fn constant(&self, path: &str) -> Option<Constant> {
        if own(path, self.variable).is_some() { None } else { self.names.constant(path) }
    }
}

/// Values within a loop.
struct Element<'a> {
    scope: &'a dyn Scope,
    variable: &'a str,
    value: &'a dyn Val,
}

impl Element<'_> {
    fn field(&self, fields: &str) -> Option<CowVal<'_, '_>> {
        let mut value: &dyn Val = self.value;
        for field in fields.split('.').skip(1) {
            match value.as_indexer()?.get(&CelString::from(field)).ok()? {
                CowVal::Borrowed(found) => value = found,
                CowVal::Owned(_) => return None,
            }
        }
        Some(CowVal::Borrowed(value))
    }
}

impl VariableResolver for Element<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(fields) = name.strip_prefix('?').and_then(|path| own(path, self.variable)) {
            return Some(CowVal::owned(CelBool::from(self.field(fields).is_some())));
        }
        match own(name, self.variable) {
            Some(fields) => self.field(fields),
            None => self.scope.resolve(name),
        }
    }
}

impl Scope for Element<'_> {
    fn allowance(&self) -> &Allowance {
        self.scope.allowance()
    }

    fn at(&self, slot: Slot) -> Option<&dyn Val> {
        self.scope.at(slot)
    }

    fn is_there(&self, slot: Slot) -> bool {
        self.scope.is_there(slot)
    }

    fn unknown(&self, name: &str) -> ExecutionError {
        match own(name, self.variable).and_then(|fields| fields.rsplit('.').next()) {
            Some(field) => ExecutionError::NoSuchKey(Arc::new(field.to_owned())),
            None => self.scope.unknown(name),
        }
    }
}
