//! Snapshots in memory: several states at once, and what does not fit.

use std::time::Instant;

use opt_core::{Error, Named, ParamMap, Parameters, Snapshot, State, Visit};

/// State as a plain table, under any names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<F> {
    pub(crate) buffers: Vec<(&'static str, Vec<usize>, Vec<F>)>,
    pub(crate) counts: Vec<(&'static str, u64)>,
    pub(crate) numbers: Vec<(&'static str, f64)>,
}

impl<F: opt_core::Scalar> State<F> for Table<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (name, shape, data) in &mut self.buffers {
            visitor.buffer(name, shape, data);
        }
        for (name, value) in &mut self.counts {
            visitor.count(name, value);
        }
        for (name, value) in &mut self.numbers {
            visitor.number(name, value);
        }
    }
}

fn table(fill: f64) -> Table<f64> {
    Table {
        buffers: vec![
            ("m", vec![2, 3], vec![fill; 6]),
            ("scale", vec![], vec![fill]),
            ("none", vec![0, 2], vec![]),
        ],
        counts: vec![("t", fill as u64), ("seed", u64::MAX)],
        numbers: vec![("loss", fill / 10.0)],
    }
}

fn take(states: &mut Named<'_, '_, f64>) -> Snapshot<f64> {
    Snapshot::take(states).unwrap()
}

#[test]
fn states_of_one_snapshot_do_not_mix() {
    let (mut a, mut b) = (table(1.0), table(2.0));
    let saved = take(&mut [("a", &mut a), ("b", &mut b)]);
    let (mut c, mut d) = (table(8.0), table(9.0));
    assert_ne!(take(&mut [("a", &mut c), ("b", &mut d)]), saved);
    // The order does not matter: names do.
    saved.restore(&mut [("b", &mut d), ("a", &mut c)]).unwrap();
    assert_eq!(format!("{c:?}{d:?}"), format!("{a:?}{b:?}"));
    assert_eq!(take(&mut [("a", &mut c), ("b", &mut d)]), saved);
}

type Change = fn(&mut Table<f64>);

#[test]
fn whatever_does_not_fit_is_listed_and_nothing_written() {
    // How the state to be restored differs from the one saved, and what the error must list.
    let cases: [(Change, &[&str]); 10] = [
        (
            |s| s.buffers[0].0 = "n",
            &["`s/n` is missing", "`s/m` is unknown"],
        ),
        (|s| s.counts.push(("k", 1)), &["`s/k` is missing"]),
        (
            |s| s.numbers[0].0 = "mu",
            &["`s/mu` is missing", "`s/loss` is unknown"],
        ),
        (
            |s| s.counts.clear(),
            &["`s/t` is unknown", "`s/seed` is unknown"],
        ),
        (
            |s| s.buffers[0].1 = vec![3, 2],
            &["`s/m` has shape [2, 3], must be [3, 2]"],
        ),
        (
            |s| s.buffers[1] = ("scale", vec![1], vec![5.0]),
            &["`s/scale` has shape [], must be [1]"],
        ),
        // The same name, but another kind of value.
        (
            |s| (s.counts[0].0, s.numbers[0].0) = ("loss", "t"),
            &[
                "`s/loss` is a number, must be a count",
                "`s/t` is a count, must be a number",
            ],
        ),
        (
            |s| (s.buffers[1].0, s.counts[0].0) = ("t", "scale"),
            &[
                "`s/t` is a count, must be a tensor",
                "`s/scale` is a tensor, must be a count",
            ],
        ),
        (
            |s| s.buffers[0].2.truncate(5),
            &["`s/m` has 5 values for shape [2, 3]"],
        ),
        (
            |s| {
                s.buffers[2].1 = vec![2, 0];
                s.buffers.push(("v", vec![1], vec![5.0]));
                s.counts[1].0 = "rng";
                s.numbers.clear();
            },
            &[
                "`s/none` has shape [0, 2], must be [2, 0]",
                "`s/v` is missing",
                "`s/rng` is missing",
                "`s/seed` is unknown",
                "`s/loss` is unknown",
            ],
        ),
    ];
    for (change, expected) in cases {
        let (mut state, mut first) = (table(3.0), table(1.0));
        let saved = take(&mut [("first", &mut first), ("s", &mut state)]);
        (state, first) = (table(7.0), table(7.0));
        change(&mut state);
        let before = format!("{first:?}{state:?}");
        // The first fits, and must be left alone all the same.
        let result = saved.restore(&mut [("first", &mut first), ("s", &mut state)]);
        let Err(Error::Snapshot(text)) = result else {
            panic!("{expected:?}: {result:?}")
        };
        let mut listed: Vec<&str> = text.split("; ").collect();
        let mut expected = expected.to_vec();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(format!("{first:?}{state:?}"), before);
    }
    let saved = take(&mut [("a", &mut table(1.0))]);
    let error = saved.restore(&mut []).unwrap_err().to_string();
    assert_eq!(error.matches("is unknown").count(), 6, "{error}");
}

