//! Loads as `OpenMetrics` text, as `promtool tsdb dump-openmetrics` and many exporters write it: each line has a time.

use std::collections::BTreeMap;

use super::Recorded;
use super::demand::epoch_seconds;

/// The loads in lines of `OpenMetrics`; `metric` picks one where there are several. Each set of labels is a class. What is wrong,
/// with its line. Lines are taken one by one, and only the samples of the metric that counts are kept.
pub fn openmetrics(
    lines: impl Iterator<Item = Result<String, String>>,
    metric: Option<&str>,
) -> Result<Vec<Recorded>, String> {
    let (mut types, mut units): (BTreeMap<String, bool>, BTreeMap<String, String>) = Default::default();
    let mut all: BTreeMap<(String, String), Recorded> = BTreeMap::new();
    for (index, line) in lines.enumerate().map(|(index, line)| (index + 1, line)) {
        let line = line?;
        let line = line.trim();
        if line == "# EOF" {
            break;
        }
        if let Some((name, ty)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            match ty.trim() {
                "unknown" | "untyped" => {}
                ty => drop(types.insert(name.to_owned(), ty == "counter")),
            }
        }
        if let Some((name, unit)) = line.strip_prefix("# UNIT ").and_then(|rest| rest.split_once(' ')) {
            units.insert(name.to_owned(), unit.trim().to_owned());
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, labels, rest) = series(line).ok_or_else(|| format!("line {index}: {line:?} is no sample"))?;
        let mut parts = rest.split_whitespace();
        let value = parts.next().and_then(|value| value.parse::<f64>().ok());
        let value = value.ok_or_else(|| format!("line {index}: {name} has no value that is a number"))?;
        let at = parts.next().and_then(|at| at.parse::<f64>().ok());
        let at = at.ok_or_else(|| format!("line {index}: {name} has no time; a load needs one for each sample"))?;
        let labels = in_order(labels);
        let of = all.entry((name.to_owned(), labels.clone())).or_insert_with(|| {
            let family = name.strip_suffix("_total").unwrap_or(name);
            // What is said of it counts more than what its name says.
            let is_counter = types.get(name).or_else(|| types.get(family)).copied();
            let is_counter = is_counter.unwrap_or_else(|| super::is_counter(name));
            let counts = units.get(family).or_else(|| units.get(name)).cloned();
            let name = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
            Recorded { name, is_counter, counts, ..Recorded::default() }
        });
        if metric.is_none_or(|wanted| wanted == name) {
            of.points.push((epoch_seconds(at), value));
        }
    }
    let mut names: Vec<&str> = all.keys().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let wanted = match (metric, names.as_slice()) {
        (_, []) => return Err("there is nothing in it".to_owned()),
        (Some(metric), names) if !names.contains(&metric) => {
            return Err(format!("there is no metric {metric:?}; there are: {}", names.join(", ")));
        }
        (Some(metric), _) => metric.to_owned(),
        (None, [only]) => (*only).to_owned(),
        (None, several) => {
            return Err(format!("there are several metrics, name one: {}", several.join(", ")));
        }
    };
    Ok(all.into_iter().filter(|((name, _), _)| *name == wanted).map(|(_, recorded)| recorded).collect())
}

/// Name, labels and the rest of a line, without an exemplar.
fn series(line: &str) -> Option<(&str, &str, &str)> {
    let (name, labels, rest) = match line.find(['{', ' ']) {
        Some(open) if line.get(open..)?.starts_with('{') => {
            let close = open + 1 + end_of_labels(line.get(open + 1..)?)?;
            (line.get(..open)?, line.get(open + 1..close)?, line.get(close + 1..)?)
        }
        _ => line.split_once(' ').map(|(name, rest)| (name, "", rest))?,
    };
    Some((name, labels, rest.split(" # ").next().unwrap_or(rest)))
}

/// A set of labels by their names: written in another order it is the same.
fn in_order(labels: &str) -> String {
    let (mut all, mut rest) = (Vec::new(), labels);
    while !rest.is_empty() {
        let end = outside_quotes(rest, b',').unwrap_or(rest.len());
        let (one, more) = rest.split_at(end);
        all.push(one.trim());
        rest = more.get(1..).unwrap_or_default();
    }
    all.retain(|one| !one.is_empty());
    all.sort_unstable();
    all.join(",")
}

/// Where the brace stands that ends a set of labels: one within quotes is part of a value.
fn end_of_labels(text: &str) -> Option<usize> {
    outside_quotes(text, b'}')
}

fn outside_quotes(text: &str, sign: u8) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.bytes().position(|byte| {
        let found = byte == sign && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        found
    })
}
