//! A rule driven over the whole vector, over parts and over segments.

use opt_core::Update;
use proptest::prelude::*;

use crate::chain::{NAMES, PLAIN, element, map, optimizer, parts, slot, varied, wave};

/// `apply`, `apply_parts`, one segment at a time and a plain loop, bitwise: parameters and state.
fn agree<const N: usize>(lengths: &[usize], per_segment: bool) {
    let map = map(lengths);
    let mut whole = optimizer::<N>(&map, per_segment);
    let mut in_parts = optimizer::<N>(&map, per_segment);
    let mut lone = optimizer::<N>(&map, per_segment);
    let start: Vec<f32> = (0..map.len()).map(wave).collect();
    let (mut x_whole, mut x_parts, mut x_lone) = (start.clone(), start.clone(), start.clone());
    let mut naive: Vec<(f32, [f32; N])> = Vec::new();
    for segment in map.segments() {
        let rule = if per_segment { varied(segment) } else { PLAIN };
        let init = std::array::from_fn(|k| rule.init as f32 + k as f32);
        naive.extend(start[segment.range.clone()].iter().map(|&x| (x, init)));
    }
    for t in 1..=3 {
        let g: Vec<f32> = (0..map.len()).map(|i| wave(i + 31 * t)).collect();
        whole.apply(&mut x_whole, &g).unwrap();
        in_parts
            .apply_parts(&mut parts(&map, &mut x_parts, &g))
            .unwrap();
        for (index, part) in parts(&map, &mut x_lone, &g).iter().enumerate() {
            lone.check(index, part.d.unwrap()).unwrap();
        }
        for (index, part) in parts(&map, &mut x_lone, &g).iter_mut().enumerate() {
            lone.advance(index, std::slice::from_mut(part)).unwrap();
        }
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
    assert!(bits(&x_lone) == bits(&x), "advance {lengths:?}");
    for (k, name) in NAMES.iter().enumerate() {
        let expected: Option<Vec<u32>> =
            (k < N).then(|| naive.iter().map(|(_, s)| s[k].to_bits()).collect());
        for sgd in [&whole, &in_parts, &lone] {
            let found = slot(sgd, name).map(|values| bits(&values));
            assert!(found == expected, "{name} {lengths:?}");
        }
    }
    for index in 0..lengths.len() {
        let steps = [&whole, &in_parts, &lone].map(|sgd| sgd.steps(index));
        assert_eq!(steps, [3; 3]);
    }
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
    assert_eq!(slot(&sgd, "a").unwrap(), [0.0, 0.0, 2.0, 2.0, 2.0]);
    assert_eq!(slot(&sgd, "c").unwrap(), [2.0, 2.0, 4.0, 4.0, 4.0]);
    assert!(slot(&sgd, "d").is_none() && sgd.slot("a", 3).is_none());
    assert_eq!(sgd.params(), &map);
    assert_eq!(sgd.rule(2).map(|rule| rule.init), Some(2.0));
    assert!(sgd.rule(3).is_none() && sgd.steps(3) == 0);
    let one = optimizer::<1>(&map, false);
    assert_eq!(slot(&one, "a").unwrap(), [2.0; 5]);
    assert!(slot(&one, "b").is_none() && slot(&optimizer::<0>(&map, false), "a").is_none());
    assert_eq!(
        [0, 1, 2].map(|index| one.rule(index).map(|r| r.init)),
        [Some(2.0); 3]
    );
    assert_eq!((Update::width(&one), Update::width(&sgd)), (1, 3));
}

#[test]
fn debug_shows_rules_and_no_buffers() {
    let mut sgd = optimizer::<1>(&map(&[5_000]), false);
    sgd.apply(&mut vec![0.0; 5_000], &vec![1.0; 5_000]).unwrap();
    let text = format!("{sgd:?}");
    assert!(text.len() < 300, "{text}");
    for part in ["Chain", "lr: 0.3", "parameters: 5000"] {
        assert!(text.contains(part), "{text}");
    }
}
