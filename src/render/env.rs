//! Environment of containers.

use k8s_openapi::api::core::v1::EnvVar;

use super::RenderError;
use super::addon::Injected;
use crate::model::{Class, Function};

/// One variable whose process gets exactly `value`.
///
/// Kubernetes expands `$(NAME)` and shortens `$$` in values. A record's values are data (a password, JSON), and
/// their alphabetical order would make references work by accident only: so both are escaped where they occur.
pub(super) fn var(name: &str, value: &str) -> EnvVar {
    let special = value.contains("$(") || value.contains("$$");
    let value = if special { value.replace('$', "$$") } else { value.to_owned() };
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

/// Environment of a function: the addons' variables, then the record's own by name.
///
/// A variable of the record that an addon also sets is an error unless both say the same: either silent winner would
/// leave the function with another data grid, say, than its author believes.
pub(super) fn function(class: &Class, function: &Function, injected: &[Injected]) -> Result<Vec<EnvVar>, RenderError> {
    let mut vars = Vec::new();
    for Injected { addon, name, value } in injected {
        if function.env.get(*name).is_some_and(|own| own != value) {
            let (field, variable) = (field(class, function, name), (*name).to_owned());
            return Err(RenderError::ReservedVariable { field, variable, addon, ours: value.clone() });
        }
        vars.push(var(name, value));
    }
    let own = function.env.iter().filter(|(name, _)| !vars.iter().any(|var| var.name == **name));
    let own: Vec<EnvVar> = own.map(|(name, value)| var(name, value)).collect();
    vars.extend(own);
    Ok(vars)
}

/// Path of a variable in the record; only listed functions have an env.
pub(super) fn field(class: &Class, function: &Function, name: &str) -> String {
    format!("{}.env[{name:?}]", path(class, function))
}

/// Path of a function in the record.
pub(super) fn path(class: &Class, function: &Function) -> String {
    let index = class.functions.iter().position(|one| one.key == function.key).unwrap_or_default();
    format!("spec.functions[{index}]")
}
