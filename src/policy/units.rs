//! Quantities and durations as params state them.

use std::time::Duration;

use super::yaml::Text;

/// Value of a quantity such as `500m` or `1Gi`, in cores or bytes.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let scale = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * scale;
    (number.len() <= 18 && value.is_finite() && value <= 9e18).then_some(value)
}

/// A duration such as `1m30s`, within what can be computed with.
pub(crate) fn duration(text: &str) -> Option<chrono::Duration> {
    humantime::parse_duration(text.trim()).ok().and_then(bounded)
}

/// A duration from seconds.
pub(crate) fn seconds(value: f64) -> Option<chrono::Duration> {
    Duration::try_from_secs_f64(value).ok().and_then(bounded)
}

/// Ten years: no rule waits longer, and sums stay far from overflow.
const LONGEST: Duration = Duration::from_secs(315_360_000);

fn bounded(duration: Duration) -> Option<chrono::Duration> {
    (duration <= LONGEST).then(|| chrono::Duration::from_std(duration).ok()).flatten()
}

/// A duration that was measured; what is longer than ten years is ten years.
pub(crate) fn at_most_ten_years(duration: Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration.min(LONGEST)).unwrap_or_default()
}

/// A duration for others than CEL; none where it is negative.
pub(crate) fn std(duration: chrono::Duration) -> Option<Duration> {
    duration.to_std().ok()
}

/// A duration in words, such as `1m 30s`.
pub(crate) fn words(duration: chrono::Duration) -> String {
    humantime::format_duration(duration.to_std().unwrap_or_default()).to_string()
}

/// A number for people: one with very many digits is written with its exponent.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-9..1e15).contains(&size) { format!("{value:e}") } else { value.to_string() }
}

/// A length of time that may stand as it is, such as `15s`, as an expression.
pub(super) fn spelled(text: &Text) -> Text {
    match duration(&text.text) {
        Some(length) => Text { text: format!("duration(\"{}s\")", length.as_seconds_f64()), at: text.at.clone() },
        None => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_never_a_row_of_hundreds_of_digits() {
        for (value, shown) in [(0.0, "0"), (-0.5, "-0.5"), (1e300, "1e300"), (-1e308, "-1e308"), (2.5e-12, "2.5e-12")] {
            assert_eq!(number(value), shown);
        }
        assert_eq!(number(999_999_999_999_999.0), "999999999999999");
        assert_eq!(number(f64::INFINITY), "inf");
    }
}
