//! The questions put to the policy, each pure: may this record be accepted, and which template does it get?

mod admission;
mod coverage;
mod difference;
mod facts;
pub mod nfr;
mod outcome;
pub mod play;
mod template;
mod testing;

pub use coverage::{Coverage, Seen};
pub use difference::{
    BlastRadius, Cause, Change, ClassChange, Difference, FieldChange, Reading, difference, unexplained,
};
pub use outcome::{
    Admission, AutoscalerPlan, Candidate, Chosen, ClusterFacts, Decision, Features, Finding, MonitorPlan, OdgmPlan,
    PdbPlan, ScrapeKind, SecurityPlan, Setting, TemplatePlan, TemplateProblem, WorkloadKind,
};
pub use testing::{CaseReport, TestRun, run_tests};

pub use crate::policy::{Budget, Margin, RuleMode, RuleOutcome, RuleTrace};

use crate::model::{Class, Function};
use crate::policy::{FactValue, Facts, Policy};

/// What a policy reads of a setting: two settings that say the same here decide the same.
pub fn read_of(policy: &Policy, setting: &Setting) -> Vec<(&'static str, Option<FactValue>)> {
    facts::of_setting(setting).into_iter().filter(|(path, _)| policy.reads(path)).collect()
}

/// Decides everything about one class: whether it is accepted, and which template it gets.
///
/// `current_template` is what the class runs on now; it is kept while the choice can't be evaluated. The traces say
/// what came out of every rule; what the rules read is noted by [`explain`].
pub fn decide(policy: &Policy, class: &Class, setting: &Setting, current_template: Option<&str>) -> Decision {
    over(policy, class, &facts::bind(class, setting), current_template)
}

/// Decides the same, and notes in every trace what the rule read and how far it is from coming out the other way.
pub fn explain(policy: &Policy, class: &Class, setting: &Setting, current_template: Option<&str>) -> Decision {
    over(policy, class, &facts::bind(class, setting).explained(), current_template)
}

/// The facts of a class, as [`decide`] binds them; what decides about its components adds theirs.
pub fn facts(class: &Class, setting: &Setting) -> Facts {
    facts::bind(class, setting)
}

/// Binds what is asked of a function in place of what is asked of its class: it may have requirements of its own.
pub fn bind_nfr_of(facts: &mut Facts, class: &Class, function: &Function) {
    facts::bind_nfr(facts, &facts::nfr_of(class, function));
}

fn over(policy: &Policy, class: &Class, facts: &Facts, current_template: Option<&str>) -> Decision {
    let (template, candidates) = template::choose(policy, facts, class.selected_template.as_deref(), current_template);
    let template = template.and_then(|mut chosen| {
        if chosen.plan.autoscaler.is_some() {
            chosen.plan.own_autoscalers = template::own_autoscalers(policy, class, facts, &chosen.plan.name)?;
        }
        Ok(chosen)
    });
    Decision {
        revision: policy.revision().to_owned(),
        admission: admission::admit(policy, facts),
        template,
        candidates,
    }
}

#[cfg(test)]
mod tests;
