//! `setup mpi`: what opt-mpi is built against, which no other crate needs.

use crate::setup::{apt_get, exists, output};
use std::{env, fs, path::PathBuf};

/// An MPI with its headers and `mpirun`, and libclang, by which its headers are read.
const DEBIAN_PACKAGES: [&str; 3] = ["libopenmpi-dev", "openmpi-bin", "libclang-dev"];

/// Finds both, or installs them where that needs no question (root on Debian or Ubuntu). The error is
/// the line to run elsewhere.
pub(crate) fn ensure() -> Result<(), String> {
    let Some(missing) = missing() else {
        return Ok(());
    };
    let has_apt = exists("apt-get");
    if !has_apt || output("id", &["-u"]).as_deref() != Some("0") {
        let line = install_line(has_apt);
        return Err(format!("{missing} is missing; run: {line}"));
    }
    let packages = DEBIAN_PACKAGES.join(" ");
    eprintln!("xtask: {missing} is missing; installing {packages}");
    // As for OpenBLAS: one unreachable source fails `update`, and what we need may still install.
    let _ = apt_get(&["update"]);
    let install = ["install", "-y", "--no-install-recommends"];
    apt_get(&[&install[..], &DEBIAN_PACKAGES].concat())?;
    match self::missing() {
        None => Ok(()),
        Some(missing) => Err(format!(
            "{packages} are installed, but {missing} is not found"
        )),
    }
}

/// What is not there, of what the build of the crate `mpi` looks for.
pub(crate) fn missing() -> Option<&'static str> {
    let compiler = env::var("MPICC").unwrap_or_else(|_| "mpicc".into());
    let pkg_config = || {
        let named = env::var("MPI_PKG_CONFIG").ok().into_iter();
        let known = ["mpich", "ompi"].map(String::from);
        named
            .chain(known)
            .any(|name| output("pkg-config", &["--exists", &name]).is_some())
    };
    if output(&compiler, &["-show"]).is_none() && !pkg_config() {
        return Some("MPI (Open MPI or MPICH)");
    }
    (!libclang()).then_some("libclang")
}

/// In the folders where the crate `clang-sys` looks for it.
fn libclang() -> bool {
    let named = env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    if named.as_ref().is_some_and(|path| path.is_file()) {
        return true;
    }
    let config = output("llvm-config", &["--libdir"]).map(PathBuf::from);
    let system = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/opt/homebrew/opt/llvm/lib",
        "/usr/local/opt/llvm/lib",
        "/Library/Developer/CommandLineTools/usr/lib",
    ];
    let versions = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let versions = versions
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"));
    let mut folders = (named.into_iter().chain(config))
        .chain(system.into_iter().map(PathBuf::from))
        .chain(versions);
    folders.any(|folder| {
        let mut files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.any(|file| is_libclang(&file.file_name().to_string_lossy()))
    })
}

/// `libclang.so`, `libclang-14.so.1`, `libclang.dylib`; not `libclang-cpp.so`.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let shared = name.contains(".so") || name.ends_with(".dylib");
    shared && (rest.starts_with('.') || rest.starts_with('-')) && !rest.starts_with("-cpp")
}

fn install_line(has_apt: bool) -> String {
    let debian = format!("sudo apt-get install -y {}", DEBIAN_PACKAGES.join(" "));
    let lines = [
        (has_apt, debian.as_str()),
        (
            exists("dnf"),
            "sudo dnf install -y openmpi-devel clang-devel",
        ),
        (exists("pacman"), "sudo pacman -S --needed openmpi clang"),
        (cfg!(target_os = "macos"), "brew install open-mpi llvm"),
    ];
    match lines.iter().find(|(here, _)| *here) {
        Some((_, line)) => (*line).to_owned(),
        None => lines.map(|(_, line)| line).join("  or  "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_what_is_named_like_it() {
        for name in [
            "libclang.so",
            "libclang-14.so.1",
            "libclang.so.14",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclang.a",
            "libclangBasic.so",
            "clang",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
