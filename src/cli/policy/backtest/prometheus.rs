//! Reads a load from Prometheus, in pieces that its API gives.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::progress;
use crate::backtest::{Recorded, Unit, is_counter, queried};
use crate::signals::{Prometheus, PrometheusOptions, RangeQuery, Source as _};

/// Moments of one query: Prometheus answers no more than 11,000.
const MOMENTS: i64 = 10_000;
/// A sample that is older says nothing about a moment.
const LOOKBACK: Duration = Duration::from_secs(300);
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(120);

/// How far back, where nothing is said, and at most.
const USUAL: Duration = Duration::from_secs(14 * 86_400);
const LONGEST: Duration = Duration::from_secs(1825 * 86_400);

/// Where a load is asked for.
#[derive(clap::Args)]
#[group(id = "prometheus", multiple = true)]
pub(super) struct Args {
    /// Prometheus to read the load from, instead of a file; OPRC_CRM_PROM_TOKEN_FILE and OPRC_CRM_PROM_CA_FILE count.
    #[arg(long, value_name = "URL", requires = "query")]
    prom_url: Option<String>,
    /// The load in PromQL; each series of the answer is a class: sum by (namespace) (rate(...[1m])).
    #[arg(long, value_name = "PROMQL", requires = "prom_url")]
    query: Option<String>,
    /// How far back, with --prom-url; without it 14d.
    #[arg(long, value_parser = last)]
    last: Option<Duration>,
}

/// A length of time that somebody recorded.
fn last(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_secs(60)..=LONGEST;
    Some(length).filter(|length| range.contains(length)).ok_or_else(|| "it must be from 1m to 1825d".to_owned())
}

/// What a query reads must be what is played.
fn fits(query: &str, unit: Unit) -> Result<(), String> {
    let found = queried(query);
    if let Some(name) = found.raw.first() {
        return Err(format!("--query: {name} is a counter by its name; ask how fast it grows: rate({name}[1m])"));
    }
    match found.counts.iter().find(|(_, counts)| !counts.fits(unit)) {
        Some((name, counts)) => {
            let (counts, played) = (counts.name(), unit.name());
            Err(format!("--query: {name} counts {counts}, and {played} are played; --unit chooses"))
        }
        None => Ok(()),
    }
}

impl Args {
    /// What does nothing, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.last.is_some() && self.prom_url.is_none() {
            return Err("--last does nothing without --prom-url".to_owned());
        }
        Ok(())
    }

    /// The loads, where Prometheus is to be asked; what is wrong, in one line.
    pub(super) fn recorded(&self, step: i64, unit: Unit) -> Result<Vec<Recorded>, String> {
        let Some((url, query)) = self.prom_url.as_ref().zip(self.query.as_ref()) else { return Ok(Vec::new()) };
        fits(query, unit)?;
        let last = self.last.unwrap_or(USUAL);
        let file = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(Into::into);
        let options = PrometheusOptions {
            url: url.clone(),
            timeout: ANSWER,
            token_file: file("OPRC_CRM_PROM_TOKEN_FILE"),
            ca_file: file("OPRC_CRM_PROM_CA_FILE"),
        };
        let prometheus =
            Prometheus::new(options).map_err(|error| error.to_string().replace("OPRC_CRM_PROM_URL=", "--prom-url "))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let end = Timestamp::now().as_second().div_euclid(step) * step;
        let start = end - i64::try_from(last.as_secs()).unwrap_or_default().div_euclid(step) * step;
        let all = runtime.block_on(pieces(&prometheus, query, (start, end, step)));
        progress::clear();
        let all = all?;
        if all.is_empty() {
            return Err(format!("{url} has no series for {query:?} in the last {}", humantime::format_duration(last)));
        }
        Ok(all)
    }
}

async fn pieces(
    prometheus: &Prometheus,
    query: &str,
    (start, end, step): (i64, i64, i64),
) -> Result<Vec<Recorded>, String> {
    let mut all: BTreeMap<String, Recorded> = BTreeMap::new();
    let mut from = start;
    while from <= end {
        let to = end.min(from + (MOMENTS - 1) * step);
        let query = RangeQuery {
            query: query.to_owned(),
            start: from * 1000,
            end: to * 1000,
            step: step * 1000,
            lookback: LOOKBACK,
        };
        let so_far = (from - start) * 100 / (end - start).max(1);
        progress::line(&format!("asking Prometheus: {so_far} %"));
        let rows = prometheus.range(&query).await.map_err(|fault| format!("{}: {fault}", fault.kind.name()))?;
        for row in rows {
            if let Some(name) = row.labels.get("__name__").filter(|name| is_counter(name)) {
                return Err(format!(
                    "the query gives {name}, a counter by its name; ask how fast it grows: rate(...[1m])"
                ));
            }
            let labels: Vec<String> = row.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let name = if labels.is_empty() { "load".to_owned() } else { labels.join(",") };
            let of = all.entry(name.clone()).or_insert_with(|| Recorded { name, ..Recorded::default() });
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch")]
            of.points.extend(row.points.iter().map(|(at, value)| (*at as f64 / 1000.0, *value)));
        }
        from = to + step;
    }
    Ok(all.into_values().collect())
}
