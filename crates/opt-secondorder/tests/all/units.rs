//! No constant has units: with the loss or the parameters in others, the path is the same in those.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::function;
use crate::scaled;

use function::{Function, plane};
use opt_core::find_entry as find;
use opt_core::{AnyMethod, Method, Objective, ParamMap};
use opt_secondorder::{Lbfgs, Scg, Wolfe, zoo};
use opt_testkit::Plane;
use scaled::Scaled;

type Problem = Scaled<Plane>;

/// The method, with those of its fields that are a curvature, the loss over x², in these units.
fn built(name: &str, curvatures: &[(&str, f64)], problem: &Problem) -> AnyMethod<f64, Problem> {
    let bend = problem.loss / problem.unit / problem.unit;
    let scaled = curvatures
        .iter()
        .map(|&(field, value)| (field, (value * bend).into()));
    let mut set: Vec<_> = scaled.collect();
    if name == "hessian-free" {
        // Its preconditioner adds λ to squared gradients, as the paper's does.
        set.push(("preconditioner", 0.0.into()));
    }
    let zoo = zoo::<f64, Problem>();
    let entry = find(&zoo, name).unwrap();
    entry.build(&set, problem).unwrap()
}

/// Losses and points of a run, in the units of the plane itself.
fn path(name: &str, curvatures: &[(&str, f64)], (loss, unit): (f64, f64)) -> Vec<[f64; 3]> {
    let inner = plane("rosenbrock");
    let mut x = inner.start.map(|x| x * unit);
    let mut problem = Scaled { inner, loss, unit };
    let mut method = built(name, curvatures, &problem);
    let mut all = Vec::new();
    for _ in 0..40 {
        // Newton's method ends with an error where it meets no positive curvature.
        let Ok(report) = method.step(&mut problem, &mut x) else {
            break;
        };
        all.push([report.loss / loss, x[0] / unit, x[1] / unit]);
    }
    all
}

#[test]
fn powers_of_two_change_no_bit_of_the_path() {
    let methods: [(&str, &[(&str, f64)]); 10] = [
        ("lbfgs", &[]),
        ("scg", &[]),
        ("newton", &[]),
        ("newton", &[("damping", 0.5)]),
        ("hessian-free", &[("damping", 1.0)]),
        ("newton-diagonal", &[("damping", 0.02)]),
        ("esgd", &[("damping", 1e-4)]),
        ("vsgd", &[("eps", 1e-4)]),
        ("vsgd-block", &[("eps", 1e-4)]),
        ("vsgd-fd", &[("eps", 1e-4)]),
    ];
    let powers = [-50, -27, -25, 0, 25, 50];
    for (name, curvatures) in methods {
        let plain = path(name, curvatures, (1.0, 1.0));
        assert!(plain.len() >= 6, "{name}");
        assert!(plain.iter().any(|p| p[1] != -1.2), "{name}");
        for (c, u) in powers.iter().flat_map(|c| powers.map(|u| (*c, u))) {
            // The paper shifts θ by a gradient: only units in which both are alike leave the path.
            if name == "vsgd-fd" && c != 2 * u {
                continue;
            }
            let units = (2_f64.powi(c), 2_f64.powi(u));
            assert_eq!(path(name, curvatures, units), plain, "{name} 2^{c} 2^{u}");
        }
    }
}

/// Steps until the loss, in the units of the plane, is below 1e-8.
fn steps(name: &str, loss: f64, unit: f64, most: usize) -> usize {
    let inner = plane("rosenbrock");
    let mut x = inner.start.map(|x| x * unit);
    let mut problem = Scaled { inner, loss, unit };
    let mut method = built(name, &[], &problem);
    for step in 0..=most {
        if problem.value(&x).unwrap() / loss < 1e-8 {
            return step;
        }
        method.step(&mut problem, &mut x).unwrap();
    }
    panic!("{name} {loss:e} {unit:e}: {:e}", problem.value(&x).unwrap())
}

