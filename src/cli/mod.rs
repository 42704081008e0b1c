//! The commands, one file each.

#[cfg(feature = "sandbox")]
pub mod sandbox;
