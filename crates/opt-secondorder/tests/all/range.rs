//! The whole finite range of both types: after `Ok` all is finite, and an error has changed nothing.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::find_entry as find;
use opt_core::{
    Error, Fallback, Method, ParamMap, Parameters, Scalar, Snapshot, State, Visit, all_finite,
};
use opt_secondorder::{Bbprop, Lbfgs, Newton, Scg, Vsgd, zoo};
use opt_testkit::Quadratic;

fn snapshot<F: Scalar>(method: &mut dyn State<F>, map: &ParamMap, x: &mut [F]) -> Snapshot<F> {
    let mut parameters = Parameters::new(map, x).unwrap();
    Snapshot::take(&mut [("method", method), ("x", &mut parameters)]).unwrap()
}

/// The first buffer or number that is not finite.
struct Bad(Option<String>);

impl<F: Scalar> Visit<F> for Bad {
    fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        if !all_finite(data) {
            self.0.get_or_insert(name.to_owned());
        }
    }
    fn count(&mut self, _: &str, _: &mut u64) {}
    fn number(&mut self, name: &str, value: &mut f64) {
        if !value.is_finite() {
            self.0.get_or_insert(name.to_owned());
        }
    }
}

/// Every method on ½a|x − c|², from 0, for curvatures and minima of all sizes. The first steps of
/// vSGD only collect.
fn survives<F: Scalar>(curvatures: &[f64], minima: &[f64]) {
    let map = ParamMap::new([("a", vec![2]), ("b", vec![1])]).unwrap();
    for entry in zoo::<F, Quadratic<F>>() {
        for (a, c) in curvatures
            .iter()
            .flat_map(|a| minima.iter().map(|c| (*a, *c)))
        {
            let mut quadratic = Quadratic::<F>::new(map.clone(), |i| a * (i + 1) as f64, |_| c);
            let mut method = entry.build(&[], &quadratic).unwrap();
            let mut x = vec![F::zero(); 3];
            for step in 0..25 {
                let what = format!("{} {} {a:e} {c:e} {step}", entry.name(), F::DTYPE);
                let before = snapshot(method.as_mut(), &map, &mut x);
                if method.step(&mut quadratic, &mut x).is_err() {
                    assert!(snapshot(method.as_mut(), &map, &mut x) == before, "{what}");
                    continue;
                }
                let mut bad = Bad(None);
                method.visit(&mut bad);
                assert!(
                    all_finite(&x) && bad.0.is_none(),
                    "{what}: {x:?} {:?}",
                    bad.0
                );
            }
        }
    }
}

#[test]
fn all_is_finite_after_ok() {
    let f32_sizes = [1e-44, 1e-38, 1e-25, 1e-12, 1.0, 1e12, 1e20, 1e30, 3e37];
    survives::<f32>(&f32_sizes, &f32_sizes);
    let f64_sizes = [
        5e-324, 1e-300, 1e-170, 1e-80, 1.0, 1e80, 1e160, 1e200, 1e307,
    ];
    survives::<f64>(&f64_sizes, &f64_sizes);
}

/// Gradients of 1e20 and 1e-25 in f32, whose squares are not in it: these methods find the minimum
/// all the same, as what they multiply is in double precision.
#[test]
fn gradients_whose_squares_f32_cannot_hold() {
    for size in [1e20, 1e-25, 1e-30] {
        let map = ParamMap::flat(3).unwrap();
        let methods: [Box<dyn Method<f32, Quadratic<f32>>>; 3] = [
            Box::new(Lbfgs::default().method(&map).unwrap()),
            Box::new(Scg::default().method(&map).unwrap()),
            Box::new(Newton::default().method(&map).unwrap()),
        ];
        for (which, mut method) in methods.into_iter().enumerate() {
            let bends = |i: usize| size * (i + 1) as f64;
            let mut quadratic = Quadratic::<f32>::new(map.clone(), bends, |i| 1.0 + i as f64);
            let mut x = [0.5_f32; 3];
            for _ in 0..40 {
                method.step(&mut quadratic, &mut x).unwrap();
            }
            for (x, c) in x.iter().zip(&quadratic.minimum) {
                assert!((x - c).abs() < 1e-3 * c, "{which} {size:e}: {x} {c}");
            }
        }
    }
}

/// What has no square in its type moves nothing, and the report says so.
#[test]
fn a_square_that_vanishes_is_told() {
    let map = ParamMap::flat(2).unwrap();
    let mut tiny = Quadratic::<f32>::new(map.clone(), |_| 1e-25, |_| 1.0);
    let mut vsgd = Vsgd::default().method::<f32, Bbprop>(&map).unwrap();
    let mut x = [0.5_f32; 2];
    for _ in 0..12 {
        let report = vsgd.step(&mut tiny, &mut x).unwrap();
        assert!(report.fallback.is_some());
    }
    let told = vsgd.step(&mut tiny, &mut x).unwrap().fallback;
    assert_eq!((told, x), (Some(Fallback::Vanishing), [0.5; 2]));

    let mut tiny = Quadratic::<f64>::new(map.clone(), |_| 1e-170, |_| 1.0);
    let methods: [Box<dyn Method<f64, Quadratic<f64>>>; 2] = [
        Box::new(Lbfgs::default().method(&map).unwrap()),
        Box::new(Scg::default().method(&map).unwrap()),
    ];
    for mut method in methods {
        let mut x = [0.5; 2];
        let report = method.step(&mut tiny, &mut x).unwrap();
        assert_eq!(report.fallback, Some(Fallback::Vanishing));
        assert_eq!((report.moves, x), (false, [0.5; 2]));
    }
}

/// A step beyond the type's range is an error, and names the segment.
#[test]
fn x_never_leaves_the_range() {
    let map = ParamMap::new([("a", vec![2]), ("b", vec![2])]).unwrap();
    // So little curvature that the loss is in range; four times the way to the minimum is not.
    let mut far = Quadratic::<f32>::new(map.clone(), |_| 2e-38, |i| [0.0, 0.0, 1e38, 1.0][i]);
    for (name, set) in [
        ("newton", [("lr", 4.0.into()), ("damping", 0.0.into())]),
        (
            "newton-diagonal",
            [("lr", 4.0.into()), ("damping", 0.0.into())],
        ),
        ("esgd", [("lr", 1e38.into()), ("damping", 1e-3.into())]),
    ] {
        let zoo = zoo::<f32, Quadratic<f32>>();
        let mut method = (find(&zoo, name).unwrap().build(&set, &far)).unwrap();
        let mut x = [0.0_f32; 4];
        let before = snapshot(method.as_mut(), &map, &mut x);
        let error: Error = method.step(&mut far, &mut x).unwrap_err();
        let told = error.to_string();
        let place = told.contains("segment `b`") && told.contains("index 0");
        assert!(place, "{name}: {told}");
        // The pass that moves x finds it, unless the method has a trial point of its own.
        let after = matches!(error, Error::Diverged { .. });
        assert_eq!(after, name != "newton", "{name}");
        assert!(after || snapshot(method.as_mut(), &map, &mut x) == before);
    }
}
