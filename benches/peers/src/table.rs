//! One table of ratios, and the gaps below it.

use crate::row::Row;

/// Columns with peers, in this order.
const PEERS: [&str; 5] = ["candle", "burn", "pytorch", "optax", "scipy"];

/// Of all rows, for the terminal.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for row in rows.iter().filter(|row| row.ours_ms.is_some()) {
        let work = row.work.clone().unwrap_or_default();
        if lines.last().is_none_or(|line| line[0] != work) {
            lines.push(ours(work, row));
        }
        let column = PEERS.iter().position(|p| Some(*p) == row.peer.as_deref());
        if let (Some(line), Some(k)) = (lines.last_mut(), column) {
            line[4 + k] = ratio(row.theirs_ms, row.ours_ms);
        }
    }
    let machine = rows.first().map_or("", |row| row.machine.as_str());
    let heads = ["work", "ours, ms", "ours/limit", "checked/limit"];
    let heads = heads.into_iter().chain(PEERS).map(str::to_owned);
    lines.insert(0, heads.collect());
    let mut text = format!(
        "{machine}\nPeers: their time to ours; above 1 we are ahead. Medians of turns in one run. Steps trust the gradient,\n\
         as every peer does; with our default's check: checked/limit.\n\n"
    );
    text += &align(&lines);
    text.extend(rows.iter().filter_map(gap));
    text
}

fn ours(work: String, row: &Row) -> Vec<String> {
    let ms = row
        .ours_ms
        .map_or_else(String::new, |ms| format!("{ms:.2}"));
    let mut line = vec![
        work,
        ms,
        ratio(row.ours_ms, row.limit_ms),
        ratio(row.ours_checked_ms, row.limit_ms),
    ];
    line.resize(4 + PEERS.len(), "–".to_owned());
    line
}

fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    match (of, to) {
        (Some(of), Some(to)) => format!("{:.2}", of / to),
        _ => "–".to_owned(),
    }
}

/// The first column to the left, numbers to the right.
fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |k: usize| lines.iter().map(|line| line[k].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|k| width(k).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        for (k, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &match k {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

fn gap(row: &Row) -> Option<String> {
    let (peer, why) = (row.peer.as_deref()?, row.gap.as_deref()?);
    let work = row.work.as_ref().map(|work| format!(", {work}"));
    Some(format!("gap: {peer}{}: {why}\n", work.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_work_and_each_gap() {
        let figure = |work: &str, peer: &str, theirs: f64| Row {
            machine: "m, 2 threads".into(),
            work: Some(work.into()),
            peer: Some(peer.into()),
            ours_ms: Some(2.0),
            ours_checked_ms: Some(3.0),
            limit_ms: (work == "a").then_some(1.0),
            theirs_ms: Some(theirs),
            ..Row::default()
        };
        let gap = Row {
            peer: Some("optax".into()),
            work: Some("b".into()),
            gap: Some("it has none".into()),
            ..Row::default()
        };
        let rows = [
            figure("a", "candle", 5.0),
            figure("a", "pytorch", 1.0),
            gap,
            figure("b", "burn", 20.0),
        ];
        let text = text(&rows);
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "m, 2 threads");
        let cells = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let a = ["a", "2.00", "2.00", "3.00", "2.50", "–", "0.50", "–", "–"];
        assert_eq!(cells(lines[5]), a);
        let b = ["b", "2.00", "–", "–", "–", "10.00", "–", "–", "–"];
        assert_eq!(cells(lines[6]), b);
        assert_eq!(lines[7..], ["gap: optax, b: it has none"]);
    }
}
