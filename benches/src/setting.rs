//! Hyper-parameters by name, as files and results have them.

use std::collections::BTreeMap;
use std::fmt;

use opt_core::{Entry, Scalar, Value};
use serde::{Deserialize, Serialize};

/// The value of one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Count(u64),
    Real(f64),
    Choice(String),
}

/// By name.
pub(crate) type Settings = BTreeMap<String, Setting>;

impl Setting {
    /// The number, if it is one.
    pub(crate) fn real(&self) -> Option<f64> {
        Value::from(self).real()
    }
}

impl From<f64> for Setting {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&Setting> for Value {
    fn from(setting: &Setting) -> Self {
        match setting {
            Setting::Count(value) => Self::from(*value),
            Setting::Real(value) => Self::from(*value),
            Setting::Choice(name) => Self::from(name.as_str()),
        }
    }
}

impl From<&Value> for Setting {
    fn from(value: &Value) -> Self {
        match value {
            Value::Count(value) => Self::Count(*value),
            Value::Real(value) => Self::Real(*value),
            other => Self::Choice(other.to_string()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from(self).fmt(f)
    }
}

/// As a registry takes them.
pub(crate) fn named(set: &Settings) -> Vec<(&str, Value)> {
    let pairs = set.iter();
    pairs.map(|(name, v)| (name.as_str(), v.into())).collect()
}

/// All hyper-parameters: the defaults, but for those that are set.
pub(crate) fn hyper<F: Scalar, O: ?Sized>(entry: &Entry<F, O>, set: &Settings) -> Settings {
    let defaults = entry
        .fields()
        .iter()
        .map(|f| (f.name.clone(), (&f.value).into()));
    let mut all: Settings = defaults.collect();
    all.extend(set.clone());
    all
}
