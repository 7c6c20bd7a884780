//! Groups of segments with rules of their own.

use opt_core::{Error, FirstOrder, Groups, ParamMap, Part, Segment, Snapshot, Tune, Update};

use crate::chain::{Chain, PLAIN, map, parts, wave};

const OTHER: Chain = Chain {
    lr: 0.05,
    mu: 0.2,
    init: 1.0,
};

fn number(segment: &Segment) -> usize {
    segment.name[1..].parse().unwrap()
}

/// Segment 3k belongs to `a`, 3k + 1 to `b`, 3k + 2 is frozen.
fn thirds(map: &ParamMap) -> Groups<f32> {
    Groups::builder()
        .rule::<_, 1>("a", |s| number(s).is_multiple_of(3), PLAIN)
        .rule::<_, 3>("b", |s| number(s) % 3 == 1, OTHER)
        .frozen("still", |s| number(s) % 3 == 2)
        .build(map)
        .unwrap()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

fn taken(update: &mut dyn Update<f32>) -> Snapshot<f32> {
    Snapshot::take(&mut [("u", update)]).unwrap()
}

#[test]
fn groups_that_are_no_partition_are_refused_by_name() {
    let map = map(&[2, 1, 3]);
    type Chooses = fn(&Segment) -> bool;
    let cases: [(&[(&str, Chooses)], &str); 7] = [
        (&[("a", |s| s.name != "s1")], "segment `s1` is in no group"),
        (&[], "segment `s0` is in no group"),
        (
            &[("a", |_| true), ("b", |s| s.name == "s2")],
            "segment `s2` is in two groups, `a` and `b`",
        ),
        (
            &[("a", |_| true), ("none", |_| false)],
            "group `none` chooses no segment",
        ),
        (
            &[("a", |s| s.name == "s0"), ("a", |s| s.name != "s0")],
            "group `a`: names must differ",
        ),
        (&[("", |_| true)], "group ``: names must"),
        (&[("a/b", |_| true)], "group `a/b`: names must"),
    ];
    for (groups, text) in cases {
        for frozen in [false, true] {
            let mut builder = Groups::<f32>::builder();
            for (name, chooses) in groups {
                builder = match frozen {
                    true => builder.frozen(*name, chooses),
                    false => builder.rule::<_, 1>(*name, chooses, PLAIN),
                };
            }
            let error = builder.build(&map).unwrap_err();
            assert!(matches!(error, Error::Groups(_)));
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
    let bad = Chain { mu: 1.0, ..PLAIN };
    let builder = Groups::<f32>::builder().rule::<_, 1>("a", |_| true, bad);
    let error = builder.build(&map).unwrap_err().to_string();
    assert_eq!(error, "a/mu = 1: must be in [0, 1)");
}

#[test]
fn what_is_frozen_is_not_looked_at() {
    let map = map(&[3, 2, 40_000, 0, 5, 7]);
    let mut groups = thirds(&map);
    assert_eq!(taken(&mut groups).len_of("s2"), 0);
    let mut x: Vec<f32> = (0..map.len()).map(wave).collect();
    let mut g = x.clone();
    let frozen = [&map.segments()[2], &map.segments()[5]].map(|s| s.range.clone());
    for range in frozen.clone() {
        g[range.clone()].fill(f32::NAN);
        x[range.start] = f32::NAN;
        x[range.start + 1] = f32::INFINITY;
    }
    let start = x.clone();
    for _ in 0..2 {
        groups.apply(&mut x, &g).unwrap();
        groups.apply_parts(&mut parts(&map, &mut x, &g)).unwrap();
    }
    for range in frozen {
        assert_eq!(bits(&x[range.clone()]), bits(&start[range]));
    }
    assert!(x[0] != start[0] && x[3] != start[3]);
    assert_eq!([0, 1, 2, 4, 5].map(|i| groups.steps(i)), [4, 4, 0, 4, 0]);
    assert_eq!(groups.get("a/lr").unwrap(), 0.3.into());
    assert!(groups.set("still/lr", 1.0.into()).is_err());
}

trait LenOf {
    fn len_of(&self, segment: &str) -> usize;
}

impl LenOf for Snapshot<f32> {
    /// How many of its names belong to the segment.
    fn len_of(&self, segment: &str) -> usize {
        let debug = format!("{self:?}");
        debug.matches(&format!("/{segment}\"")).count()
    }
}

/// Whole, in parts, one segment at a time, and an optimizer for each: the same bits, though some
/// segments have no gradient in some steps.
fn agree(lengths: &[usize]) {
    let map = map(lengths);
    let still = |t: usize, index: usize| (index + t).is_multiple_of(4);
    let start: Vec<f32> = (0..map.len()).map(wave).collect();
    let (mut in_parts, mut lone) = (thirds(&map), thirds(&map));
    let (mut x_parts, mut x_lone) = (start.clone(), start.clone());
    let own = |index: usize| ParamMap::new([(format!("s{index}"), vec![lengths[index]])]);
    let mut a: Vec<_> = (0..lengths.len())
        .map(|i| FirstOrder::<f32, _, 1>::new(PLAIN, &own(i).ok()?).ok())
        .collect();
    let mut b: Vec<_> = (0..lengths.len())
        .map(|i| FirstOrder::<f32, _, 3>::new(OTHER, &own(i).ok()?).ok())
        .collect();
    let mut x = start.clone();
    for t in 1..=6 {
        let g: Vec<f32> = (0..map.len()).map(|i| wave(i + 31 * t)).collect();
        let mut list = parts(&map, &mut x_parts, &g);
        gaps(&mut list, |index| still(t, index));
        in_parts.apply_parts(&mut list).unwrap();
        let mut list = parts(&map, &mut x_lone, &g);
        gaps(&mut list, |index| still(t, index));
        for (index, part) in list.iter().enumerate() {
            part.d.map_or(Ok(()), |d| lone.check(index, d)).unwrap();
        }
        // In any order.
        for index in (0..list.len()).rev() {
            lone.advance(index, &mut list[index..=index]).unwrap();
        }
        for (index, segment) in map.segments().iter().enumerate() {
            let (x, g) = (&mut x[segment.range.clone()], &g[segment.range.clone()]);
            match (&mut a[index], &mut b[index]) {
                (Some(a), _) if index % 3 == 0 && !still(t, index) => a.apply(x, g).unwrap(),
                (_, Some(b)) if index % 3 == 1 && !still(t, index) => b.apply(x, g).unwrap(),
                _ => {}
            }
        }
        assert!(bits(&x_parts) == bits(&x), "parts {t} {lengths:?}");
        assert!(bits(&x_lone) == bits(&x), "one by one {t} {lengths:?}");
    }
    assert!(taken(&mut in_parts) == taken(&mut lone), "{lengths:?}");
    for index in 0..lengths.len() {
        if let (Some(a), Some(b)) = (&a[index], &b[index]) {
            let expected = [a.steps(0), b.steps(0), 0][index % 3];
            assert_eq!(in_parts.steps(index), expected);
        }
    }
    // Counts that have gone apart meet the whole vector.
    let g: Vec<f32> = (0..map.len()).map(|i| wave(i + 5)).collect();
    in_parts.apply(&mut x_parts, &g).unwrap();
    lone.apply_parts(&mut parts(&map, &mut x_lone, &g)).unwrap();
    assert!(bits(&x_parts) == bits(&x_lone), "whole {lengths:?}");
    assert!(
        taken(&mut in_parts) == taken(&mut lone),
        "whole {lengths:?}"
    );
}

fn gaps(list: &mut [Part<'_, f32>], still: impl Fn(usize) -> bool) {
    for (index, part) in list.iter_mut().enumerate() {
        part.d = part.d.filter(|_| !still(index));
    }
}

#[test]
fn groups_are_optimizers_of_their_own_on_any_number_of_threads() {
    let many: Vec<usize> = (0..300).map(|i| i % 5 * 90).collect();
    let cases = [
        vec![1, 1, 1],
        vec![5, 0, 2, 3, 3, 3, 0, 4],
        vec![40_000, 70_001, 5, 33_000, 100_003, 9],
        many,
    ];
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| cases.iter().for_each(|lengths| agree(lengths)));
    }
}

#[test]
fn a_bad_gradient_in_one_group_stops_all() {
    let map = map(&[2, 3, 1, 4, 40_000]);
    let mut groups = thirds(&map);
    let mut x: Vec<f32> = (0..map.len()).map(wave).collect();
    groups.apply(&mut x, &vec![1.0; map.len()]).unwrap();
    let (before, start) = (taken(&mut groups), x.clone());
    for (index, segment) in map.segments().iter().enumerate() {
        let mut g = vec![1.0; map.len()];
        g[segment.range.end - 1] = f32::NEG_INFINITY;
        let results = [
            groups.apply(&mut x, &g),
            groups.apply_parts(&mut parts(&map, &mut x, &g)),
        ];
        if index % 3 == 2 {
            assert!(results.iter().all(Result::is_ok), "it is frozen");
            (groups, x) = (thirds(&map), start.clone());
            before.restore(&mut [("u", &mut groups)]).unwrap();
            continue;
        }
        for result in results {
            let error = result.unwrap_err().to_string();
            let at = segment.range.len() - 1;
            let text = format!("gradient of segment `s{index}` is -inf at index {at}");
            assert_eq!(error, text);
        }
        assert!(taken(&mut groups) == before && x == start, "s{index}");
    }
}

#[test]
fn state_has_no_group_in_its_name() {
    let map = map(&[2, 0, 3, 4, 0]);
    let one = |map: &ParamMap| -> Box<dyn Update<f32>> {
        Box::new(FirstOrder::<f32, _, 3>::new(PLAIN, map).unwrap())
    };
    let each = |map: &ParamMap| -> Box<dyn Update<f32>> {
        Box::new(FirstOrder::<f32, _, 3>::with(map, |_| PLAIN).unwrap())
    };
    let two = |map: &ParamMap| -> Box<dyn Update<f32>> {
        let builder = Groups::builder()
            .rule::<_, 3>("even", |s| number(s).is_multiple_of(2), PLAIN)
            .rule::<_, 3>("odd", |s| number(s) % 2 == 1, PLAIN);
        Box::new(builder.build(map).unwrap())
    };
    type Make<'a> = &'a dyn Fn(&ParamMap) -> Box<dyn Update<f32>>;
    let makers: [Make<'_>; 3] = [&one, &each, &two];
    for (from, make) in makers.iter().enumerate() {
        for (to, remake) in makers.iter().enumerate() {
            let (mut first, mut second) = (make(&map), remake(&map));
            let mut x = vec![1.0; map.len()];
            for t in 0..5 {
                let g: Vec<f32> = (0..map.len()).map(|i| wave(i + t)).collect();
                let mut list = parts(&map, &mut x, &g);
                // The counts go apart.
                gaps(&mut list, |index| index == t);
                first.apply_parts(&mut list).unwrap();
            }
            let saved = taken(&mut first);
            saved.restore(&mut [("u", &mut second)]).unwrap();
            assert!(taken(&mut second) == saved, "{from} to {to}");
            let (mut y, g) = (x.clone(), vec![0.5; map.len()]);
            first.apply(&mut x, &g).unwrap();
            second.apply(&mut y, &g).unwrap();
            assert_eq!(bits(&x), bits(&y), "{from} to {to}");
        }
    }
}

#[test]
fn what_diverges_is_named_by_the_first_of_it() {
    let map = map(&[3, 40_000, 2, 50_000, 4]);
    let name = |result: Result<(), Error>| match result {
        Err(Error::Diverged {
            segment,
            what,
            index,
            ..
        }) => (segment, what, index),
        other => panic!("{other:?}"),
    };
    let g = vec![0.5; map.len()];
    for threads in [1, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            for (bad, expected) in [
                (vec![3 + 77, 40_005 + 9], ("s1".to_owned(), "x", 77)),
                (vec![90_005 + 3, 40_005 + 9], ("s3".to_owned(), "x", 9)),
            ] {
                let mut x = vec![1.0; map.len()];
                bad.iter().for_each(|&at| x[at] = f32::NAN);
                assert_eq!(name(thirds(&map).apply(&mut x.clone(), &g)), expected);
                let mut list = parts(&map, &mut x, &g);
                assert_eq!(name(thirds(&map).apply_parts(&mut list)), expected);
            }
        });
    }
    // By this very step: f32::MAX cannot grow, nor can a velocity.
    let mut x = vec![1.0; map.len()];
    x[3..].fill(f32::MAX);
    let down = vec![-f32::MAX / 1.5; map.len()];
    let mut sgd = FirstOrder::<f32, _, 1>::new(Chain { lr: 1.0, ..PLAIN }, &map).unwrap();
    assert_eq!(name(sgd.apply(&mut x, &down)), ("s1".to_owned(), "x", 0));
    assert!(x[3].is_infinite() && x[0].is_finite());
    let mut chain = FirstOrder::<f32, _, 3>::new(Chain { lr: 1.0, ..PLAIN }, &map).unwrap();
    chain.slot_mut("b", 3).unwrap()[2] = f32::INFINITY;
    let still = vec![0.0; map.len()];
    let found = name(chain.apply(&mut vec![1.0; map.len()], &still));
    assert_eq!(found, ("s3".to_owned(), "x", 2));
}
