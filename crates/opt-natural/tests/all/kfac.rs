//! K-FAC on a linear-Gaussian model, where all that it approximates can be exact; its damping, its
//! quadratic model, and its refusals.

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate, s};
use opt_core::{Layered, Method, Objective, Rule};
use opt_firstorder::Sgd;
use opt_natural::{Kfac, NaturalGradient, StepSize, fisher};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use crate::common::{buffers, digits};
use crate::linear::Linear;

pub(crate) fn fixed(damping: f64) -> Kfac {
    Kfac {
        lr: 1.0,
        momentum: 0.0,
        damping,
        damping_decay: 1.0,
        step_size: StepSize::Fixed,
        ..Kfac::default()
    }
}

#[test]
fn its_factors_make_the_exact_block_where_inputs_and_deltas_are_independent() {
    let mut linear = Linear::new(9, 3, 2);
    let mut x = vec![0.3; 8];
    let exact = fisher(&mut linear, &x, Some(0)).unwrap();
    let mut kfac = fixed(0.1).method(linear.params(), linear.places()).unwrap();
    kfac.step(&mut linear, &mut x).unwrap();
    let state = buffers(&mut kfac);
    let lower = |m: &Array2<f64>, i: usize, j: usize| m[[i.max(j), i.min(j)]];
    let place = |i: usize| if i < 6 { (i / 3, i % 3) } else { (i - 6, 3) };
    for ((i, j), exact) in exact.indexed_iter() {
        let ((k, a), (l, b)) = (place(i), place(j));
        let product = lower(&state["G/weight"], k, l) * lower(&state["A/weight"], a, b);
        assert!(
            (product - exact).abs() < 1e-14,
            "({i}, {j}): {product}, {exact}"
        );
    }
}

#[test]
fn one_step_of_a_linear_gaussian_model_is_the_natural_gradient_s_and_least_squares() {
    for step_size in [StepSize::Fixed, StepSize::Model] {
        let mut linear = Linear::new(9, 3, 2);
        let hyper = Kfac {
            step_size,
            ..fixed(1e-24)
        };
        let mut kfac = hyper.method(linear.params(), linear.places()).unwrap();
        let mut x = vec![0.3; 8];
        kfac.step(&mut linear, &mut x).unwrap();

        let hyper = NaturalGradient {
            lr: 1.0,
            damping: 0.0,
            ..NaturalGradient::default()
        };
        let mut natural = hyper.method(linear.params(), linear.places()).unwrap();
        let mut y = vec![0.3; 8];
        natural.step(&mut linear, &mut y).unwrap();

        for ((x, y), best) in x.iter().zip(&y).zip(linear.least_squares()) {
            assert!(
                (x - best).abs() < 1e-9 && (y - best).abs() < 1e-9,
                "{x} {y} {best}"
            );
        }
    }
}

/// At the minimum of M over the span of Δ and the last step, M's gradient is orthogonal to both;
/// so also to the last step, and to the step itself.
#[test]
fn alpha_and_mu_minimize_the_quadratic_model() {
    let mut linear = Linear::new(9, 3, 2);
    let lambda = 0.5;
    let hyper = Kfac {
        step_size: StepSize::Model,
        ..fixed(lambda)
    };
    let mut kfac = hyper.method(linear.params(), linear.places()).unwrap();
    let (mut x, mut last, mut g) = (Array1::from(vec![2.0; 8]), Array1::zeros(8), vec![0.0; 8]);
    for t in 0..5 {
        linear.grad(x.as_slice().unwrap(), &mut g).unwrap();
        let curvature = fisher(&mut linear, x.as_slice().unwrap(), None).unwrap();
        let before = x.clone();
        kfac.step(&mut linear, x.as_slice_mut().unwrap()).unwrap();
        let step = &x - &before;
        let slope = Array1::from(g.clone()) + curvature.dot(&step) + lambda * &step;
        let scale = (ArrayView1::from(&g).dot(&step)).abs();
        assert!(scale > 1e-6, "step {t} is none");
        assert!(slope.dot(&step).abs() < 1e-10 * scale, "{t}");
        assert!(slope.dot(&last).abs() < 1e-10 * scale, "{t}");
        last = step;
    }
}

