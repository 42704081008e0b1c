//! Counts of the cluster's nodes, for whoever asks often.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::discovery;
use crate::grpc::{NodeCount, NodeCounter};

/// A count that is this young is good enough.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// Longest wait for the API server; after that the last count must do.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counts the nodes when asked, and remembers.
pub struct Nodes {
    client: Client,
    /// Held while a count is under way, so that many who ask at once are one request.
    last: Mutex<Option<(Instant, NodeCount)>>,
}

impl Nodes {
    /// Nothing is counted yet.
    pub fn new(client: Client) -> Self {
        Self { client, last: Mutex::default() }
    }
}

#[async_trait]
impl NodeCounter for Nodes {
    async fn nodes(&self) -> Option<NodeCount> {
        let mut last = self.last.lock().await;
        if let Some((at, count)) = *last
            && at.elapsed() < GOOD_FOR
        {
            return Some(count);
        }
        if let Ok(Some((all, ready))) = tokio::time::timeout(PATIENCE, discovery::nodes(&self.client)).await {
            *last = Some((Instant::now(), NodeCount { all, ready, at: Timestamp::now() }));
        }
        last.map(|(_, count)| count)
    }
}
