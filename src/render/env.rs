//! Environment of containers.

use k8s_openapi::api::core::v1::EnvVar;

use super::{RenderError, odgm::ODGM_PORT};
use crate::model::{Class, Function};

/// Tells a function that its class has a data grid.
pub const ODGM_ENABLED: &str = "ODGM_ENABLED";
/// Tells a function where its data grid is: `host:port`.
pub const ODGM_SERVICE: &str = "ODGM_SERVICE";
/// Tells a function and the data grid which collections there are, as JSON.
pub const ODGM_COLLECTION: &str = "ODGM_COLLECTION";

/// One variable whose process gets exactly `value`.
///
/// Kubernetes expands `$(NAME)` and shortens `$$` in values. A record's values are data (a password, JSON), and
/// their alphabetical order would make references work by accident only: so both are escaped where they occur.
pub(super) fn var(name: &str, value: &str) -> EnvVar {
    let special = value.contains("$(") || value.contains("$$");
    let value = if special { value.replace('$', "$$") } else { value.to_owned() };
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

/// Environment of a function: the data grid's variables, then the record's own by name.
///
/// A variable of the record that the data grid also sets is an error unless both say the same: either silent winner
/// would leave the function with another grid than its author believes.
pub(super) fn function(
    class: &Class,
    function: &Function,
    collection: Option<&str>,
) -> Result<Vec<EnvVar>, RenderError> {
    let mut vars = Vec::new();
    if let Some(collection) = collection {
        let service = format!("{}:{ODGM_PORT}", class.names.odgm_service());
        let injected = [(ODGM_ENABLED, "true"), (ODGM_SERVICE, service.as_str()), (ODGM_COLLECTION, collection)];
        for (name, ours) in injected {
            if function.env.get(name).is_some_and(|own| own != ours) {
                let field = field(class, function, name);
                return Err(RenderError::ReservedVariable { field, variable: name.to_owned(), ours: ours.to_owned() });
            }
            vars.push(var(name, ours));
        }
    }
    let own = function.env.iter().filter(|(name, _)| !vars.iter().any(|var| var.name == **name));
    let own: Vec<EnvVar> = own.map(|(name, value)| var(name, value)).collect();
    vars.extend(own);
    Ok(vars)
}

/// Path of a variable in the record; only listed functions have an env.
pub(super) fn field(class: &Class, function: &Function, name: &str) -> String {
    let index = class.functions.iter().position(|one| one.key == function.key).unwrap_or_default();
    format!("spec.functions[{index}].env[{name:?}]")
}
