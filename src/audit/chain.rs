//! The chain: each line has its number and the hash of the line before.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What the first line of a chain has in place of the hash of a line before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of bytes, in hexadecimal. That of a line is made over all of it, its end included: it is what
/// `tail -n 1 FILE | sha256sum` prints.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Number of the newest line; 0 where there is none.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) head: String,
}

/// A line that is to be written.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The line, its end included.
    pub(super) bytes: Vec<u8>,
    /// The chain when it is written.
    next: Chain,
}

/// How every line begins.
#[derive(Serialize)]
struct Head<'a, B> {
    seq: u64,
    prev: &'a str,
    time: Timestamp,
    instance: &'a str,
    #[serde(flatten)]
    body: &'a B,
}

impl Default for Chain {
    fn default() -> Self {
        Self { seq: 0, head: GENESIS.to_owned() }
    }
}

impl Chain {
    /// The line that would be the next.
    pub(super) fn seal(
        &self,
        (time, instance): (Timestamp, &str),
        body: &impl Serialize,
    ) -> Result<Sealed, serde_json::Error> {
        let seq = self.seq + 1;
        let mut bytes = serde_json::to_vec(&Head { seq, prev: &self.head, time, instance, body })?;
        bytes.push(b'\n');
        let head = hash(&bytes);
        Ok(Sealed { bytes, next: Self { seq, head } })
    }

    /// The line is written.
    pub(super) fn advance(&mut self, sealed: Sealed) {
        *self = sealed.next;
    }
}