#[test]
fn what_is_there_twice_is_refused_when_it_is_taken_and_when_it_is_restored() {
    // The second state's name, a change to it, and the name that is there twice.
    let cases: [(&str, Change, &str); 3] = [
        ("a", |_| {}, "`a/m`"),
        ("b", |s| s.buffers[1] = ("m", vec![1], vec![9.0]), "`b/m`"),
        ("b", |s| s.numbers[0].0 = "seed", "`b/seed`"),
    ];
    let good = take(&mut [("a", &mut table(1.0)), ("b", &mut table(2.0))]);
    for (name, change, expected) in cases {
        let (mut a, mut b) = (table(3.0), table(4.0));
        change(&mut b);
        let before = format!("{a:?}{b:?}");
        let states = &mut [("a", &mut a as &mut dyn State<f64>), (name, &mut b)];
        let expected = format!("{expected} is there twice: names must differ");
        let taken = Snapshot::take(states).unwrap_err();
        assert!(taken.to_string().contains(&expected), "{taken}");
        let partly = good.restore_partial(states).unwrap_err();
        assert!(partly.to_string().contains(&expected), "{partly}");
        let whole = good.restore(states).unwrap_err();
        assert!(whole.to_string().contains(&expected), "{whole}");
        assert_eq!(format!("{a:?}{b:?}"), before);
    }
    // Two prefixes can make one name.
    let (mut one, mut deep) = (1_u64, 2_u64);
    let nested = &mut [
        ("a/t", &mut one as &mut dyn State<f64>),
        ("a", &mut table(1.0)),
    ];
    assert!(Snapshot::take(nested).is_err());
    let apart = &mut [
        ("a/k", &mut deep as &mut dyn State<f64>),
        ("a", &mut table(1.0)),
    ];
    assert!(Snapshot::take(apart).is_ok());
}

