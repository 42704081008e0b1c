//! The NFR loop: measure, decide, act, report.
//!
//! Each look asks the source once a signal, for all classes together, joins the answer with their components, decides
//! about each, writes what may be written and then the record's status. What is decided is pure; nothing of a timeline is
//! kept here: a restart asks the source for it and goes on.

mod act;
mod carry;
mod component;
mod decide;
mod look;
mod moment;
mod now;
mod number;
mod page;
mod report;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::DeploymentRecordStatus;
use crate::audit::DecisionLog;
use crate::cluster::pods::PodIndex;
use crate::cluster::record::RawRecord;
use crate::cluster::right::Right;
use crate::controller::Context;
use crate::signals::{Pods, Source, Store};

pub use component::Limits;
pub use page::{ClassShown, ComponentShown, DecisionShown, Page, Sample, Whole};

/// How old a moment must be before it is asked about: until then its samples may still be on their way from scrape to
/// store. Seconds, not judgement: it only delays.
pub const SETTLE: Duration = Duration::from_secs(5);

/// What the operator set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between two looks.
    pub interval: Duration,
    /// Window of signals that state none.
    pub window: Duration,
    /// Step of signals that state none.
    pub step: Duration,
    /// Bounds that hold under any policy.
    pub limits: Limits,
    /// Most requests to the API server at once.
    pub concurrency: usize,
}

/// Where samples come from.
#[derive(Clone)]
pub enum Sight {
    /// The feature is off.
    Off,
    /// The feature is on, and there is no source: why not.
    Blind(String),
    /// A source.
    Seeing(Arc<dyn Source>),
}

/// The loop.
pub struct Analyzer {
    wiring: Wiring,
    sight: Sight,
    options: Options,
    memory: Memory,
}

/// What is kept between two looks. Losing it costs the source a longer question.
#[derive(Default)]
struct Memory {
    store: Store,
    pods: Pods,
    /// Statuses as last written, by UID of the record.
    written: HashMap<String, Written>,
}

/// A status as it was written. The cache may not show it yet.
struct Written {
    uid: String,
    status: DeploymentRecordStatus,
    /// The record's version that the write made.
    version: u64,
}

/// What an analyzer works with.
pub struct Wiring {
    /// What it shares with the reconciler: the policy, caches, ways to write.
    pub context: Arc<Context>,
    /// The pods.
    pub pods: PodIndex,
    /// Asks the reconciler for a look at a record.
    pub relook: UnboundedSender<ObjectRef<RawRecord>>,
    /// The right to write.
    pub right: Right,
    /// Where decisions are logged.
    pub log: Arc<DecisionLog>,
    /// Where decisions are shown.
    pub page: Page,
}

impl Analyzer {
    /// A loop that has seen nothing yet.
    pub fn new(wiring: Wiring, sight: Sight, options: Options) -> Self {
        Self { wiring, sight, options, memory: Memory::default() }
    }

    /// Looks again and again until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let looks = async {
            let known = self.wiring.context.caches.synced().await.is_ok()
                && self.wiring.context.judgement.begun().await.is_ok();
            let measured = !matches!(self.sight, Sight::Seeing(_)) || self.wiring.pods.filled().await;
            if !known || !measured {
                return;
            }
            let mut ticks = tokio::time::interval(self.options.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let begun = std::time::Instant::now();
                // Whole seconds, as everything that is kept of it: what people read is then as short as it is exact.
                self.look(report::whole(Timestamp::now()).0).await;
                self.wiring.context.metrics.nfr.looked(begun.elapsed());
            }
        };
        let _ = shutdown.run_until_cancelled(looks).await;
    }
}
