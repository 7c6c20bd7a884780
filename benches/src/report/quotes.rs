//! The figures within the sentences of the documentation: each is a cell of a table of docs/results.md,
//! or two cells' ratio or difference, to as many digits as stand there now.
//!
//! `<!-- = ROW @ COLUMN -->2.18<!-- / -->`; `ROW @ COLUMN / ROW`, `ROW @ COLUMN - ROW @ COLUMN`; after a
//! column, `low` and `high` are the ends of its range. The table is one of the section, or another of
//! the experiment that the section's heading names; `NAME: ROW @ COLUMN` is of that experiment.

use std::ops::Range;

use super::markdown::{self, END as BETWEEN};

const BEGIN: &str = "<!-- = ";
const END: &str = "<!-- / -->";

/// The text with its figures as the tables of `source` (the text itself, or another) have them; or which
/// one has no cell.
pub(crate) fn fill(text: &str, source: &str) -> Result<String, String> {
    let (tables, same) = (tables(source), text == source);
    let (mut new, mut at) = (String::new(), 0);
    while let Some(found) = text[at..].find(BEGIN) {
        let begin = at + found;
        let part = &text[begin..];
        let wrong = || format!("`{}`", part.lines().next().unwrap_or_default());
        let (asked, _) = part[BEGIN.len()..].split_once(BETWEEN).ok_or_else(wrong)?;
        let shown = begin + BEGIN.len() + asked.len() + BETWEEN.len();
        let (old, _) = text[shown..].split_once(END).ok_or_else(wrong)?;
        let (here, name) = section(text, begin);
        let here = if same { here } else { 0..0 };
        let value = value(asked, here, name, &tables);
        new += &text[at..shown];
        new += &like(old, value.ok_or_else(|| wrong() + ": no table has it")?);
        at = shown + old.len();
    }
    Ok(new + &text[at..])
}

/// A table's first word, where it stands, and its lines of cells, the head's first.
struct Table<'a> {
    name: &'a str,
    at: Range<usize>,
    lines: Vec<Vec<&'a str>>,
}

fn tables(text: &str) -> Vec<Table<'_>> {
    let starts = text.match_indices(markdown::BEGIN);
    let table = |(at, begin): (usize, &str)| {
        let (asked, _) = text[at + begin.len()..].split_once(BETWEEN)?;
        let end = at + text[at..].find(&markdown::closing(asked))?;
        let lines = text[at..end].lines().filter_map(|line| {
            let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
            Some(cells.split(" | ").collect())
        });
        Some(Table {
            name: asked.split(' ').next()?,
            at: at..end,
            lines: lines.collect(),
        })
    };
    starts.filter_map(table).collect()
}

/// Where the section of this place is, and what its heading has between backticks.
fn section(text: &str, at: usize) -> (Range<usize>, &str) {
    let begin = text[..at].rfind("\n### ").map_or(0, |begin| begin + 1);
    let end = text[at..].find("\n### ").map_or(text.len(), |end| at + end);
    let heading = text[begin..].lines().next().unwrap_or_default();
    (begin..end, heading.split('`').nth(1).unwrap_or_default())
}

fn value(asked: &str, here: Range<usize>, name: &str, tables: &[Table<'_>]) -> Option<f64> {
    let named = |name: &str| tables.iter().any(|table| table.name == name);
    let prefix = asked.split_once(": ").filter(|(name, _)| named(name));
    let (here, name, asked) =
        prefix.map_or((here, name, asked), |(name, asked)| (0..0, name, asked));
    let mut own: Vec<&Table<'_>> = tables.iter().collect();
    own.retain(|table| here.contains(&table.at.start) || table.name == name);
    own.sort_by_key(|table| !here.contains(&table.at.start));
    let cell = |row: &str, column: &str| own.iter().find_map(|table| table.cell(row, column));
    let divided = asked.split_once(" / ").map(|parts| (parts, true));
    let parts = divided.or_else(|| asked.split_once(" - ").map(|parts| (parts, false)));
    let (first, second) = match &parts {
        Some(((first, second), _)) => (*first, Some(*second)),
        None => (asked, None),
    };
    let (row, column) = first.split_once(" @ ")?;
    let first = cell(row, column)?;
    let Some(second) = second else {
        return Some(first);
    };
    let (row, column) = second.split_once(" @ ").unwrap_or((second, column));
    let second = cell(row, column)?;
    Some(match parts {
        Some((_, true)) => first / second,
        _ => first - second,
    })
}

impl Table<'_> {
    fn cell(&self, row: &str, column: &str) -> Option<f64> {
        let head = self.lines.first()?;
        let line = self.lines.iter().find(|line| line.first() == Some(&row))?;
        let (column, end) = match column.rsplit_once(' ') {
            Some((column, "low")) => (column, 1),
            Some((column, "high")) => (column, 2),
            _ => (column, 0),
        };
        let cell = line.get(head.iter().position(|name| *name == column)?)?;
        number(cell, end)
    }
}