#[test]
fn a_partial_restore_names_what_is_new_and_what_is_gone() {
    let mut old = table(3.0);
    let saved = take(&mut [("s", &mut old), ("gone", &mut 5_u64)]);
    let mut new = table(7.0);
    new.buffers.insert(0, ("head", vec![2], vec![7.0; 2]));
    new.counts[0].0 = "k";
    new.numbers[0].0 = "mu";
    let mut added = 0.5;
    let restored = saved
        .restore_partial(&mut [("s", &mut new), ("lr", &mut added)])
        .unwrap();
    assert_eq!(restored.missing, ["s/head", "s/k", "s/mu", "lr"]);
    assert_eq!(restored.unknown, ["gone", "s/loss", "s/t"]);
    let mut expected = table(3.0);
    expected.buffers.insert(0, ("head", vec![2], vec![7.0; 2]));
    expected.counts[0] = ("k", 7);
    expected.numbers[0] = ("mu", 0.7);
    assert_eq!(format!("{new:?}"), format!("{expected:?}"));
    assert_eq!(added, 0.5);
    // All fits: nothing is named, and all is there.
    let mut same = table(7.0);
    let restored = saved.restore_partial(&mut [("s", &mut same), ("gone", &mut 0_u64)]);
    let restored = restored.unwrap();
    assert!(restored.missing.is_empty() && restored.unknown.is_empty());
    assert_eq!(format!("{same:?}"), format!("{old:?}"));

    // What has another shape or kind is refused, and nothing written.
    let cases: [(Change, &str); 3] = [
        (
            |s| s.buffers[0].1 = vec![3, 2],
            "`s/m` has shape [2, 3], must be [3, 2]",
        ),
        (
            |s| s.counts[0].0 = "loss",
            "`s/loss` is a number, must be a count",
        ),
        (
            |s| s.buffers[0].2.truncate(1),
            "`s/m` has 1 values for shape [2, 3]",
        ),
    ];
    for (change, expected) in cases {
        let mut state = table(7.0);
        change(&mut state);
        let before = format!("{state:?}");
        let error = saved.restore_partial(&mut [("s", &mut state)]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(format!("{state:?}"), before);
    }
}

#[test]
fn a_tensor_of_another_size_than_its_shape_is_not_taken() {
    let cases: [(Vec<usize>, usize); 4] = [
        (vec![2, 3], 5),
        (vec![], 0),
        (vec![0, 2], 1),
        (vec![usize::MAX, 2], 0),
    ];
    for (shape, len) in cases {
        let buffers = vec![("m", shape.clone(), vec![1.0; len])];
        let mut state = Table {
            buffers,
            ..Table::default()
        };
        let error = Snapshot::take(&mut [("s", &mut state)]).unwrap_err();
        let expected = format!("snapshot: `s/m` has {len} values for shape {shape:?}");
        assert_eq!(error.to_string(), expected);
    }
    // Too large a product, and yet nothing.
    let buffers = vec![("m", vec![usize::MAX, 2, 0], vec![])];
    let mut state = Table {
        buffers,
        ..Table::default()
    };
    take(&mut [("s", &mut state)]);
}

#[test]
fn parameters_of_another_length_are_refused() {
    let map = &ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    for found in [0, 2, 4] {
        let error = Parameters::new(map, &mut vec![9.0; found]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("x has length {found}, must have 3")
        );
        // The same of a method's state.
        struct Velocity<'a>(&'a ParamMap, Vec<f64>);
        impl State<f64> for Velocity<'_> {
            fn visit(&mut self, visitor: &mut dyn Visit<f64>) {
                self.0.visit("v", &mut self.1, visitor);
            }
        }
        let error = Snapshot::take(&mut [("m", &mut Velocity(map, vec![9.0; found]))]);
        let expected = format!("snapshot: `m/v` has {found} values for shape [3]");
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    let mut x = [1.0, 2.0, 3.0];
    let saved = take(&mut [("x", &mut Parameters::new(map, &mut x).unwrap())]);
    x = [9.0; 3];
    saved
        .restore(&mut [("x", &mut Parameters::new(map, &mut x).unwrap())])
        .unwrap();
    assert_eq!(x, [1.0, 2.0, 3.0]);
}

/// Nanoseconds that this thread has run, which other processes do not add to; where the system
/// does not tell, nanoseconds that have passed.
fn clock(start: Instant) -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let ran = stat
        .ok()
        .and_then(|stat| stat.split(' ').next()?.parse().ok());
    ran.unwrap_or(start.elapsed().as_nanos() as u64)
}

#[test]
fn ten_times_the_tensors_take_no_hundred_times_as_long() {
    struct Many(Vec<(String, [f64; 1])>);
    impl State<f64> for Many {
        fn visit(&mut self, visitor: &mut dyn Visit<f64>) {
            for (name, data) in &mut self.0 {
                visitor.buffer(name, &[1], data);
            }
        }
    }
    let start = Instant::now();
    let mut states = [2_000, 20_000].map(|n| {
        let tensors = (0..n).map(|i| (format!("layer.{i}.weight"), [1.0]));
        Many(tensors.collect())
    });
    // As many tensors in all: ten times the small one for each time of the large one.
    let mut sums = [0; 2];
    for _ in 0..5 {
        for ((state, sum), times) in states.iter_mut().zip(&mut sums).zip([10, 1]) {
            let before = clock(start);
            for _ in 0..times {
                let saved = take(&mut [("s", state)]);
                saved.restore(&mut [("s", state)]).unwrap();
                saved.restore_partial(&mut [("s", state)]).unwrap();
            }
            *sum += clock(start) - before;
        }
    }
    // Quadratic would be 10.
    assert!(sums[1] < sums[0] * 5, "{sums:?} ns");
}
