//! The program itself: what a signal leaves behind, and what it says to wrong arguments.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Thousands of short seeds: as long as a test needs.
const LONG: &str = r#"
kind = "training"
title = "t"
data = "digits"
validation = 100
batch = 50
methods = ["sgd", "adam"]
model.hidden = [5]
grid.multiples = [1.0]
quick = { epochs = 1, search_updates = 0, seeds = 1000, points = 2, train_sample = 100 }
default = { epochs = 1, search_updates = 0, seeds = 1000, points = 2, train_sample = 100 }
full = { epochs = 1, search_updates = 0, seeds = 1000, points = 2, train_sample = 100 }
"#;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_opt-bench"))
}

/// A folder of this test's own, with the experiment in it.
fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("opt-bench-run-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("long.toml"), LONG).unwrap();
    dir
}

fn bench(dir: &Path) -> Command {
    let mut command = program();
    command.arg("bench").arg("--files").arg(dir);
    command.arg("--out").arg(dir.join("out"));
    command
}

/// Seeds in `results.json`, which is whole whenever it is read.
fn seeds(dir: &Path) -> usize {
    let Ok(text) = std::fs::read_to_string(dir.join("out/results.json")) else {
        return 0;
    };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["experiments"][0]["runs"]
        .as_array()
        .map_or(0, Vec::len)
}

fn wait_for_seeds(child: &mut Child, dir: &Path) {
    let begin = Instant::now();
    while seeds(dir) < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "no seed is kept"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let errors: Vec<_> = text.lines().filter(|l| l.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(text.trim_end().ends_with(errors[0]), "{text}");
    errors[0].to_owned()
}

#[cfg(unix)]
#[test]
fn finished_seeds_survive_a_signal() {
    for (signal, code) in [("INT", Some(130)), ("TERM", Some(143)), ("KILL", None)] {
        let dir = folder(signal);
        let mut child = bench(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_seeds(&mut child, &dir);
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{signal}");
        assert!(seeds(&dir) >= 3);
        let mut files: Vec<_> = std::fs::read_dir(dir.join("out")).unwrap().collect();
        files.retain(|file| {
            let name = file.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".tmp")
        });
        if code.is_some() {
            let told = one_line(&output);
            assert!(told.contains("results.json"), "{told}");
            let page = std::fs::read_to_string(dir.join("out/report.html")).unwrap();
            assert!(page.contains("Interrupted") && page.ends_with("</html>\n"));
            assert!(files.is_empty(), "{files:?}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn wrong_arguments_are_told_in_one_line() {
    let dir = folder("arguments");
    let file = dir.join("long.toml");
    let file = file.to_str().unwrap();
    let missing = dir.join("none");
    let missing = missing.to_str().unwrap();
    let trace = [
        "trace",
        "--method=sgd",
        "--problem=valley",
        "--start=1,1",
        "--steps=1",
    ];
    let with = |argument: &'static str| {
        let name = argument.split('=').next().unwrap();
        let kept = trace.iter().filter(|a| a.split('=').next() != Some(name));
        kept.copied().chain([argument]).collect::<Vec<&str>>()
    };
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["bench", "--seeds", "0"], "1..=1000"),
        (vec!["bench", "--seeds", "18446744073709551615"], "1..=1000"),
        (vec!["bench", "--seeds", "-1"], "-1"),
        (vec!["bench", "--seeds", "nan"], "nan"),
        (
            vec!["bench", "--methods", "nonsense"],
            "no method `nonsense`",
        ),
        (vec!["bench", "--methods", ""], "no method ``"),
        (vec!["bench", "--methods", "sgd,"], "no method ``"),
        (vec!["bench", "visual", "--methods", "kfac"], "visual"),
        (vec!["bench", "nonsense"], "no experiment `nonsense`"),
        (vec!["bench", "--quick", "--full"], "--full"),
        (vec!["bench", "--out", file], "--out"),
        (vec!["bench", "--out", "/dev/null/x"], "--out"),
        (vec!["bench", "--files", missing], missing),
        (with("--method=nonsense"), "no method `nonsense`"),
        (with("--method=kfac"), "layered"),
        (with("--problem=nonsense"), "no problem `nonsense`"),
        (with("--start=nan,1"), "--start"),
        (with("--start=1e999,1"), "--start"),
        (with("--start=1"), "--start"),
        (with("--start=1,2,3"), "--start"),
        (with("--steps=-1"), "--steps"),
        (with("--steps=1.5"), "--steps"),
        (with("--steps=18446744073709551615"), "--steps"),
        (with("--set=lr=nan"), "lr"),
        (with("--set=lr=inf"), "lr"),
        (with("--set=lr=-1"), "lr"),
        (with("--set=lr"), "KEY=VALUE"),
        (with("--set=rl=1"), "no hyper-parameter `rl`"),
        (with("--loss-scale=0"), "--loss-scale"),
        (with("--loss-scale=-1"), "--loss-scale"),
        (with("--loss-scale=nan"), "--loss-scale"),
        (with("--loss-scale=inf"), "--loss-scale"),
        (with("--unit=0"), "--unit"),
        (with("--unit=1e-320"), "--unit"),
        (with("--unit=x"), "--unit"),
    ];
    for (arguments, word) in cases {
        let output = program().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
    // Times 1e300, the start leaves the range.
    let huge = [
        "trace",
        "--method=sgd",
        "--problem=valley",
        "--start=1e10,1",
        "--steps=1",
    ];
    let output = program().args(huge).arg("--unit=1e300").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_wrong_file_ends_the_run_before_it_begins() {
    let dir = folder("file");
    for (right, wrong, key) in [
        ("batch = 50", "batch = 18446744073709551615", "batch"),
        ("points = 2", "points = 18446744073709551615", "points"),
        ("[5]", "[99999999999]", "hidden"),
        ("epochs = 1", "epochs = nan", "epochs"),
        ("epochs = 1", "epochs = -1", "epochs"),
        ("seeds = 1000", "seeds = 0", "seeds"),
    ] {
        std::fs::write(dir.join("long.toml"), LONG.replace(right, wrong)).unwrap();
        let output = bench(&dir).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let told = one_line(&output);
        assert!(told.contains(key) && told.contains("must be"), "{told}");
        assert!(!dir.join("out").exists());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_path_in_other_units_is_the_path() {
    let rows = |more: &[&str]| -> Vec<Vec<f64>> {
        let mut command = program();
        command.args([
            "trace",
            "--method=newton",
            "--problem=rosenbrock",
            "--start=-1.2,1",
        ]);
        let output = command.arg("--steps=6").args(more).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers = |line: &str| line.split(',').map(|n| n.parse().unwrap()).collect();
        text.lines().skip(1).map(numbers).collect()
    };
    let own = rows(&[]);
    assert_eq!(own.len(), 7);
    // Powers of two scale without rounding.
    let loss = rows(&["--loss-scale", "1099511627776"]);
    let unit = rows(&["--unit", "0.0009765625"]);
    for ((own, loss), unit) in own.iter().zip(&loss).zip(&unit) {
        assert_eq!(own, unit);
        assert_eq!(own[1] * 1_099_511_627_776.0, loss[1]);
        assert_eq!(own[2..], loss[2..]);
    }
}

#[test]
fn help_lists_the_experiments() {
    let output = program().args(["bench", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("visual") && text.contains("by name"),
        "{text}"
    );
}
