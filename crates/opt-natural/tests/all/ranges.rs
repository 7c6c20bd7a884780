//! The whole finite range of f32 and f64: after `Ok`, all is finite; what cannot be is refused, by
//! name; and a step that does not move x says so.

use ndarray::Array2;
use opt_core::{Error, Fallback, FirstOrder, Layered, Method, Objective, Scalar, greatest};
use opt_firstorder::{AdamW, Momentum};
use opt_natural::{
    Decompose, FisherError, Kfac, NaturalGradient, Prong, ProngCoordinates, ProngPlus, StepSize,
    Whiten,
};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

use crate::common::{along, everything, is_finite, wave};

type Boxed<F> = Box<dyn Method<F, Mlp<F>>>;

/// A linear model or a network, with half a squared error, on inputs and targets of these scales.
fn model<F: Scalar>(hidden: bool, input: f64, target: f64) -> (Mlp<F>, Vec<F>) {
    let widths: &[usize] = if hidden { &[4, 5, 2] } else { &[4, 2] };
    let mut spec = Spec::classifier(widths, Activation::Tanh);
    spec.loss = Loss::SquaredError;
    let mut mlp = Mlp::new(spec).unwrap();
    let inputs = wave(20, 4, 0.3).mapv(|v| F::of(v * input));
    let targets = wave(20, 2, 0.7).mapv(|v| F::of(v * target));
    let x = mlp.init(Init::LeCun, 3);
    mlp.set_statistics(inputs.to_shared()).unwrap();
    mlp.load(inputs.view(), Target::Values(targets.view()), 0)
        .unwrap();
    (mlp, x)
}

fn methods<F: Decompose>(mlp: &Mlp<F>) -> Vec<(&'static str, Boxed<F>)> {
    let (params, places) = (mlp.params(), mlp.places());
    let prong = Prong {
        samples: 20,
        period: 2,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples: 20,
        period: 2,
        ..ProngPlus::default()
    };
    let kfac = Kfac {
        period: 2,
        ..Kfac::default()
    };
    let fixed = Kfac {
        step_size: StepSize::Fixed,
        ..kfac.clone()
    };
    let whiten = Whiten {
        samples: 20,
        period: 2,
        ..Whiten::default()
    };
    let inner = FirstOrder::new(Momentum::default(), params).unwrap();
    let preconditioned = kfac.direction(params, places).unwrap();
    vec![
        ("prong", Box::new(prong.method(params, places).unwrap())),
        ("prong-plus", Box::new(plus.method(params, places).unwrap())),
        (
            "coordinates",
            Box::new(ProngCoordinates::new(whiten, inner, mlp).unwrap()),
        ),
        ("kfac", Box::new(kfac.method(params, places).unwrap())),
        (
            "kfac, fixed",
            Box::new(fixed.method(params, places).unwrap()),
        ),
        (
            "kfac with adamw",
            along(preconditioned, AdamW::default(), mlp),
        ),
        (
            "natural",
            Box::new(NaturalGradient::default().method(params, places).unwrap()),
        ),
    ]
}

/// Steps at these scales; gives how many were made and refused.
fn sweep<F: Decompose>(scales: &[f64]) -> (usize, usize) {
    let (mut made, mut refused) = (0, 0);
    for hidden in [false, true] {
        for (&input, &target) in scales
            .iter()
            .flat_map(|i| scales.iter().map(move |t| (i, t)))
        {
            for form in 0..7 {
                let (mut mlp, mut x) = model::<F>(hidden, input, target);
                let (name, mut method) = methods(&mlp).into_iter().nth(form).unwrap();
                for step in 0..5 {
                    let what = format!("{name}, {hidden}, {input:e}, {target:e}, step {step}");
                    let before = everything(&mut mlp, &mut *method, &mut x);
                    let (start, mut g) = (x.clone(), vec![F::zero(); x.len()]);
                    let flat =
                        mlp.grad(&x, &mut g).is_ok() && greatest(&g) <= F::epsilon() * greatest(&x);
                    match method.step(&mut mlp, &mut x) {
                        Ok(report) => {
                            made += 1;
                            assert!(is_finite(&mut mlp, &mut *method, &x), "{what}");
                            let told = report.fallback.is_some();
                            assert!(x != start || told || flat, "{what}: stays in silence");
                        }
                        // What comes after the move names what has left the type's range.
                        Err(Error::Diverged { .. }) => {
                            refused += 1;
                            break;
                        }
                        Err(error) => {
                            refused += 1;
                            assert!(!error.to_string().is_empty());
                            let now = everything(&mut mlp, &mut *method, &mut x);
                            assert!(now == before, "{what}: {error}");
                        }
                    }
                }
            }
        }
    }
    (made, refused)
}

#[test]
fn after_ok_everything_is_finite() {
    let (made, refused) = sweep::<f32>(&[1e-44, 1e-30, 1e-10, 1.0, 1e10, 1e18, 1e20, 3e38]);
    assert!(made > 300 && refused > 300, "{made} {refused}");
    let (made, refused) = sweep::<f64>(&[1e-320, 1e-200, 1e-150, 1.0, 1e75, 1e150, 1e160, 1e308]);
    assert!(made > 300 && refused > 300, "{made} {refused}");
}

