//! The policy that is in force and how far a change of it is, in one place for everyone who asks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::watch;

use crate::api::DeploymentRecord;
use crate::decision::Decision;
use crate::grpc::Judge;
use crate::model::InvalidRecord;
use crate::render::render;
use crate::rollout::{Health, Judged, Rollout, page};

/// The state of the policy; it is replaced while the controller runs.
pub struct Judgement {
    state: ArcSwap<Rollout>,
    health: ArcSwap<Health>,
    begun: watch::Sender<bool>,
    /// Namespace of records that name none: those that a Deploy is about to write.
    namespace: String,
}

/// The program ends before it is known which policy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program ends before it is known which policy holds")]
pub struct NeverBegun;

impl Judgement {
    /// A first state, with which nothing is rendered yet; `namespace` is where Deploys write.
    pub fn new(state: Rollout, namespace: &str) -> Self {
        Self {
            state: ArcSwap::from_pointee(state),
            health: ArcSwap::default(),
            begun: watch::Sender::new(false),
            namespace: namespace.to_owned(),
        }
    }

    /// Validates a record and decides on it by what holds for its class. `current` is the template that it has.
    pub fn judge(&self, record: &DeploymentRecord, current: Option<&str>) -> Result<Judged, InvalidRecord> {
        self.state.load().judge(record, current)
    }

    /// What holds now.
    pub fn state(&self) -> Arc<Rollout> {
        self.state.load_full()
    }

    /// Replaces what holds.
    pub fn set(&self, state: Rollout) {
        self.state.store(Arc::new(state));
    }

    /// How the policy's own machinery does.
    pub fn health(&self) -> Arc<Health> {
        self.health.load_full()
    }

    /// Notes how the policy's own machinery does.
    pub fn set_health(&self, health: Health) {
        self.health.store(Arc::new(health));
    }

    /// What was kept is known: from here on the state is the one to act by.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Waits until the state is the one to act by: acting before could undo what is held.
    pub async fn begun(&self) -> Result<(), NeverBegun> {
        self.begun.subscribe().wait_for(|begun| *begun).await.map(|_| ()).map_err(|_| NeverBegun)
    }

    /// What `/policy` says.
    pub fn page(&self) -> Value {
        page(&self.state(), &self.health())
    }
}

impl Judge for Judgement {
    fn judge(&self, record: &DeploymentRecord, current_template: Option<&str>) -> Result<Decision, InvalidRecord> {
        let judged = if record.metadata.namespace.is_some() {
            Self::judge(self, record, current_template)
        } else {
            let mut placed = record.clone();
            placed.metadata.namespace = Some(self.namespace.clone());
            Self::judge(self, &placed, current_template)
        };
        let judged = judged?;
        fits(&judged)?;
        Ok(judged.decision)
    }
}

/// Whether what was accepted can be rendered: a caller that hears so later, from the status, has gone by then.
fn fits(judged: &Judged) -> Result<(), InvalidRecord> {
    let Judged { class, decision, render: settings, .. } = judged;
    let (true, Ok(chosen)) = (decision.admission.denials.is_empty(), &decision.template) else { return Ok(()) };
    let fault = render(class, &chosen.plan, settings).err().and_then(|error| error.fault());
    fault.map_or(Ok(()), |fault| Err(InvalidRecord(vec![fault])))
}