#[test]
fn a_penalty_s_gradient_is_preconditioned_too() {
    let mut spec = Spec::classifier(&[3, 4, 2], Activation::Tanh);
    spec.l2 = 0.7;
    let mut mlp = Mlp::new(spec).unwrap();
    let inputs = Array2::from_shape_fn((5, 3), |(i, j)| ((i * 3 + j) as f64 * 1.3).sin());
    let labels = Target::Classes(&[0, 1, 1, 0, 1]);
    mlp.load(inputs.view(), labels, 0).unwrap();
    let x0 = mlp.init(Init::LeCun, 4);
    let mut g = vec![0.0; x0.len()];
    mlp.grad(&x0, &mut g).unwrap();
    let mut kfac = fixed(0.2).method(mlp.params(), mlp.places()).unwrap();
    let mut x = x0.clone();
    kfac.step(&mut mlp, &mut x).unwrap();
    let state = buffers(&mut kfac);
    let params = mlp.params();
    for layer in ["layer0", "layer1"] {
        let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
        let wide = |v: &[f64]| {
            let column = params.view(&bias, v).unwrap().to_owned();
            let column = column.into_dimensionality::<ndarray::Ix1>().unwrap();
            concatenate![
                Axis(1),
                params.view2(&weight, v).unwrap(),
                column.insert_axis(Axis(1))
            ]
        };
        let (a, b) = (
            &state[&format!("inverse A/{weight}")],
            &state[&format!("inverse G/{weight}")],
        );
        let expected = wide(&x0) - b.dot(&wide(&g)).dot(a);
        for (a, b) in wide(&x).iter().zip(&expected) {
            assert!((a - b).abs() < 1e-12, "{layer}: {a}, {b}");
        }
    }
}

#[test]
fn the_damping_follows_the_reduction_ratio() {
    let hyper = Kfac {
        damping_decay: 0.95,
        lr: 0.1,
        ..fixed(1.0)
    };
    let change = 0.95_f64.powi(5);
    let run = |lie: Option<f64>, steps: usize| {
        let mut linear = Linear::new(9, 3, 2);
        linear.lie = lie;
        let mut kfac = hyper
            .clone()
            .method(linear.params(), linear.places())
            .unwrap();
        let mut x = vec![0.3; 8];
        for _ in 0..steps {
            kfac.step(&mut linear, &mut x).unwrap();
        }
        kfac.damping()
    };
    // On a quadratic M predicts too little, as it counts λ: ρ ≥ 1.
    assert_eq!(run(None, 4), 1.0);
    assert!((run(None, 5) - change).abs() < 1e-15);
    assert!((run(None, 10) - change * change).abs() < 1e-15);
    // A loss that rose; and to the limits.
    assert!((run(Some(1e3), 5) - 1.0 / change).abs() < 1e-15);
    assert_eq!(run(Some(1e3), 500), 1e6);
    assert_eq!(run(Some(-1e3), 500), 1e-3);
}

#[test]
fn a_step_to_a_loss_that_is_not_finite_is_not_made() {
    let mut linear = Linear::new(9, 3, 2);
    let hyper = Kfac {
        damping_decay: 0.9,
        lr: 0.1,
        momentum: 0.9,
        ..fixed(1.0)
    };
    let mut kfac = hyper.method(linear.params(), linear.places()).unwrap();
    let mut x = vec![0.3; 8];
    for _ in 0..4 {
        kfac.step(&mut linear, &mut x).unwrap();
    }
    let before = x.clone();
    linear.lie = Some(f64::NAN);
    let report = kfac.step(&mut linear, &mut x).unwrap();
    assert!(report.fallback.unwrap().to_string().contains("not finite"));
    assert_eq!(x, before);
    assert!((kfac.damping() - 0.9_f64.powi(-5)).abs() < 1e-12);
    let state = buffers(&mut kfac);
    assert!(
        state["velocity/weight"]
            .iter()
            .chain(&state["velocity/bias"])
            .all(|&v| v == 0.0)
    );
}

