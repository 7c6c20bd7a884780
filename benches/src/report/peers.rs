//! What `cargo xtask bench --peers` has measured, if its file lies beside the results.

use std::path::Path;

use serde::Deserialize;

use super::escape;

/// One work by ours and by one peer, or why there is no such figure. `peers.json` has more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    machine: String,
    work: Option<String>,
    peer: Option<String>,
    ours_ms: Option<f64>,
    theirs_ms: Option<f64>,
    limit_ms: Option<f64>,
    version: Option<String>,
    gap: Option<String>,
}

/// A section of the page, or nothing without the file.
pub(super) fn section(dir: &Path) -> String {
    let Ok(text) = std::fs::read_to_string(dir.join("peers.json")) else {
        return String::new();
    };
    let body = match serde_json::from_str::<Vec<Row>>(&text) {
        Ok(rows) => body(&rows),
        // No reason to withhold the rest of the page.
        Err(error) => format!(
            "<p>peers.json is not a list of rows ({}); cargo xtask bench --peers writes it \
             anew.</p>\n",
            escape(&error.to_string())
        ),
    };
    format!("<section id=\"peers\">\n<h2>Against other libraries</h2>\n{body}</section>\n")
}

fn body(rows: &[Row]) -> String {
    let machine = rows.first().map_or("", |row| &row.machine);
    let mut peers: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().filter(|row| row.theirs_ms.is_some()) {
        let peer = row.peer.as_deref().unwrap_or_default();
        if peers.iter().all(|(name, _)| *name != peer) {
            peers.push((peer, row.version.as_deref().unwrap_or_default()));
        }
    }
    let mut html = format!(
        "<dl><dt>Machine</dt><dd>{}</dd></dl>\n<div class=\"table\"><table>\n\
         <caption>Time of the peer to ours: above 1 we are ahead. Medians of turns in one \
         run.</caption>\n<thead><tr><th>work</th><th class=\"number\">ours, ms</th>\
         <th class=\"number\">ours to limit</th>",
        escape(machine)
    );
    for (name, version) in &peers {
        let head = escape(format!("{name} {version}").trim_end());
        html += &format!("<th class=\"number\">{head}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    html.extend(works(rows).iter().map(|work| line(work, rows, &peers)));
    html += "</tbody>\n</table></div>\n";
    let gaps: String = rows.iter().filter_map(gap).collect();
    match gaps.is_empty() {
        true => html,
        false => html + &format!("<p>Not there:</p>\n<ul>\n{gaps}</ul>\n"),
    }
}

/// With a time of ours, in the order in which they were measured.
fn works(rows: &[Row]) -> Vec<&str> {
    let mut works: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.ours_ms.is_some()) {
        let work = row.work.as_deref().unwrap_or_default();
        if works.last() != Some(&work) {
            works.push(work);
        }
    }
    works
}

fn line(work: &str, rows: &[Row], peers: &[(&str, &str)]) -> String {
    let of_work: Vec<&Row> = (rows.iter())
        .filter(|row| row.work.as_deref() == Some(work))
        .collect();
    let own = of_work.iter().find(|row| row.ours_ms.is_some());
    let (ours, limit) = own.map_or((None, None), |row| (row.ours_ms, row.limit_ms));
    let mut cells = vec![
        ours.map_or_else(String::new, |ms| format!("{ms:.2}")),
        ratio(ours, limit),
    ];
    cells.extend(peers.iter().map(|(name, _)| {
        let row = of_work.iter().find(|row| row.peer.as_deref() == Some(name));
        row.map_or_else(
            || ratio(None, None),
            |row| ratio(row.theirs_ms, row.ours_ms),
        )
    }));
    let cells = (cells.iter()).map(|cell| format!("<td class=\"number\">{cell}</td>"));
    let cells: String = cells.collect();
    format!("<tr><td>{}</td>{cells}</tr>\n", escape(work))
}

fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    match (of, to) {
        (Some(of), Some(to)) => format!("{:.2}", of / to),
        _ => "–".to_owned(),
    }
}

fn gap(row: &Row) -> Option<String> {
    let peer = row.peer.as_deref()?;
    let what = match &row.work {
        Some(work) => format!("{peer}, {work}"),
        None => peer.to_owned(),
    };
    Some(format!(
        "<li>{}: {}</li>\n",
        escape(&what),
        escape(row.gap.as_deref()?)
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn section_of(name: &str, json: Option<&str>) -> String {
        let dir = format!("opt-bench-peers-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        if let Some(json) = json {
            std::fs::write(dir.join("peers.json"), json).unwrap();
        }
        let html = section(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        html
    }

    #[test]
    fn a_line_for_each_work_and_a_column_for_each_peer() {
        let html = section_of(
            "table",
            Some(
                r#"[{"machine":"m<2>","peer":"scipy","gap":"no Python"},
                {"machine":"m<2>","work":"update adam","peer":"candle","ours_ms":2.0,
                 "theirs_ms":9.0,"limit_ms":1.6,"version":"0.11.1","how":"x"},
                {"machine":"m<2>","work":"update adam","peer":"burn","ours_ms":2.0,
                 "theirs_ms":1.0,"limit_ms":1.6},
                {"machine":"m<2>","work":"eigh 1000","ours_ms":3.0}]"#,
            ),
        );
        assert!(html.contains("m&lt;2&gt;") && html.contains("candle 0.11.1</th>"));
        assert!(html.contains("<li>scipy: no Python</li>"));
        let number = |cell: &str| format!("<td class=\"number\">{cell}</td>");
        let cells = |cells: [&str; 4]| cells.map(number).concat();
        let adam = cells(["2.00", "1.25", "4.50", "0.50"]);
        assert!(html.contains(&format!("<tr><td>update adam</td>{adam}</tr>")));
        let eigh = cells(["3.00", "–", "–", "–"]);
        assert!(html.contains(&format!("<tr><td>eigh 1000</td>{eigh}</tr>")));
    }

    #[test]
    fn without_the_file_there_is_no_section() {
        assert_eq!(section_of("none", None), "");
        assert!(section_of("broken", Some("{}")).contains("is not a list of rows"));
    }
}
