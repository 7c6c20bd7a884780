//! Columns of a table.

use crate::results::{Row, Stat};

/// A column of the summary table. `best` marks the cells with the lowest value.
pub(super) struct Column {
    pub(super) head: String,
    pub(super) cells: Vec<String>,
    pub(super) best: Vec<bool>,
    pub(super) numeric: bool,
}

impl Column {
    pub(super) fn text(head: impl Into<String>, cells: Vec<String>) -> Self {
        Column {
            head: head.into(),
            best: vec![false; cells.len()],
            cells,
            numeric: false,
        }
    }

    /// None if no method has the value. A method of which runs failed cannot be the best.
    pub(super) fn numbers(
        head: &'static str,
        rows: &[Row],
        value: impl Fn(&Row) -> Option<f64>,
        cell: impl Fn(&Row) -> Option<String>,
    ) -> Option<Self> {
        let sound = rows.iter().map(|r| value(r).filter(|_| r.failed.is_none()));
        let sound: Vec<Option<f64>> = sound.collect();
        let best = Stat::of(sound.iter().copied().flatten()).map(|s| s.min);
        let cells = rows
            .iter()
            .map(|r| cell(r).unwrap_or_else(|| "–".to_owned()))
            .collect();
        let best = sound.iter().map(|v| v.is_some() && *v == best).collect();
        let some = rows.iter().any(|r| value(r).is_some());
        some.then_some(Column {
            head: head.to_owned(),
            cells,
            best,
            numeric: true,
        })
    }
}

/// A number in four digits.
pub(super) fn figure(v: f64) -> String {
    match v.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e5).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{v:.decimals$}")
        }
        _ => format!("{v:.3e}"),
    }
}
