//! Reads loads from files.

use std::io::{Read as _, stdin};

use flate2::read::MultiGzDecoder;

use crate::backtest::{Demand, Recorded, csv, openmetrics};

/// Most text of one file: 14 days of 100 series at 10 s are a tenth of it.
const MOST: u64 = 2 << 30;

/// The loads of all files, and those that were asked for, on a grid; what is wrong, in one line that names the file.
pub(super) fn demands(
    files: &[String],
    column: Option<&str>,
    (asked, step): (Vec<Recorded>, i64),
) -> Result<Vec<Demand>, String> {
    let asked = asked.into_iter().map(|recorded| recorded.onto(step).map_err(|error| error.to_string()));
    let mut all = asked.collect::<Result<Vec<_>, _>>()?;
    for file in files {
        let wrong = |error: String| format!("{file}: {error}");
        let text = read(file).map_err(wrong)?;
        for recorded in parse(&text, column).map_err(wrong)? {
            all.push(recorded.onto(step).map_err(|error| wrong(error.to_string()))?);
        }
    }
    let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.get(1)) {
        let twice = pair.first().copied().unwrap_or_default();
        return Err(format!("two loads are called {twice:?}; name the columns apart"));
    }
    Ok(all)
}

fn read(file: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if file == "-" {
        stdin().lock().take(MOST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(MOST).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .take(MOST)
            .read_to_end(&mut unpacked)
            .map_err(|error| format!("it does not unpack: {error}"))?;
        bytes = unpacked;
    }
    String::from_utf8(bytes).map_err(|_| "it is no text: CSV and OpenMetrics are, either one gzipped".to_owned())
}

/// A line of samples of CSV has a comma, of OpenMetrics none outside its labels.
fn parse(text: &str, column: Option<&str>) -> Result<Vec<Recorded>, String> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let is_csv = first.is_none_or(|line| line.split('{').next().is_some_and(|name| name.contains(',')));
    let exposed = text.lines().any(|line| line.starts_with("# TYPE") || line.starts_with("# EOF"));
    if is_csv && !exposed { csv(text.lines(), column) } else { openmetrics(text.lines(), column) }
}
