//! What a low rank does to whole trajectories of PRONG: not more than its bound.

use opt_core::{FirstOrder, Layered, Method, Objective, Scalar, State, Visit, norm};
use opt_firstorder::Momentum;
use opt_natural::{Decompose, Prong, ProngCoordinates, Whiten};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use crate::common::{everything, restore, wave};

const ROWS: usize = 60;

/// With layers wide enough for a low rank, and variances that fall fast.
fn network<F: Scalar>(l2: f64) -> (Mlp<F>, Vec<F>) {
    let mut spec = Spec::classifier(&[150, 140, 20, 10], Activation::Sigmoid);
    spec.l2 = l2;
    let mut mlp = Mlp::new(spec).unwrap();
    let inputs = wave(ROWS, 6, 0.2).dot(&wave(6, 150, 0.7)) + 0.01 * wave(ROWS, 150, 1.9);
    let inputs = inputs.mapv(F::of);
    mlp.set_statistics(inputs.to_shared()).unwrap();
    let labels: Vec<u8> = (0..ROWS).map(|i| (i * 7 % 10) as u8).collect();
    mlp.load(inputs.view(), Target::Classes(&labels), 0)
        .unwrap();
    let x = mlp.init(Init::LeCun, 3);
    (mlp, x)
}

/// The ranks in a state.
fn ranks<F: Scalar>(state: &mut impl State<F>) -> Vec<u64> {
    struct Read(Vec<u64>);
    impl<F: Scalar> Visit<F> for Read {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, _: &str, _: &[usize], _: &mut [F]) {}
        fn count(&mut self, name: &str, count: &mut u64) {
            if name.ends_with("rank") {
                self.0.push(*count);
            }
        }
        fn number(&mut self, _: &str, _: &mut f64) {}
    }
    let mut read = Read(Vec::new());
    state.visit(&mut read);
    read.0
}

fn prong() -> Prong {
    Prong {
        lr: 0.02,
        momentum: 0.9,
        eps: 0.1,
        period: 5,
        samples: ROWS as u64,
        ..Prong::default()
    }
}

fn compare<F: Decompose>(l2: f64) {
    let (mut mlp, x0) = network::<F>(l2);
    let mut x = x0.clone();
    let mut low = prong().method(mlp.params(), mlp.places()).unwrap();
    // In its own coordinates it decomposes in full.
    let (mut exact_mlp, mut exact) = network::<F>(l2);
    let rule = Momentum {
        lr: 0.02,
        ..Momentum::default()
    };
    let inner = FirstOrder::new(rule, exact_mlp.params()).unwrap();
    let whiten = Whiten {
        eps: 0.1,
        period: 5,
        samples: ROWS as u64,
        ..Whiten::default()
    };
    let mut own = ProngCoordinates::new(whiten, inner, &exact_mlp).unwrap();
    for _ in 0..40 {
        low.step(&mut mlp, &mut x).unwrap();
        own.step(&mut exact_mlp, &mut exact).unwrap();
    }
    own.release(&mut exact_mlp, &mut exact).unwrap();
    let ranks = ranks(&mut low);
    assert!(ranks[0] < 75 && ranks[1] < 70, "{ranks:?}");
    let difference = |a: &[F], b: &[F]| -> f64 {
        let all: Vec<F> = a.iter().zip(b).map(|(&a, &b)| a - b).collect();
        norm(&all)
    };
    let (apart, walked) = (difference(&x, &exact), difference(&x0, &exact));
    assert!(apart <= 0.02 * walked, "{l2}: {apart} of {walked}");
    let (a, b) = (mlp.value(&x).unwrap(), exact_mlp.value(&exact).unwrap());
    assert!((a - b).f64().abs() <= 0.01 * b.f64(), "{l2}: {a:?} {b:?}");
}

#[test]
fn trajectories_stay_together() {
    for l2 in [0.0, 0.01] {
        compare::<f64>(l2);
        compare::<f32>(l2);
    }
}

#[test]
fn resumed_it_goes_on_bit_for_bit() {
    let (mut mlp, mut x) = network::<f32>(0.0);
    let mut method = prong().method(mlp.params(), mlp.places()).unwrap();
    for _ in 0..7 {
        method.step(&mut mlp, &mut x).unwrap();
    }
    let saved = everything(&mut mlp, &mut method, &mut x);
    let (mut mlp2, mut x2) = network::<f32>(0.0);
    let mut other = prong().method(mlp2.params(), mlp2.places()).unwrap();
    restore(&saved, &mut mlp2, &mut other, &mut x2);
    for _ in 0..12 {
        method.step(&mut mlp, &mut x).unwrap();
        other.step(&mut mlp2, &mut x2).unwrap();
    }
    let now = everything(&mut mlp, &mut method, &mut x);
    assert!(now == everything(&mut mlp2, &mut other, &mut x2));
}
