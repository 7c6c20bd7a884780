//! Where and when a measurement was made.

use std::process::Command;
use std::time::SystemTime;

/// Processor, cores, operating system, threads.
pub(crate) fn describe() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or(std::env::consts::ARCH, |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (os, threads) = (std::env::consts::OS, rayon::current_num_threads());
    format!("{model}, {cores} cores, {os}, {threads} threads")
}

/// The commit, with `-dirty` if the work tree differs from it.
pub(crate) fn commit() -> String {
    let git = Command::new("git")
        .args([
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
        ])
        .args(["--exclude=*"])
        .output();
    match git {
        Ok(done) if done.status.success() => {
            String::from_utf8_lossy(&done.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// Now, in ISO 8601, UTC.
pub(crate) fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
