//! The questions put to the policy, each pure: may this record be accepted, and which template does it get?

mod outcome;

pub use outcome::{
    Admission, Candidate, Chosen, ClusterFacts, Decision, Features, Finding, OdgmPlan, RuleMode, RuleOutcome,
    RuleTrace, SecurityPlan, Setting, TemplatePlan, TemplateProblem, WorkloadKind,
};
