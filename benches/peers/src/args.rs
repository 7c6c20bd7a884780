//! The command line, which `cargo xtask bench --peers` fills.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::work::Work;

#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    /// The interpreter that has the Python peers, or why there is none.
    pub(crate) python: Result<PathBuf, String>,
    /// The folder of `peers.json`.
    pub(crate) out: PathBuf,
    /// Only works whose name contains one of these; all if there is none.
    pub(crate) works: Vec<String>,
}

impl Args {
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut parsed = Self {
            python: Err("no --python is given".to_owned()),
            out: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench"),
            works: Vec::new(),
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy().into_owned();
            let mut value = || args.next().ok_or_else(|| format!("{text} needs a value"));
            match &*text {
                "--python" => parsed.python = Ok(value()?.into()),
                "--no-python" => parsed.python = Err(value()?.to_string_lossy().into_owned()),
                "--out" => parsed.out = value()?.into(),
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "unknown option {flag}; `bench --peers` takes names of works and --out DIR"
                    ));
                }
                _ => parsed.works.push(text),
            }
        }
        let names: Vec<_> = crate::work::all().iter().map(Work::name).collect();
        let known = |part: &&String| names.iter().any(|name| name.contains(part.as_str()));
        match parsed.works.iter().find(|part| !known(part)) {
            Some(part) => Err(format!("no work `{part}`; there are {}", names.join(", "))),
            None => Ok(parsed),
        }
    }

    pub(crate) fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|part| work.contains(part.as_str()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn a_part_of_a_name_chooses() {
        let args = parse(&["adam", "--out", "o", "--no-python", "it is missing"]).unwrap();
        assert!(args.wants("update adam") && args.wants("training mlp adam"));
        assert!(!args.wants("update sgd"));
        assert_eq!(args.out, Path::new("o"));
        assert_eq!(args.python, Err("it is missing".into()));
        assert!(parse(&[]).unwrap().wants("eigh 1000"));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        assert!(parse(&["--quick"]).unwrap_err().contains("--quick"));
        assert!(parse(&["adom"]).unwrap_err().contains("update adam"));
        assert!(parse(&["--out"]).unwrap_err().contains("--out"));
    }
}
