//! What is measured and written: one work by ours and by one peer, or why there is no such figure.

use serde::Serialize;

/// A row of `peers.json`. It stands by itself: every row says where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Processor and threads.
    pub(crate) machine: String,
    /// None in a gap of all works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) work: Option<String>,
    /// None where no peer could be had for the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    /// Of the work that the peer does; in a step, without the check of the gradient that none of them makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ours_ms: Option<f64>,
    /// With that check, as a step is by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ours_checked_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) theirs_ms: Option<f64>,
    /// What no code can be faster than, by the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_ms: Option<f64>,
    /// Of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// By which of its ways the peer did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) how: Option<String>,
    /// By which of our ways we did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ours_how: Option<String>,
    /// Why there is no figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<String>,
}

/// The whole file: a list of rows, one a line.
pub(crate) fn json(rows: &[Row]) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
    Ok(format!("[\n{}\n]\n", lines?.join(",\n")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_it_has() {
        let figure = Row {
            machine: "m".into(),
            work: Some("adam".into()),
            peer: Some("candle".into()),
            ours_ms: Some(1.5),
            theirs_ms: Some(3.0),
            ..Row::default()
        };
        let gap = Row {
            machine: "m".into(),
            peer: Some("scipy".into()),
            gap: Some("no \"Python\"".into()),
            ..Row::default()
        };
        let expected = "[\n\
            {\"machine\":\"m\",\"work\":\"adam\",\"peer\":\"candle\",\"ours_ms\":1.5,\"theirs_ms\":3.0},\n\
            {\"machine\":\"m\",\"peer\":\"scipy\",\"gap\":\"no \\\"Python\\\"\"}\n]\n";
        let text = json(&[figure, gap]).unwrap();
        assert_eq!(text, expected);
        assert!(serde_json::from_str::<Vec<serde_json::Value>>(&text).is_ok());
    }
}
