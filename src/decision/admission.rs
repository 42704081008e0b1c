//! Whether a record is accepted.

use crate::policy::{Effect, Facts, Policy};

use super::{Admission, Finding};

/// Asks every Admission document, in the order of their names.
pub fn admit(policy: &Policy, facts: &Facts) -> Admission {
    let mut admission = Admission::default();
    for verdict in policy.admissions().iter().flat_map(|document| document.evaluate(facts)) {
        if let Some((effect, message)) = verdict.effect {
            let finding = Finding { rule: verdict.trace.rule.to_string(), message };
            match effect {
                Effect::Deny => admission.denials.push(finding),
                Effect::Warn => admission.warnings.push(finding),
            }
        }
        admission.trace.push(verdict.trace);
    }
    admission
}
