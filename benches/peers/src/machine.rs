//! Where a measurement was made, and who else was there.

use std::time::Duration;

/// Processor and threads.
pub(crate) fn describe() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = (info.lines())
        .find_map(|line| line.strip_prefix("model name"))
        .map_or(std::env::consts::ARCH, |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    format!("{model}, {} threads", rayon::current_num_threads())
}

/// What decomposes our matrices.
pub(crate) fn decomposer() -> String {
    match opt_linalg::openblas_kernels() {
        Some(kernels) => format!("LAPACK of an OpenBLAS with kernels {kernels}"),
        None => "faer".to_owned(),
    }
}

/// Where OpenBLAS does not know the processor, starts the program again with the kernels that fit,
/// as opt-bench does: OpenBLAS reads the variable only at its start. What the user has set stays.
pub(crate) fn mend_openblas() {
    use opt_linalg::{OPENBLAS_CORETYPE, better_kernels, openblas_kernels};
    let better = openblas_kernels().and_then(|kernels| better_kernels(&kernels));
    let (Some(better), None) = (better, std::env::var_os(OPENBLAS_CORETYPE)) else {
        return;
    };
    eprintln!("OpenBLAS does not know this processor: {OPENBLAS_CORETYPE}={better}");
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt;
        let mut again = std::process::Command::new(program);
        again.args(std::env::args_os().skip(1));
        // Comes back only if it fails: then slowly is how it goes on.
        let error = again.env(OPENBLAS_CORETYPE, better).exec();
        eprintln!("could not start again with it: {error}");
    }
}

/// How many processors others keep busy, by a fifth of a second in which we do nothing; `None`
/// where the system does not tell.
pub(crate) fn others() -> Option<f64> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let before = ticks(&std::fs::read_to_string("/proc/stat").ok()?)?;
    std::thread::sleep(Duration::from_millis(200));
    let after = ticks(&std::fs::read_to_string("/proc/stat").ok()?)?;
    let (all, idle) = (after.0 - before.0, after.1 - before.1);
    (all > 0.0).then_some(processors as f64 * (1.0 - idle / all))
}

/// Of all processors since the start of the system: all ticks, and the idle ones.
fn ticks(stat: &str) -> Option<(f64, f64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = (line.split_whitespace())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    // user nice system idle iowait irq softirq steal; guests are counted as users already.
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((ticks.iter().take(8).sum(), idle))
}

/// What `Cargo.lock` has of this package.
pub(crate) fn locked(package: &str) -> Option<String> {
    let lock = include_str!("../Cargo.lock");
    let (_, after) = lock.split_once(&format!("\nname = \"{package}\"\nversion = \""))?;
    after.split_once('"').map(|(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_build() {
        for package in ["burn", "candle-core"] {
            assert!(locked(package).is_some_and(|v| v.starts_with("0.")));
        }
        assert_eq!(locked("no-such-package"), None);
    }

    #[test]
    fn waiting_is_idle_and_guests_count_once() {
        let stat = "cpu  1 2 3 40 5 6 7 8 100 100\ncpu0 1 2 3 40 5 6 7 8 100 100\n";
        assert_eq!(ticks(stat), Some((72.0, 45.0)));
        assert_eq!(ticks("cpu  1 2\n"), None);
        assert_eq!(ticks(""), None);
    }
}