/// The first step on a linear model.
fn first<F: Decompose>(form: &str, input: f64) -> (Result<Option<Fallback>, Error>, bool) {
    let (mut mlp, mut x) = model::<F>(false, input, 1.0);
    let all = methods(&mlp).into_iter();
    let mut method = all.into_iter().find(|(name, _)| *name == form).unwrap().1;
    // Where W·h is of the order of 1, as after training.
    let weights = mlp.params().segments()[0].range.clone();
    x[weights]
        .iter_mut()
        .for_each(|w| *w /= F::of(input.clamp(1.0, 1e30)));
    let before = x.clone();
    let result = method.step(&mut mlp, &mut x).map(|report| report.fallback);
    (result, x != before)
}

#[test]
fn kfac_on_inputs_far_from_one_says_why() {
    for form in ["kfac", "kfac, fixed", "kfac with adamw"] {
        // Beyond what a factor holds: refused, by name.
        for result in [first::<f32>(form, 1e20).0, first::<f64>(form, 1e160).0] {
            let Err(Error::Objective(why)) = result else {
                panic!("{form}: {result:?}");
            };
            assert!(
                matches!(why.downcast_ref(), Some(FisherError::Overflow { layer, .. }) if layer == "layer0.weight"),
                "{form}: {why}"
            );
            assert!(why.to_string().contains("inputs near 1"), "{why}");
        }
        // Inputs of almost nothing: b moves.
        for (result, moved) in [first::<f32>(form, 1e-30), first::<f64>(form, 1e-150)] {
            assert!(result.is_ok() && moved, "{form}: {result:?}");
        }
    }
    // Its square fits, and the step is too short for the weights.
    for form in [3, 4] {
        let mut mlp = Mlp::<f64>::new(Spec::classifier(&[4, 3], Activation::Tanh)).unwrap();
        let inputs: Array2<f64> = wave(20, 4, 0.3) * 1e150;
        let labels: Vec<u8> = (0..20).map(|i| i % 3).collect();
        mlp.load(inputs.view(), Target::Classes(&labels), 0)
            .unwrap();
        let mut x = mlp.init(Init::LeCun, 3);
        let before = x.clone();
        let (name, mut method) = methods(&mlp).into_iter().nth(form).unwrap();
        let report = method.step(&mut mlp, &mut x).unwrap();
        assert_eq!(report.fallback, Some(Fallback::Vanishes), "{name}");
        assert_eq!(x[..12], before[..12]);
    }
}

/// PRONG's kind of the same: squares that overflow are refused before there is a factor, and said
/// to be left out once there is one.
#[test]
fn prong_on_inputs_far_from_one_says_why() {
    for collecting in [false, true] {
        let (mut mlp, mut x) = model::<f32>(false, 1.0, 1.0);
        let prong = Prong {
            samples: 20,
            period: 1,
            ..Prong::default()
        };
        let huge = wave(20, 4, 0.3).mapv(|v| (v * 1e20) as f32);
        let targets = wave(20, 2, 0.7).mapv(|v| v as f32);
        let target = Target::Values(targets.view());
        if collecting {
            // No statistics set: a network anew.
            let mut spec = Spec::classifier(&[4, 2], Activation::Tanh);
            spec.loss = Loss::SquaredError;
            mlp = Mlp::new(spec).unwrap();
        } else {
            mlp.set_statistics(huge.to_shared()).unwrap();
        }
        let mut method = prong.method(mlp.params(), mlp.places()).unwrap();
        x[..8].iter_mut().for_each(|w| *w *= 1e-20);
        let before = x.clone();
        mlp.load(huge.view(), target, 0).unwrap();
        let error = method.step(&mut mlp, &mut x).unwrap_err().to_string();
        assert!(error.contains("overflow"), "{collecting}: {error}");
        assert_eq!(x, before);
        // With a factor.
        let good = wave(20, 4, 0.3).mapv(|v| v as f32);
        mlp.load(good.view(), target, 0).unwrap();
        mlp.set_statistics(good.to_shared()).unwrap();
        assert_eq!(method.step(&mut mlp, &mut x).unwrap().fallback, None);
        x.copy_from_slice(&before);
        mlp.load(huge.view(), target, 0).unwrap();
        let report = method.step(&mut mlp, &mut x).unwrap();
        assert_eq!(report.fallback, Some(Fallback::StatisticsOverflowed));
    }
}

/// Running variances that would overflow: no direction along their axes for ever after.
#[test]
fn prong_plus_refuses_what_its_running_variances_cannot_hold() {
    let (mut mlp, mut x) = model::<f32>(false, 1.0, 1.0);
    let plus = ProngPlus {
        samples: 20,
        ..ProngPlus::default()
    };
    let mut method = plus.method(mlp.params(), mlp.places()).unwrap();
    method.step(&mut mlp, &mut x).unwrap();
    let huge = wave(20, 4, 0.3).mapv(|v| (v * 1e25) as f32);
    let targets = wave(20, 2, 0.7).mapv(|v| v as f32);
    mlp.load(huge.view(), Target::Values(targets.view()), 0)
        .unwrap();
    // W·h of the order of 1.
    x[..8].iter_mut().for_each(|w| *w *= 1e-25);
    let before = everything(&mut mlp, &mut method, &mut x);
    let error = method.step(&mut mlp, &mut x).unwrap_err().to_string();
    assert!(
        error.contains("running variances of layer `layer0.weight`"),
        "{error}"
    );
    assert!(everything(&mut mlp, &mut method, &mut x) == before);
}
