//! The questions put to the policy, each pure: may this record be accepted, and which template does it get?

mod admission;
mod coverage;
mod facts;
mod outcome;
mod template;
mod testing;

pub use coverage::{Coverage, Seen};
pub use outcome::{
    Admission, Candidate, Chosen, ClusterFacts, Decision, Features, Finding, OdgmPlan, SecurityPlan, Setting,
    TemplatePlan, TemplateProblem, WorkloadKind,
};
pub use testing::{CaseReport, TestRun, run_tests};

pub use crate::policy::{RuleMode, RuleOutcome, RuleTrace};

use crate::model::Class;
use crate::policy::Policy;

/// Decides everything about one class: whether it is accepted, and which template it gets.
///
/// `current_template` is what the class runs on now; it is kept while the choice can't be evaluated.
pub fn decide(policy: &Policy, class: &Class, setting: &Setting, current_template: Option<&str>) -> Decision {
    let facts = facts::bind(class, setting);
    let (template, candidates) = template::choose(policy, &facts, class.selected_template.as_deref(), current_template);
    Decision {
        revision: policy.revision().to_owned(),
        admission: admission::admit(policy, &facts),
        template,
        candidates,
    }
}

#[cfg(test)]
mod tests;
