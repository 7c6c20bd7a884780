//! What `FirstOrder` refuses, and that nothing has changed then.

use opt_core::{Error, FirstOrder, ParamMap, Part, Segment, Snapshot, State, Update, Visit};

use crate::chain::{Chain, Optimizer, PLAIN, map, optimizer, parts, wave};

#[test]
fn a_bad_rule_among_good_ones_is_refused() {
    let map = map(&[2, 2, 2]);
    for bad in 0..3 {
        let rule = |s: &Segment| Chain {
            mu: if s.range.start == 2 * bad { 1.0 } else { 0.5 },
            ..PLAIN
        };
        let error = FirstOrder::<f64, Chain, 1>::with(&map, rule).unwrap_err();
        let expected = format!("s{bad}/mu = 1: must be in [0, 1)");
        assert_eq!(error.to_string(), expected);

        let mut sgd = optimizer::<1>(&map, true);
        let before = format!("{sgd:?}");
        let mut call = 0;
        // A closure that counts its calls is right only if each rule is changed exactly once.
        let result = sgd.adjust(|_, rule| {
            rule.lr = if call == bad { f64::NAN } else { 9.0 };
            rule.init = 9.0;
            call += 1;
        });
        let named = format!("s{bad}/lr");
        assert!(matches!(result, Err(Error::Hyper { name, .. }) if name == named));
        assert_eq!(format!("{sgd:?}"), before);
        let (mut told, mut call) = (Vec::new(), 3);
        sgd.adjust(|segments, rule| {
            told.extend(segments.iter().map(|segment| segment.name.clone()));
            rule.lr = call as f64;
            call += 1;
        })
        .unwrap();
        assert_eq!(told, ["s0", "s1", "s2"]);
        sgd.adjust(|_, rule| rule.lr *= 2.0).unwrap();
        let rules = [0, 1, 2].map(|index| sgd.rule(index).unwrap());
        let changed = rules.map(|r| (r.lr, r.init));
        // The starting values are those of `varied`.
        assert_eq!(changed, [(6.0, 0.0), (8.0, 2.0), (10.0, 4.0)]);
    }
}

/// x and all state, to compare before and after.
fn all<const N: usize>(sgd: &mut Optimizer<N>, x: &[f32]) -> (Snapshot<f32>, Vec<f32>) {
    (Snapshot::take(&mut [("sgd", sgd)]).unwrap(), x.to_vec())
}

#[test]
fn bad_gradients_name_the_place_and_change_nothing() {
    let sizes = [vec![3, 0, 4], vec![20_000, 0, 40_000, 7], vec![150; 300]];
    for (lengths, per_segment) in sizes.iter().flat_map(|l| [(l, false), (l, true)]) {
        let map = map(lengths);
        let mut sgd = optimizer::<3>(&map, per_segment);
        let mut x: Vec<f32> = (0..map.len()).map(wave).collect();
        let good: Vec<f32> = (0..map.len()).map(|i| wave(i + 5)).collect();
        sgd.apply(&mut x, &good).unwrap();
        let before = all(&mut sgd, &x);
        let places = map.segments().iter().filter(|s| !s.range.is_empty());
        for (k, place) in places.enumerate() {
            let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][k % 3];
            let within = k * 7 % place.range.len();
            let mut g = good.clone();
            g[place.range.start + within] = bad;
            if k % 2 == 1 {
                g[map.len() - 1] = f32::NAN; // a later one, which must not be named
            }
            let result = [
                sgd.apply(&mut x, &g),
                sgd.apply_parts(&mut parts(&map, &mut x, &g)),
            ];
            let value = g[place.range.start + within];
            let expected = format!(
                "gradient of segment `{}` is {value} at index {within}",
                place.name
            );
            for error in result {
                assert_eq!(error.unwrap_err().to_string(), expected);
            }
        }
        assert!(all(&mut sgd, &x) == before, "{lengths:?}");
        assert_eq!(sgd.steps(0), 1);
    }
}

#[test]
fn bad_lengths_name_the_slice_and_change_nothing() {
    let map = map(&[2, 0, 3]);
    let mut sgd = optimizer::<1>(&map, false);
    let mut x = [1.0; 5];
    let before = all(&mut sgd, &x);
    // Lengths of the tensors with those of their gradients, and what the error must say.
    let cases: [(&[(usize, usize)], &str); 6] = [
        (&[(2, 2), (0, 0)], "list of tensors has length 2"),
        (
            &[(2, 2), (0, 0), (3, 3), (0, 0)],
            "list of tensors has length 4",
        ),
        (&[], "list of tensors has length 0"),
        (&[(2, 2), (0, 0), (2, 3)], "s2 has length 2, must have 3"),
        (&[(2, 2), (1, 1), (3, 3)], "s1 has length 1, must have 0"),
        (
            &[(2, 2), (0, 0), (3, 4)],
            "gradient of s2 has length 4, must",
        ),
    ];
    for (lengths, text) in cases {
        let mut own: Vec<Vec<f32>> = lengths.iter().map(|&(n, _)| vec![7.0; n]).collect();
        let g: Vec<Vec<f32>> = lengths.iter().map(|&(_, n)| vec![1.0; n]).collect();
        let mut parts: Vec<_> = (own.iter_mut().zip(&g))
            .map(|(x, g)| Part::new(x, g))
            .collect();
        let error = sgd.apply_parts(&mut parts).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
        if lengths.len() > 2 {
            sgd.advance(0, &mut parts).unwrap_err();
        }
        assert!(own.iter().flatten().all(|&v| v == 7.0));
    }
    let long = [0.0; 6];
    let results = [
        (sgd.apply(&mut x[..4], &long[..5]), "x has length 4"),
        (sgd.apply(&mut x, &long), "gradient has length 6"),
        (sgd.advance_whole(&mut x[..4], &long[..5]), "x has length 4"),
        (sgd.advance_whole(&mut x, &long), "gradient has length 6"),
        (sgd.check_whole(&long), "gradient has length 6"),
        (sgd.check(2, &long), "gradient of s2 has length 6"),
        (sgd.check(3, &long), "no segment number 3"),
    ];
    for (result, text) in results {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
    assert!(all(&mut sgd, &x) == before);
}

#[test]
fn the_extremes_of_size_and_steps_do_not_panic() {
    struct Last;
    impl Visit<f32> for Last {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, _: &str, _: &[usize], _: &mut [f32]) {}
        fn count(&mut self, name: &str, value: &mut u64) {
            assert!(name.starts_with("t/"));
            *value = u64::MAX;
        }
        fn number(&mut self, _: &str, _: &mut f64) {}
    }
    let mut sgd = optimizer::<1>(&map(&[2, 1]), false);
    sgd.visit(&mut Last);
    let mut x = [0.0; 3];
    sgd.apply(&mut x, &[1.0; 3]).unwrap();
    let (a, b) = x.split_at_mut(2);
    sgd.apply_parts(&mut [Part::new(a, &[1.0; 2]), Part::new(b, &[1.0])])
        .unwrap();
    assert_eq!([0, 1].map(|index| sgd.steps(index)), [u64::MAX; 2]);

    let huge = ParamMap::flat(isize::MAX as usize).unwrap();
    let error = FirstOrder::<f32, Chain, 1>::new(PLAIN, &huge).unwrap_err();
    assert!(matches!(error, Error::SegmentTooLarge(name) if name == "x"));
}
