//! What may stand behind a key.

use std::fmt;

use toml::de::DeValue;

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub(in crate::experiment) enum Kind {
    /// From the first to the second.
    Whole(u64, u64),
    /// Above 0, up to this.
    Positive(f64),
    /// From 0 up to this.
    NonNegative(f64),
    /// From 0 to below 1.
    Share,
    /// A hyper-parameter, whose range, or names, its method knows.
    Hyper,
    /// One of those that are numbers.
    Number,
    Flag,
    Text,
    OneOf(&'static [&'static str]),
}

use Kind::{Flag, Hyper, NonNegative, Number, OneOf, Positive, Share, Text, Whole};

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whole(from, to) => write!(f, "a whole number from {from} to {to}"),
            Positive(to) => write!(f, "a number above 0 and up to {to:?}"),
            NonNegative(to) => write!(f, "a number from 0 to {to:?}"),
            Share => f.write_str("a number from 0 to below 1"),
            Hyper => f.write_str("a number or a name"),
            Number => f.write_str("a number"),
            Flag => f.write_str("true or false"),
            Text => f.write_str("a text"),
            OneOf(names) => write!(f, "one of {}", names.join(", ")),
        }
    }
}

impl Kind {
    pub(super) fn holds(self, value: &DeValue<'_>) -> bool {
        match (self, value) {
            (Whole(from, to), DeValue::Integer(n)) => {
                let n = i128::from_str_radix(n.as_str(), n.radix()).ok();
                n.is_some_and(|n| (i128::from(from)..=i128::from(to)).contains(&n))
            }
            (Positive(to), value) => number(value).is_some_and(|v| v > 0.0 && v <= to),
            (NonNegative(to), value) => number(value).is_some_and(|v| (0.0..=to).contains(&v)),
            (Share, value) => number(value).is_some_and(|v| (0.0..1.0).contains(&v)),
            (Number | Hyper, value) if number(value).is_some() => true,
            (Flag, DeValue::Boolean(_)) | (Text | Hyper, DeValue::String(_)) => true,
            (OneOf(names), DeValue::String(text)) => names.contains(&text.as_ref()),
            _ => false,
        }
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(v) => v.as_str().parse().ok(),
        // TOML has whole numbers of 64 bits.
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .ok()
            .map(|n| n as f64),
        _ => None,
    }
}
