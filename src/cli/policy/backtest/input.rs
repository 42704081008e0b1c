//! Reads loads from files.

use std::io::{BufRead, BufReader, Read as _, stdin};

use flate2::read::MultiGzDecoder;

use crate::backtest::{Counts, Demand, Recorded, Unit, csv, is_counter, moment, openmetrics};

/// Longest line, bytes: a hundred thousand classes.
const LONGEST: u64 = 4 << 20;

/// The loads of all files, and those that were asked for, on a grid; what is wrong, in one line that names the file.
pub(super) fn demands(
    files: &[String],
    column: Option<&str>,
    (asked, step, unit): (Vec<Recorded>, i64, Unit),
) -> Result<Vec<Demand>, String> {
    let asked = asked.into_iter().map(|recorded| recorded.onto(step).map_err(|error| error.to_string()));
    let mut all = asked.collect::<Result<Vec<_>, _>>()?;
    for file in files {
        let wrong = |error: String| format!("{file}: {error}");
        let lines = Lines { text: open(file).map_err(wrong)?, read: 0 };
        for recorded in parse(lines, column).map_err(wrong)? {
            fits(&recorded, unit).map_err(wrong)?;
            all.push(recorded.onto(step).map_err(|error| wrong(error.to_string()))?);
        }
    }
    let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.get(1)) {
        let twice = pair.first().copied().unwrap_or_default();
        return Err(format!("two loads are called {twice:?}; name the columns apart"));
    }
    overlap(&all)?;
    Ok(all)
}

/// What a recording counts, where it or its name says so, must be what is played.
fn fits(recorded: &Recorded, unit: Unit) -> Result<(), String> {
    let name = &recorded.name;
    let says = match &recorded.counts {
        Some(counts) => Some(counts.as_str()).filter(|_| !unit.fits(recorded)),
        None => Counts::of(name).filter(|counts| !counts.fits(unit)).map(Counts::name),
    };
    match says {
        Some(counts) => {
            Err(format!("{name} counts {counts}, and {} are played; --column and --unit choose", unit.name()))
        }
        None => Ok(()),
    }
}

/// Columns of numbers say nothing of counters, so that those would be taken for a load that only ever grows.
fn no_counters(recorded: Vec<Recorded>) -> Result<Vec<Recorded>, String> {
    match recorded.iter().find(|one| is_counter(&one.name)) {
        Some(one) => Err(format!(
            "column {} is a counter by its name: write how fast it grows, or the counter as OpenMetrics",
            one.name
        )),
        None => Ok(recorded),
    }
}

/// Figures of several loads are added up, so they must be of one time.
fn overlap(all: &[Demand]) -> Result<(), String> {
    let (last, first) = (all.iter().max_by_key(|one| one.start), all.iter().min_by_key(|one| one.end()));
    match (last, first) {
        (Some(last), Some(first)) if last.start >= first.end() => Err(format!(
            "no moment is in all loads: {} ends at {}, {} begins at {}; play them one by one",
            first.name,
            moment(first.end()),
            last.name,
            moment(last.start)
        )),
        _ => Ok(()),
    }
}

/// Opens a file, or the standard input, and unpacks it where it is packed.
fn open(file: &str) -> Result<Box<dyn BufRead>, String> {
    let told = |error: std::io::Error| error.to_string();
    let mut packed: Box<dyn BufRead> = if file == "-" {
        Box::new(BufReader::new(stdin()))
    } else {
        Box::new(BufReader::new(std::fs::File::open(file).map_err(told)?))
    };
    let is_packed = packed.fill_buf().map_err(told)?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(packed))) } else { packed })
}

/// The lines of a text, one at a time: nothing but the line that is read is in memory.
struct Lines {
    text: Box<dyn BufRead>,
    read: usize,
}

impl Iterator for Lines {
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let read = self.text.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        self.read += 1;
        let wrong = |what: &str| Some(Err(format!("line {}: {what}", self.read)));
        match read {
            Err(error) => wrong(&format!("it can't be read: {error}")),
            Ok(0) => None,
            Ok(_) if line.len() as u64 == LONGEST => wrong("it is longer than a line of a load can be, 4 MiB"),
            Ok(_) => match String::from_utf8(line) {
                // Spreadsheets begin with a byte order mark.
                Ok(line) => Some(Ok(line.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']).to_owned())),
                Err(_) => wrong("it is no text: CSV and OpenMetrics are, either one gzipped"),
            },
        }
    }
}

/// `OpenMetrics` tells its types above its samples, and a line of samples of it has no comma outside of its labels.
fn parse(mut lines: Lines, column: Option<&str>) -> Result<Vec<Recorded>, String> {
    let mut first = Vec::new();
    let mut is_csv = true;
    for line in lines.by_ref() {
        let line = line?;
        let told = line.trim();
        let sample = !told.is_empty() && !told.starts_with('#');
        if ["# TYPE", "# HELP", "# UNIT", "# EOF"].iter().any(|mark| told.starts_with(mark)) {
            is_csv = false;
        } else if sample {
            // Semicolons and tabs are of those who mean CSV; it is said there what is wrong with them.
            is_csv &= told.split('{').next().is_some_and(|name| name.contains([',', ';', '\t']));
        }
        first.push(Ok(line));
        if sample || !is_csv {
            break;
        }
    }
    let all = first.into_iter().chain(lines);
    if is_csv { csv(all, column).and_then(no_counters) } else { openmetrics(all, column) }
}
