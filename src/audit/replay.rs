//! A line decided again by the policy that it names.

use serde_json::Value;

use super::line::Decided;
use crate::decision::nfr::{Inputs, NfrDecision};
use crate::policy::Policy;
use crate::rollout::Source;

/// A line that was decided again.
#[derive(Debug)]
pub struct Replayed {
    /// What was asked.
    pub inputs: Inputs,
    /// The policy that decided.
    pub policy: Policy,
    /// What is decided now.
    pub decision: NfrDecision,
    /// Where that is something else than the line says, in words: the first difference.
    pub difference: Option<String>,
}

/// Why a line can't be decided again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its inputs are none for this program.
    #[error("its inputs can't be read: {0}")]
    Inputs(serde_json::Error),
    /// The policy is none for this program.
    #[error("the policy {revision} does not load in this version of the program:\n{diagnostics}")]
    Policy {
        /// Its revision.
        revision: String,
        /// What is wrong.
        diagnostics: String,
    },
}

/// Decides a line again.
pub fn replay(decided: &Decided<'_>, source: &Source) -> Result<Replayed, ReplayError> {
    let inputs: Inputs = serde_json::from_str(decided.inputs).map_err(ReplayError::Inputs)?;
    let policy = source.compile().map_err(|found| ReplayError::Policy {
        revision: decided.revision.to_string(),
        diagnostics: found.to_string(),
    })?;
    let decision = inputs.replay(&policy);
    let now = decision.json().to_string();
    let revision = (policy.revision() != decided.revision)
        .then(|| format!("revision: the line has {:?}, the kept policy is {:?}", decided.revision, policy.revision()));
    let otherwise = decided.decided_otherwise.map(|_| {
        "decided_otherwise: the controller had decided something else than what it wrote with the rules' values"
            .to_owned()
    });
    let difference =
        revision.or(otherwise).or_else(|| (now != decided.decision).then(|| first(decided.decision, &now)));
    Ok(Replayed { inputs, policy, decision, difference })
}

/// The first difference between two texts of JSON that are not the same.
fn first(line: &str, now: &str) -> String {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let differs = parsed(line).zip(parsed(now)).and_then(|(line, now)| between(&line, &now, "decision"));
    differs.unwrap_or_else(|| {
        let at = line.bytes().zip(now.bytes()).take_while(|(line, now)| line == now).count();
        format!("decision: the same values in other bytes, from byte {at} on")
    })
}

fn between(line: &Value, now: &Value, path: &str) -> Option<String> {
    match (line, now) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let of = |side: &serde_json::Map<String, Value>| side.get(key).cloned();
                told(of(left).as_ref(), of(right).as_ref(), &format!("{path}.{key}"))
            })
        }
        (Value::Array(left), Value::Array(right)) => {
            let indexes = 0..left.len().max(right.len());
            indexes.into_iter().find_map(|index| told(left.get(index), right.get(index), &format!("{path}[{index}]")))
        }
        _ if line == now => None,
        _ => Some(format!("{path}: the line has {line}, deciding again gives {now}")),
    }
}

fn told(line: Option<&Value>, now: Option<&Value>, path: &str) -> Option<String> {
    match (line, now) {
        (Some(line), Some(now)) => between(line, now, path),
        (Some(line), None) => Some(format!("{path}: the line has {line}, deciding again gives nothing")),
        (None, Some(now)) => Some(format!("{path}: the line has nothing, deciding again gives {now}")),
        (None, None) => None,
    }
}
