//! A rule driven over the whole vector, over parts and over segments.

use proptest::prelude::*;

use crate::chain::{NAMES, PLAIN, element, map, optimizer, split, split_mut, varied, wave};

/// `apply`, `apply_parts` and a plain loop, bitwise: parameters and state.
fn agree<const N: usize>(lengths: &[usize], per_segment: bool) {
    let map = map(lengths);
    let mut whole = optimizer::<N>(&map, per_segment);
    let mut parts = optimizer::<N>(&map, per_segment);
    let start: Vec<f32> = (0..map.len()).map(wave).collect();
    let (mut x_whole, mut x_parts) = (start.clone(), start.clone());
    let mut naive: Vec<(f32, [f32; N])> = Vec::new();
    for segment in map.segments() {
        let rule = if per_segment { varied(segment) } else { PLAIN };
        let init = std::array::from_fn(|k| rule.init as f32 + k as f32);
        naive.extend(start[segment.range.clone()].iter().map(|&x| (x, init)));
    }
    for t in 1..=3 {
        let g: Vec<f32> = (0..map.len()).map(|i| wave(i + 31 * t)).collect();
        whole.apply(&mut x_whole, &g).unwrap();
        parts
            .apply_parts(&mut split_mut(&map, &mut x_parts), &split(&map, &g))
            .unwrap();
        for segment in map.segments() {
            let rule = if per_segment { varied(segment) } else { PLAIN };
            let (lr, mu) = ((rule.lr / t as f64) as f32, rule.mu as f32);
            for i in segment.range.clone() {
                naive[i] = element(lr, mu, naive[i].0, g[i], naive[i].1);
            }
        }
    }
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let x: Vec<f32> = naive.iter().map(|(x, _)| *x).collect();
    assert!(bits(&x_whole) == bits(&x), "apply {lengths:?}");
    assert!(bits(&x_parts) == bits(&x), "apply_parts {lengths:?}");
    for (k, name) in NAMES.iter().enumerate() {
        let slot = (k < N).then(|| naive.iter().map(|(_, s)| s[k].to_bits()).collect());
        assert!(whole.slot(name).map(bits) == slot, "{name} {lengths:?}");
        assert!(parts.slot(name).map(bits) == slot, "{name} {lengths:?}");
    }
    assert_eq!((whole.steps(), parts.steps()), (3, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whole_parts_and_loop_agree(
        mut lengths in prop::collection::vec(
            prop_oneof![Just(0), 1..64_usize, 1..9_000_usize, 32_700..35_000_usize], 0..7),
        per_segment: bool,
    ) {
        lengths.push(1); // at least one parameter
        agree::<0>(&lengths, per_segment);
        agree::<1>(&lengths, per_segment);
        agree::<3>(&lengths, per_segment);
    }
}

#[test]
fn special_sizes_agree_on_any_number_of_threads() {
    let many: Vec<usize> = (0..400).map(|i| i % 3 * 150).collect();
    let cases = [
        vec![1 << 15],
        vec![(1 << 15) + 1],
        vec![100_003],
        vec![0, 50_000, 0, 0, 40_000, 0],
        vec![0, 0, 0, 1],
        many,
    ];
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            for lengths in &cases {
                agree::<1>(lengths, false);
                agree::<3>(lengths, true);
            }
        });
    }
}

#[test]
fn slots_start_as_the_segment_says() {
    let map = map(&[2, 0, 3]);
    let sgd = optimizer::<3>(&map, true);
    assert_eq!(sgd.slot("a").unwrap(), [0.0, 0.0, 2.0, 2.0, 2.0]);
    assert_eq!(sgd.slot("c").unwrap(), [2.0, 2.0, 4.0, 4.0, 4.0]);
    assert!(sgd.slot("d").is_none());
    assert_eq!((sgd.rules().len(), sgd.params()), (3, &map));
    let one = optimizer::<1>(&map, false);
    assert_eq!(one.slot("a").unwrap(), [2.0; 5]);
    assert!(one.slot("b").is_none() && optimizer::<0>(&map, false).slot("a").is_none());
    assert_eq!(one.rules().len(), 1);
}

#[test]
fn a_pass_sees_matching_pieces_and_is_no_step() {
    let map = map(&[40_000, 0, 3, 50_000]);
    let mut sgd = optimizer::<3>(&map, true);
    let input: Vec<f32> = (0..map.len()).map(wave).collect();
    let mut out = vec![0.0; map.len()];
    sgd.pass(&mut out, &input, |rule, out, input, [a, b, c]| {
        assert!([input.len(), a.len(), b.len(), c.len()] == [out.len(); 4]);
        for (i, out) in out.iter_mut().enumerate() {
            *out = rule.lr as f32 * input[i] + a[i];
            c[i] += b[i];
        }
    })
    .unwrap();
    for segment in map.segments() {
        let rule = varied(segment);
        for i in segment.range.clone() {
            assert_eq!(out[i], rule.lr as f32 * input[i] + rule.init as f32);
            assert_eq!(sgd.slot("c").unwrap()[i], 2.0 * rule.init as f32 + 3.0);
        }
    }
    assert_eq!(sgd.steps(), 0);
}

#[test]
fn debug_shows_rules_and_no_buffers() {
    let mut sgd = optimizer::<1>(&map(&[5_000]), false);
    sgd.apply(&mut vec![0.0; 5_000], &vec![1.0; 5_000]).unwrap();
    let text = format!("{sgd:?}");
    assert!(text.len() < 200, "{text}");
    for part in ["Chain", "lr: 0.3", "parameters: 5000", "t: 1"] {
        assert!(text.contains(part), "{text}");
    }
}