#[test]
fn damping_is_raised_for_a_singular_factor_or_the_step_is_refused() {
    let singular = |damping| {
        // Two equal columns of ±1 on 16 samples: the second pivot is 1 − 1, without rounding.
        let mut linear = Linear::new(8, 3, 2);
        for mut row in linear.inputs.rows_mut() {
            row[0] = row[2].signum();
            row[1] = row[0];
        }
        let mut kfac = fixed(damping)
            .method(linear.params(), linear.places())
            .unwrap();
        let mut x = vec![0.3; 8];
        let result = kfac.step(&mut linear, &mut x);
        (result, x, buffers(&mut kfac), kfac.damping())
    };
    let (report, x, _, damping) = singular(1e-36);
    assert!(
        report
            .unwrap()
            .fallback
            .unwrap()
            .to_string()
            .contains("raised")
    );
    assert!(x.iter().all(|x| x.is_finite()) && x[0] != 0.3 && damping > 1e-36);
    for damping in [0.0, 1e-60] {
        let (error, x, state, after) = singular(damping);
        assert!(error.unwrap_err().to_string().contains("raise the damping"));
        assert!(x.iter().all(|&x| x == 0.3) && after == damping);
        let factors = state.iter().filter(|(name, _)| *name != "scale");
        assert!(factors.flat_map(|(_, m)| m).all(|&v| v == 0.0));
    }
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let (inputs, labels) = digits::<f32>(1797);
    let mut results = Vec::new();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        results.push(pool.install(|| {
            let spec = Spec::classifier(&[64, 400, 300, 10], Activation::Tanh);
            let mut mlp = Mlp::<f32>::new(spec).unwrap();
            let mut x = mlp.init(Init::LeCun, 1);
            let mut kfac = Kfac::default().method(mlp.params(), mlp.places()).unwrap();
            for t in 0..6 {
                let rows = t * 250..(t + 1) * 250;
                let target = Target::Classes(&labels[rows.clone()]);
                mlp.load(inputs.slice(s![rows, ..]), target, 0).unwrap();
                kfac.step(&mut mlp, &mut x).unwrap();
            }
            x
        }));
    }
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn an_update_on_digits_gains_more_than_one_of_gradient_descent() {
    let (inputs, labels) = digits::<f32>(1797);
    let train = |method: &mut dyn Method<f32, Mlp<f32>>, mut mlp: Mlp<f32>| {
        let mut x = mlp.init(Init::LeCun, 1);
        for t in 0..60 {
            let rows = (t % 17) * 100..(t % 17 + 1) * 100;
            let target = Target::Classes(&labels[rows.clone()]);
            mlp.load(inputs.slice(s![rows, ..]), target, 0).unwrap();
            method.step(&mut mlp, &mut x).unwrap();
        }
        mlp.evaluate(&x, inputs.view(), Target::Classes(&labels))
            .unwrap()
            .loss
    };
    let mlp = Mlp::new(Spec::classifier(&[64, 30, 20, 10], Activation::Tanh)).unwrap();
    let gradient_descent = [0.1, 0.3, 1.0, 3.0].map(|lr| {
        let rule = Sgd {
            lr,
            ..Sgd::default()
        };
        train(&mut rule.method(mlp.params()).unwrap(), mlp.clone())
    });
    let best = gradient_descent.into_iter().fold(f64::INFINITY, f64::min);
    let kfac = train(
        &mut Kfac::default().method(mlp.params(), mlp.places()).unwrap(),
        mlp.clone(),
    );
    assert!(kfac < 0.7 * best, "{kfac}, {best}");
}
