//! Settings by name: through the registry, and of a method at work.

use opt_core::{AnyMethod, Entry, Error, Kind, Method, Tune, Value, find_entry};
use opt_natural::{Kfac, zoo};
use opt_nn::{Loss, Mlp};

use crate::common::{load, small};

type Built = (Mlp<f64>, AnyMethod<f64, Mlp<f64>>);

fn build(name: &str, set: &[(&str, Value)]) -> Result<Built, Error> {
    let entries: Vec<Entry<f64, Mlp<f64>>> = zoo();
    let (mlp, _) = small(false, Loss::SoftmaxCrossEntropy);
    let method = find_entry(&entries, name)?.build(set, &mlp)?;
    Ok((mlp, method))
}

const CHOICES: [(&str, &str, &[&str]); 3] = [
    (
        "natural-gradient",
        "curvature",
        &["fisher", "sampled-fisher", "empirical-fisher"],
    ),
    ("natural-gradient", "blocks", &["full", "layers"]),
    ("kfac", "step_size", &["fixed", "model"]),
];

/// x after two steps.
fn after(mlp: &mut Mlp<f64>, method: &mut dyn Method<f64, Mlp<f64>>) -> Vec<f64> {
    let mut x = small::<f64>(false, Loss::SoftmaxCrossEntropy).1;
    for step in 0..2 {
        load(mlp, step);
        method.step(mlp, &mut x).unwrap();
    }
    x
}

#[test]
fn every_choice_by_name() {
    for (name, field, values) in CHOICES {
        let mut results = Vec::new();
        for &value in values {
            let (mut mlp, mut built) = build(name, &[(field, value.into())]).unwrap();
            assert_eq!(built.get(field).unwrap(), value.into());
            let listed = built.list().into_iter().find(|f| f.name == field).unwrap();
            assert_eq!(listed.kind, Kind::Choice(values.to_vec()));
            let x = after(&mut mlp, &mut *built);
            // Set later, it is the same.
            let (mut mlp, mut set) = build(name, &[]).unwrap();
            set.set(field, value.into()).unwrap();
            assert_eq!(after(&mut mlp, &mut *set), x, "{name}: {field} = {value}");
            assert!(
                !results.contains(&x),
                "{field} = {value} makes no difference"
            );
            results.push(x);
        }
    }
}

#[test]
fn what_is_no_choice_is_refused_and_listed() {
    for (name, field, values) in CHOICES {
        let (_, mut method) = build(name, &[]).unwrap();
        let before = method.list();
        for bad in [Value::from("no-such"), Value::Real(0.5), Value::Count(1)] {
            let set = method.set(field, bad.clone()).unwrap_err();
            let built = build(name, &[(field, bad.clone())]).map(drop).unwrap_err();
            for error in [set, built] {
                let Error::Hyper { name, value, kind } = &error else {
                    panic!("{error}");
                };
                assert_eq!((name.as_str(), value), (field, &bad));
                assert_eq!(*kind, Kind::Choice(values.to_vec()));
                assert!(error.to_string().contains(values[0]), "{error}");
            }
        }
        assert!(method.scale(field, 0.5).is_err());
        assert_eq!(method.list(), before);
    }
}

#[test]
fn the_first_field_is_the_one_to_tune_and_scales() {
    for entry in zoo::<f64, Mlp<f64>>() {
        assert_eq!(entry.fields()[0].name, "lr", "{}", entry.name());
        let (_, mut method) = build(entry.name(), &[("lr", 0.5.into())]).unwrap();
        method.scale("lr", 0.25).unwrap();
        method.scale("lr", 0.5).unwrap();
        assert_eq!(method.get("lr").unwrap(), Value::Real(0.25));
        method.scale("lr", 0.0).unwrap();
        assert_eq!(method.get("lr").unwrap(), Value::Real(0.0));
    }
}

/// A rate of 0 leaves x, and nothing is said to vanish.
#[test]
fn a_rate_of_zero_is_a_rate() {
    for entry in zoo::<f64, Mlp<f64>>() {
        let (mut mlp, mut x) = small(false, Loss::SoftmaxCrossEntropy);
        mlp.set_statistics(crate::common::wave(70, 5, 0.9).into_shared())
            .unwrap();
        let mut method = entry.build(&[("lr", 0.0.into())], &mlp).unwrap();
        let before = x.clone();
        for step in 0..6 {
            load(&mut mlp, step);
            let report = method.step(&mut mlp, &mut x).unwrap();
            assert_eq!(report.fallback, None, "{}", entry.name());
        }
        assert_eq!(x, before, "{}", entry.name());
    }
}

#[test]
fn a_field_of_both_halves_is_named_by_its_half() {
    let (mlp, _): (Mlp<f64>, _) = small(false, Loss::SoftmaxCrossEntropy);
    let (params, places) = (
        opt_core::Objective::params(&mlp),
        opt_core::Layered::places(&mlp),
    );
    let plus = opt_natural::ProngPlus::default();
    let direction = plus.direction::<f64>(params, places).unwrap();
    let rule = opt_firstorder::RmsProp::default();
    let update = opt_core::FirstOrder::<f64, _, _>::new(rule, params).unwrap();
    let mut train = opt_core::Train::along(direction, update);
    let text = train.set("eps", 0.5.into()).unwrap_err().to_string();
    assert!(text.contains("direction/eps, update/eps"), "{text}");
    train.set("direction/eps", 0.5.into()).unwrap();
    assert_eq!(train.get("direction/eps").unwrap(), Value::Real(0.5));
    assert_eq!(train.get("update/eps").unwrap(), Value::Real(1e-8));
    train.set("samples", Value::Count(7)).unwrap();
    assert_eq!(train.get("samples").unwrap(), Value::Count(7));
    // By its half too, where only one has the field.
    assert_eq!(train.get("direction/samples").unwrap(), Value::Count(7));
    assert!(train.get("update/samples").is_err());
    // What a direction alone does not read, it does not list.
    let kfac = Kfac::default().direction::<f64>(params, places).unwrap();
    let names: Vec<_> = kfac.list().into_iter().map(|field| field.name).collect();
    assert_eq!(names, ["damping", "decay", "period"]);
}
