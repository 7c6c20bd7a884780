//! `setup page`: what the report's test needs, a browser and packages for Node.js. Users need neither.

use crate::setup::{apt_get, exists, output};
use std::{path::Path, process::Command};

/// Finds Chromium, or installs it where that needs no question (root on Debian or Ubuntu), and then
/// the packages of `benches/report/test`. The error says what to do elsewhere.
pub(crate) fn ensure() -> Result<(), String> {
    if !exists("chromium") {
        let root = output("id", &["-u"]).as_deref() == Some("0");
        if !exists("apt-get") || !root {
            return Err("Chromium is missing; install it so that `chromium` starts it".to_owned());
        }
        eprintln!("xtask: installing chromium");
        let _ = apt_get(&["update"]);
        apt_get(&["install", "-y", "--no-install-recommends", "chromium"])?;
    }
    if !exists("npm") {
        return Err("Node.js with npm is missing; install it".to_owned());
    }
    if packages() {
        return Ok(());
    }
    let done = Command::new("npm").arg("ci").current_dir(folder()).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!(
            "npm ci: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        )),
        Err(error) => Err(format!("npm ci: {error}")),
    }
}

/// What is not there, and so keeps opt-bench's test of the page from running.
pub(crate) fn missing() -> Option<&'static str> {
    match () {
        () if !exists("chromium") => Some("Chromium"),
        () if !exists("node") => Some("Node.js"),
        () if !packages() => Some("benches/report/test/node_modules"),
        () => None,
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(super::ROOT).join("benches/report/test")
}

fn packages() -> bool {
    let all = ["playwright-core", "axe-core", "katex"];
    all.iter()
        .all(|name| folder().join("node_modules").join(name).is_dir())
}
