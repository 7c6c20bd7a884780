//! `report.html` anew, from the `results.json` beside it and what else lies there; or what the
//! documentation has of it.

use std::path::{Path, PathBuf};

use crate::report::{self, markdown, quotes};
use crate::results::{Experiment, Results, write_file};
use crate::{Failure, bench, visual};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where results.json is.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Instead of the page, the tables and figures of DIR/results.md and DIR/choosing.md, and those
    /// pictures of DIR/img that are there.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let dir = args.out.clone().unwrap_or_else(bench::default_out);
    let file = dir.join("results.json");
    let named = |why: String| Failure::Other(format!("{}: {why}", file.display()));
    let json = std::fs::read(&file).map_err(|e| named(e.to_string()))?;
    let mut results: Results = serde_json::from_slice(&json).map_err(|e| named(e.to_string()))?;
    let Some(docs) = &args.docs else {
        let page = report::write(&dir, &results).map_err(other)?;
        println!("report:  {}", page.display());
        return Ok(());
    };
    let mut filled = texts(docs, &results)?;
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

/// The tables, whose names are returned, and then the figures in sentences, which are theirs.
fn texts(docs: &Path, results: &Results) -> Result<Vec<String>, Failure> {
    let read = |name: &str| {
        let path = docs.join(name);
        std::fs::read_to_string(&path)
            .map_err(|e| Failure::Other(format!("{}: {e}", path.display())))
    };
    let (tables, filled) = markdown::fill(&read("results.md")?, results);
    let choosing = read("choosing.md")?;
    for (name, text) in [("results.md", &tables), ("choosing.md", &choosing)] {
        let new = quotes::fill(text, &tables)
            .map_err(|why| Failure::Other(format!("docs/{name}: {why}")))?;
        write_file(&docs.join(name), new.as_bytes()).map_err(other)?;
    }
    Ok(filled)
}

fn other(error: std::io::Error) -> Failure {
    Failure::Other(error.to_string())
}
