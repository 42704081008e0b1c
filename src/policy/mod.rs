//! The rules engine as mechanism.
