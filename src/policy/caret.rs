//! Where a character of a text stands in the YAML that it is written in.
//!
//! Quoting and folding change white space, quotes and escapes only, so a character is found by counting those that are
//! no white space. A block (`>-`, `|`) is not quoted, even where its text begins with a quote.

/// A character that is no white space, with where it begins and ends: lines and columns below and right of the first.
struct Solid {
    shown: char,
    begin: (u32, u32),
    end: (u32, u32),
}

/// Line and column of the `index`th character of a text in its YAML, from (0, 0); columns of the first line count from
/// where the YAML begins, those of the others from their line. Past its end it is right behind its last character.
/// `None` where the YAML is another text, such as the name of an anchor.
pub(super) fn find(raw: &str, text: &str, index: usize) -> Option<(u32, u32)> {
    let wanted: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let before = text.chars().take(index).filter(|c| !c.is_whitespace()).count();
    let same = |solids: &[Solid]| wanted.iter().zip(solids).all(|(wanted, solid)| *wanted == solid.shown);
    // Behind a text in quotes there is one character more: the quote that ends it.
    let solids = ['\'', '"'].into_iter().find_map(|quote| {
        let quoted = raw.starts_with(quote).then(|| solids(raw, Some(quote)))?;
        (quoted.len() == wanted.len() + 1 && same(&quoted)).then_some(quoted)
    });
    let solids = solids.or_else(|| {
        let plain = self::solids(raw, None);
        (plain.len() >= wanted.len() && same(&plain)).then_some(plain)
    })?;
    match solids.get(before.min(wanted.len())) {
        Some(solid) if before < wanted.len() => Some(solid.begin),
        _ => Some(wanted.len().checked_sub(1).and_then(|last| solids.get(last)).map_or((0, 0), |last| last.end)),
    }
}

/// The characters of a YAML text that are no white space, read with or without quotes.
fn solids(raw: &str, quote: Option<char>) -> Vec<Solid> {
    let mut chars = raw.chars().peekable();
    let mut at = (0, 0);
    let mut found = Vec::new();
    if quote.is_some() {
        chars.next();
        at.1 = 1;
    }
    while let Some(c) = chars.next() {
        let begin = at;
        at = if c == '\n' { (at.0 + 1, 0) } else { (at.0, at.1 + 1) };
        let shown = match quote {
            Some('\'') if c == '\'' && chars.next_if_eq(&'\'').is_some() => {
                at.1 += 1;
                c
            }
            Some('"') if c == '\\' => escaped(&mut chars, &mut at),
            _ => c,
        };
        if !shown.is_whitespace() {
            found.push(Solid { shown, begin, end: at });
        }
    }
    found
}

/// What an escape of a text in double quotes stands for.
fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, at: &mut (u32, u32)) -> char {
    let Some(c) = chars.next() else { return '\\' };
    // The end of a line that is escaped joins it with the next one.
    if c == '\n' {
        *at = (at.0 + 1, 0);
        return ' ';
    }
    at.1 += 1;
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        if let Some(digit) = chars.next_if(char::is_ascii_hexdigit).and_then(|c| c.to_digit(16)) {
            code = (code << 4) | digit;
            at.1 += 1;
        }
    }
    match c {
        'x' | 'u' | 'U' => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'e' => '\u{1b}',
        // White space, in whichever form.
        'n' | 't' | 'r' | 'v' | 'f' | 'N' | '_' | 'L' | 'P' => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::policy::yaml::{self, Source, Value};

    /// Writes a text as YAML, in one of five ways.
    fn written(text: &str, way: usize) -> String {
        let block = |sign: &str| format!("{sign}\n{}", text.lines().map(|l| format!("    {l}\n")).collect::<String>());
        match way {
            0 => format!("'{}'", text.replace('\'', "''").replace('\n', "\n\n    ")),
            1 => format!("{text:?}"),
            2 => text.chars().fold("\"".to_owned(), |out, c| out + &format!("\\U{:08x}", c as u32)) + "\"",
            3 => block("|"),
            _ => block(">-"),
        }
    }

    /// Every character of the text with the one that stands where it is said to be.
    fn check(text: &str, way: usize) {
        let file = format!("head: 1\nkey: {}\ntail: 1\n", written(text, way));
        let source = Arc::new(Source { name: "a.yaml".to_owned(), text: file.clone() });
        let nodes = yaml::parse(&source).unwrap();
        let Value::Map(fields) = &nodes[0].value else { panic!("no map") };
        let (_, node) = &fields[1];
        let Value::Text(read) = &node.value else { panic!("no text: {:?}", node.value) };
        let at = |line: u32, column: u32| {
            file.lines().nth(line as usize - 1).and_then(|line| line.chars().nth(column as usize - 1))
        };
        for (index, c) in read.chars().enumerate().filter(|(_, c)| !c.is_whitespace()) {
            let (line, column) = node.at.find(read, index);
            let escaped = way == 2 || c == '\\' || (way == 1 && c == '"');
            assert_eq!(at(line, column), Some(if escaped { '\\' } else { c }), "{index} of {read:?} in\n{file}");
        }
        let last = read.trim_end().chars().count();
        let (line, column) = node.at.find(read, read.chars().count());
        let before = node.at.find(read, last - 1);
        assert_eq!(line, before.0, "the end of {read:?} in\n{file}");
        assert!(column > before.1, "the end of {read:?} in\n{file}");
    }

    #[test]
    fn a_block_that_begins_with_a_quote_is_not_quoted() {
        for text in ["\"xx\" == a\n&& nope", "'x' == \"y\"", "\"x\"\n  + 1", "\"日本\" == é\n&& ü"] {
            (0..5).for_each(|way| check(text, way));
        }
    }

    proptest! {
        #[test]
        fn every_character_is_found_however_it_is_written(
            text in "[a-z\"'\\\\é日]([a-z\"'\\\\ :#é日]{0,8}[a-z\"'é日])?(\n[a-z\"'&][a-z\"'\\\\ é]{0,8}[a-z\"']){0,2}",
            way in 0_usize..5,
        ) {
            check(&text, way);
        }
    }
}
