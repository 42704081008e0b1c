//! Values of a series, in the notation of Prometheus' rule tests (promtool).
//!
//! `1.5` is one sample; `1x4` five equal ones, `1+0.5x4` and `9-2x4` the first and four more, each half higher or two
//! lower; `_` is a missing sample, `_x4` four of them.

/// Most samples of a series: a week at half a minute.
pub(super) const MAX_SAMPLES: usize = 20_160;

const USAGE: &str = "write samples such as 1.5, 1x4 (five equal ones), 1+0.5x4, 9-2x4, _ (missing) or _x4";

/// A part of a notation that is none: where it starts and ends in the text, counted in characters, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// Reads a series; `None` is a missing sample.
pub(super) fn values(text: &str) -> Result<Vec<Option<f64>>, Fault> {
    let mut values = Vec::new();
    for (start, word) in words(text) {
        let fault = |message: String| Fault { start, len: word.chars().count(), message, help: USAGE.to_owned() };
        if let Err(reason) = one(word, &mut values) {
            return Err(fault(reason));
        }
    }
    Ok(values)
}

/// Words, each with the character that it starts at.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    text.split(char::is_whitespace).filter_map(move |word| {
        let start = from;
        from += word.chars().count() + 1;
        (!word.is_empty()).then_some((start, word))
    })
}

fn one(word: &str, values: &mut Vec<Option<f64>>) -> Result<(), String> {
    let (what, times) = match word.split_once('x') {
        None => (word, None),
        Some((what, times)) => (what, Some(times.parse().map_err(|_| format!("{times:?} is no number of times"))?)),
    };
    let room = MAX_SAMPLES.saturating_sub(values.len());
    let fits =
        |count: usize| (count <= room).then_some(()).ok_or(format!("a series has at most {MAX_SAMPLES} samples"));
    if what == "_" {
        let count = times.unwrap_or(1);
        fits(count)?;
        values.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    // Without `x` a sign within is part of a number such as 1e-3, or a mistake.
    let (first, change) = if times.is_some() { split(what) } else { (what, None) };
    let first = number(first)?;
    let change = change.map(number).transpose()?.unwrap_or(0.0);
    let more = times.unwrap_or(0);
    fits(more.saturating_add(1))?;
    for index in 0..=more {
        #[expect(clippy::cast_precision_loss, reason = "at most 20,160")]
        let value = first + change * index as f64;
        values.push(Some(finite(value)?));
    }
    Ok(())
}

/// `1+0.5` and `9-2` in two, the sign with the second; a sign behind an exponent's e belongs to its number.
fn split(what: &str) -> (&str, Option<&str>) {
    let mut before = None;
    for (index, c) in what.char_indices() {
        if matches!(c, '+' | '-') && before.is_some_and(|before| !matches!(before, 'e' | 'E')) {
            return (what.get(..index).unwrap_or(what), what.get(index..));
        }
        before = Some(c);
    }
    (what, None)
}

fn number(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match text.parse::<f64>() {
        Ok(value) if plain => finite(value),
        _ => Err(format!("{text:?} is no sample")),
    }
}

fn finite(value: f64) -> Result<f64, String> {
    if value.is_finite() { Ok(value) } else { Err(format!("{value} is no sample")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_notation_reads_as_promtool_reads_it() {
        for (text, expected) in [
            ("", vec![]),
            ("1.5", vec![Some(1.5)]),
            ("1x3", vec![Some(1.0); 4]),
            ("1.0x0", vec![Some(1.0)]),
            ("1+0.5x2", vec![Some(1.0), Some(1.5), Some(2.0)]),
            ("1-1x3", vec![Some(1.0), Some(0.0), Some(-1.0), Some(-2.0)]),
            ("-2+1x1", vec![Some(-2.0), Some(-1.0)]),
            ("-2-1x1", vec![Some(-2.0), Some(-3.0)]),
            ("1e-1+1e+0x1", vec![Some(0.1), Some(1.1)]),
            ("1e-3", vec![Some(0.001)]),
            ("_", vec![None]),
            ("_x3", vec![None; 3]),
            (" 1  _x2\n3 ", vec![Some(1.0), None, None, Some(3.0)]),
        ] {
            assert_eq!(values(text), Ok(expected), "{text:?}");
        }
        assert_eq!(values("1.0x8 3.0x8").unwrap().len(), 18);
    }

    #[test]
    fn what_is_no_notation_is_told_with_its_place() {
        for (text, start, len, message) in [
            ("1 two 3", 2, 3, "\"two\" is no sample"),
            ("1x", 0, 2, "\"\" is no number of times"),
            ("1 1x-2", 2, 4, "\"-2\" is no number of times"),
            ("é 1", 0, 1, "\"é\" is no sample"),
            ("1+", 0, 2, "\"1+\" is no sample"),
            ("1+1", 0, 3, "\"1+1\" is no sample"),
            ("1+x2", 0, 4, "\"+\" is no sample"),
            ("NaN", 0, 3, "\"NaN\" is no sample"),
            ("inf", 0, 3, "\"inf\" is no sample"),
            ("1e308+1e308x1", 0, 13, "inf is no sample"),
            ("1x20160", 0, 7, "a series has at most 20160 samples"),
            ("_x99999999999999999999", 0, 22, "\"99999999999999999999\" is no number of times"),
        ] {
            let fault = values(text).unwrap_err();
            assert_eq!((fault.start, fault.len, fault.message.as_str()), (start, len, message), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_grows_without_bound(text in "[0-9x+_. eE-]{0,40}|\\PC{0,20}") {
            if let Ok(values) = values(&text) {
                prop_assert!(values.len() <= MAX_SAMPLES);
                prop_assert!(values.iter().flatten().all(|value| value.is_finite()));
            }
        }
    }
}
