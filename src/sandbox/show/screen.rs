//! The one place that writes to the terminal: a block of lines that is drawn again in place, or, where there is no
//! terminal, a line for each row that changed.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use super::row::Row;
use super::sizing::{self, Sizing};
use super::style::{Style, Tone};
use super::table;
use super::text::cut;
use crate::api::Phase;

/// Where the size is not known.
const COLUMNS: usize = 100;
const LINES: usize = 40;
/// Classes whose trouble is told in full.
const MAX_PROBLEMS: usize = 5;
/// Fewer make no table.
const MIN_COLUMNS: usize = 40;

/// Standard output.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
    style: Style,
    began: Instant,
    /// What stands above the table.
    head: Vec<String>,
    /// Lines of the block that is drawn again; the cursor stands below them.
    drawn: usize,
    size: (usize, usize),
    shown: BTreeMap<String, Row>,
    sized: BTreeMap<String, Sizing>,
}

impl Screen {
    /// Standard output as it is: colours where it is a terminal that wants them.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && given("TERM").as_deref() != Some("dumb");
        let style = Style { colours: terminal && given("NO_COLOR").is_none() };
        Self {
            terminal,
            style,
            began: Instant::now(),
            head: Vec::new(),
            drawn: 0,
            size: size(),
            shown: BTreeMap::new(),
            sized: BTreeMap::new(),
        }
    }

    /// How it is painted.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Prints lines that stay above the table.
    pub fn head(&mut self, lines: Vec<String>) {
        self.head = lines;
        write(&ended(&self.head, "\n"));
    }

    /// Shows the classes, how their functions are sized, and one line below them.
    pub fn show(&mut self, rows: &[Row], sizings: &[Sizing], below: &str) {
        if self.terminal {
            self.draw(rows, sizings, below);
        } else {
            self.print_changes(rows);
            self.print_sizes(sizings);
        }
    }

    /// Prints lines below the table, which is not drawn again.
    pub fn end(&mut self, lines: &[String]) {
        self.drawn = 0;
        write(&ended(lines, "\n"));
    }

    fn draw(&mut self, rows: &[Row], sizings: &[Sizing], below: &str) {
        let size = size();
        let (columns, height) = size;
        let lines = self.block(rows, sizings, below, (columns, height));
        let mut text = if size != self.size {
            // Lines have wrapped in a way that nobody can know: begin anew. What is to be copied is not cut.
            self.size = size;
            format!("\x1b[H\x1b[2J{}", ended(&self.head, "\n"))
        } else if self.drawn > 0 {
            format!("\x1b[{}A\r", self.drawn)
        } else {
            String::new()
        };
        text.push_str(&ended(&lines, "\x1b[K\n"));
        // What was drawn longer before.
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        write(&text);
    }

    /// No more lines than the terminal has, or the next drawing would not find its place.
    fn block(&self, rows: &[Row], sizings: &[Sizing], below: &str, (columns, height): (usize, usize)) -> Vec<String> {
        let problems: Vec<&Row> = rows.iter().filter(|row| row.phase == Phase::Degraded).take(MAX_PROBLEMS).collect();
        // Heading, empty line, line below, and the one where the cursor stands; one that says how many more there are.
        let room = height.saturating_sub(5 + problems.len()).max(1);
        let shown = rows.get(..room.min(rows.len())).unwrap_or_default();
        let mut lines = table::table(shown, columns.max(MIN_COLUMNS), self.style);
        let mut add = |tone, text: &str| lines.push(self.style.paint(tone, &cut(text, columns)));
        if shown.len() < rows.len() {
            add(Tone::Quiet, &format!("  and {} more", rows.len() - shown.len()));
        }
        add(Tone::Plain, "");
        let left = height.saturating_sub(lines.len() + problems.len() + 2);
        // A heading, at least one function, and an empty line; what does not fit is left to `/nfr`.
        if left > 3 {
            let sizes =
                sizing::table(sizings.get(..sizings.len().min(left - 3)).unwrap_or_default(), columns, self.style);
            let end = (!sizes.is_empty()).then(String::new);
            lines.extend(sizes.into_iter().chain(end));
        }
        let mut add = |tone, text: &str| lines.push(self.style.paint(tone, &cut(text, columns)));
        for row in &problems {
            add(Tone::Bad, &format!("  {}: {}", row.class, row.message));
        }
        add(Tone::Quiet, &format!("  {below}"));
        lines
    }

    fn print_sizes(&mut self, sizings: &[Sizing]) {
        let seconds = self.began.elapsed().as_secs_f64();
        let lines = sizings.iter().filter_map(|one| one.change(self.sized.get(&one.function)));
        let lines: Vec<String> = lines.map(|line| format!("{seconds:7.1} s  {line}")).collect();
        self.sized = sizings.iter().map(|one| (one.function.clone(), one.clone())).collect();
        write(&ended(&lines, "\n"));
    }

    fn print_changes(&mut self, rows: &[Row]) {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut lines = Vec::new();
        for row in rows {
            lines.extend(table::changes(row, self.shown.get(&row.class)));
        }
        let gone = self.shown.keys().filter(|class| rows.iter().all(|row| row.class != **class));
        lines.extend(gone.map(|class| format!("{class} is gone")));
        let lines: Vec<String> = lines.into_iter().map(|line| format!("{seconds:7.1} s  {line}")).collect();
        self.shown = rows.iter().map(|row| (row.class.clone(), row.clone())).collect();
        write(&ended(&lines, "\n"));
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// Columns and lines of the terminal; `COLUMNS` makes it narrower.
fn size() -> (usize, usize) {
    let (columns, lines) = match terminal_size::terminal_size() {
        Some((columns, lines)) => (usize::from(columns.0), usize::from(lines.0)),
        None => (COLUMNS, LINES),
    };
    let stated = given("COLUMNS").and_then(|text| text.parse().ok()).filter(|&stated| stated > 0);
    (stated.map_or(columns, |stated: usize| stated.min(columns)).max(1), lines.max(1))
}

/// A line that does not wrap.
pub fn fit_terminal(line: &str) -> String {
    cut(line, size().0.saturating_sub(1))
}

fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Lines, each with its end.
fn ended(lines: &[String], end: &str) -> String {
    lines.iter().flat_map(|line| [line.as_str(), end]).collect()
}

/// Nobody but the reader is hurt by what cannot be written.
fn write(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
