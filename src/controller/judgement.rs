//! The policy that is active and what is known of the cluster, in one place for everyone who asks.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::api::DeploymentRecord;
use crate::decision::{ClusterFacts, Decision, Setting, decide};
use crate::grpc::Judge;
use crate::model::{Class, InvalidRecord, parse};
use crate::policy::Policy;

/// The active policy and setting; both may be replaced while the controller runs.
pub struct Judgement {
    policy: ArcSwap<Policy>,
    setting: ArcSwap<Setting>,
}

impl Judgement {
    /// A policy and the setting to ask it in.
    pub fn new(policy: Policy, setting: Setting) -> Self {
        Self { policy: ArcSwap::from_pointee(policy), setting: ArcSwap::from_pointee(setting) }
    }

    /// Validates a record and decides on it. `current` is the template that it has.
    pub fn judge(&self, record: &DeploymentRecord, current: Option<&str>) -> Result<(Class, Decision), InvalidRecord> {
        let class = parse(record)?;
        let decision = decide(&self.policy.load(), &class, &self.setting.load(), current);
        Ok((class, decision))
    }

    /// Takes over what was found out of the cluster; whether that is news.
    pub fn learn(&self, cluster: ClusterFacts) -> bool {
        let before = self.setting.load_full();
        if before.cluster == cluster {
            return false;
        }
        self.setting.store(Arc::new(Setting { cluster, ..Setting::clone(&before) }));
        true
    }
}

impl Judge for Judgement {
    fn judge(&self, record: &DeploymentRecord, current_template: Option<&str>) -> Result<Decision, InvalidRecord> {
        Self::judge(self, record, current_template).map(|(_, decision)| decision)
    }
}
