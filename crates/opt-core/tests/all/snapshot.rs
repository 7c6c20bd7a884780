//! Snapshots in memory: several states at once, and what does not fit.

use opt_core::{Error, ParamMap, Parameters, Snapshot, State, Visit};

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

#[test]
fn states_of_one_snapshot_do_not_mix() {
    let (mut a, mut b) = (table(1.0), table(2.0));
    let saved = Snapshot::take(&mut [("a", &mut a), ("b", &mut b)]);
    let (mut c, mut d) = (table(8.0), table(9.0));
    assert_ne!(Snapshot::take(&mut [("a", &mut c), ("b", &mut d)]), saved);
    // The order does not matter: names do.
    saved.restore(&mut [("b", &mut d), ("a", &mut c)]).unwrap();
    assert_eq!(format!("{c:?}{d:?}"), format!("{a:?}{b:?}"));
    assert_eq!(Snapshot::take(&mut [("a", &mut c), ("b", &mut d)]), saved);
}

type Change = fn(&mut Table<f64>);

#[test]
fn whatever_does_not_fit_is_listed_and_nothing_written() {
    // How the state to be restored differs from the one saved, and what the error must list.
    let cases: [(Change, &[&str]); 8] = [
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
            &["`s/loss` is missing", "`s/t` is missing"],
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
        let saved = Snapshot::take(&mut [("first", &mut first), ("s", &mut state)]);
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
    let saved = Snapshot::take(&mut [("a", &mut table(1.0))]);
    let error = saved.restore(&mut []).unwrap_err().to_string();
    assert_eq!(error.matches("is unknown").count(), 6, "{error}");
}

#[test]
fn two_states_of_one_name_are_refused() {
    let (mut a, mut b) = (table(1.0), table(2.0));
    let saved = Snapshot::take(&mut [("s", &mut a), ("s", &mut b)]);
    let error = saved.restore(&mut [("s", &mut a), ("s", &mut b)]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`s/m` is there twice"), "{error}");
    assert_eq!(a.buffers[0].2, [1.0; 6]);
}

#[test]
fn parameters_of_another_length_are_not_visited() {
    let map = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    let map = &map;
    let saved = Snapshot::take(&mut [(
        "x",
        &mut Parameters {
            map,
            x: &mut [1.0; 3],
        },
    )]);
    for len in [0, 2, 4] {
        let mut x = vec![9.0; len];
        let mut wrong = Parameters { map, x: &mut x };
        assert_eq!(
            Snapshot::take(&mut [("x", &mut wrong)]),
            Snapshot::take(&mut [])
        );
        let error = saved.restore(&mut [("x", &mut wrong)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "snapshot: `x/b` is unknown; `x/w` is unknown"
        );
        assert!(x.iter().all(|&v| v == 9.0));
    }
    let mut x = [9.0; 3];
    saved
        .restore(&mut [("x", &mut Parameters { map, x: &mut x })])
        .unwrap();
    assert_eq!(x, [1.0; 3]);
}
