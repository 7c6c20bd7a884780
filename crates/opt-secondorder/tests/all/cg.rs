//! Conjugate gradients against SciPy's iterates, NumPy's solutions, and a system whose iterates
//! are known in closed form. `reference/hessian_free.py` made the former.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::Error;
use opt_secondorder::{Cg, CgEnd, CgStop};
use serde_json::Value;

/// Ends by nothing but the number of iterations, or a residual of exactly 0.
const PLAIN: CgStop = CgStop {
    iterations: usize::MAX,
    progress: 0.0,
    residual: 0.0,
    keep: false,
};

type Matrix = Vec<Vec<f64>>;

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Matrix {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(matrix: &Matrix, v: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, v)).collect()
}

fn product(matrix: &Matrix) -> impl FnMut(&[f64], &mut [f64]) -> Result<(), Error> {
    |v, out| {
        out.copy_from_slice(&times(matrix, v));
        Ok(())
    }
}

/// |a − b|/|b|
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let difference: Vec<_> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    (dot(&difference, &difference) / dot(b, b)).sqrt()
}

/// A full matrix of this spectrum: its diagonal between a reflection H = I − 2uuᵀ/uᵀu and itself.
fn with_spectrum(spectrum: &[f64]) -> Matrix {
    let n = spectrum.len();
    let u: Vec<_> = (0..n).map(|i| ((i * 5 + 1) % 7) as f64 - 2.5).collect();
    let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
    let h = |i: usize, j: usize| identity(i, j) - 2.0 * u[i] * u[j] / dot(&u, &u);
    let entry = |i: usize, j: usize| (0..n).map(|k| h(i, k) * spectrum[k] * h(k, j)).sum();
    let row = |i: usize| (0..n).map(|j| entry(i, j)).collect();
    (0..n).map(row).collect()
}

fn some_vector(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7 + 3) % 11) as f64 - 4.5).collect()
}

/// The second differences with their sign turned, and b = (1, 0, 0, …). As Bⁱb reaches one place
/// further with each i, the iterate xᵢ solves the first i equations: xᵢ = (i, i − 1, …, 1)/(i + 1),
/// and φ(xᵢ) = −½·i/(i + 1).
fn differences(v: &[f64], out: &mut [f64]) -> Result<(), Error> {
    for i in 0..v.len() {
        let left = if i > 0 { v[i - 1] } else { 0.0 };
        out[i] = 2.0 * v[i] - left - v.get(i + 1).unwrap_or(&0.0);
    }
    Ok(())
}

fn unit(n: usize) -> Vec<f64> {
    let mut b = vec![0.0; n];
    b[0] = 1.0;
    b
}

#[test]
fn iterates_are_scipys() {
    let reference: Value =
        serde_json::from_str(include_str!("../reference/hessian_free.json")).unwrap();
    let cases = reference["cg"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let (matrix, b) = (rows(&case["matrix"]), numbers(&case["b"]));
        let (diagonal, start) = (numbers(&case["diagonal"]), numbers(&case["start"]));
        let mut cg = Cg::default();
        let mut solve = |iterations: usize| {
            let mut x = start.clone();
            let stop = CgStop {
                iterations,
                ..PLAIN
            };
            let run = (cg.solve(product(&matrix), &b, Some(&diagonal), &mut x, &stop)).unwrap();
            assert_eq!((run.iterations, run.end), (iterations, CgEnd::Iterations));
            // φ is carried along; here it is as defined.
            let phi = 0.5 * dot(&x, &times(&matrix, &x)) - dot(&b, &x);
            assert!((run.phi[iterations] - phi).abs() <= 1e-12 * phi.abs());
            x
        };
        for (i, expected) in rows(&case["iterates"]).iter().enumerate() {
            let error = distance(&solve(i + 1), expected);
            assert!(error <= 1e-10, "iterate {}: {error:e}", i + 1);
        }
        // Of a relative error in the solution at most the condition number is one in the residual.
        let condition = case["condition"].as_f64().unwrap();
        let (mut x, residual) = (start.clone(), 1e-13);
        let stop = CgStop { residual, ..PLAIN };
        let run = cg.solve(product(&matrix), &b, Some(&diagonal), &mut x, &stop);
        assert_eq!(run.unwrap().end, CgEnd::Residual);
        let error = distance(&x, &numbers(&case["solution"]));
        assert!(error <= condition * residual, "{error:e}");
    }
}

/// The eigenvalue at t in [0, 1], given the condition number.
type Spectrum = fn(f64, f64) -> f64;

