//! What hyper-parameters can be.

use std::fmt;

/// The range of a real hyper-parameter. NaN and infinities are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// (0, ∞)
    Positive,
    /// [0, ∞): rates too, which a schedule may take to 0.
    NonNegative,
    /// [0, 1): momenta and decay rates
    Unit,
    /// (0, 1]: factors that shrink
    Shrink,
    /// [1, ∞): factors that grow
    Grow,
}

impl Bound {
    /// Whether `value` is in the range.
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Positive => value > 0.0,
                Self::NonNegative => value >= 0.0,
                Self::Unit => (0.0..1.0).contains(&value),
                Self::Shrink => value > 0.0 && value <= 1.0,
                Self::Grow => value >= 1.0,
            }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Positive => "finite and above 0",
            Self::NonNegative => "finite and at least 0",
            Self::Unit => "in [0, 1)",
            Self::Shrink => "in (0, 1]",
            Self::Grow => "finite and at least 1",
        })
    }
}

/// What a hyper-parameter can be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A real number in this range.
    Real(Bound),
    /// A whole number of at least this: a period, a size, a seed.
    Count(u64),
    /// One of these names.
    Choice(Vec<&'static str>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(bound) => bound.fmt(f),
            Self::Count(least) => write!(f, "a whole number of at least {least}"),
            Self::Choice(names) => write!(f, "one of {}", names.join(", ")),
        }
    }
}

/// The value of a hyper-parameter, whatever its kind.
///
/// A whole number serves for a real field and for a count, and so does a real one that is whole.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A real number.
    Real(f64),
    /// A whole number.
    Count(u64),
    /// The name of a choice.
    Choice(String),
}

impl Value {
    /// The value that a text stands for: a whole number, a real one, or a name.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let count = text.parse().map(Self::Count);
        let real = || text.parse().map(Self::Real);
        count
            .or_else(|_| real())
            .unwrap_or_else(|_| Self::Choice(text.to_owned()))
    }

    /// The number, if it is one.
    pub fn real(&self) -> Option<f64> {
        match *self {
            Self::Real(value) => Some(value),
            Self::Count(value) => Some(value as f64),
            Self::Choice(_) => None,
        }
    }

    /// The whole number, if it is one.
    pub fn count(&self) -> Option<u64> {
        match *self {
            Self::Count(value) => Some(value),
            // Every whole f64 below 2⁶⁴ converts exactly.
            Self::Real(v) if v >= 0.0 && v < 2_f64.powi(64) && v.fract() == 0.0 => Some(v as u64),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<&str> for Value {
    fn from(name: &str) -> Self {
        Self::Choice(name.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(value) => value.fmt(f),
            Self::Count(value) => value.fmt(f),
            Self::Choice(name) => name.fmt(f),
        }
    }
}
