//! What the API answers, as rows. Anything that is not exactly what was asked for is a fault.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::signals::{Fault, FaultKind, RangeQuery, Row};

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    /// Of servers that put answers together from several stores.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    histograms: Option<Box<RawValue>>,
}

/// What a refusal says.
#[derive(Default, Deserialize)]
pub(super) struct Refusal {
    /// In words.
    pub(super) error: String,
    /// Its category.
    #[serde(default, rename = "errorType")]
    pub(super) kind: String,
}

fn garbage(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Garbage, message)
}

/// What a refusal says, where it says something.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    serde_json::from_slice(body).ok()
}

/// The rows of an answer to a query.
pub(super) fn rows(body: &[u8], query: &RangeQuery) -> Result<Vec<Row>, Fault> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        garbage(format!("the answer is not what Prometheus' API gives: {}", super::shown(&error.to_string())))
    })?;
    if answer.status != "success" {
        return Err(garbage(format!("the answer has the status {:?}", super::shown(&answer.status))));
    }
    if let Some(first) = answer.warnings.first() {
        return Err(Fault::new(FaultKind::Warnings, format!("Prometheus warns: {}", super::shown(first))));
    }
    if answer.is_partial {
        return Err(Fault::new(FaultKind::Warnings, "the server calls its answer partial"));
    }
    let data = answer.data.ok_or_else(|| garbage("the answer has no data"))?;
    if data.result_type != "matrix" {
        let found = super::shown(&data.result_type);
        return Err(garbage(format!("the answer is a {found}, a matrix was asked for: the query must give a vector")));
    }
    data.result.into_iter().map(|series| row(series, query)).collect()
}

fn row(series: Series, query: &RangeQuery) -> Result<Row, Fault> {
    if series.histograms.is_some() {
        return Err(garbage(
            "the answer has native histograms; write a query that gives numbers, or classic buckets with `le`",
        ));
    }
    let mut points = Vec::with_capacity(series.values.len());
    for (at, text) in &series.values {
        let at = moment(*at).filter(|at| is_asked(*at, query));
        let at = at.ok_or_else(|| garbage("the answer has moments that were not asked about"))?;
        let value = text.parse().map_err(|_| garbage(format!("the answer has a value {:?}", super::shown(text))))?;
        points.push((at, value));
    }
    Ok(Row { labels: series.metric, points })
}

/// Seconds, as the API writes them, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "checked to be far within the range")]
fn moment(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    (millis.abs() < 1e15).then_some(millis as i64)
}

fn is_asked(at: i64, query: &RangeQuery) -> bool {
    query.start <= at && at <= query.end && (at - query.start) % query.step == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn query() -> RangeQuery {
        RangeQuery {
            query: "up".to_owned(),
            start: 30_000,
            end: 90_000,
            step: 30_000,
            lookback: Duration::from_secs(60),
        }
    }

    fn read(text: &str) -> Result<Vec<Row>, Fault> {
        rows(text.as_bytes(), &query())
    }

    fn kind(text: &str) -> FaultKind {
        read(text).unwrap_err().kind
    }

    #[test]
    fn a_matrix_is_read_as_it_is() {
        let text = r#"{"status":"success","infos":["fine"],"data":{"resultType":"matrix","result":[
            {"metric":{"pod":"a"},"values":[[30,"1.5"],[60.000,"NaN"],[90,"+Inf"]]}]}}"#;
        let rows = read(text).unwrap();
        assert_eq!(rows.len(), 1);
        let row = rows.first().unwrap();
        assert_eq!(row.labels.get("pod").map(String::as_str), Some("a"));
        let [(30_000, first), (60_000, second), (90_000, third)] = row.points[..] else { unreachable!("{row:?}") };
        assert!((first - 1.5).abs() < 1e-12 && second.is_nan() && third.is_infinite());
    }

    #[test]
    fn whatever_is_not_the_whole_answer_is_none() {
        for (text, expected) in [
            ("<html>login</html>", FaultKind::Garbage),
            ("{}", FaultKind::Garbage),
            (r#"{"status":"error","error":"bad"}"#, FaultKind::Garbage),
            (r#"{"status":"success"}"#, FaultKind::Garbage),
            (r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, FaultKind::Garbage),
            (
                r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"matrix","result":[]}}"#,
                FaultKind::Warnings,
            ),
            (
                r#"{"status":"success","isPartial":true,"data":{"resultType":"matrix","result":[]}}"#,
                FaultKind::Warnings,
            ),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_row_that_was_not_asked_for_is_garbage() {
        for values in [r#"[[31,"1"]]"#, r#"[[0,"1"]]"#, r#"[[120,"1"]]"#, r#"[[1e300,"1"]]"#, r#"[[30,"one"]]"#] {
            let text = format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":{values}}}]}}}}"#
            );
            assert_eq!(kind(&text), FaultKind::Garbage, "{values}");
        }
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[]}]}}"#;
        assert_eq!(kind(text), FaultKind::Garbage);
    }
}
