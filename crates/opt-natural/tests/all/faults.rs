//! A step that is refused has changed nothing: neither x, nor the method, nor the model.

use opt_core::{Error, Fallback, FirstOrder, Layered, Method, Objective, Snapshot};
use opt_firstorder::{AdamW, Momentum, RmsProp};
use opt_natural::{
    Blocks, Curvature, Kfac, NaturalGradient, Prong, ProngCoordinates, ProngPlus, Whiten,
};
use opt_nn::{Loss, Target};

use crate::common::{along, everything, is_finite, load, rows_of, small, wave};
use crate::faulty::{Fault, Faulty};

type Boxed = Box<dyn Method<f64, Faulty>>;

const STEPS: usize = 12;

const FORMS: [&str; 11] = [
    "PRONG",
    "PRONG, collecting",
    "PRONG+",
    "PRONG+, collecting",
    "PRONG with RMSProp",
    "PRONG's coordinates",
    "K-FAC",
    "K-FAC, fixed",
    "K-FAC with AdamW",
    "natural gradient",
    "natural gradient, sampled by layers",
];

/// A method with period 3 where it has one, on a network with γ and β outside of its layers where
/// it takes that, and with a statistics set unless it collects.
fn build(form: &str) -> (Faulty, Boxed, Vec<f64>) {
    let norm = form.contains("PRONG") || form.contains("AdamW");
    let (mut mlp, x) = small(norm, Loss::SoftmaxCrossEntropy);
    if !form.contains("collecting") {
        mlp.set_statistics(wave(70, 5, 0.9).into_shared()).unwrap();
    }
    let model = Faulty::new(mlp);
    let (params, places) = (model.params(), model.places());
    let prong = Prong {
        period: 3,
        samples: 60,
        ..Prong::default()
    };
    let plus = ProngPlus {
        period: 3,
        samples: 60,
        ..ProngPlus::default()
    };
    let kfac = Kfac {
        period: 3,
        ..Kfac::default()
    };
    let fixed = Kfac {
        step_size: opt_natural::StepSize::Fixed,
        lr: 0.05,
        ..kfac.clone()
    };
    let natural = NaturalGradient::default();
    let sampled = NaturalGradient {
        curvature: Curvature::SampledFisher,
        blocks: Blocks::Layers,
        ..natural.clone()
    };
    let whiten = Whiten {
        period: 3,
        samples: 60,
        ..Whiten::default()
    };
    let method: Boxed = match form {
        "PRONG" | "PRONG, collecting" => Box::new(prong.method(params, places).unwrap()),
        "PRONG+" | "PRONG+, collecting" => Box::new(plus.method(params, places).unwrap()),
        "PRONG with RMSProp" => {
            let direction = prong.direction::<f64>(params, places).unwrap();
            along(direction, RmsProp::default(), &model)
        }
        "PRONG's coordinates" => {
            let inner = FirstOrder::new(Momentum::default(), params).unwrap();
            Box::new(ProngCoordinates::new(whiten, inner, &model).unwrap())
        }
        "K-FAC" => Box::new(kfac.method(params, places).unwrap()),
        "K-FAC, fixed" => Box::new(fixed.method(params, places).unwrap()),
        "K-FAC with AdamW" => {
            let direction = kfac.direction::<f64>(params, places).unwrap();
            along(direction, AdamW::default(), &model)
        }
        "natural gradient" => Box::new(natural.method(params, places).unwrap()),
        _ => Box::new(sampled.method(params, places).unwrap()),
    };
    (model, method, x)
}

/// Makes the first `steps` steps.
fn run(form: &str, steps: usize) -> (Faulty, Boxed, Vec<f64>) {
    let (mut model, mut method, mut x) = build(form);
    for step in 0..steps {
        load(&mut model.inner, step);
        method.step(&mut model, &mut x).unwrap();
    }
    (model, method, x)
}

/// What is saved before the first step and after each, and how many evaluations there were.
fn reference(form: &str) -> Vec<(Snapshot<f64>, usize)> {
    let (mut model, mut method, mut x) = build(form);
    let mut all = vec![(everything(&mut model, &mut *method, &mut x), 0)];
    for step in 0..STEPS {
        load(&mut model.inner, step);
        method.step(&mut model, &mut x).unwrap();
        all.push((everything(&mut model, &mut *method, &mut x), model.calls));
    }
    all
}

/// Whether this is how the fault must be told.
fn told(fault: Fault, error: &Error, params: &opt_core::ParamMap) -> bool {
    match (fault, error) {
        (Fault::Refusal, Error::Objective(why)) => why.to_string().contains("on purpose"),
        (Fault::Loss(_), Error::NonFiniteLoss(_)) => true,
        (Fault::Gradient(at, _), Error::NonFiniteGradient { segment, index, .. }) => {
            let place = params.get(segment).unwrap();
            place.range.start + index == at
        }
        (
            Fault::Delta(_) | Fault::Input(_),
            Error::NonFiniteGradient { .. } | Error::Objective(_),
        ) => true,
        _ => false,
    }
}