#[test]
fn rosenbrock_in_any_units() {
    for (name, most) in [("lbfgs", 45), ("scg", 160), ("newton", 10)] {
        for loss in [1e-30, 1e-14, 1e-8, 1.0, 1e8, 1e14, 1e16, 1e20] {
            steps(name, loss, 1.0, most);
        }
        for unit in [1e-20, 1e-8, 1e-3, 1e6, 1e20] {
            steps(name, 1.0, unit, most);
        }
        steps(name, 1e14, 1e-8, most);
    }
}

type Gradient = fn(&[f64]) -> (f64, Vec<f64>);

/// Problems whose numbers are far from 1, which SciPy's BFGS solves; here the minimum is known.
#[test]
fn parabolas_of_all_sizes() {
    let steep: Gradient = |x| ((1e9 * x[0] - 3.0).powi(2), vec![2e9 * (1e9 * x[0] - 3.0)]);
    let flat: Gradient = |x| (1e-30 * (x[0] - 1.0).powi(2), vec![2e-30 * (x[0] - 1.0)]);
    let narrow: Gradient = |x| {
        let f = 1e20 * x[0] * x[0] + 1e18 * x[1] * x[1];
        (f, vec![2e20 * x[0], 2e18 * x[1]])
    };
    let cases: [(Gradient, &[f64], &[f64]); 7] = [
        (steep, &[0.0], &[3e-9]),
        (steep, &[1.0], &[3e-9]),
        (flat, &[0.0], &[1.0]),
        (flat, &[-5.0], &[1.0]),
        (flat, &[1e6], &[1.0]),
        (narrow, &[1.0, 1.0], &[0.0, 0.0]),
        (narrow, &[-1e-3, 1e3], &[0.0, 0.0]),
    ];
    for (gradient, start, minimum) in cases {
        let map = ParamMap::flat(start.len()).unwrap();
        let methods: [Box<dyn Method<f64, Function<Gradient>>>; 2] = [
            Box::new(Lbfgs::default().method(&map).unwrap()),
            Box::new(Scg::default().method(&map).unwrap()),
        ];
        for (which, mut method) in methods.into_iter().enumerate() {
            let mut objective = Function::new(start.len(), gradient);
            let mut x = start.to_vec();
            let done = |x: &[f64]| {
                let scale = |m: f64, s: f64| m.abs().max(1e-9 * s.abs());
                (x.iter().zip(minimum).zip(start))
                    .all(|((x, m), s)| (x - m).abs() <= 1e-7 * scale(*m, *s))
            };
            let steps = (0..40).find(|_| {
                method.step(&mut objective, &mut x).unwrap();
                done(&x)
            });
            assert!(steps.is_some(), "{which} from {start:?}: {x:?}");
        }
    }
}

/// The line search, of φ(α) = C·f(α/U), whose noise is a value.
#[test]
fn the_line_search_has_no_units() {
    let f = |a: f64| {
        let d = a * a + 2.0;
        (-a / d, (a * a - 2.0) / (d * d))
    };
    let trials = |c: f64, u: f64| {
        let mut trials = Vec::new();
        let (value, slope) = f(0.0);
        let wolfe = Wolfe {
            c2: 0.01,
            noise: 1e-3 * c,
            ..Wolfe::default()
        };
        let found = wolfe.search(c * value, c / u * slope, 1e-3 * u, |a| {
            trials.push(a / u);
            let (value, slope) = f(a / u);
            Ok((c * value, c / u * slope))
        });
        assert!(found.unwrap().trial().is_some());
        trials
    };
    let plain = trials(1.0, 1.0);
    assert!(plain.len() > 3);
    for (c, u) in [(-300, 0), (300, 0), (0, -300), (0, 300), (200, -200)] {
        assert_eq!(trials(2_f64.powi(c), 2_f64.powi(u)), plain);
    }
}
