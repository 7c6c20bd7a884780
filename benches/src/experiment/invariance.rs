use std::collections::BTreeMap;

use serde::Deserialize;

use crate::setting::Settings;

/// An experiment on units: see [`crate::units`].
#[derive(Debug, Deserialize)]
pub(crate) struct Invariance {
    /// All that are registered if absent.
    pub(crate) methods: Option<Vec<String>>,
    pub(crate) steps: u64,
    /// Images that the loss is the mean over.
    pub(crate) samples: usize,
    pub(crate) l2: f64,
    /// What the loss, then the parameters, are multiplied by.
    pub(crate) scales: Vec<f64>,
    /// How far the paths may lie apart, as a part of the way that was made, and still be the same.
    pub(crate) tolerance: f64,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Settings>,
}
