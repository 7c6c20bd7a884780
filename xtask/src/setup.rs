//! `setup`: the one thing that cargo cannot fetch by itself, the system's OpenBLAS.

use std::{
    env, fs, io,
    path::Path,
    process::{self, Command, Stdio},
};

/// What openblas-src needs on Debian. It asks pkg-config first, but does without.
const DEBIAN_PACKAGE: &str = "libopenblas-dev";

/// Finds OpenBLAS, or installs it where that needs no question (root on Debian or Ubuntu).
/// The error is the line to run elsewhere.
pub(crate) fn ensure() -> Result<(), String> {
    if link().is_ok() {
        return Ok(());
    }
    let has_apt = exists("apt-get");
    if !has_apt || output("id", &["-u"]).as_deref() != Some("0") {
        return Err(format!(
            "OpenBLAS is missing; run: {}",
            install_line(has_apt)
        ));
    }
    eprintln!("xtask: OpenBLAS is missing; installing {DEBIAN_PACKAGE}");
    // One unreachable source fails `update`, and what we need may still install.
    let _ = apt_get(&["update"]);
    apt_get(&["install", "-y", "--no-install-recommends", DEBIAN_PACKAGE])?;
    link().map_err(|error| format!("{DEBIAN_PACKAGE} is installed, but does not link:\n{error}"))
}

/// Links a program with the flags that openblas-src's build script would choose: the question
/// that the build will ask. A search for files would be fooled by a `libopenblas.so.0` without
/// its link name, one of another architecture, or one without CBLAS. Rustc and its linker are
/// there, since they have just built us.
fn link() -> Result<(), String> {
    let beside_us = env::current_exe().map_err(|error| format!("cannot find xtask: {error}"))?;
    let folder = beside_us.with_extension(format!("openblas-{}", process::id()));
    let linked = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--out-dir"])
        .arg(&folder)
        .arg(Path::new(super::ROOT).join("xtask/openblas.rs"))
        .args(link_flags())
        .output();
    let _ = fs::remove_dir_all(&folder);
    match linked {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        Err(error) => Err(format!("cannot run rustc: {error}")),
    }
}

/// As openblas-src: pkg-config's, else the linker's search path and on macOS Homebrew's folder.
fn link_flags() -> Vec<String> {
    let pkg_config = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    if let Some(flags) = output(&pkg_config, &["--libs", "openblas"]) {
        return flags.split_whitespace().map(String::from).collect();
    }
    let mut flags = vec!["-lopenblas".to_owned()];
    if cfg!(target_os = "macos")
        && let Some(prefix) = output("brew", &["--prefix", "openblas"])
    {
        flags.push(format!("-L{prefix}/lib"));
    }
    flags
}

fn install_line(has_apt: bool) -> String {
    let lines = [
        (has_apt, "sudo apt-get install -y libopenblas-dev"),
        (exists("dnf"), "sudo dnf install -y openblas-devel"),
        (exists("pacman"), "sudo pacman -S --needed openblas"),
        (cfg!(target_os = "macos"), "brew install openblas"),
    ];
    match lines.iter().find(|(here, _)| *here) {
        Some((_, line)) => (*line).to_owned(),
        None => lines.map(|(_, line)| line).join("  or  "),
    }
}

/// Asks nothing, and keeps standard output for the CSV of `trace`.
pub(crate) fn apt_get(args: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("failed: apt-get {}", args.join(" "))),
    }
}

pub(crate) fn exists(program: &str) -> bool {
    output(program, &["--version"]).is_some()
}

/// What `program` prints, trimmed, if it exists and succeeds.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).output().ok()?;
    done.status
        .success()
        .then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
