//! What `/policy` says. Its keys are an interface.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Basis, Rollout, Verdict};
use crate::policy::{Diagnostic, Diagnostics, report};

/// How the policy's own machinery does.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The newest load that failed.
    pub failed: Option<Failure>,
    /// Where the state is kept, as `namespace/name`.
    pub kept_in: String,
    /// Why the state could not be kept, while it can't.
    pub keep_error: Option<String>,
}

/// A load that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it was seen.
    pub at: Timestamp,
    /// Nothing was loaded since.
    pub stands: bool,
    /// What is wrong.
    pub diagnostics: Diagnostics,
}

/// The whole page. While a change is pending, `active` is what most of the waiting classes run on.
pub fn page(state: &Rollout, health: &Health) -> Value {
    let target = state.target();
    let (active, pending) = match state.pending() {
        None => (basis(target, Some(state.since())), Value::Null),
        Some(pending) => {
            let on = pending.on();
            let active = on.first().map_or_else(|| basis(target, None), |(old, _)| basis(old, None));
            let lost = Some(pending.lost()).filter(|lost| *lost > 0);
            let waiting: Vec<Value> = on
                .iter()
                .map(|(old, classes)| json!({"revision": old.policy().revision(), "classes": classes}))
                // Those that stay as they are because it is lost what they were decided by.
                .chain(lost.map(|classes| json!({"revision": null, "classes": classes})))
                .collect();
            let rollout = target.policy().rollout();
            let mut report = pending.report.clone();
            let details = json!({
                "state": pending.verdict().name(), "since": pending.since(), "summary": pending.summary(),
                "pace": rollout.pace.to_string(), "hold_above": rollout.hold_above / 100.0,
                "at_least": rollout.at_least, "done": pending.changed() - pending.waiting().min(pending.changed()),
                "waiting": pending.waiting(), "waiting_on": waiting,
            });
            for part in [details, basis(target, None)] {
                if let (Value::Object(report), Value::Object(part)) = (&mut report, part) {
                    report.extend(part);
                }
            }
            (active, report)
        }
    };
    json!({
        "active": active, "pending": pending,
        // To go back to it is not held.
        "previous": state.previous().map(|previous| previous.policy().revision()),
        "last_failed_load": health.failed.as_ref().map(failure_json),
        "kept_in": {"config_map": health.kept_in, "error": health.keep_error},
    })
}

impl Rollout {
    /// What becomes of the classes that a change concerns; `None` where it concerns none.
    pub fn outlook(&self) -> Option<String> {
        let rollout = self.target().policy().rollout();
        self.pending().map(|pending| match pending.verdict() {
            Verdict::Held => format!(
                "held, because that is more than {} %: a revision of the bundle that allows it (rollout.hold_above) lets \
                 it through",
                rollout.hold_above
            ),
            Verdict::Paced if pending.is_back() => format!(
                "they go over at {}, more than {} % though they are: it is what ran before, and to go back is not held",
                rollout.pace, rollout.hold_above
            ),
            Verdict::Paced => format!("they go over at {}", rollout.pace),
        })
    }
}

fn basis(basis: &Basis, since: Option<Timestamp>) -> Value {
    let (policy, source) = (basis.policy(), basis.source());
    let mut value = json!({
        "revision": policy.revision(), "bundle": policy.name(), "commit": commit(policy.revision()),
        "source": source.origin.to_string(), "environment": source.inputs.environment, "setting": basis.setting(),
    });
    if let (Value::Object(fields), Some(since)) = (&mut value, since) {
        fields.insert("since".to_owned(), json!(since));
    }
    value
}

/// The commit, as the revision shows it.
fn commit(revision: &str) -> Option<&str> {
    revision.split_once('@').map(|(_, commit)| commit)
}

/// A failed load with its findings, as `policy check --format json` has them, and as text.
pub fn failure_json(failure: &Failure) -> Value {
    let Failure { at, stands, diagnostics } = failure;
    let found: &[Diagnostic] = &diagnostics.0;
    let mut value = report::json(found, None);
    if let Value::Object(fields) = &mut value {
        fields.remove("bundle");
        fields.insert("at".to_owned(), json!(at));
        fields.insert("stands".to_owned(), json!(stands));
        fields.insert("text".to_owned(), json!(diagnostics.to_string()));
    }
    value
}
