//! What identifies the policy that decided: the bundle, the params that the environment sets, the commit.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::unit::Unit;

/// Characters of a commit that are shown.
const SHOWN: usize = 12;

/// What identifies a policy; see `docs/decisions/0008-the-revision-of-a-decision.md`.
#[derive(Debug)]
pub(super) struct Revision {
    /// Hash of the bundle, and of the params in effect where the environment sets one.
    rules: String,
    shown: String,
}

impl Revision {
    pub(super) fn new(bundle: &str, params: Option<&str>) -> Self {
        let rules = params.map_or_else(|| bundle.to_owned(), |params| format!("{bundle}+{params}"));
        Self { shown: rules.clone(), rules }
    }

    /// The same revision, from this commit and no other.
    pub(super) fn with_commit(&self, commit: &str) -> Self {
        let commit: String = commit.chars().take(SHOWN).collect();
        Self { shown: format!("{}@{commit}", self.rules), rules: self.rules.clone() }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Whether a text can be a commit: a hash, a tag or a branch. What is wrong otherwise, and what to write.
pub fn check_commit(text: &str) -> Result<(), &'static str> {
    let fine = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    if fine && !text.is_empty() && text.len() <= 100 {
        Ok(())
    } else {
        Err("write a commit or tag such as 3f2a91c04d7e or v1.4: 1 to 100 of letters, digits, `.`, `_`, `-` and `/`")
    }
}

/// Hash of the params of all documents under a profile; `None` where all of them follow from bundle and profile.
pub(super) fn params(profile: &str, units: &[&Unit]) -> Option<String> {
    if !units.iter().any(|unit| unit.follows_environment()) {
        return None;
    }
    let mut text = format!("{profile:?}");
    for unit in units {
        for (name, value, _) in unit.params() {
            let _ = write!(text, "\0{}\0{name}\0{value}", unit.name());
        }
    }
    Some(short(Sha256::new().chain_update(text), 4))
}

/// The first bytes of a hash in hexadecimal.
pub(super) fn short(hash: Sha256, bytes: usize) -> String {
    hash.finalize().iter().take(bytes).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
