//! Where samples come from.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::Fault;

/// One query about a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeQuery {
    /// The query, in the language of the source.
    pub query: String,
    /// First moment, milliseconds since the epoch.
    pub start: i64,
    /// Last moment, milliseconds since the epoch.
    pub end: i64,
    /// Time between two moments, milliseconds; above 0.
    pub step: i64,
    /// A sample older than this at a moment says nothing about it. Answers are stamped with the moment that was asked
    /// about, so the age of a sample can't be told from the answer.
    pub lookback: Duration,
}

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Moments, in milliseconds since the epoch, each one that was asked about, and values as they came: what is not
    /// finite is still in here.
    pub points: Vec<(i64, f64)>,
}

/// A source of samples.
#[async_trait]
pub trait Source: Send + Sync {
    /// Asks one query. Whatever is wrong with the answer as a whole is a fault, and there is no data.
    async fn range(&self, query: &RangeQuery) -> Result<Vec<Row>, Fault>;
}
