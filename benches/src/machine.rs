//! Where and when a measurement was made.

use std::process::Command;
use std::time::SystemTime;

use opt_linalg::{OPENBLAS_CORETYPE, better_kernels, openblas_kernels};

/// Processor, cores, operating system, threads, and the kernels of OpenBLAS if it is linked.
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
    let kernels = openblas_kernels().map(|name| format!(", OpenBLAS kernels {name}"));
    let kernels = kernels.unwrap_or_default();
    format!("{model}, {cores} cores, {os}, {threads} threads{kernels}")
}

/// Where OpenBLAS does not know the processor, says so, and starts the program again with the kernels
/// that fit: OpenBLAS reads the variable only at its start. What the user has set stays.
pub(crate) fn mend_openblas() {
    let Some(kernels) = openblas_kernels() else {
        return;
    };
    let Some(better) = better_kernels(&kernels) else {
        return;
    };
    if std::env::var_os(OPENBLAS_CORETYPE).is_some() {
        eprintln!(
            "OpenBLAS runs its kernels for {kernels}, as {OPENBLAS_CORETYPE} says; {better} would be faster"
        );
        return;
    }
    eprintln!(
        "OpenBLAS does not know this processor and took its kernels for {kernels}: {OPENBLAS_CORETYPE}={better}"
    );
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt;
        let mut again = Command::new(program);
        again
            .args(std::env::args_os().skip(1))
            .env(OPENBLAS_CORETYPE, better);
        // Comes back only if it fails: then slowly is how it goes on.
        let error = again.exec();
        eprintln!("could not start again with it: {error}");
    }
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
