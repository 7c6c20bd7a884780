use super::*;

/// The runs of one method: its verdicts as it is, then converted, by (f smaller, f larger, x
/// smaller, x larger).
fn verdicts(method: &str, tolerance: f64) -> Vec<Vec<Verdict>> {
    let config = Invariance {
        methods: None,
        steps: 12,
        samples: 60,
        l2: 1e-3,
        scales: vec![1e-6, 1e3],
        tolerance,
        set: std::collections::BTreeMap::new(),
    };
    let entries = methods();
    let entry = opt_core::find_entry(&entries, method).unwrap();
    let digits = opt_data::digits().unwrap();
    let runs = config.run(&digits, &[entry], &Stop::default()).unwrap();
    let units = runs.iter().filter_map(|run| run.units);
    let all: Vec<_> = units.map(|units| units.verdict).collect();
    assert!(runs[0].units.is_none() && runs[0].failed.is_none());
    all.chunks(4).map(<[_]>::to_vec).collect()
}

/// What the deck's five slides say, and golden fact 7.
#[test]
fn the_deck_is_right_about_units() {
    let same = |verdicts: &[Verdict]| -> Vec<bool> {
        verdicts.iter().map(|v| *v == Verdict::Invariant).collect()
    };
    // SGD to neither; the converted rate to both.
    let sgd = verdicts("sgd", 1e-6);
    assert_eq!(same(&sgd[0]), [false; 4]);
    assert_eq!(same(&sgd[1]), [true; 4]);
    // Rprop to the loss.
    let rprop = verdicts("rprop-minus", 1e-6);
    assert_eq!(same(&rprop[0]), [true, true, false, false]);
    // AdaDelta with one ε for both to neither; with its two, each in its unit, to both.
    let adadelta = verdicts("adadelta", 1e-6);
    assert_eq!(same(&adadelta[0]), [false; 4]);
    assert_eq!(same(&adadelta[1]), [true; 4]);
    // Newton's method to both, without any hyper-parameter that has a unit.
    let newton = verdicts("newton", 1e-6);
    assert_eq!((newton.len(), same(&newton[0])), (1, vec![true; 4]));
    // Nor have these, whose every constant is relative.
    for method in ["scg", "lbfgs"] {
        let all = verdicts(method, 1e-6);
        assert_eq!((all.len(), same(&all[0])), (1, vec![true; 4]), "{method}");
    }
}

/// A method that is not here has no hyper-parameter in other units; one that fails has a constant
/// or a formula that mixes them.
#[test]
fn converted_hyper_parameters_keep_the_path() {
    for method in [
        "momentum",
        "nag",
        "nesterov",
        "gains",
        "delta-bar-delta",
        "rprop-minus",
        "rprop-plus",
        "irprop-minus",
        "irprop-plus",
        "manhattan",
        "adagrad",
        "rmsprop",
        "rmsprop-centered",
        "rmsprop-momentum",
        "adadelta-immediate",
        "adadelta-corrected",
        "adam",
        "amsgrad",
        "adamw",
        "adamax",
        "newton-diagonal",
        "esgd",
        "vsgd",
        "vsgd-block",
        "vsgd-global",
        "prong",
        "prong-plus",
        "natural-gradient",
    ] {
        let converted = verdicts(method, 1e-6).pop().unwrap();
        assert_eq!(converted, [Verdict::Invariant; 4], "{method}");
    }
}

#[test]
fn distance_is_a_part_of_the_way() {
    let own = vec![vec![0.0, 0.0], vec![3.0, 4.0], vec![0.0, 1.0]];
    let mut other = own.clone();
    other[2][1] = 1.5;
    assert_eq!(apart(&own, &other), Some(0.1));
    assert_eq!(apart(&own, &own), Some(0.0));
    other[1][0] = f64::NAN;
    assert!(apart(&own, &other).unwrap().is_nan());
    let still = vec![vec![1.0]; 3];
    assert_eq!(apart(&still, &still), Some(0.0));
}
