//! What the policy is asked with, besides the class, and what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ADDON_MONITOR, ADDON_ODGM, ADDON_PDB, Function, Resources};
use crate::policy::{MonitorShape, PdbShape, RuleTrace};

/// What the deployment of the controller says: the same for every class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Profile: `dev`, `edge` or `full`.
    pub profile: String,
    /// Features that are on.
    pub features: Features,
    /// What is known of the cluster.
    pub cluster: ClusterFacts,
}

/// Kind of monitor that the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScrapeKind {
    /// ServiceMonitors where the cluster has them, else PodMonitors, else none.
    #[default]
    Auto,
    /// ServiceMonitors.
    Service,
    /// PodMonitors.
    Pod,
}

/// Features that are on.
#[expect(clippy::struct_excessive_bools, reason = "one switch a feature, as the environment has them")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Object Data Grid Manager.
    pub odgm: bool,
    /// Knative Services as workloads.
    pub knative: bool,
    /// Metrics from Prometheus.
    pub prometheus: bool,
    /// Applying recommendations.
    pub nfr_enforcement: bool,
    /// `HorizontalPodAutoscalers`.
    pub hpa: bool,
    /// Leader election.
    pub leader_election: bool,
    /// TLS with client certificates.
    pub mtls: bool,
}

/// What is known of the cluster; `None` is "not known", which is neither yes nor no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterFacts {
    /// Knative Serving is installed.
    pub knative: Option<bool>,
    /// The `ServiceMonitor` kind is installed.
    pub service_monitor: Option<bool>,
    /// The `PodMonitor` kind is installed.
    pub pod_monitor: Option<bool>,
    /// Nodes.
    pub nodes: Option<u32>,
    /// Nodes that are Ready.
    pub ready_nodes: Option<u32>,
}

/// Everything decided for one class: which rules said what, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Revision of the policy bundle that decided.
    pub revision: String,
    /// Whether the record is accepted.
    pub admission: Admission,
    /// The template, or why there is none.
    pub template: Result<Chosen, TemplateProblem>,
    /// Every template that the bundle has, best first, with all its rules.
    pub candidates: Vec<Candidate>,
}

/// Whether a record is accepted. It is, where nothing denies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// Why not.
    pub denials: Vec<Finding>,
    /// What its author should know.
    pub warnings: Vec<Finding>,
    /// Every rule, in the order of the bundle.
    pub trace: Vec<RuleTrace>,
}

/// What one admission rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the rule: `kind/name/id`.
    pub rule: String,
    /// Message for the record's author.
    pub message: String,
}

/// One template as a candidate for a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Name of the template.
    pub name: String,
    /// Whether it may be used; `None` where that could not be evaluated.
    pub enabled: Option<bool>,
    /// Sum of the points of its rules; `None` where one of them could not be evaluated.
    pub score: Option<f64>,
    /// Its rules: `enabled` first, then the score rules.
    pub trace: Vec<RuleTrace>,
}

/// The template that a class gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What the template is, for this class.
    pub plan: TemplatePlan,
    /// Why this one, in a sentence: score and rules, named by the record, or kept while a fact is unknown.
    pub why: String,
    /// Set where the class keeps what it has because the choice could not be evaluated.
    pub kept: Option<Finding>,
}

/// Why a class gets no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// The record names a template that the bundle does not have.
    #[error("spec.selected_template: there is no template {asked:?}; choose one of {}", .choices.join(", "))]
    Unknown {
        /// Name in the record.
        asked: String,
        /// Names of enabled templates.
        choices: Vec<String>,
    },
    /// The record names a template that is not enabled here.
    #[error("spec.selected_template: template {asked:?} is not enabled here ({why}); choose one of {}", .choices.join(", "))]
    NotEnabled {
        /// Name in the record.
        asked: String,
        /// Which condition keeps it off.
        why: String,
        /// Names of enabled templates.
        choices: Vec<String>,
    },
    /// A rule could not be evaluated and the class has no template to keep.
    #[error("the policy could not choose a template: {rule}: {message}")]
    Undecided {
        /// Rule that failed.
        rule: String,
        /// Why it failed.
        message: String,
    },
}

