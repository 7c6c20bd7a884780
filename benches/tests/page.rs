//! The report in a browser. Left out, by name, where `cargo xtask setup page` has not been.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_opt-bench");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("report/test")
}

/// Whether a program can be started.
fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|done| done.status.success())
}

fn ready() -> bool {
    let packages = ["playwright-core", "axe-core", "katex"];
    let packages = packages.map(|name| folder().join("node_modules").join(name).is_dir());
    let ready = packages == [true; 3] && exists("node") && exists("chromium");
    if !ready {
        eprintln!("left out: `cargo xtask setup page` installs what it needs");
    }
    ready
}

fn succeed(command: &mut Command) {
    let done = command.output().unwrap();
    let said = [&*done.stdout, b"\n", &*done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success(), "{command:?}\n{said}");
}

/// With every kind of figure there is; and the rules that it steps by itself are those of opt-firstorder.
#[test]
fn the_page_does_what_it_shows() {
    if !ready() {
        return;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let _ = std::fs::remove_dir_all(&out);
    let kinds = [
        "visual",
        "secondorder-paths",
        "units",
        "adadelta-delay",
        "fisher-conditioning",
        "bn-sigmoid",
    ];
    succeed(
        Command::new(PROGRAM)
            .args(["bench", "--quick"])
            .args(kinds)
            .arg("--out")
            .arg(&out),
    );
    let page = out.join("report.html");
    succeed(
        Command::new("node")
            .arg(folder().join("page.mjs"))
            .arg(&page),
    );
    succeed(
        Command::new("node")
            .arg(folder().join("rules.mjs"))
            .arg(PROGRAM)
            .arg(page),
    );
}

/// As docs.rs would, by the header that it is given.
#[test]
fn every_equation_of_the_documentation_is_set() {
    if ready() {
        succeed(Command::new("node").arg(folder().join("equations.mjs")));
    }
}
