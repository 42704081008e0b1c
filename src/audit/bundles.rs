//! Policies as they were, kept beside the log: a line names the one that decided by its hash.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::chain::hash;
use crate::rollout::Source;

/// Most bytes that are unpacked.
const MAX_UNPACKED: u64 = 64 << 20;
/// Characters of the hash in a file's name.
const SHOWN: usize = 12;

/// Why a kept policy can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is not there.
    #[error("the policy {revision} is not kept in {dir}: {source}; name the directory with --bundles")]
    Missing {
        /// Its revision.
        revision: String,
        /// Where it was looked for.
        dir: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what the line was decided by.
    #[error("{path} is not the policy that decided: its hash is {found}, the line says {stated}")]
    Other {
        /// The file.
        path: String,
        /// Its hash.
        found: String,
        /// The hash that the line states.
        stated: String,
    },
    /// It can't be read.
    #[error("{path} can't be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: String,
    },
}

/// A directory of kept policies.
#[derive(Clone, Debug)]
pub struct Bundles {
    dir: PathBuf,
}

/// Where the policies of a log stand: `decisions.jsonl.bundles` beside `decisions.jsonl` and what was put aside of it.
pub fn beside(log: &Path) -> PathBuf {
    let digits = |text: &OsStr| text.len() >= 6 && text.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let aside = log.extension().is_some_and(digits);
    let mut name = OsString::from(if aside { log.with_extension("") } else { log.to_owned() });
    name.push(".bundles");
    PathBuf::from(name)
}

/// What a policy was compiled from, as JSON, and its hash.
pub(super) fn identify(source: &Source) -> Result<(String, Vec<u8>), serde_json::Error> {
    let json = serde_json::to_vec(source)?;
    Ok((hash(&json), json))
}

impl Bundles {
    /// Those in a directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Keeps a policy unless it is there. It is there whole or not at all.
    pub(super) fn keep(&self, revision: &str, id: &str, json: &[u8]) -> io::Result<()> {
        let path = self.path(revision, id);
        if path.exists() {
            return Ok(());
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(json)?;
        let bytes = packed.finish()?;
        let unfinished = path.with_extension("unfinished");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The policy that a line names.
    pub fn find(&self, revision: &str, id: &str) -> Result<Source, BundleError> {
        let path = self.path(revision, id);
        let shown = path.display().to_string();
        let packed = fs::read(&path).map_err(|source| BundleError::Missing {
            revision: revision.to_owned(),
            dir: self.dir.display().to_string(),
            source,
        })?;
        let unreadable = |error: String| BundleError::Unreadable { path: shown.clone(), error };
        let mut json = Vec::new();
        let unpacked = GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED).read_to_end(&mut json);
        unpacked.map_err(|error| unreadable(error.to_string()))?;
        checked(&json, id, &shown)
    }

    fn path(&self, revision: &str, id: &str) -> PathBuf {
        // A commit may be a branch with a slash in its name; the hash tells it apart.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "+@._-".contains(c) { c } else { '_' };
        let revision: String = revision.chars().map(plain).collect();
        let id: String = id.chars().take(SHOWN).map(plain).collect();
        self.dir.join(format!("{revision}.{id}.json.gz"))
    }
}

/// What a policy was compiled from, which must have this hash.
pub(super) fn checked(json: &[u8], id: &str, path: &str) -> Result<Source, BundleError> {
    let found = hash(json);
    if found != id {
        return Err(BundleError::Other { path: path.to_owned(), found, stated: id.to_owned() });
    }
    let source = serde_json::from_slice(json);
    source.map_err(|error| BundleError::Unreadable { path: path.to_owned(), error: error.to_string() })
}
