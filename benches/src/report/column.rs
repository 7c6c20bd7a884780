//! Columns of a table.

use crate::results::Row;

/// A column of the summary table.
pub(super) struct Column {
    pub(super) head: String,
    pub(super) cells: Vec<String>,
    pub(super) numeric: bool,
}

impl Column {
    /// Characters of its longest line.
    pub(super) fn width(&self) -> usize {
        let lines = self.cells.iter().chain([&self.head]);
        lines.map(|text| text.chars().count()).max().unwrap_or(0)
    }

    pub(super) fn text(head: impl Into<String>, cells: Vec<String>) -> Self {
        Column {
            head: head.into(),
            cells,
            numeric: false,
        }
    }

    pub(super) fn numeric(head: impl Into<String>, cells: Vec<String>) -> Self {
        Column {
            numeric: true,
            ..Self::text(head, cells)
        }
    }

    /// None if no method has the value.
    pub(super) fn numbers(
        head: &'static str,
        rows: &[Row],
        value: impl Fn(&Row) -> Option<f64>,
        cell: impl Fn(&Row) -> Option<String>,
    ) -> Option<Self> {
        let cells = rows
            .iter()
            .map(|r| cell(r).unwrap_or_else(|| "–".to_owned()))
            .collect();
        let some = rows.iter().any(|r| value(r).is_some());
        some.then(|| Self::numeric(head, cells))
    }
}

/// A number in four digits.
pub(crate) fn figure(v: f64) -> String {
    match v.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e5).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{v:.decimals$}")
        }
        _ => format!("{v:.3e}"),
    }
}
