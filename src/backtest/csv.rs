//! Loads as comma-separated values: a column of times, and one for each class.

use super::Recorded;

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
    let names: Vec<&str> = cells(&head).skip(1).collect();
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
        let cells: Vec<&str> = cells(&line).collect();
        let wrong = |what: String| format!("line {}: {what}", index + 1);
        if cells.len() != names.len() + 1 {
            let (found, wanted) = (cells.len(), names.len() + 1);
            return Err(wrong(format!("it has {found} cells and the line of names has {wanted}")));
        }
        let at = time(cells.first().copied().unwrap_or_default()).map_err(wrong)?;
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

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| cell.trim().trim_matches('"'))
}

fn time(cell: &str) -> Result<f64, String> {
    if let Ok(number) = cell.parse::<f64>() {
        // Nobody recorded a load before 1973 in milliseconds, nor after 5138 in seconds.
        return Ok(if number.abs() >= 1e11 { number / 1000.0 } else { number });
    }
    let parsed: Result<jiff::Timestamp, _> = cell.parse();
    parsed
        .map(|time| time.as_millisecond() as f64 / 1000.0)
        .map_err(|_| format!("{cell:?} is no time: write seconds since the epoch, or such as 2026-01-31T12:00:00Z"))
}
