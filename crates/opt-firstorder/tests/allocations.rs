//! A step allocates nothing, but for the first. (The only test of this file, as the count is the
//! process's.)
#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Groups, Objective, ParamMap, Part, Update, Value};
use opt_firstorder::{Adam, RpropPlus, Sgd, zoo};
use opt_testkit::{Counting, Quadratic, in_warm_pool};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LEN: usize = 5_000;

fn params() -> ParamMap {
    ParamMap::new((0..40).map(|i| (format!("w{i}"), vec![LEN]))).unwrap()
}

/// How often each round allocates: the whole vector, its parts, one after another, and some parts
/// without a gradient.
fn rounds(update: &mut dyn Update<f32>) -> Vec<u64> {
    let n = update.params().len();
    let (mut x, g) = (vec![1.0; n], vec![0.5; n]);
    let count = |round: u64| {
        let gaps = |i: usize| round % 2 == 1 && i % 7 == 3;
        update.apply(&mut x, &g).unwrap();
        let mut list: Vec<_> = (x.chunks_mut(LEN).zip(g.chunks(LEN)).enumerate())
            .map(|(i, (x, g))| {
                if gaps(i) {
                    Part::still(x)
                } else {
                    Part::new(x, g)
                }
            })
            .collect();
        let before = Counting::all();
        update.apply_parts(&mut list).unwrap();
        for index in 0..list.len() {
            update.check(index, &g[..LEN]).unwrap();
            update.advance(index, &mut list[index..=index]).unwrap();
        }
        let parts = Counting::all() - before;
        let before = Counting::all();
        update.apply(&mut x, &g).unwrap();
        parts + Counting::all() - before
    };
    (0..6).map(count).collect()
}

#[test]
fn steps_do_not_allocate() {
    in_warm_pool(|| {
        let mut bowl = Quadratic::<f32>::new(params(), |_| 1.0, |_| 0.0);
        for entry in zoo::<f32, Quadratic<f32>>() {
            let mut method = entry.build(&[], &bowl).unwrap();
            let mut whole = vec![1.0; bowl.params().len()];
            // The first step makes the gradient's buffer.
            for round in 0..4 {
                let before = Counting::all();
                method.step(&mut bowl, &mut whole).unwrap();
                let count = Counting::all() - before;
                assert!(round < 2 || count == 0, "{}: {count}", entry.name());
            }
            for state in ["full", "bf16", "8bit"] {
                let set = [("state", Value::Choice(state.to_owned()))];
                let Some(update) = entry.update(&set, bowl.params()) else {
                    continue;
                };
                let Ok(mut update) = update else {
                    assert_ne!(state, "full");
                    continue; // it has state that can't be rounded
                };
                let counts = rounds(update.as_mut());
                // The first round in which segments have no gradient makes their counts.
                assert!(
                    counts[3..].iter().all(|&n| n == 0),
                    "{}: {counts:?}",
                    entry.name()
                );
            }
        }
        let mut groups = Groups::builder()
            .rule("adam", |s| s.name.ends_with(['1', '4']), Adam::default())
            .rule(
                "rprop",
                |s| s.name.ends_with(['2', '7']),
                RpropPlus::default(),
            )
            .rule(
                "sgd",
                |s| s.name.ends_with(['0', '3', '5', '8']),
                Sgd::default(),
            )
            .frozen("still", |s| s.name.ends_with(['6', '9']))
            .build(&params())
            .unwrap();
        let counts = rounds(&mut groups);
        assert!(counts[3..].iter().all(|&n| n == 0), "groups: {counts:?}");
    });
}
