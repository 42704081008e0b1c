//! Text in columns of a terminal, where a character may take none, one or two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const CUT: char = '…';

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A text of one line that no terminal takes for a command: names and messages come from anybody.
pub(super) fn tame(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).collect()
}

/// A text cut to `columns`, with a sign that something is missing.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        // One column is for the sign.
        if taken >= columns {
            break;
        }
        kept.push(c);
    }
    if columns > 0 {
        kept.truncate(kept.trim_end().len());
        kept.push(CUT);
    }
    kept
}

/// A text cut or filled up to exactly `columns`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_exactly_whatever_its_characters_take() {
        for text in ["", "short", "a text that is far too long", "日本語のクラス", "e\u{301}te\u{301} long enough"]
        {
            for columns in 0..24 {
                assert_eq!(width(&fit(text, columns)), columns, "{text:?} in {columns}");
            }
        }
        assert_eq!(cut("one two three", 8), "one two…");
        assert_eq!(cut("one two three", 5), "one…");
        assert_eq!(cut("one", 3), "one");
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(tame("a\nb\t\u{1b}[2Jc \u{7}"), "a b [2Jc ");
    }
}
