//! The state as it is kept between two runs of the program: JSON, compressed. What does not change gives the same bytes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pace::Log;
use super::state::{ClassKey, Pending, Pin, Rollout, Verdict};
use super::{Basis, Fixed, Source};
use crate::decision::Setting;
use crate::render::Scrape;

/// The form of what is kept.
const VERSION: u32 = 1;
/// Most bytes that a ConfigMap may have, with room for what stands beside the state.
const MAX_BYTES: usize = 1_000_000;
/// Most bytes that are unpacked.
const MAX_UNPACKED: u64 = 64 << 20;

/// Why a state can't be kept, or read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// It has more bytes than a ConfigMap takes.
    #[error(
        "the policy's state has {0} bytes compressed and a ConfigMap takes {MAX_BYTES}; make the bundle smaller, or let \
         pending changes go through first"
    )]
    TooLarge(usize),
    /// It is not what this program wrote, or has a form of a later one.
    #[error("the kept state of the policy can't be read: {0}")]
    Unreadable(String),
    /// A bundle in it is not one for this program.
    #[error("the kept policy {revision} does not load in this version of the program:\n{diagnostics}")]
    Policy {
        /// Revision as it was.
        revision: String,
        /// What is wrong.
        diagnostics: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    bases: Vec<KeptBasis>,
    target: usize,
    #[serde(default)]
    previous: Option<usize>,
    since: Timestamp,
    pending: Option<KeptPending>,
    released: Vec<(i64, u32)>,
}

#[derive(Serialize, Deserialize)]
struct KeptBasis {
    revision: String,
    source: Source,
    setting: Setting,
    odgm_image: Option<String>,
    #[serde(default)]
    scrape: Scrape,
}

#[derive(Serialize, Deserialize)]
struct KeptPending {
    held: bool,
    #[serde(default)]
    back: bool,
    since: Timestamp,
    live: usize,
    changed: usize,
    #[serde(default)]
    unread: usize,
    summary: String,
    report: Value,
    /// Namespace, name, UID, generation, index of the basis (none where that is lost), position.
    pins: Vec<(String, String, String, i64, Option<usize>, usize)>,
}

/// The bytes to keep. What ran before is left out where there is no room for it.
pub fn encode(state: &Rollout) -> Result<Vec<u8>, KeepError> {
    match packed(&kept(state, state.previous.as_ref())) {
        Err(KeepError::TooLarge(_)) if state.previous.is_some() => packed(&kept(state, None)),
        result => result,
    }
}

fn kept(state: &Rollout, previous: Option<&Arc<Basis>>) -> Kept {
    let mut bases: Vec<&Arc<Basis>> = Vec::new();
    let target = index(&mut bases, &state.target);
    let previous = previous.map(|one| index(&mut bases, one));
    let mut pins = Vec::new();
    for (key, pin) in state.pending.iter().flat_map(|pending| &pending.pins) {
        let on = pin.basis.as_ref().map(|one| index(&mut bases, one));
        let ClassKey { namespace, name } = key.clone();
        pins.push((namespace, name, pin.uid.clone(), pin.generation, on, pin.position));
    }
    Kept {
        version: VERSION,
        target,
        previous,
        since: state.since,
        pending: state.pending.as_ref().map(|pending| KeptPending {
            held: pending.verdict == Verdict::Held,
            back: pending.back,
            since: pending.since,
            live: pending.live,
            changed: pending.changed,
            unread: pending.unread,
            summary: pending.summary.clone(),
            report: pending.report.clone(),
            pins,
        }),
        released: state.released.0.clone(),
        bases: bases.into_iter().map(|basis| kept_basis(basis)).collect(),
    }
}

/// The place of a basis among those that are kept.
fn index<'a>(all: &mut Vec<&'a Arc<Basis>>, wanted: &'a Arc<Basis>) -> usize {
    let known = all.iter().position(|known| known.id() == wanted.id());
    known.unwrap_or_else(|| {
        all.push(wanted);
        all.len() - 1
    })
}

fn packed(kept: &Kept) -> Result<Vec<u8>, KeepError> {
    let unreadable = |error: String| KeepError::Unreadable(error);
    let json = serde_json::to_vec(kept).map_err(|error| unreadable(error.to_string()))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&json).map_err(|error| unreadable(error.to_string()))?;
    let bytes = packed.finish().map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > MAX_BYTES { Err(KeepError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

fn kept_basis(basis: &Basis) -> KeptBasis {
    KeptBasis {
        revision: basis.policy().revision().to_owned(),
        source: Source::clone(basis.source()),
        setting: basis.setting().clone(),
        odgm_image: basis.fixed().odgm_image.clone(),
        scrape: basis.fixed().scrape.clone(),
    }
}

/// The state that was kept; its bundles are compiled again.
pub fn decode(bytes: &[u8]) -> Result<Rollout, KeepError> {
    let unreadable = |error: String| KeepError::Unreadable(error);
    let mut json = Vec::new();
    GzDecoder::new(bytes)
        .take(MAX_UNPACKED)
        .read_to_end(&mut json)
        .map_err(|error| unreadable(format!("it does not unpack: {error}")))?;
    let kept: Kept = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
    if kept.version != VERSION {
        return Err(unreadable(format!("it has form {}, this program knows {VERSION}", kept.version)));
    }
    let compiled: Vec<Result<Arc<Basis>, KeepError>> = kept.bases.into_iter().map(basis).collect();
    let find = |index: usize| compiled.get(index).ok_or_else(|| unreadable(format!("it has no basis {index}")));
    let target = find(kept.target)?.clone()?;
    let previous = kept.previous.map(find).transpose()?.and_then(|basis| basis.clone().ok());
    let pending = match kept.pending {
        None => None,
        Some(KeptPending { held, back, since, live, changed, unread, summary, report, pins }) => {
            let pins = pins.into_iter().map(|(namespace, name, uid, generation, index, position)| {
                // One that does not load any more is lost for those who wait on it; the others lose nothing.
                let basis = index.map(find).transpose()?.and_then(|basis| basis.clone().ok());
                Ok((ClassKey { namespace, name }, Pin { uid, generation, basis, position }))
            });
            let pins: BTreeMap<ClassKey, Pin> = pins.collect::<Result<_, KeepError>>()?;
            let verdict = if held { Verdict::Held } else { Verdict::Paced };
            Some(Pending { verdict, back, since, live, changed, unread, summary, report, pins })
        }
    };
    Ok(Rollout { target, previous, since: kept.since, pending, released: Log(kept.released) })
}

fn basis(kept: KeptBasis) -> Result<Arc<Basis>, KeepError> {
    let KeptBasis { revision, source, setting, odgm_image, scrape } = kept;
    let policy = source.compile();
    let policy = policy.map_err(|diagnostics| KeepError::Policy { revision, diagnostics: diagnostics.to_string() })?;
    Ok(Arc::new(Basis::new(Arc::new(policy), Arc::new(source), setting, &Fixed { odgm_image, scrape })))
}