#[test]
fn any_fault_in_any_evaluation() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let mut faults = 0;
    for form in FORMS {
        let reference = reference(form);
        let params = build(form).0.params().clone();
        // Of a weight of a layer, of γ or a bias, and of the last bias.
        let places = [0, 31, params.len() - 1];
        let mut kinds = vec![Fault::Refusal, Fault::Loss(nan), Fault::Loss(-inf)];
        kinds.extend(places.map(|at| Fault::Gradient(at, nan)));
        kinds.extend(places.map(|at| Fault::Gradient(at, inf)));
        kinds.extend([nan, inf, -inf].map(Fault::Delta));
        kinds.extend([nan, inf].map(Fault::Input));
        for (step, pair) in reference.windows(2).enumerate() {
            let (mut model, mut method, mut x) = run(form, step);
            load(&mut model.inner, step);
            for (call, &fault) in
                (0..pair[1].1 - pair[0].1).flat_map(|call| kinds.iter().map(move |k| (call, k)))
            {
                let what = format!("{form}, step {step}, evaluation {call}: {fault:?}");
                model.fault = Some((model.calls + call, fault));
                model.struck.set(false);
                let result = method.step(&mut model, &mut x);
                model.fault = None;
                let now = everything(&mut model, &mut *method, &mut x);
                faults += usize::from(model.struck.get());
                match result {
                    Err(error) => {
                        assert!(model.struck.get(), "{what}: {error}");
                        assert!(told(fault, &error, &params), "{what}: {error}");
                        assert!(now == pair[0].0, "{what} has changed something");
                    }
                    Ok(report) if model.struck.get() => {
                        let kept = [Some(Fallback::NotMade), Some(Fallback::FactorKept)];
                        assert!(kept.contains(&report.fallback), "{what}: {report:?}");
                        (model, method, x) = run(form, step);
                        load(&mut model.inner, step);
                    }
                    Ok(_) => {
                        assert!(now == pair[1].0, "{what}: without a fault, another step");
                        (model, method, x) = run(form, step);
                        load(&mut model.inner, step);
                    }
                }
            }
            // After all of that, the step is what it would have been.
            method.step(&mut model, &mut x).unwrap();
            let now = everything(&mut model, &mut *method, &mut x);
            assert!(
                now == pair[1].0,
                "{form}, step {step}: the path has changed"
            );
        }
    }
    assert!(faults > 2_000, "{faults}");
}

#[test]
fn a_parameter_that_is_not_finite() {
    for form in FORMS {
        let (mut model, mut method, mut x) = build(form);
        for step in 0..7 {
            load(&mut model.inner, step);
            for at in [0, 31, 35, x.len() - 1] {
                let before = everything(&mut model, &mut *method, &mut x);
                let mut bad = x.clone();
                bad[at] = f64::NAN;
                let result = method.step(&mut model, &mut bad);
                assert!(result.is_err(), "{form}, step {step}, {at}");
                let others = (0..x.len()).filter(|&i| i != at);
                assert!(others.into_iter().all(|i| bad[i] == x[i]), "{form}");
                let now = everything(&mut model, &mut *method, &mut x);
                assert!(now == before, "{form}, step {step}, {at}");
            }
            method.step(&mut model, &mut x).unwrap();
        }
    }
}

/// Products, squares and losses that overflow.
#[test]
fn a_minibatch_beyond_the_type() {
    let mut refused = 0;
    for form in FORMS {
        for (step, scale) in (0..7).flat_map(|s| [1e154, 1e200, 1e308].map(|scale| (s, scale))) {
            let (mut model, mut method, mut x) = run(form, step);
            let (inputs, labels) = rows_of::<f64>(step);
            let inputs = inputs * scale;
            (model.inner)
                .load(inputs.view(), Target::Classes(&labels), 0)
                .unwrap();
            let before = everything(&mut model, &mut *method, &mut x);
            let result = method.step(&mut model, &mut x);
            let now = everything(&mut model, &mut *method, &mut x);
            match result {
                Err(Error::Diverged { .. }) => panic!("{form}, step {step}, {scale:e}: moved"),
                Err(_) => {
                    refused += 1;
                    assert!(now == before, "{form}, step {step}, {scale:e}");
                }
                Ok(_) => assert!(is_finite(&mut model, &mut *method, &x), "{form}, {scale:e}"),
            }
        }
    }
    assert!(refused > 50, "{refused}");
}
