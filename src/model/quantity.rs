//! Kubernetes quantities, compared by value: `1000m` is `1`.

use std::cmp::Ordering;
use std::fmt;

/// A quantity as written, with its exact value in nano-units (of cores or bytes).
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    nanos: i128,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity; write a number with an optional suffix, such as 250m, 1.5, 128Mi or 2Gi")]
pub struct QuantityError(pub String);

const NANO: i128 = 1_000_000_000;
/// Most digits on either side of the point; more than any number that is accepted can need.
const MAX_DIGITS: usize = 19;
/// Greatest decimal exponent of which a value can still be in range.
const MAX_EXPONENT: u32 = 18;

impl Quantity {
    /// Parses a quantity. Refused: signs, blanks, unknown suffixes, and values above 2^63 (the API server's own range).
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        nanos(text).map(|nanos| Self { text: text.to_owned(), nanos }).ok_or_else(|| QuantityError(text.to_owned()))
    }

    /// Value in cores or bytes.
    #[expect(clippy::cast_precision_loss, reason = "policies work on doubles; 53 bits are ample for cores and bytes")]
    pub fn value(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The value in nano-units, rounded up to a whole one, as the API server does.
fn nanos(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let plain = number.bytes().any(|b| b.is_ascii_digit()) && !fraction.contains('.');
    if !plain || whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
        return None;
    }
    // The number is mantissa / 10^places, exactly.
    let mantissa = format!("0{whole}{fraction}").parse::<i128>().ok()?;
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (up, down) = scale(suffix)?;
    // up or down is 1, and each divides NANO or is multiplied by it, so that no factor overflows on the way.
    let (up, down) = if down == 1 { (up.checked_mul(NANO)?, 1) } else { (NANO / down, 1) };
    let (up, places) = reduce(up, places * down);
    let scaled = mantissa.checked_mul(up)?;
    let nanos = scaled / places + i128::from(scaled % places != 0);
    (nanos <= i128::from(i64::MAX) * NANO).then_some(nanos)
}

/// Removes common factors of ten, which leaves room in the product.
fn reduce(mut up: i128, mut down: i128) -> (i128, i128) {
    while up % 10 == 0 && down % 10 == 0 {
        up /= 10;
        down /= 10;
    }
    (up, down)
}

/// Multiplier and divisor of a suffix; one of them is 1.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return exponent(suffix.strip_prefix(['e', 'E'])?),
    })
}

/// `e3`, `E+3`, `e-3`. Below nano there is nothing to tell apart, above the range there is nothing to hold.
fn exponent(text: &str) -> Option<(i128, i128)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: u32 = digits.parse().ok()?;
    match (negative, exponent) {
        (false, ..=MAX_EXPONENT) => Some((10_i128.pow(exponent), 1)),
        (true, ..=9) => Some((1, 10_i128.pow(exponent))),
        _ => None,
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::{NANO, Quantity};

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        let pairs = [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1Ki", "1024"),
            ("1e3", "1k"),
            ("1E", "1e18"),
            ("1Ei", "1024Pi"),
            ("1e-3", "1m"),
            ("1.5Gi", "1536Mi"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0001", "1"),
            ("1.50", "1.5"),
        ];
        for (left, right) in pairs {
            assert_eq!(Quantity::parse(left).unwrap(), Quantity::parse(right).unwrap(), "{left} = {right}");
        }
    }

    #[test]
    fn less_than_a_nano_counts_as_one() {
        assert_eq!(Quantity::parse("0.0000000001").unwrap(), Quantity::parse("1n").unwrap());
        assert_eq!(Quantity::parse("1.5n").unwrap(), Quantity::parse("2n").unwrap());
        assert!(Quantity::parse("0").unwrap() < Quantity::parse("1n").unwrap());
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_its_text() {
        let texts = [
            "",
            ".",
            "m",
            "-1",
            "+1",
            "1 Gi",
            "1gi",
            "1.2.3",
            "NaN",
            "99999999999999999999",
            "1e",
            "1e+",
            "1e+-3",
            "1e30",
            "1e4294967296",
            "9e18P",
            "10E",
            "8Ei",
            "1µ",
            "٣",
        ];
        for text in texts {
            assert!(Quantity::parse(text).unwrap_err().to_string().contains(&format!("{text:?}")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_printed_as_it_was(text in "[0-9.]{0,24}[eE+-]?[numkMGTPEi0-9]{0,3}|\\PC{0,12}") {
            if let Ok(quantity) = Quantity::parse(&text) {
                prop_assert_eq!(quantity.to_string(), text.clone());
                prop_assert_eq!(&Quantity::parse(quantity.as_str()).unwrap(), &quantity);
                prop_assert!(quantity.value().is_finite() && quantity.value() >= 0.0);
            }
        }

        #[test]
        fn the_value_is_the_number_times_its_suffix(number in 0_u32.., suffix in prop::sample::select(vec![
            ("n", 1), ("u", 1_000), ("m", 1_000_000), ("", NANO), ("k", NANO * 1_000), ("Mi", NANO << 20), ("Gi", NANO << 30),
        ])) {
            let quantity = Quantity::parse(&format!("{number}{}", suffix.0)).unwrap();
            prop_assert_eq!(quantity.nanos, i128::from(number) * suffix.1);
        }
    }
}
