//! `report.html` anew, from the `results.json` beside it and what else lies there; or what the
//! documentation has of it.

use std::path::PathBuf;

use crate::results::{Experiment, Results, write_file};
use crate::{Failure, bench, report, visual};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where results.json is.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Instead of the page, the tables of DIR/results.md and those pictures of DIR/img that are there.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let dir = args.out.clone().unwrap_or_else(bench::default_out);
    let file = dir.join("results.json");
    let named = |why: String| Failure::Other(format!("{}: {why}", file.display()));
    let json = std::fs::read(&file).map_err(|e| named(e.to_string()))?;
    let mut results: Results = serde_json::from_slice(&json).map_err(|e| named(e.to_string()))?;
    let other = |e: std::io::Error| Failure::Other(e.to_string());
    let Some(docs) = &args.docs else {
        let page = report::write(&dir, &results).map_err(other)?;
        println!("report:  {}", page.display());
        return Ok(());
    };
    let text = docs.join("results.md");
    let old = std::fs::read_to_string(&text)
        .map_err(|e| Failure::Other(format!("{}: {e}", text.display())))?;
    let (new, mut filled) = report::markdown::fill(&old, &results);
    write_file(&text, new.as_bytes()).map_err(other)?;
    // A picture is of the run that draws all of them.
    results.experiments.retain(Experiment::is_default);
    let all = report::stills(&results, &visual::landscape);
    for (name, svg) in all.map_err(|e| other(e.into()))? {
        let path = docs.join("img").join(&name);
        if path.exists() {
            write_file(&path, svg.as_bytes()).map_err(other)?;
            filled.push(name);
        }
    }
    println!("written: {}", filled.join(", "));
    Ok(())
}
