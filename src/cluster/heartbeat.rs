//! Is the API server there? Asked by a small read, so that an idle process finds out too.

use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{ClusterError, within};
use crate::server::Readiness;

/// Time between two questions.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Bound of one question.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the API server for its version until `shutdown` and tells `readiness` whether it answers. Any answer counts,
/// "forbidden" too: that is another fault, with messages of its own.
pub async fn heartbeat(client: Client, readiness: Readiness, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lost = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let answer = within(ANSWER, client.apiserver_version()).await;
        match answer.err().filter(ClusterError::is_outage) {
            None => {
                readiness.api_server_answered();
                if lost {
                    tracing::info!("the API server answers again");
                }
                lost = false;
            }
            Some(error) => {
                readiness.api_server_lost();
                if !lost {
                    tracing::warn!(%error, "the API server does not answer");
                }
                lost = true;
            }
        }
    }
}
