use super::*;

#[test]
fn the_files_of_the_repository_are_right() {
    let all = Experiment::read_all(&crate::experiments_dir()).unwrap();
    let names: Vec<_> = all.iter().map(|e| e.name.as_str()).collect();
    let expected = [
        "bn-sigmoid",
        "bn-steps",
        "fisher-conditioning",
        "mnist-logistic",
        "mnist-mlp",
        "prong-autoencoder",
        "prong-classifier",
        "secondorder-autoencoder",
        "secondorder-paths",
        "visual",
    ];
    assert_eq!(names, expected);
    let entries = crate::registry::networks();
    for experiment in &all {
        let mut named = Vec::new();
        match &experiment.config {
            Config::Trajectories(c) => named.extend(c.set.keys()),
            Config::Conditioning(_) => {}
            Config::Training(c) => {
                named.extend(c.set.keys());
                named.extend(c.grid.by_method.keys());
                named.extend(&c.constant);
                named.extend(c.variant.values().map(|variant| &variant.method));
                named.extend(c.methods.iter().flatten());
                named.retain(|name| !c.variant.contains_key(*name));
                let race = c.race.iter();
                assert!(
                    race.clone()
                        .all(|r| c.methods.iter().flatten().any(|m| m == r))
                );
            }
        }
        for method in named {
            assert!(opt_core::find_entry(&entries, method).is_ok(), "{method}");
        }
    }
}

#[test]
fn what_a_file_gets_wrong_is_named() {
    let dir = std::env::temp_dir().join(format!("opt-bench-toml-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let right = include_str!("../../experiments/mnist-logistic.toml");
    for (wrong, word) in [
        (right.replace("batch = 128", "bach = 128"), "bach"),
        (right.replace("[grid]", "[grid]\nadam = [1e-3]"), "adam"),
        (right.replace("kind = \"training\"", "kind = \"x\""), "x"),
    ] {
        let path = dir.join("wrong.toml");
        std::fs::write(&path, wrong).unwrap();
        let error = Experiment::read(&path).unwrap_err();
        assert!(
            error.contains("wrong.toml") && error.contains(word),
            "{error}"
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
