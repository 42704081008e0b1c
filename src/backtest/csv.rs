//! Loads as comma-separated values: a column of times, and one for each class.

use std::borrow::Cow;

use super::Recorded;
use super::demand::epoch_seconds;

/// What stands between columns in files that are nearly CSV.
const SIGNS: [(char, &str); 2] = [(';', "semicolons"), ('\t', "tabs")];

/// The loads in lines of CSV; `column` picks one of them. The first line names the columns; times are seconds since the epoch,
/// milliseconds where they are that large, or RFC 3339. Empty cells are no samples. What is wrong, with its line. Lines are taken
/// one by one, and only the samples of the columns that count are kept.
pub fn csv(lines: impl Iterator<Item = Result<String, String>>, column: Option<&str>) -> Result<Vec<Recorded>, String> {
    let told = |line: &Result<String, String>| {
        line.as_ref().map_or(true, |line| !line.trim().is_empty() && !line.starts_with('#'))
    };
    let mut lines = lines.enumerate().filter(|(_, line)| told(line));
    let Some((_, head)) = lines.next() else { return Err("there is nothing in it".to_owned()) };
    let head = head?;
    let names = cells(&head).map_err(|what| format!("line 1: {what}"))?;
    if let Some((_, sign)) = SIGNS.iter().find(|(sign, _)| names.first().is_some_and(|first| first.contains(*sign))) {
        return Err(format!("line 1: there are {sign} between its columns; write commas"));
    }
    let names: Vec<&str> = names.iter().skip(1).map(AsRef::as_ref).collect();
    if let Some(empty) = names.iter().position(|name| name.is_empty()) {
        return Err(format!("line 1: column {} has no name", empty + 2));
    }
    if names.is_empty() {
        return Err("line 1: a column of times and at least one of values are needed, with a line of names".to_owned());
    }
    if names.iter().any(|name| name.parse::<f64>().is_ok()) {
        return Err(format!(
            "line 1: {head:?} has no names of columns; write them above the values, such as `time,load`"
        ));
    }
    if let Some(wanted) = column.filter(|wanted| !names.contains(wanted)) {
        return Err(format!("there is no column {wanted:?}; there are: {}", names.join(", ")));
    }
    let mut all: Vec<Recorded> =
        names.iter().map(|name| Recorded { name: (*name).to_owned(), ..Recorded::default() }).collect();
    for (index, line) in lines {
        let line = line?;
        let wrong = |what: String| format!("line {}: {what}", index + 1);
        let cells = cells(&line).map_err(wrong)?;
        if cells.len() != names.len() + 1 {
            let (found, wanted) = (cells.len(), names.len() + 1);
            return Err(wrong(format!("it has {found} cells and the line of names has {wanted}")));
        }
        let at = time(cells.first().map(AsRef::as_ref).unwrap_or_default()).map_err(wrong)?;
        for (cell, recorded) in cells.iter().skip(1).zip(&mut all).filter(|(cell, _)| !cell.is_empty()) {
            let value = cell.parse::<f64>();
            let value = value.map_err(|_| wrong(format!("{cell:?} of column {} is no number", recorded.name)))?;
            if column.is_none_or(|wanted| recorded.name == wanted) {
                recorded.points.push((at, value));
            }
        }
    }
    all.retain(|one| column.is_none_or(|wanted| one.name == wanted));
    Ok(all)
}

/// The cells of a line; one within quotes may have commas, and a quote is written twice there.
fn cells(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    if !line.contains('"') {
        return Ok(line.split(',').map(|cell| Cow::Borrowed(cell.trim())).collect());
    }
    let (mut all, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => all.push(Cow::Owned(std::mem::take(&mut cell).trim().to_owned())),
            other => cell.push(other),
        }
    }
    if is_quoted {
        return Err("a quote is not closed".to_owned());
    }
    all.push(Cow::Owned(cell.trim().to_owned()));
    Ok(all)
}

fn time(cell: &str) -> Result<f64, String> {
    if let Ok(number) = cell.parse::<f64>() {
        return Ok(epoch_seconds(number));
    }
    let parsed: Result<jiff::Timestamp, _> = cell.parse();
    parsed
        .map(|time| time.as_millisecond() as f64 / 1000.0)
        .map_err(|_| format!("{cell:?} is no time: write seconds since the epoch, or such as 2026-01-31T12:00:00Z"))
}
