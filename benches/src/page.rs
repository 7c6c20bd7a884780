//! `report.html` anew, from the `results.json` beside it and what else lies there.

use std::path::PathBuf;

use crate::results::Results;
use crate::{Failure, bench, report, visual};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where results.json is.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let dir = args.out.clone().unwrap_or_else(bench::default_out);
    let file = dir.join("results.json");
    let named = |why: String| Failure::Other(format!("{}: {why}", file.display()));
    let json = std::fs::read(&file).map_err(|e| named(e.to_string()))?;
    let results: Results = serde_json::from_slice(&json).map_err(|e| named(e.to_string()))?;
    let page = report::write(&dir, &results, &visual::landscape)
        .map_err(|e| Failure::Other(e.to_string()))?;
    println!("report:  {}", page.display());
    Ok(())
}
