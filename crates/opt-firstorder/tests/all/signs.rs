//! Methods that go by the signs of gradients: Rprop and its relatives, delta-bar-delta.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::moves;
use opt_core::{FirstOrder, ParamMap};
use opt_firstorder::{IRpropPlus, RpropPlus};
use proptest::prelude::*;

fn near(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance * b.abs().max(1e-300),
        "{a} is not {b}"
    );
}

#[test]
fn nine_steps_one_way_and_one_back() {
    let slope = |t| if t < 10 { -1.0 } else { 1.0 };
    let total = |method: &str| {
        moves(method, &[("step0", 0.1)], slope, 10)
            .iter()
            .sum::<f64>()
            / 0.1
    };
    let grown = (1.2_f64.powi(9) - 1.0) / 0.2;
    near(total("manhattan"), 8.0, 1e-12);
    near(total("rprop-minus"), grown - 0.5 * 1.2_f64.powi(8), 1e-12);
    near(total("rprop-plus"), grown - 1.2_f64.powi(8), 1e-12);
    near(total("irprop-minus"), grown, 1e-12);
    let printed = [18.65, 16.50, 20.80];
    for (method, printed) in ["rprop-minus", "rprop-plus", "irprop-minus"]
        .iter()
        .zip(printed)
    {
        assert!((total(method) - printed).abs() < 0.005, "{method}");
    }
}

#[test]
fn after_a_changed_sign_irprop_minus_waits_and_then_neither_grows_nor_shrinks() {
    let slope = |t| if t < 3 { 1.0 } else { -1.0 };
    let steps = moves("irprop-minus", &[("step0", 1.0)], slope, 5);
    let expected = [-1.0, -1.2, 0.0, 0.6, 0.72];
    steps
        .iter()
        .zip(expected)
        .for_each(|(&a, b)| near(a, b, 1e-15));
}

#[test]
fn irprop_plus_takes_back_only_what_made_the_loss_rise() {
    use opt_core::{Error, Method, Objective};
    struct Script(ParamMap, Vec<(f64, f64)>);
    impl Objective<f64> for Script {
        fn params(&self) -> &ParamMap {
            &self.0
        }
        fn value(&mut self, _: &[f64]) -> Result<f64, Error> {
            Ok(0.0)
        }
        fn grad(&mut self, _: &[f64], g: &mut [f64]) -> Result<f64, Error> {
            let (loss, slope) = self.1.remove(0);
            g[0] = slope;
            Ok(loss)
        }
    }
    for (third_loss, third_move) in [(0.9, 1.2), (0.7, 0.0), (0.8, 0.0)] {
        let params = ParamMap::flat(1).unwrap();
        let rule = IRpropPlus {
            step0: 1.0,
            ..IRpropPlus::default()
        };
        let mut method = rule.method(&params).unwrap();
        let losses = vec![(1.0, 1.0), (0.8, 1.0), (third_loss, -1.0), (0.6, -1.0)];
        let (mut script, mut x) = (Script(params, losses), [0.0]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            let before = x[0];
            method.step(&mut script, &mut x).unwrap();
            seen.push(x[0] - before);
        }
        let expected = [-1.0, -1.2, third_move, 0.6];
        seen.iter()
            .zip(expected)
            .for_each(|(&a, b)| assert!((a - b).abs() < 1e-15, "{seen:?}"));
    }
}

#[test]
fn delta_bar_delta_adds_upwards_and_multiplies_downwards() {
    // ϑ = 0: the trace is the last gradient. + + + − − +
    let signs = [1.0, 1.0, 1.0, -1.0, -1.0, 1.0];
    let set = [("lr", 0.1), ("kappa", 0.02), ("phi", 0.5), ("theta", 0.0)];
    let steps = moves("delta-bar-delta", &set, move |t| signs[t as usize - 1], 6);
    let rates = [0.1, 0.12, 0.14, 0.07, 0.09, 0.045];
    for ((step, rate), sign) in steps.iter().zip(rates).zip(signs) {
        near(*step, -rate * sign, 1e-12);
    }
}

proptest! {
    #[test]
    fn rprops_steps_stay_within_their_limits(
        gradients in proptest::collection::vec(-1.0_f64..1.0, 1..200),
    ) {
        let params = ParamMap::flat(1).unwrap();
        let rule = RpropPlus { step0: 0.01, step_min: 1e-3, step_max: 0.05, ..RpropPlus::default() };
        let mut rprop = FirstOrder::new(rule, &params).unwrap();
        let mut x = [0.0];
        for g in gradients {
            rprop.apply(&mut x, &[g]).unwrap();
            let step: f64 = rprop.slot("step", 0).unwrap()[0];
            prop_assert!((1e-3..=0.05).contains(&step), "{step}");
        }
    }
}