/// Of a cell such as `2.18 [2.17, 2.31]`, `28.8 ms`, `×1.53` or `lr=0.01`, its number `end`.
fn number(cell: &str, end: usize) -> Option<f64> {
    let mut words = cell.split([' ', '[', ']']).filter(|word| !word.is_empty());
    let word = words.nth(end)?;
    let word = word.trim_end_matches(',').trim_start_matches('×');
    let word = word.rsplit_once('=').map_or(word, |(_, value)| value);
    let unit = match cell.rsplit_once(' ') {
        Some((_, "ms")) => 1e-3,
        Some((_, "µs")) => 1e-6,
        _ => 1.0,
    };
    Some(unit * word.parse::<f64>().ok()?)
}

/// With as many digits after the point as `old` has, and its thousands apart as in `old`.
fn like(old: &str, value: f64) -> String {
    let digits = old.split_once('.').map_or(0, |(_, digits)| digits.len());
    let new = format!("{value:.digits$}");
    let whole = new.find('.').unwrap_or(new.len());
    match old.contains(',') && whole > 3 {
        true => format!("{},{}", &new[..whole - 3], &new[whole - 3..]),
        false => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "### `one`: a figure\n\
        <!-- = b @ test error (%) -->9.9<!-- / --> and <!-- = b @ per update / a -->1<!-- / -->\n\
        <!-- table one at 10 -->\n| method | 10 |\n| --- | --: |\n| a | 1653 |\n<!-- /table one at 10 -->\n\
        <!-- = a @ 10 -->1,000<!-- / -->\n\
        ### `two`\n<!-- = a @ 10 -->7.00<!-- / -->\n\
        <!-- table two at 10 -->\n| method | 10 |\n| --- | --: |\n| a | 0.5 |\n<!-- /table two at 10 -->\n\
        ### The run of `one`\n<!-- table one -->\n| method | test error (%) | per update |\n| --- | --: | --: |\n\
        | a | 2.5 [1, 3] | 500 µs |\n| b | 2.25 [2, 9] | 1.5 ms |\n<!-- /table one -->\n\
        <!-- = b @ test error (%) high - a -->0.0<!-- / --> <!-- = two: a @ 10 -->1<!-- / -->";

    #[test]
    fn a_figure_is_a_cell_or_two() {
        let filled = fill(TEXT, TEXT).unwrap();
        let figures = filled.match_indices(END).map(|(end, _)| {
            let begin = filled[..end].rfind(BETWEEN).unwrap() + BETWEEN.len();
            &filled[begin..end]
        });
        let figures: Vec<&str> = figures.collect();
        assert_eq!(figures, ["2.2", "3", "1,653", "0.50", "6.0", "0"]);
        assert_eq!(fill(&filled, &filled).unwrap(), filled);
    }

    #[test]
    fn a_figure_without_a_cell_is_named() {
        for (from, to) in [
            ("b @ test", "c @ test"),
            ("update / a", "update / d"),
            ("@ 10", "@ 11"),
            ("error (%) high", "high"),
            (END, ""),
        ] {
            let text = TEXT.replace(from, to);
            let wrong = fill(&text, &text).unwrap_err();
            assert!(wrong.starts_with("`<!-- = "), "{wrong}");
        }
    }

    #[test]
    fn the_documentations_sentences_say_what_its_tables_have() {
        let results = include_str!("../../../docs/results.md");
        let choosing = include_str!("../../../docs/choosing.md");
        for text in [results, choosing] {
            assert_eq!(fill(text, results).unwrap(), text);
            // Markdown would take the line for a block of HTML.
            assert!(!text.lines().any(|line| line.starts_with(BEGIN)));
        }
    }
}
