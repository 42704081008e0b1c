//! What can be known of values before any is there: intervals of numbers, sets of strings.

use std::collections::BTreeSet;

/// An interval of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) low_open: bool,
    pub(crate) high: f64,
    pub(crate) high_open: bool,
    /// Zero lies within, but is ruled out.
    pub(crate) not_zero: bool,
}

impl Range {
    pub(crate) const ALL: Self = Self::between(f64::NEG_INFINITY, f64::INFINITY);

    pub(crate) const fn between(low: f64, high: f64) -> Self {
        Self { low, low_open: false, high, high_open: false, not_zero: false }
    }

    pub(super) const fn above(low: f64, open: bool) -> Self {
        Self { low, low_open: open, ..Self::ALL }
    }

    pub(super) const fn below(high: f64, open: bool) -> Self {
        Self { high, high_open: open, ..Self::ALL }
    }

    pub(super) fn is_empty(self) -> bool {
        let point = self.low.total_cmp(&self.high).is_eq();
        self.low > self.high
            || (point && (self.low_open || self.high_open))
            || (point && self.low == 0.0 && self.not_zero)
    }

    pub(super) fn contains_zero(self) -> bool {
        let low = self.low < 0.0 || (self.low == 0.0 && !self.low_open);
        let high = self.high > 0.0 || (self.high == 0.0 && !self.high_open);
        low && high && !self.not_zero
    }

    /// The one number that it can be.
    pub(super) fn point(self) -> Option<f64> {
        (self.low.total_cmp(&self.high).is_eq() && !self.low_open && !self.high_open).then_some(self.low)
    }

    pub(super) fn meet(self, other: Self) -> Self {
        let low = if other.low > self.low { other } else { self };
        let high = if other.high < self.high { other } else { self };
        let same = |left: f64, right: f64| left.total_cmp(&right).is_eq();
        Self {
            low: low.low,
            low_open: low.low_open || (same(self.low, other.low) && (self.low_open || other.low_open)),
            high: high.high,
            high_open: high.high_open || (same(self.high, other.high) && (self.high_open || other.high_open)),
            not_zero: self.not_zero || other.not_zero,
        }
    }

    pub(super) fn hull(self, other: Self) -> Self {
        let low = if other.low < self.low { other } else { self };
        let high = if other.high > self.high { other } else { self };
        let same = |left: f64, right: f64| left.total_cmp(&right).is_eq();
        Self {
            low: low.low,
            low_open: low.low_open && (!same(self.low, other.low) || (self.low_open && other.low_open)),
            high: high.high,
            high_open: high.high_open && (!same(self.high, other.high) || (self.high_open && other.high_open)),
            not_zero: !self.contains_zero() && !other.contains_zero(),
        }
    }

    pub(super) fn negate(self) -> Self {
        let Self { low, low_open, high, high_open, not_zero } = self;
        Self { low: -high, low_open: high_open, high: -low, high_open: low_open, not_zero }
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            low_open: self.low_open || other.low_open,
            high: self.high + other.high,
            high_open: self.high_open || other.high_open,
            not_zero: false,
        }
        .sound()
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        let times = |left: f64, right: f64| if left == 0.0 || right == 0.0 { 0.0 } else { left * right };
        let corners = [
            times(self.low, other.low),
            times(self.low, other.high),
            times(self.high, other.low),
            times(self.high, other.high),
        ];
        let low = corners.iter().copied().fold(f64::INFINITY, f64::min);
        let high = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let not_zero = !self.contains_zero() && !other.contains_zero();
        Self { not_zero, ..Self::between(low, high) }.sound()
    }

    /// Applies what keeps the order of numbers, such as `ceil`. What excluded zero may no longer do so.
    pub(super) fn map(self, apply: impl Fn(f64) -> f64) -> Self {
        Self::between(apply(self.low), apply(self.high)).sound()
    }

    pub(super) fn abs(self) -> Self {
        let not_zero = !self.contains_zero();
        let size = self.low.abs().max(self.high.abs());
        let least = if self.low > 0.0 || self.high < 0.0 { self.low.abs().min(self.high.abs()) } else { 0.0 };
        Self { not_zero, ..Self::between(least, size) }
    }

    /// Sums of infinities are nothing known.
    fn sound(self) -> Self {
        if self.low.is_nan() || self.high.is_nan() { Self::ALL } else { self }
    }
}

/// What is known of a fact, param or variable at a place of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    Bool(bool),
    Number(Range),
    /// It is one of these.
    OneOf(BTreeSet<String>),
    /// It is none of these.
    NoneOf(BTreeSet<String>),
}

impl Known {
    /// What is known where both hold; `None` where they can't.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let some = |texts: BTreeSet<String>| (!texts.is_empty()).then_some(Self::OneOf(texts));
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => (left == right).then(|| self.clone()),
            (Self::Number(left), Self::Number(right)) => {
                let both = left.meet(*right);
                (!both.is_empty()).then_some(Self::Number(both))
            }
            (Self::OneOf(left), Self::OneOf(right)) => some(left.intersection(right).cloned().collect()),
            (Self::OneOf(of), Self::NoneOf(not)) | (Self::NoneOf(not), Self::OneOf(of)) => {
                some(of.difference(not).cloned().collect())
            }
            (Self::NoneOf(left), Self::NoneOf(right)) => Some(Self::NoneOf(left.union(right).cloned().collect())),
            // Of two types: the check of types has its say.
            _ => Some(self.clone()),
        }
    }

    /// What is known where one of the two holds.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => (left == right).then(|| self.clone()),
            (Self::Number(left), Self::Number(right)) => Some(Self::Number(left.hull(*right))),
            (Self::OneOf(left), Self::OneOf(right)) => Some(Self::OneOf(left.union(right).cloned().collect())),
            (Self::NoneOf(left), Self::NoneOf(right)) => {
                Some(Self::NoneOf(left.intersection(right).cloned().collect()))
            }
            (Self::OneOf(of), Self::NoneOf(not)) | (Self::NoneOf(not), Self::OneOf(of)) => {
                Some(Self::NoneOf(not.difference(of).cloned().collect()))
            }
            _ => None,
        }
    }

    /// In words, after the name of what is known.
    pub(super) fn describe(&self) -> String {
        let list = |texts: &BTreeSet<String>| {
            let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
            texts.join(", ")
        };
        match self {
            Self::Bool(value) => format!("is {value}"),
            Self::OneOf(texts) if texts.len() == 1 => format!("is {}", list(texts)),
            Self::OneOf(texts) => format!("is one of {}", list(texts)),
            Self::NoneOf(texts) => format!("is none of {}", list(texts)),
            Self::Number(range) => describe_range(*range),
        }
    }
}

fn describe_range(range: Range) -> String {
    if let Some(value) = range.point() {
        return format!("is {value}");
    }
    let low = if range.low_open { "above" } else { "at least" };
    let high = if range.high_open { "below" } else { "at most" };
    match (range.low.is_finite(), range.high.is_finite()) {
        (true, true) => format!("is {low} {} and {high} {}", range.low, range.high),
        (true, false) => format!("is {low} {}", range.low),
        (false, true) => format!("is {high} {}", range.high),
        (false, false) if range.not_zero => "is not 0".to_owned(),
        (false, false) => "is any number".to_owned(),
    }
}
