//! The documents: links lead to what is there, and commands name what is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Everything that ends with `.md`, but for links and what is built or installed.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", "node_modules", "vendor", "data"].map(Into::into);
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !skipped.contains(&name) {
            documents(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

/// The text without what stands between backquotes, in lines or as blocks.
fn prose(text: &str) -> String {
    let outside = |(i, part): (usize, &str)| i.is_multiple_of(2).then(|| part.to_owned());
    let lines = text.split("```").enumerate().filter_map(outside);
    lines.collect::<Vec<_>>().join("\n")
}

/// What `[text](target)` and `![text](target)` lead to.
fn targets(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    let target = |rest: &str| Some(rest.split_once(')')?.0.to_owned());
    after.filter_map(target).collect()
}

/// The names of the headings, as pages show them.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Why a link of this document leads nowhere.
fn broken(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") || target.starts_with("crate") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => document.to_owned(),
        file => document.parent().unwrap().join(file),
    };
    let there = match anchor {
        "" => path.exists(),
        anchor => fs::read_to_string(&path)
            .is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor)),
    };
    (!there).then(|| format!("{}: {target}", document.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = Vec::new();
    documents(Path::new(super::ROOT), &mut all);
    assert!(all.len() > 15, "{all:?}");
    let of = |document: &PathBuf| {
        let text = fs::read_to_string(document).unwrap();
        let links = targets(&prose(&text)).into_iter();
        links
            .filter_map(|target| broken(document, &target))
            .collect::<Vec<_>>()
    };
    let wrong: Vec<String> = all.iter().flat_map(of).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn links_are_found_and_anchors_named_as_pages_name_them() {
    let text = "# A `b`: c, d\n[x](y.md#z) ![i](j.svg)\n```\n[no](no.md)\n```\n";
    assert_eq!(targets(&prose(text)), ["y.md#z", "j.svg"]);
    assert_eq!(anchors(text), ["a-b-c-d"]);
    let document = Path::new(super::ROOT).join("README.md");
    assert!(broken(&document, "docs/nothing.md").is_some());
    assert!(broken(&document, "docs/results.md#nothing").is_some());
    assert!(broken(&document, "docs/results.md").is_none());
}

#[test]
fn what_migrating_shows_is_an_example_that_runs() {
    let read = |file: &str| fs::read_to_string(Path::new(super::ROOT).join(file)).unwrap();
    let (page, example) = (
        read("docs/migrating.md"),
        read("crates/opt-firstorder/examples/from_pytorch.rs"),
    );
    let shown = page.split("```rust\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    let mut lines = example.lines().map(str::trim);
    for line in shown.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(lines.any(|of| of == line), "not in the example: {line}");
    }
}

/// Only rustdoc hides a line that begins with `# `.
#[test]
fn an_example_can_be_pasted() {
    let mut all = Vec::new();
    documents(Path::new(super::ROOT), &mut all);
    for document in all {
        let text = fs::read_to_string(&document).unwrap();
        let blocks = text.split("```").skip(1).step_by(2);
        for block in blocks.filter(|block| block.starts_with("rust")) {
            let hidden = block.lines().find(|line| line.starts_with("# "));
            assert_eq!(hidden, None, "{}", document.display());
        }
    }
}

/// The commands of cargo in a document, by words: between backquotes, over lines too, or a line of a block.
fn commands(text: &str) -> Vec<Vec<String>> {
    let words = |command: &str| -> Vec<String> {
        let words = command
            .split_whitespace()
            .take_while(|word| !word.starts_with(['#', '|', '&']));
        words.skip(1).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for part in text.split('`') {
        match part.starts_with("cargo ") {
            true => found.push(words(part)),
            false => {
                let lines = part.lines().map(str::trim);
                found.extend(lines.filter(|line| line.starts_with("cargo ")).map(words));
            }
        }
    }
    found
}

/// What of a command is not there: a package, a bench, an example, a command of ours, an option of it, an
/// experiment.
fn missing(command: &[String]) -> Option<String> {
    let root = Path::new(super::ROOT);
    let exists = |path: String| root.join(path).exists();
    let in_crates = |below: &str| {
        let crates = fs::read_dir(root.join("crates")).unwrap();
        crates
            .map(Result::unwrap)
            .any(|entry| entry.path().join(below).exists())
    };
    let manifest = fs::read_to_string(root.join("benches/Cargo.toml")).unwrap();
    let after = |flag: &str, there: &dyn Fn(&str) -> bool| {
        let mut pairs = command.windows(2).filter(|pair| pair[0] == flag);
        pairs
            .find(|pair| !there(&pair[1]))
            .map(|pair| pair.join(" "))
    };
    let own = match command.first()?.as_str() {
        "xtask" => ours(&command[1..], &|name| {
            exists(format!("benches/experiments/{name}.toml"))
        }),
        _ => None,
    };
    own.or_else(|| {
        after("-p", &|name| {
            exists(format!("crates/{name}")) || name == "opt-bench" || name == "xtask"
        })
    })
    .or_else(|| {
        after("--bench", &|name| {
            manifest.contains(&format!("name = \"{name}\""))
        })
    })
    .or_else(|| {
        after("--example", &|name| {
            in_crates(&format!("examples/{name}.rs"))
                || in_crates(&format!("examples/{name}/main.rs"))
        })
    })
}

fn ours(words: &[String], experiment: &dyn Fn(&str) -> bool) -> Option<String> {
    let command = words.first()?;
    let known = super::HELP
        .lines()
        .any(|line| line.trim_start().starts_with(&**command));
    if !known {
        return Some(format!("xtask {command}"));
    }
    let options = words.iter().filter(|word| word.starts_with("--"));
    let unknown = |word: &&String| !super::HELP.contains(&***word) && *word != "--help";
    if let Some(option) = options.clone().find(unknown) {
        return Some(format!("xtask {command} {option}"));
    }
    // What stands before any option is an experiment.
    let first = words
        .get(1)
        .filter(|word| command == "bench" && !word.starts_with('-'))?;
    (first.to_lowercase() == **first && !experiment(first)).then(|| format!("xtask bench {first}"))
}

#[test]
fn every_command_has_what_it_names() {
    let mut all = Vec::new();
    documents(Path::new(super::ROOT), &mut all);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in all {
        for command in commands(&fs::read_to_string(&document).unwrap()) {
            count += 1;
            let missing = missing(&command);
            wrong.extend(missing.map(|what| format!("{}: {what}", document.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 40, "{count}");
}

#[test]
fn commands_are_found_and_what_they_lack_too() {
    let text =
        "a `cargo xtask bench\nconv --quick` b\n```sh\ncargo xtask torture # all\n```\ncargo cults";
    let found = [
        vec!["xtask", "bench", "conv", "--quick"],
        vec!["xtask", "torture"],
        vec!["cults"],
    ];
    assert_eq!(commands(text), found);
    for (command, what) in [
        ("xtask bench conv --quick", None),
        ("xtask bench convoluted", Some("xtask bench convoluted")),
        ("xtask bench --slow", Some("xtask bench --slow")),
        ("xtask fly", Some("xtask fly")),
        ("bench -p opt-bench --bench sparse", None),
        (
            "bench -p opt-bench --bench sparser",
            Some("--bench sparser"),
        ),
        ("test -p opt-nothing", Some("-p opt-nothing")),
        ("run --example digits -p opt-candle", None),
        ("run --example figures", Some("--example figures")),
    ] {
        let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        assert_eq!(missing(&words).as_deref(), what, "{command}");
    }
}
