//! Parameters in bf16: what a step and a decay that bf16 alone would lose come to.

use opt_core::{Bf16, Error, FirstOrder, ParamMap, Rounding, Snapshot, State};

use crate::chain::{Chain, map, wave};

const GENTLE: Chain = Chain {
    lr: 1e-3,
    mu: 0.5,
    init: 0.0,
};

fn bits(x: &[f32]) -> Vec<u16> {
    x.iter().map(|v| (v.to_bits() >> 16) as u16).collect()
}

fn value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn half(params: &ParamMap, x: &[u16], rounding: Rounding) -> Bf16<FirstOrder<f32, Chain, 1>> {
    Bf16::new(FirstOrder::new(GENTLE, params).unwrap(), x, rounding).unwrap()
}

/// Representable to begin with.
fn start(len: usize) -> Vec<f32> {
    let x: Vec<f32> = (0..len).map(|i| 1.0 + 0.25 * wave(i)).collect();
    bits(&x).into_iter().map(value).collect()
}

#[test]
fn the_master_copy_is_the_path_of_single_precision() {
    let params = map(&[100, 70_000]);
    let mut wide = start(params.len());
    let mut x = bits(&wide);
    let mut plain = FirstOrder::<f32, _, 1>::new(GENTLE, &params).unwrap();
    let mut half = half(&params, &x, Rounding::Master);
    for t in 0..20 {
        let g: Vec<f32> = (0..wide.len()).map(|i| wave(i + t)).collect();
        plain.apply(&mut wide, &g).unwrap();
        half.apply(&mut x, &g).unwrap();
    }
    for (bits, wide) in x.iter().zip(&wide) {
        // To nearest: half a unit of the last of 8 bits.
        assert!((value(*bits) - wide).abs() <= wide.abs() / 256.0, "{wide}");
    }
}

/// A thousand steps of 1e-5 of x, of which bf16 alone would make none; the mean over the elements
/// is right, and the same bits for any number of threads.
#[test]
fn rounded_at_random_small_steps_add_up() {
    let params = map(&[40_000, 100_000]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mut x = bits(&vec![1.5; params.len()]);
            let rule = Chain {
                lr: 1e-5,
                mu: 0.0,
                init: 0.0,
            };
            let update = FirstOrder::<f32, _, 1>::new(rule, &params).unwrap();
            let mut half = Bf16::new(update, &x, Rounding::Stochastic { seed: 3 }).unwrap();
            for _ in 0..100 {
                half.apply(&mut x, &vec![1.0; params.len()]).unwrap();
            }
            x
        })
    };
    let x = run(1);
    assert!(x == run(3));
    let mean = x.iter().map(|b| f64::from(value(*b))).sum::<f64>() / x.len() as f64;
    // The rule takes lr/t. An element is off by at most a unit, 1/128, and they are 140,000.
    let steps: f64 = (1..=100).map(|t| 1e-5 / f64::from(t)).sum();
    let allowed = 5.0 / 128.0 / (x.len() as f64).sqrt();
    assert!((mean - (1.5 - steps)).abs() < allowed, "{mean} {steps}");
    assert!(steps > 0.0 && x.contains(&0x3fbf), "some have moved");
}

#[test]
fn a_restart_changes_no_bit_and_a_refused_step_nothing() {
    let params = map(&[100, 5_000]);
    for rounding in [Rounding::Master, Rounding::Stochastic { seed: 3 }] {
        let mut x = bits(&start(params.len()));
        let mut whole = half(&params, &x, rounding);
        let g: Vec<f32> = (0..x.len()).map(wave).collect();
        whole.apply(&mut x, &g).unwrap();
        let take = |half: &mut dyn State<f32>| Snapshot::take(&mut [("half", half)]).unwrap();
        let (saved, mut y) = (take(&mut whole), x.clone());
        let mut bad = g.clone();
        bad[17] = f32::NAN;
        let error = whole.apply(&mut x, &bad).unwrap_err();
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{error}");
        assert!(take(&mut whole) == saved && x == y);
        let mut again = half(&params, &y, rounding);
        saved.restore(&mut [("half", &mut again)]).unwrap();
        whole.apply(&mut x, &g).unwrap();
        again.apply(&mut y, &g).unwrap();
        assert!(x == y && take(&mut whole) == take(&mut again));
    }
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let params = map(&[2, 3]);
    let update = || FirstOrder::<f32, _, 1>::new(GENTLE, &params).unwrap();
    for bad in [0x7f80, 0xff80, 0x7fc0] {
        let x = [0, 0, 0, bad, 0];
        let error = Bf16::new(update(), &x, Rounding::Master).unwrap_err();
        let told = matches!(&error, Error::Diverged { segment, index: 1, .. } if segment == "s1");
        assert!(told, "{error}");
    }
    let error = Bf16::new(update(), &[0; 4], Rounding::Master).unwrap_err();
    assert!(matches!(error, Error::Length { .. }), "{error}");
}
