//! Names whose place is looked up once, when the expression is compiled, rather than at each evaluation.

use std::borrow::Cow;

use cel_interpreter::ExecutionError;
use cel_interpreter::common::types::CelBool;
use cel_interpreter::common::value::{CowVal, FromVal};

use super::Scope;
use super::check::Names;

/// Where a scope has the value of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A fact, by its place in the table.
    Fact(usize),
    /// A signal, by its place in the bundle.
    Signal(usize),
    /// A variable, by its place in the document.
    Variable(usize),
}

/// A name, and where it is found. Without a place it is looked up by its path: the variables of loops, for one.
#[derive(Clone, Debug)]
pub(super) struct Name {
    path: String,
    slot: Option<Slot>,
}

impl Name {
    pub(super) fn of(path: Cow<'_, str>, names: &dyn Names) -> Self {
        let slot = names.slot(&path);
        Self { path: path.into_owned(), slot }
    }

    /// Whether something is there; it is written `?path`, which is what its path is.
    pub(super) fn presence(path: String, names: &dyn Names) -> Self {
        let slot = path.strip_prefix('?').and_then(|path| names.slot(path));
        Self { path, slot }
    }

    pub(super) fn value<'a>(&self, scope: &'a dyn Scope) -> Result<CowVal<'a, 'a>, ExecutionError> {
        let found = match self.slot {
            Some(slot) => scope.at(slot).map(CowVal::Borrowed),
            None => scope.resolve(&self.path),
        };
        found.ok_or_else(|| scope.unknown(&self.path))
    }

    /// Its value, borrowed.
    pub(super) fn read<T, R>(&self, scope: &dyn Scope, take: impl Fn(&T) -> R) -> Result<R, ExecutionError>
    where
        T: for<'b, 'v> FromVal<'b, 'v>,
    {
        self.value(scope)?.downcast_ref::<T>().map(take).ok_or_else(ExecutionError::missing_argument_or_target)
    }

    /// Of a presence, whether it is there.
    pub(super) fn is_there(&self, scope: &dyn Scope) -> Result<bool, ExecutionError> {
        match self.slot {
            Some(slot) => Ok(scope.is_there(slot)),
            None => self.read(scope, |value: &CelBool| *value.inner()),
        }
    }
}
