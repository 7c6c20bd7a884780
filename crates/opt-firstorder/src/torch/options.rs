//! An optimizer's options, as Python writes them.

use std::collections::{BTreeMap, HashMap};

use super::TorchError;

/// PyTorch's options by name, in Python's spelling: `0.001`, `0.9,0.999`, `False`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(BTreeMap<String, String>);

/// How a step is computed, and not what it is.
const HOW: [&str; 5] = [
    "foreach",
    "fused",
    "capturable",
    "differentiable",
    "initial_lr",
];

impl Options {
    pub(super) fn of(map: HashMap<String, String>) -> Self {
        // Of safetensors.
        let map = map.into_iter().filter(|(name, _)| name != "format");
        Self(map.collect())
    }

    pub(super) fn into_map(self) -> HashMap<String, String> {
        self.0.into_iter().collect()
    }

    /// Starts with a real number.
    pub(super) fn with(self, name: &str, value: f64) -> Self {
        // Debug prints the shortest decimal that reads back as the same bits.
        self.text(name, format!("{value:?}"))
    }

    pub(super) fn pair(self, name: &str, [a, b]: [f64; 2]) -> Self {
        self.text(name, format!("{a:?},{b:?}"))
    }

    pub(super) fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(super) fn real(&mut self, name: &str) -> Result<f64, TorchError> {
        let text = self.take(name).unwrap_or_default();
        number(&text).ok_or_else(|| refused(name, text, "must be a number"))
    }

    pub(super) fn reals(&mut self, name: &str) -> Result<[f64; 2], TorchError> {
        let text = self.take(name).unwrap_or_default();
        let pair = text.split_once(',');
        let pair = pair.and_then(|(a, b)| Some([number(a)?, number(b)?]));
        pair.ok_or_else(|| refused(name, text, "must be two numbers"))
    }

    /// What must be so, where it is there: older versions have not all of them.
    pub(super) fn must(&mut self, name: &str, value: &str, why: &str) -> Result<(), TorchError> {
        let Some(found) = self.take(name) else {
            return Ok(());
        };
        let same_number = || Some(number(&found)? == number(value)?);
        if found == value || same_number() == Some(true) {
            return Ok(());
        }
        let why = format!("must be {value}: {why}");
        Err(refused(name, found, &why))
    }

    /// Refuses what nobody has asked for.
    pub(super) fn finish(mut self) -> Result<(), TorchError> {
        self.must("maximize", "False", "take the loss with its other sign")?;
        HOW.iter().for_each(|name| drop(self.take(name)));
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, value)) => Err(refused(&name, value, "is unknown here")),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

pub(super) fn refused(name: &str, value: impl ToString, why: &str) -> TorchError {
    TorchError::Option {
        name: name.to_owned(),
        value: value.to_string(),
        why: why.to_owned(),
    }
}
