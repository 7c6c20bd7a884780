use super::*;
use serde_json::json;

fn run(method: &str, losses: &[f64], failed: Option<&str>) -> Run {
    let point = |(i, loss): (usize, &f64)| Point {
        update: 100 * i as u64,
        seconds: Some(1.0 + i as f64),
        train_loss: Some(*loss),
        ..Point::default()
    };
    let points = losses.iter().enumerate().map(point).collect();
    let failed = failed.map(str::to_owned);
    Run {
        method: method.into(),
        failed,
        points,
        ..Run::default()
    }
}

#[test]
fn medians() {
    let of = |v: &[f64]| Stat::of(v.iter().copied()).map(|s| (s.median, s.min, s.max));
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
    assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some((2.5, 1.0, 4.0)));
    assert_eq!(of(&[7.0]), Some((7.0, 7.0, 7.0)));
    assert_eq!(of(&[f64::NAN, 2.0, f64::INFINITY]), Some((2.0, 2.0, 2.0)));
    assert_eq!(
        of(&[f64::MAX, f64::MAX]),
        Some((f64::MAX, f64::MAX, f64::MAX))
    );
    assert_eq!(of(&[]), None);
}

#[test]
fn the_lowest_loss_is_first_and_failures_are_last() {
    let runs = vec![
        run("all-fail", &[2.0, 0.001], Some("diverged")),
        run("some-fail", &[2.0, 0.1], None),
        run("some-fail", &[2.0], Some("diverged")),
        run("second", &[2.0, 0.5], None),
        run("second", &[2.0, 1.5], None),
        run("no-points", &[], None),
        run("first", &[0.1, 0.9], None),
    ];
    let rows = summary(&Experiment {
        runs,
        ..Experiment::default()
    });
    let order: Vec<&str> = rows.iter().map(|r| r.method.as_str()).collect();
    assert_eq!(
        order,
        ["first", "second", "no-points", "some-fail", "all-fail"]
    );
    assert_eq!(
        rows[1].train_loss,
        Some(Stat {
            median: 1.0,
            min: 0.5,
            max: 1.5
        })
    );
    assert_eq!(rows[1].seconds_per_update, Some(0.01));
    assert_eq!(rows[3].failed.as_deref(), Some("1 of 2 seeds: diverged"));
    assert_eq!(
        (rows[4].failed.as_deref(), rows[4].train_loss),
        (Some("diverged"), None)
    );
}

#[test]
fn what_does_not_apply_is_absent() {
    let point = Point {
        update: 3,
        gradient_evaluations: 4,
        train_loss: Some(f64::NAN),
        test_loss: Some(0.5),
        x: Some([1.0, f64::INFINITY]),
        ..Point::default()
    };
    let run = Run {
        method: "sgd".into(),
        hyper: [
            ("lr".to_owned(), 0.5.into()),
            ("limit".to_owned(), f64::INFINITY.into()),
        ]
        .into(),
        points: vec![point],
        ..Run::default()
    };
    let experiment = Experiment {
        name: "e".into(),
        runs: vec![run],
        ..Experiment::default()
    };
    let results = Results {
        experiments: vec![experiment],
        ..Results::default()
    };
    let json = json!({
        "experiments": [{
            "name": "e", "title": "", "kind": "", "size": "", "data": "", "model": "",
            "runs": [{
                "method": "sgd", "hyper": {"lr": 0.5}, "seed": 0,
                "points": [{"update": 3, "gradient_evaluations": 4, "test_loss": 0.5}],
            }],
        }],
        "machine": "", "commit": "", "date": "",
    });
    let dir = std::env::temp_dir().join(format!("opt-bench-results-{}", std::process::id()));
    let path = results.write(&dir).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let files = std::fs::read_dir(&dir).unwrap().count();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        json
    );
    assert_eq!(files, 1, "the temporary file is gone");
    let read: Results = serde_json::from_str(&text).unwrap();
    assert_eq!(read.experiments[0].runs[0].points[0].train_loss, None);
}

#[test]
fn a_failed_write_names_the_file() {
    let file = std::env::temp_dir().join(format!("opt-bench-file-{}", std::process::id()));
    write_file(&file, b"old").unwrap();
    let error = write_file(&file.join("x"), b"new").unwrap_err().to_string();
    std::fs::remove_file(&file).unwrap();
    assert!(
        error.contains(&file.join("x").display().to_string()),
        "{error}"
    );
}

#[test]
fn a_test_function_has_its_own_claims() {
    let on = |problem: &str| Run {
        problem: Some(problem.to_owned()),
        ..run("sgd", &[1.0], None)
    };
    let claim = |problem: Option<&str>| Judged {
        claim: "c".to_owned(),
        source: "s".to_owned(),
        problem: problem.map(str::to_owned),
        measure: Some(Measure::Value),
        methods: vec!["sgd".to_owned()],
        measured: problem.unwrap_or("all").to_owned(),
        verdict: Outcome::Holds,
        reduced: false,
    };
    let experiment = Experiment {
        name: "visual".to_owned(),
        title: "Paths".to_owned(),
        claims: vec![claim(Some("beale")), claim(None), claim(Some("saddle"))],
        runs: vec![on("beale"), on("saddle"), on("beale")],
        ..Experiment::default()
    };
    let figures = experiment.figures().into_iter().map(|figure| {
        let claims = figure.claims.into_iter().map(|claim| claim.measured);
        let claims: Vec<_> = claims.collect();
        (figure.title, figure.runs.len(), claims.join(" "))
    });
    let expected = [("beale", 2), ("saddle", 1)].map(|(problem, runs)| {
        let claims = ["beale", "all", "saddle"].into_iter();
        let claims: Vec<_> = claims.filter(|c| [problem, "all"].contains(c)).collect();
        (format!("Paths: {problem}"), runs, claims.join(" "))
    });
    assert_eq!(figures.collect::<Vec<_>>(), expected);
}