/// Spectra that are evenly spaced, or so in their logarithm. Of the latter not to 10⁴, for which
/// ten iterations do not do in double precision: SciPy's residual is then 0.1.
#[test]
fn n_iterations_solve_n_equations() {
    let even = |condition: f64, t: f64| 1.0 + (condition - 1.0) * t;
    let geometric = |condition: f64, t: f64| condition.powf(t);
    let spectra: [(Spectrum, f64); 5] = [
        (even, 1.0),
        (even, 100.0),
        (even, 1e4),
        (geometric, 10.0),
        (geometric, 100.0),
    ];
    let mut cg = Cg::default();
    for (spacing, condition) in spectra {
        for n in [1, 2, 3, 5, 10] {
            let place = |i: usize| i as f64 / (n - 1).max(1) as f64;
            let spectrum: Vec<_> = (0..n).map(|i| spacing(condition, place(i))).collect();
            let (matrix, b, mut x) = (with_spectrum(&spectrum), some_vector(n), vec![0.0; n]);
            let stop = CgStop {
                iterations: n,
                ..PLAIN
            };
            let run = (cg.solve(product(&matrix), &b, None, &mut x, &stop)).unwrap();
            assert!(run.phi.windows(2).all(|w| w[1] <= w[0]), "{:?}", run.phi);
            let error = distance(&times(&matrix, &x), &b);
            assert!(error <= 1e-8 * condition, "{n}, {condition}: {error:e}");
        }
    }
}

#[test]
fn the_stopping_rule_and_the_kept_iterates_in_closed_form() {
    // (φᵢ − φᵢ₋ₖ)/φᵢ = k/(i(i − k + 1)), which is below kε from where i(i − k + 1) > 1/ε:
    // 50·41 is the first above 2,000, with k = 10. Of 20,200, where k = ⌈i/10⌉ = 15, it is
    // 150·136, after 149·135.
    for (inverse, last) in [(2_000.0, 50), (20_200.0, 150)] {
        let stop = CgStop {
            progress: 1.0 / inverse,
            ..CgStop::default()
        };
        let (b, mut x) = (unit(300), vec![0.0; 300]);
        let mut cg = Cg::default();
        let run = cg.solve(differences, &b, None, &mut x, &stop).unwrap();
        assert_eq!((run.iterations, run.end), (last, CgEnd::Progress));
        for (i, phi) in run.phi.iter().enumerate() {
            let i = i as f64;
            assert!((phi + 0.5 * i / (i + 1.0)).abs() < 1e-13);
        }
        // ⌈1.3ʲ⌉ in whole numbers.
        let ceilings = (0..22).map(|j| 13_u128.pow(j).div_ceil(10_u128.pow(j)) as usize);
        let mut expected: Vec<_> = ceilings.filter(|&number| number <= last).collect();
        expected.dedup();
        let kept: Vec<_> = run.kept.iter().map(|iterate| iterate.number).collect();
        assert_eq!(kept, expected);
        for iterate in run.kept {
            let i = iterate.number;
            for (j, x) in iterate.x.iter().enumerate() {
                let exact = i.saturating_sub(j) as f64 / (i + 1) as f64;
                assert!((x - exact).abs() < 1e-13, "{i} {j}: {x} {exact}");
            }
        }
    }
}

#[test]
fn never_before_iteration_11_nor_above_zero() {
    // Solved in one iteration but for rounding; φ cannot fall after it.
    let (b, mut x) = (unit(30), vec![0.0; 30]);
    let mut cg = Cg::default();
    let stop = CgStop::default();
    let run = cg.solve(
        differences,
        &b,
        None,
        &mut x,
        &CgStop {
            progress: 1e30,
            ..stop
        },
    );
    assert_eq!(run.unwrap().iterations, 11);
    // From far above, φ is still positive there, and the rule waits.
    x.iter_mut()
        .enumerate()
        .for_each(|(i, x)| *x = 1e6 * f64::from(i == 29));
    let run = cg.solve(
        differences,
        &b,
        None,
        &mut x,
        &CgStop {
            progress: 1e30,
            ..stop
        },
    );
    let run = run.unwrap();
    assert!(run.iterations > 11 && run.phi[run.iterations] < 0.0);
    assert!(run.phi[11..run.iterations].iter().all(|phi| *phi >= 0.0));
}

#[test]
fn nothing_to_do() {
    let mut cg = Cg::default();
    let (b, mut x) = (unit(3), [0.75, 0.5, 0.25]);
    let run = cg.solve(differences, &b, None, &mut x, &PLAIN).unwrap();
    assert_eq!((run.iterations, run.end), (0, CgEnd::Residual));
    assert_eq!((run.phi, x), (&[-0.375][..], [0.75, 0.5, 0.25]));
    let mut x = [0.0; 3];
    let run = cg
        .solve(differences, &[0.0; 3], None, &mut x, &PLAIN)
        .unwrap();
    assert_eq!((run.end, x), (CgEnd::Residual, [0.0; 3]));
    let run = cg.solve(differences, &[], None, &mut [], &PLAIN).unwrap();
    assert_eq!(run.end, CgEnd::Residual);
}