/// What a template is, for one class: everything that the renderer needs and the record does not state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplatePlan {
    /// Name of the template.
    pub name: String,
    /// Kind of the functions' workload.
    pub workload: WorkloadKind,
    /// Replicas of each function whose record states none.
    pub replicas: u32,
    /// Resources of each function, where the record states none.
    pub resources: Resources,
    /// Most replicas of a function on Knative, whatever its record says; `None` where the policy has no bound.
    pub max_replicas: Option<u32>,
    /// Seconds that a pod gets to end.
    pub termination_grace_seconds: Option<u32>,
    /// Whether functions whose record states a port get TCP probes on it.
    pub probes: bool,
    /// Security of the functions' pods.
    pub security: SecurityPlan,
    /// What scales functions by their load; `None` where the policy leaves it out.
    pub autoscaler: Option<AutoscalerPlan>,
    /// The same of functions that state a utilisation of their own, by their keys.
    pub own_autoscalers: BTreeMap<String, AutoscalerPlan>,
    /// The data grid; `None` where the class asks for none or the policy leaves it out.
    pub odgm: Option<OdgmPlan>,
    /// PodDisruptionBudgets; `None` where the policy leaves them out.
    pub pdb: Option<PdbPlan>,
    /// How its functions are scraped; `None` where the policy leaves it out.
    pub monitor: Option<MonitorPlan>,
}

impl TemplatePlan {
    /// Names of the addons that the class gets.
    pub fn addons(&self) -> Vec<&'static str> {
        let given = [
            (ADDON_ODGM, self.odgm.is_some()),
            (ADDON_PDB, self.pdb.is_some()),
            (ADDON_MONITOR, self.monitor.is_some()),
        ];
        given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }

    /// What scales a function by its load.
    pub fn autoscaler_of(&self, function: &Function) -> Option<AutoscalerPlan> {
        self.own_autoscalers.get(&function.key).copied().or(self.autoscaler)
    }

    /// Replicas of a function's Deployment. A number that the record states is taken as it is; the template's is kept
    /// within what the record says of scale.
    pub fn replicas_of(&self, function: &Function) -> u32 {
        let least = function.min_scale.unwrap_or(0);
        let most = function.max_scale.unwrap_or(u32::MAX);
        function.replicas.unwrap_or_else(|| self.replicas.max(least).min(most))
    }
}

/// Kind of workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment and Service.
    #[default]
    Deployment,
    /// Knative Service.
    KnativeService,
}

/// Security of pods. Seccomp `RuntimeDefault` and no privilege escalation always hold; these are the policy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityPlan {
    /// All Linux capabilities are dropped.
    pub drop_capabilities: bool,
    /// The image must run as another user than root.
    pub run_as_non_root: bool,
}

/// What scales functions whose record says how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoscalerPlan {
    /// CPU that pods should use on average, percent of their request.
    pub cpu_utilization: u32,
    /// Most replicas, whatever the record says.
    pub max_replicas: Option<u32>,
}

/// The data grid's part of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct OdgmPlan {
    /// Container image.
    pub image: String,
    /// Pods.
    pub replicas: u32,
    /// Resources of one pod.
    pub resources: Resources,
    /// Security of its pods.
    pub security: SecurityPlan,
}

/// The PodDisruptionBudgets of a class: what the policy says is what is rendered.
pub type PdbPlan = PdbShape;

/// How the functions of a class are scraped: the same.
pub type MonitorPlan = MonitorShape;

#[cfg(test)]
mod tests {
    use super::TemplatePlan;
    use crate::model::Function;

    #[test]
    fn the_templates_number_is_kept_within_the_records_scale() {
        let plan = TemplatePlan { replicas: 2, ..TemplatePlan::default() };
        for (replicas, min_scale, max_scale, expected) in [
            (None, None, None, 2),
            (None, Some(5), None, 5),
            (None, Some(0), None, 2),
            (None, None, Some(1), 1),
            (None, Some(3), Some(4), 3),
            (Some(7), Some(3), Some(4), 7),
        ] {
            let function = Function { replicas, min_scale, max_scale, ..Function::default() };
            assert_eq!(plan.replicas_of(&function), expected, "{replicas:?} {min_scale:?}..{max_scale:?}");
        }
    }
}
