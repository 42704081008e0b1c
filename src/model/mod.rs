//! A *validated* class: what a `DeploymentRecord` says, parsed once. Whatever holds a [`Class`] need not check again.
//!
//! Pure: no I/O, no clock, no Kubernetes client.

mod addon;
mod class;
pub mod names;
mod parse;
mod quantity;
mod schema;

pub use addon::{ADDON_MONITOR, ADDON_ODGM, ADDON_PDB, addon, addons};
pub use class::{Applied, AppliedSize, Class, Function, NfrTargets, Odgm, Resources};
pub use names::Names;
pub use parse::{FieldError, InvalidRecord, parse};
pub use quantity::{Quantity, QuantityError};
pub use schema::Schema;

/// Port that a function listens on where its record names none.
pub const DEFAULT_FUNCTION_PORT: u16 = 8080;
/// Key of the only function of a record that uses the `spec.function` shorthand.
pub const SHORTHAND_FUNCTION_KEY: &str = "function";
