//! The links of the documents: what they lead to within the repository is there.

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