#[test]
fn a_direction_without_positive_curvature_ends_it_with_the_iterate_before() {
    let (matrix, b) = (
        with_spectrum(&[3.0, 2.0, 1.0, -1.0]),
        vec![1.0, 2.0, 0.5, 0.1],
    );
    let mut cg = Cg::default();
    let (mut x, mut before) = (vec![0.0; 4], vec![0.0; 4]);
    let run = cg
        .solve(product(&matrix), &b, None, &mut x, &PLAIN)
        .unwrap();
    assert_eq!(run.end, CgEnd::Curvature);
    let iterations = run.iterations;
    assert!(iterations > 0 && run.phi.windows(2).all(|w| w[1] < w[0]));
    let stop = CgStop {
        iterations,
        ..PLAIN
    };
    (cg.solve(product(&matrix), &b, None, &mut before, &stop)).unwrap();
    assert_eq!(x, before);

    let negative = |v: &[f64], out: &mut [f64]| {
        out.iter_mut().zip(v).for_each(|(out, v)| *out = -v);
        Ok(())
    };
    let mut x = [0.0; 4];
    let run = cg.solve(negative, &b, None, &mut x, &PLAIN).unwrap();
    assert_eq!(
        (run.iterations, run.end, x),
        (0, CgEnd::Curvature, [0.0; 4])
    );
}

#[test]
fn what_is_not_finite_ends_it_with_the_iterate_before() {
    let (b, mut cg) = (unit(30), Cg::default());
    for bad in [f64::NAN, f64::INFINITY] {
        for good in 0..4 {
            let (mut calls, mut x, mut before) = (0, vec![0.0; 30], vec![0.0; 30]);
            let faulty = |v: &[f64], out: &mut [f64]| {
                differences(v, out)?;
                calls += 1;
                if calls > good {
                    out[0] = bad;
                }
                Ok(())
            };
            let run = cg.solve(faulty, &b, None, &mut x, &PLAIN).unwrap();
            assert_eq!((run.iterations, run.end), (good, CgEnd::NonFinite));
            let stop = CgStop {
                iterations: good,
                ..PLAIN
            };
            cg.solve(differences, &b, None, &mut before, &stop).unwrap();
            assert_eq!(x, before);
        }
    }
    // αp is beyond f32 though α and p are not.
    let flat = |v: &[f32], out: &mut [f32]| {
        out.iter_mut().zip(v).for_each(|(out, v)| *out = 1e-30 * v);
        Ok(())
    };
    let mut x = [0.0; 2];
    let mut cg = Cg::default();
    let run = cg.solve(flat, &[1e10, 1e10], None, &mut x, &PLAIN).unwrap();
    assert_eq!(
        (run.iterations, run.end, x),
        (0, CgEnd::NonFinite, [0.0; 2])
    );
    // A zero in M.
    let run = cg.solve(flat, &[1.0, 1.0], Some(&[1.0, 0.0]), &mut x, &PLAIN);
    assert_eq!((run.unwrap().end, x), (CgEnd::NonFinite, [0.0; 2]));
}

#[test]
fn errors() {
    let (b, mut cg) = (unit(3), Cg::default());
    let named = |result: Result<_, Error>, name: &str| match result {
        Err(Error::Length {
            what,
            expected: 3,
            found: 2,
        }) => assert_eq!(what, name),
        other => panic!("{other:?}"),
    };
    let result = cg.solve(differences, &b, None, &mut [0.0; 2], &PLAIN);
    named(result.map(|run| run.end), "x");
    let result = cg.solve(differences, &b, Some(&[1.0; 2]), &mut [0.0; 3], &PLAIN);
    named(result.map(|run| run.end), "diagonal");
    let refusal = |_: &[f64], _: &mut [f64]| Err(Error::objective("refused"));
    let result = cg.solve(refusal, &b, None, &mut [0.0; 3], &PLAIN);
    assert!(matches!(result, Err(Error::Objective(_))));
}

#[test]
fn buffers_are_used_again() {
    let (b, mut cg) = (unit(300), Cg::default());
    let mut buffers = || {
        let mut x = vec![0.0; 300];
        let run = cg.solve(differences, &b, None, &mut x, &CgStop::default());
        let kept = run.unwrap().kept;
        kept.iter().map(|kept| kept.x.as_ptr()).collect::<Vec<_>>()
    };
    assert_eq!(buffers(), buffers());
}
