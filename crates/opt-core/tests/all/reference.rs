//! Values that `tests/reference/schedules.py` has from PyTorch.

use std::collections::HashMap;

pub(crate) struct Reference(HashMap<&'static str, Vec<f64>>);

impl Reference {
    pub(crate) fn load() -> Self {
        let text = include_str!("../reference/schedules.csv");
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            rows.map(|row| {
                let (name, values) = row.split_once(',').unwrap();
                let values = values.split(',').map(|v| v.parse().unwrap());
                (name, values.collect())
            })
            .collect(),
        )
    }

    /// Panics if there is no row of this name, so that no comparison is empty.
    pub(crate) fn row(&self, name: &str) -> &[f64] {
        &self.0[name]
    }
}

/// To the rounding of a recursion of some hundred steps.
pub(crate) fn near(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (t, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= 1e-13 * expected.abs(),
            "{name} at {t}: {found}, not {expected}"
        );
    }
}
