//! Kubernetes quantities, compared by value: `1000m` is `1`.

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

impl Quantity {
    /// Parses a quantity. Refused: signs, blanks, unknown suffixes, and values above 2^63 (the API server's own range).
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
            return Err(wrong());
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
        // Nine decimal places are what the API server keeps; more are cut there too (rounded up by at most a nano).
        let fraction: i128 = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction)).parse().map_err(|_| wrong())?;
        let (up, down) = scale(suffix).ok_or_else(wrong)?;
        let nanos = (whole * NANO + fraction).checked_mul(up).ok_or_else(wrong)? / down;
        if nanos > i128::from(i64::MAX) * NANO {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), nanos })
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

/// Multiplier and divisor of a suffix.
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
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        _ => {
            let exponent: u32 =
                suffix.strip_prefix(['e', 'E'])?.strip_prefix('+').unwrap_or(&suffix[1..]).parse().ok()?;
            (10_i128.checked_pow(exponent.min(18))?, 1)
        }
    })
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
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
    use super::Quantity;

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        for (left, right) in
            [("1000m", "1"), ("0.5", "500m"), ("1Ki", "1024"), ("1e3", "1k"), ("1.5Gi", "1536Mi"), (".5", "0.5")]
        {
            assert_eq!(Quantity::parse(left).unwrap(), Quantity::parse(right).unwrap(), "{left} = {right}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_its_text() {
        for text in ["", "m", "-1", "1 Gi", "1gi", "1.2.3", "NaN", "99999999999999999999", "1e", "9e18P"] {
            assert!(Quantity::parse(text).unwrap_err().to_string().contains(&format!("{text:?}")), "{text}");
        }
    }
}
