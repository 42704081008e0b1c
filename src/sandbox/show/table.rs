//! The live table, fitted to the width of the terminal.

use super::row::{NOTHING, Row};
use super::style::{Style, Tone};
use super::text::{fit, width};

/// Between columns.
pub(super) const GAP: usize = 2;
pub(super) const INDENT: &str = "  ";
/// A column of prose that is narrower is left out.
const PROSE: usize = 14;
/// What an Event keeps where a reason is long.
const SOME_EVENT: usize = 24;
/// A name that is longer is cut.
const NAME: usize = 28;

const HEADINGS: [&str; 6] = ["CLASS", "TEMPLATE", "WHY", "PHASE", "PODS", "LAST EVENT"];

/// Room for each phase, so that a change of it moves nothing.
const LONGEST_PHASE: usize = "Progressing".len();
/// Columns of lines that are printed one by one, before the longest is known.
const SHORT_NAME: usize = 12;
const SHORT_PODS: usize = 5;

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

/// A line of a table: columns of width 0 are left out.
pub(super) fn line<const N: usize>(cells: [(&str, Tone); N], widths: [usize; N], style: Style) -> String {
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
    let (class, template, phase) = (class.min(NAME), template.min(NAME), phase.max(LONGEST_PHASE));
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
        // The reason is short and the point of it all: it goes first, as long as some of the Event is left.
        let why = why.min(for_both.saturating_sub(event.min(SOME_EVENT)).max(for_both / 2));
        (why, for_both - why)
    } else if for_one >= PROSE {
        (why.min(for_one), 0)
    } else {
        (0, 0)
    }
}

/// For where nothing can be drawn again: a line for where the class stands now, one for its last Event, each only
/// where it differs from `before`.
pub(super) fn changes(row: &Row, before: Option<&Row>) -> Vec<String> {
    let Row { class, template, why, pods, event, .. } = row;
    let class = fit(class, SHORT_NAME);
    let state = |row: &Row| (row.phase, row.pods.clone(), row.template.clone(), row.why.clone());
    let mut lines = Vec::new();
    if before.is_none_or(|before| state(before) != state(row)) {
        let (phase, pods) = (fit(row.phase_name(), LONGEST_PHASE), fit(pods, SHORT_PODS));
        lines.push(
            format!("{class}  {phase}  {pods}  {template}: {why}").trim_end_matches("  -: -").trim_end().to_owned(),
        );
    }
    if event != NOTHING && before.is_none_or(|before| before.event != *event) {
        lines.push(format!("{class}  {event}"));
    }
    lines
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
            recommended: false,
            unmeasured: None,
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
    fn a_line_is_printed_for_what_changed_and_for_nothing_else() {
        let row = rows().remove(0);
        let first = changes(&row, None);
        assert_eq!(first[0], "hello         Available    2/2    edge: profile (score 100)");
        assert!(first[1].starts_with("hello         Applied: created Deployment hello"), "{first:?}");
        assert_eq!(changes(&row, Some(&row)), Vec::<String>::new());
        let pods = Row { pods: "1/2".to_owned(), ..row.clone() };
        assert_eq!(changes(&pods, Some(&row)), ["hello         Available    1/2    edge: profile (score 100)"]);
        let unknown = ["template", "why", "pods", "event"].map(|_| NOTHING.to_owned());
        let [template, why, pods, event] = unknown;
        let pending = Row { template, why, pods, event, phase: Phase::Pending, ..row };
        assert_eq!(changes(&pending, None), ["hello         Pending      -"]);
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
