//! A condition over numbers that have names: no rule of a bundle, but written, checked and limited like one.

use std::collections::BTreeSet;

use cel_interpreter::common::types::{CelBool, CelDouble};
use cel_interpreter::common::value::{CowVal, Val};
use cel_interpreter::context::VariableResolver;

use super::cel::{self, Allowance, Expression, Names, Slot, Type};

/// A condition that is checked.
#[derive(Debug)]
pub struct Condition {
    expression: Expression,
    paths: Vec<String>,
}

impl Condition {
    /// Reads a condition over numbers by their paths, such as `base.replica_hours`. `missing` tells of groups that could be
    /// there how to have them. What is wrong, in one line.
    pub fn new(text: &str, paths: Vec<String>, missing: &[(&str, &str)]) -> Result<Self, String> {
        let table = Table { paths: &paths, missing };
        let expression = Expression::compile_where(&[], text, &Type::Bool, &table);
        let expression = expression.map_err(|problems| {
            let first = problems.into_iter().next();
            first.map(|one| told(&one.message, one.help.as_deref())).unwrap_or_default()
        })?;
        if expression.reads().is_empty() {
            return Err(told("it reads no number, so it says nothing", Some(&format!("known: {}", paths.join(", ")))));
        }
        if let Some((_, why)) = expression.always() {
            return Err(told(&why.message, why.help.as_deref()));
        }
        Ok(Self { expression, paths })
    }

    /// Paths of the numbers that it reads.
    pub fn reads(&self) -> &BTreeSet<String> {
        self.expression.reads()
    }

    /// Whether it holds for numbers in the order of the paths; what is wrong, in one line.
    pub fn holds(&self, numbers: &[f64]) -> Result<bool, String> {
        let values = numbers.iter().map(|number| CelDouble::from(*number)).collect();
        let numbers = Numbers { paths: &self.paths, values, allowance: Allowance::default() };
        self.expression.condition(&numbers).map_err(|error| error.to_string())
    }
}

fn told(message: &str, help: Option<&str>) -> String {
    help.map_or_else(|| message.to_owned(), |help| format!("{message}; {help}"))
}

/// The names that there are.
struct Table<'a> {
    paths: &'a [String],
    missing: &'a [(&'a str, &'a str)],
}

impl Names for Table<'_> {
    fn lookup(&self, path: &str) -> Option<(Type, bool)> {
        if self.slot(path).is_some() {
            return Some((Type::Double, false));
        }
        (!self.below(path).is_empty()).then(|| (Type::Object(path.to_owned()), false))
    }

    fn below(&self, path: &str) -> Vec<String> {
        let parts = self.paths.iter().filter_map(|known| known.split_once('.'));
        let found: BTreeSet<&str> = match path {
            "" => parts.map(|(group, _)| group).collect(),
            path => parts.filter(|(group, _)| *group == path).map(|(_, name)| name).collect(),
        };
        found.into_iter().map(str::to_owned).collect()
    }

    fn slot(&self, path: &str) -> Option<Slot> {
        self.paths.iter().position(|known| known == path).map(Slot::Fact)
    }

    fn elsewhere(&self, name: &str) -> Option<(String, String)> {
        let (_, help) = self.missing.iter().find(|(group, _)| *group == name)?;
        Some((format!("there is no `{name}` here"), (*help).to_owned()))
    }
}

/// The numbers of one question.
struct Numbers<'a> {
    paths: &'a [String],
    values: Vec<CelDouble>,
    allowance: Allowance,
}

impl cel::Scope for Numbers<'_> {
    fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    fn at(&self, slot: Slot) -> Option<&dyn Val> {
        match slot {
            Slot::Fact(index) => self.values.get(index).map(|value| value as &dyn Val),
            Slot::Signal(_) | Slot::Variable(_) => None,
        }
    }

    fn is_there(&self, slot: Slot) -> bool {
        self.at(slot).is_some()
    }
}

impl VariableResolver for Numbers<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let place = |path: &str| self.paths.iter().position(|known| known == path);
        if let Some(path) = name.strip_prefix('?') {
            return Some(CowVal::owned(CelBool::from(place(path).is_some())));
        }
        self.values.get(place(name)?).map(|value| CowVal::Borrowed(value as &dyn Val))
    }
}
