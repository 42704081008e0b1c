//! The questions put to the policy, each pure: may this record be accepted, and which template does it get?

mod outcome;

pub use outcome::{
    Admission, Candidate, Chosen, ClusterFacts, Decision, Features, Finding, OdgmPlan, SecurityPlan, Setting,
    TemplatePlan, TemplateProblem, WorkloadKind,
};

pub use crate::policy::{RuleMode, RuleOutcome, RuleTrace};

use crate::model::Class;
use crate::policy::Policy;

/// Decides everything about one class: whether it is accepted, and which template it gets.
///
/// `current_template` is what the class runs on now; it is kept while the choice can't be evaluated.
pub fn decide(policy: &Policy, _class: &Class, _setting: &Setting, _current_template: Option<&str>) -> Decision {
    let problem =
        TemplateProblem::Undecided { rule: "Template".to_owned(), message: "no template is loaded".to_owned() };
    Decision {
        revision: policy.revision().to_owned(),
        admission: Admission::default(),
        template: Err(problem),
        candidates: Vec::new(),
    }
}
