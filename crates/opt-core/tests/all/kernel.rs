//! The fused pass and the reductions against plain loops.

use opt_core::{Scalar, all_finite, dot, each, norm};
use proptest::prelude::*;

/// Lengths around the width of a vector register, the lanes, and the pieces of a thread.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..200_usize, 32_700..32_900_usize, 65_500..140_000_usize]
}

/// Integers from −50 to 50 that follow no short period.
fn integers(n: usize, seed: u64) -> Vec<i64> {
    let hash = |i| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    (0..n).map(|i| (hash(i) % 101) as i64 - 50).collect()
}

fn floats<F: Scalar>(integers: &[i64]) -> Vec<F> {
    integers.iter().map(|&v| F::of(v as f64)).collect()
}

fn fused<F: Scalar, const N: usize>(x: &[F], g: &[F]) {
    let f = move |x: F, g: F, slots: [F; N]| {
        let sum = slots.iter().fold(x / F::of(3.0) + g, |sum, &s| sum + s);
        (sum, slots.map(|s| s * g + x))
    };
    let mut slots: [Vec<F>; N] =
        std::array::from_fn(|k| x.iter().map(|&v| v + F::of(k as f64)).collect());
    let (mut naive_x, mut naive_slots) = (x.to_vec(), slots.clone());
    for (i, (x, &g)) in naive_x.iter_mut().zip(g).enumerate() {
        let new;
        (*x, new) = f(*x, g, std::array::from_fn(|k| naive_slots[k][i]));
        (0..N).for_each(|k| naive_slots[k][i] = new[k]);
    }
    let mut fused_x = x.to_vec();
    let borrowed = slots.each_mut().map(Vec::as_mut_slice);
    each(&mut fused_x, g, borrowed, f);
    assert_eq!((fused_x, slots), (naive_x, naive_slots));
}

fn reduced<F: Scalar>(a: &[i64], b: &[i64]) {
    // Every partial sum is an integer below 2^53, so that any order gives the same.
    let exact: i64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let square: i64 = a.iter().map(|a| a * a).sum();
    let (a, b): (Vec<F>, Vec<F>) = (floats(a), floats(b));
    assert_eq!(dot(&a, &b), exact as f64);
    assert_eq!(dot(&b, &a), exact as f64);
    assert_eq!(norm(&a), (square as f64).sqrt());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_is_a_loop(n in lengths(), seed: u64) {
        let (a, b) = (integers(n, seed), integers(n, !seed));
        let (x, g) = (floats::<f32>(&a), floats::<f32>(&b));
        fused::<f32, 0>(&x, &g);
        fused::<f32, 1>(&x, &g);
        fused::<f64, 3>(&floats(&a), &floats(&b));
    }

    #[test]
    fn reductions_of_integers_are_exact(n in lengths(), more in 0..99_usize, seed: u64) {
        let (a, b) = (integers(n, seed), integers(n + more, !seed));
        reduced::<f32>(&a, &b);
        reduced::<f64>(&a, &b);
    }

    #[test]
    fn norm_scales_with_powers_of_two(n in 1..40_usize, seed: u64,
        power in prop_oneof![-1060..980_i32, -580..-490_i32, 470..530_i32],
    ) {
        // Of 26 bits, so that a square that becomes subnormal loses some.
        let a: Vec<i64> = integers(n, seed).iter().map(|v| v * 1_000_003 + 17).collect();
        let square: i64 = a.iter().map(|a| a * a).sum();
        // In two factors, for 2^power itself may be subnormal.
        let scale = |v: f64| v * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2);
        let scaled: Vec<f64> = a.iter().map(|&v| scale(v as f64)).collect();
        let (found, exact) = (norm(&scaled), scale((square as f64).sqrt()));
        let error = (found - exact).abs();
        // A few roundings for each element, in the subnormal range of one 2^-1074 at least.
        prop_assert!(error <= exact * 1e-14 + 5e-324, "{found} is not {exact}");
    }

    #[test]
    fn all_finite_finds_the_one_bad_element(
        n in lengths(), at: prop::sample::Index, negative: bool, nan: bool, seed: u64,
    ) {
        let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0, 5e-324, -1.0];
        let pick = |v: &i64| extremes[v.unsigned_abs() as usize % extremes.len()];
        let mut a: Vec<f64> = integers(n + 1, seed).iter().map(pick).collect();
        prop_assert!(all_finite(&a));
        let bad = if nan { f64::NAN } else { f64::INFINITY };
        a[at.index(n + 1)] = if negative { -bad } else { bad };
        prop_assert!(!all_finite(&a));
        let single: Vec<f32> = a.iter().map(|&v| v.clamp(-3e38, 3e38) as f32).collect();
        prop_assert_eq!(all_finite(&single), !nan);
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    // Thirds round, so that another order of summation would show.
    let third = |v: i64| v as f64 / 3.0 + 1e-3;
    let a: Vec<f64> = integers(300_007, 1).into_iter().map(third).collect();
    let b: Vec<f64> = integers(300_007, 2).into_iter().map(third).collect();
    let single: Vec<f32> = a.iter().map(|&v| v as f32).collect();
    let sums = [1, 2, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        (pool.unwrap()).install(|| [dot(&a, &b), norm(&a), norm(&single)].map(f64::to_bits))
    });
    assert!(sums.iter().all(|s| *s == sums[0]), "{sums:?}");
    let backwards: f64 = a.iter().zip(&b).rev().map(|(a, b)| a * b).sum();
    assert_ne!(sums[0][0], backwards.to_bits(), "the order does not show");
    // 2^24 + 1 and 4097² are no f32: sums and products are in double precision.
    assert_eq!(dot(&[16_777_216.0_f32, 1.0], &[1.0, 1.0]), 16_777_217.0);
    assert_eq!(dot(&[4097.0_f32; 33], &[4097.0; 33]), 33.0 * 16_785_409.0);
}
