//! The live table, fitted to the width of the terminal.

use super::row::Row;
use super::style::{Style, Tone};
use super::text::{fit, width};

/// Between columns.
const GAP: usize = 2;
const INDENT: &str = "  ";
/// A column of prose that is narrower is left out.
const PROSE: usize = 14;
/// A name that is longer is cut.
const NAME: usize = 28;

const HEADINGS: [&str; 6] = ["CLASS", "TEMPLATE", "WHY", "PHASE", "PODS", "LAST EVENT"];

/// Widths of the columns; 0 leaves one out.
type Widths = [usize; 6];

/// The table's lines, none wider than `columns`; a heading first.
pub(super) fn table(rows: &[Row], columns: usize, style: Style) -> Vec<String> {
    let widths = widths(rows, columns);
    let heading = line(HEADINGS.map(|heading| (heading, Tone::Quiet)), widths, style);
    let rows = rows.iter().map(|row| line(cells(row), widths, style));
    std::iter::once(heading).chain(rows).collect()
}

fn cells(row: &Row) -> [(&str, Tone); 6] {
    [
        (row.class.as_str(), Tone::Strong),
        (row.template.as_str(), Tone::Plain),
        (row.why.as_str(), Tone::Quiet),
        (row.phase_name(), row.tone()),
        (row.pods.as_str(), Tone::Plain),
        (row.event.as_str(), Tone::Quiet),
    ]
}

fn line(cells: [(&str, Tone); 6], widths: Widths, style: Style) -> String {
    let shown = cells.into_iter().zip(widths).filter(|(_, width)| *width > 0);
    let shown: Vec<String> = shown.map(|((text, tone), width)| style.paint(tone, &fit(text, width))).collect();
    format!("{INDENT}{}", shown.join(&" ".repeat(GAP))).trim_end().to_owned()
}

/// Names, phase and pods get what they need; the two columns of prose share the rest.
fn widths(rows: &[Row], columns: usize) -> Widths {
    let mut natural = HEADINGS.map(width);
    for row in rows {
        for (widest, (text, _)) in natural.iter_mut().zip(cells(row)) {
            *widest = (*widest).max(width(text));
        }
    }
    let [class, template, why, phase, pods, event] = natural;
    // The phase changes while one looks: room for the longest one from the start.
    let (class, template, phase) = (class.min(NAME), template.min(NAME), phase.max("Progressing".len()));
    let taken = INDENT.len() + class + template + phase + pods + 3 * GAP;
    let rest = columns.saturating_sub(taken);
    let (why, event) = prose(why, event, rest);
    [class, template, why, phase, pods, event]
}

/// Widths of the reason and the Event in `rest` columns, their gaps included.
fn prose(why: usize, event: usize, rest: usize) -> (usize, usize) {
    let for_one = rest.saturating_sub(GAP);
    let for_both = rest.saturating_sub(2 * GAP);
    if for_both >= why + event {
        (why, event)
    } else if for_both >= 2 * PROSE {
        // The reason is short and the point of it all: it goes first, but takes no more than half.
        let why = why.min((for_both / 2).max(for_both.saturating_sub(event)));
        (why, for_both - why)
    } else if for_one >= PROSE {
        (why.min(for_one), 0)
    } else {
        (0, 0)
    }
}

/// A row for where nothing can be drawn again: what changed, on a line of its own.
pub(super) fn plain(row: &Row, seconds: f64) -> String {
    let Row { class, template, why, pods, event, .. } = row;
    let (class, phase, template) = (fit(class, 12), fit(row.phase_name(), 11), fit(template, 8));
    format!("{seconds:7.1} s  {class}  {phase}  {}  {template}  {why}; last event {event}", fit(pods, 5))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::api::Phase;

    const STYLE: Style = Style { colours: false };

    fn rows() -> Vec<Row> {
        let row = |class: &str, why: &str, event: &str| Row {
            class: class.to_owned(),
            template: "edge".to_owned(),
            why: why.to_owned(),
            phase: Phase::Available,
            pods: "2/2".to_owned(),
            event: event.to_owned(),
            message: String::new(),
        };
        vec![
            row("hello", "profile (score 100)", "Applied: created Deployment hello, created Service hello-svc"),
            row("a-class-with-a-name-that-nobody-would-type", "named by spec.selected_template", "-"),
        ]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_columns_stay_aligned() {
        for columns in 60..220 {
            let lines = table(&rows(), columns, STYLE);
            let phases: Vec<_> =
                lines.iter().filter_map(|line| line.find("Available").map(|at| width(&line[..at]))).collect();
            assert_eq!(phases.len(), 2, "{lines:?}");
            assert!(phases.windows(2).all(|two| two[0] == two[1]), "{columns}: {lines:?}");
            for line in &lines {
                assert!(width(line) <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn a_wide_terminal_cuts_nothing_and_a_narrow_one_drops_prose_first() {
        let wide = table(&rows(), 400, STYLE).join("\n");
        assert!(
            wide.contains("created Service hello-svc") && wide.contains("named by spec.selected_template"),
            "{wide}"
        );
        let narrow = table(&rows(), 60, STYLE).join("\n");
        assert!(narrow.contains("Available") && !narrow.contains("LAST EVENT") && !narrow.contains("WHY"), "{narrow}");
    }

    #[test]
    fn colours_change_no_width() {
        let plain = table(&rows(), 100, STYLE);
        let painted = table(&rows(), 100, Style { colours: true });
        for (plain, painted) in plain.iter().zip(painted) {
            let mut bare = String::new();
            let mut rest = painted.as_str();
            while let Some((before, after)) = rest.split_once('\x1b') {
                bare.push_str(before);
                rest = after.split_once('m').unwrap().1;
            }
            bare.push_str(rest);
            assert_eq!(bare.trim_end(), plain);
        }
    }
}
