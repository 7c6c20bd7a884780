//! Updates whose state is dealt out, against the same ones whole.

use std::env;
use std::path::PathBuf;

use opt_core::{
    Error, FirstOrder, Groups, Objective, ParamMap, Parameters, Part, Scalar, Snapshot, State,
    Storage, Train, Tune, Update, Visit, run,
};
use opt_firstorder::{Adam, Momentum, Sgd};
use opt_mpi::{AllReduced, Ranks, Sharded};
use opt_nn::Mlp;

use crate::model::{mine, same_bits, start};
use crate::{Failure, Outcome};

fn params() -> ParamMap {
    let tensors = [
        ("w", vec![37, 11]),
        ("none", vec![0, 3]),
        ("scalar", vec![]),
        ("a/w", vec![5, 4, 3]),
        ("b", vec![37]),
    ];
    ParamMap::new(tensors).expect("a map")
}

fn wave<F: Scalar>(len: usize, salt: usize) -> Vec<F> {
    let at = |i: usize| (i * (salt + 3)) as f64 * 0.731 + salt as f64;
    (0..len)
        .map(|i| F::of(at(i).sin() + 1e-3 * at(i).cos()))
        .collect()
}

/// Every elementwise method: the same x, and the same snapshot as the update that is whole.
pub(crate) fn rules(ranks: &Ranks) -> Outcome {
    type F = f64; // the other one would double the time that this binary takes to compile
    let params = params();
    let zoo = opt_firstorder::zoo::<F, Mlp<F>>();
    let mut elementwise = 0;
    for entry in zoo.iter().filter(|entry| entry.is_elementwise()) {
        elementwise += 1;
        let make = |map: &ParamMap| entry.update(&[], map).expect("an update");
        let mut there = Sharded::<_, F>::new(&params, ranks, make)?;
        let mut here = make(&params)?;
        let (mut x, mut y) = (wave::<F>(params.len(), 1), wave(params.len(), 1));
        for step in 0..3 {
            let d = wave(params.len(), step + 2);
            there.apply(&mut x, &d)?;
            here.apply(&mut y, &d)?;
        }
        // Some tensors only, so that their clocks differ.
        let d = wave(params.len(), 9);
        parts(&mut there, &params, &mut x, &d)?;
        parts(&mut here, &params, &mut y, &d)?;
        same_bits(entry.name(), &x, &y);
        let (a, b) = (
            Snapshot::take(&mut [("", &mut there)])?,
            Snapshot::take(&mut [("", &mut here)])?,
        );
        assert_eq!(a, b, "{}", entry.name());
        // On from the state of the other.
        let mut there = Sharded::<_, F>::new(&params, ranks, make)?;
        b.restore(&mut [("", &mut there)])?;
        there.apply(&mut x, &d)?;
        here.apply(&mut y, &d)?;
        same_bits(entry.name(), &x, &y);
    }
    assert!(elementwise > 15);
    Ok(())
}

fn parts<F: Scalar>(
    update: &mut dyn Update<F>,
    params: &ParamMap,
    x: &mut [F],
    d: &[F],
) -> Result<(), Error> {
    let (mut rest, mut list) = (x, Vec::new());
    for (index, segment) in params.segments().iter().enumerate() {
        let (now, later) = rest.split_at_mut(segment.range.len());
        list.push(match index {
            3 => Part::still(now),
            _ => Part::new(now, &d[segment.range.clone()]),
        });
        rest = later;
    }
    update.apply_parts(&mut list)?;
    // And one segment by itself.
    let last = params.segments().len() - 1;
    let place = &params.segments()[last];
    update.check(last, &d[place.range.clone()])?;
    let x = std::mem::take(&mut list[last].x);
    update.advance(last, &mut [Part::new(x, &d[place.range.clone()])])
}

pub(crate) fn check(ranks: &Ranks) -> Outcome {
    groups(ranks)?;
    memory(ranks)?;
    refusals(ranks)?;
    diverged(ranks)?;
    refused_state(ranks)
}

fn groups(ranks: &Ranks) -> Outcome {
    let params = params();
    let make = |map: &ParamMap| {
        Groups::<f32>::builder()
            .rule("matrices", |s| s.shape.len() > 1, Adam::default())
            .rule("vectors", |s| s.shape.len() == 1, Momentum::default())
            .frozen("scalars", |s| s.name == "scalar")
            .build(map)
    };
    let scalar = params.get("scalar").expect("a segment").range.start;
    let mut there = match Sharded::<_, f32>::new(&params, ranks, make) {
        // Where another rank has the scalar, its empty piece has an axis: choose by name.
        Err(_) => {
            let make = |map: &ParamMap| {
                Groups::<f32>::builder()
                    .rule("matrices", |s| s.shape.len() > 1, Adam::default())
                    .rule("vectors", |s| s.name == "b", Momentum::default())
                    .frozen("scalars", |s| s.name == "scalar")
                    .build(map)
            };
            Sharded::new(&params, ranks, make)?
        }
        Ok(made) => made,
    };
    let mut here = make(&params)?;
    let (mut x, mut y) = (wave(params.len(), 1), wave(params.len(), 1));
    for factor in [1.0, 0.5] {
        there.scale("lr", factor)?;
        here.scale("lr", factor)?;
        there.set("vectors/momentum", 0.8.into())?;
        here.set("vectors/momentum", 0.8.into())?;
        let d = wave(params.len(), 4);
        there.apply(&mut x, &d)?;
        here.apply(&mut y, &d)?;
    }
    same_bits("groups", &x, &y);
    assert_eq!(x[scalar], wave::<f32>(params.len(), 1)[scalar]);
    assert_eq!(there.list(), here.list());
    Ok(())
}

fn memory(ranks: &Ranks) -> Outcome {
    let params = ParamMap::new([("w", vec![1000, 100]), ("b", vec![1000])])?;
    let make = |map: &ParamMap| FirstOrder::new(Adam::default(), map);
    let there = Sharded::<_, f32>::new(&params, ranks, make)?;
    let here = make(&params)?;
    let share = there.bytes() as f64 / here.bytes() as f64;
    assert!(share < 1.0 / ranks.size() as f64 + 1e-3, "{share}");
    if ranks.size() == 4 {
        assert!(share <= 0.3, "{share}");
    }
    assert_eq!(there.range().len(), there.shard().params().len());
    assert_eq!(there.width(), 2);
    Ok(())
}

/// Bad directions and lengths: the error that the whole update has, on all ranks, and nothing moved.
fn refusals(ranks: &Ranks) -> Outcome {
    let params = params();
    let make = |map: &ParamMap| FirstOrder::new(Adam::default(), map);
    let mut there = Sharded::<_, f32>::new(&params, ranks, make)?;
    let mut here = make(&params)?;
    let (mut x, mut y) = (wave::<f32>(params.len(), 1), wave(params.len(), 1));
    let good = wave::<f32>(params.len(), 2);
    there.apply(&mut x, &good)?;
    here.apply(&mut y, &good)?;
    for (at, value) in [
        (0, f32::NAN),
        (params.len() - 1, f32::INFINITY),
        (230, 3e38),
        (406, -3e38),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        let (a, b) = (there.apply(&mut x, &bad), here.apply(&mut y, &bad));
        let (a, b) = (a.expect_err("refused"), b.expect_err("refused"));
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
        let (a, b) = (
            parts(&mut there, &params, &mut x, &bad),
            parts(&mut here, &params, &mut y, &bad),
        );
        let text = |result: Result<(), Error>| result.map_err(|error| format!("{error:?}"));
        let (a, b) = (text(a), text(b));
        // The still part is not looked at.
        assert_eq!(a, b);
    }
    let short = there.apply(&mut x, &good[1..]).expect_err("too short");
    assert!(matches!(short, Error::Length { .. }));
    // On one rank only, too.
    let cut = usize::from(ranks.rank() + 1 == ranks.size());
    let short = there.apply(&mut x[cut..], &good);
    assert!(matches!(short, Err(Error::Length { .. })));
    // Tensors that move on some ranks only.
    if ranks.size() > 1 {
        let segments = params.segments().iter();
        let mut list = x.clone();
        let (mut rest, mut parts) = (&mut list[..], Vec::new());
        for segment in segments {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(segment.range.len());
            let moves = ranks.rank() > 0 || segment.name != "b";
            let d = moves.then_some(&good[segment.range.clone()]);
            parts.push(Part { x: now, d });
            rest = later;
        }
        let error = there.apply_parts(&mut parts).expect_err("other tensors");
        assert!(error.to_string().contains("Update::check"), "{error}");
    }
    same_bits("x", &x, &y);
    let (a, b) = (
        Snapshot::take(&mut [("", &mut there)])?,
        Snapshot::take(&mut [("", &mut here)])?,
    );
    assert_eq!(a, b);
    Ok(())
}

/// After the move: what leaves the type's range. And what no shards can be made of.
fn diverged(ranks: &Ranks) -> Outcome {
    let params = params();
    let (mut x, mut y) = (wave::<f32>(params.len(), 1), wave(params.len(), 1));
    let make = |map: &ParamMap| {
        FirstOrder::new(
            Sgd {
                lr: 1e30,
                weight_decay: 0.0,
            },
            map,
        )
    };
    let mut there = Sharded::<_, f32>::new(&params, ranks, make)?;
    let mut here = make(&params)?;
    let mut huge = vec![1.0_f32; params.len()];
    huge[412] = 1e20;
    let (a, b) = (there.apply(&mut x, &huge), here.apply(&mut y, &huge));
    let (a, b) = (a.expect_err("diverged"), b.expect_err("diverged"));
    assert!(matches!(a, Error::Diverged { .. }));
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    same_bits("x", &x, &y);
    if ranks.size() > 1 {
        let few = ParamMap::flat(ranks.size() - 1)?;
        let none = Sharded::<_, f32>::new(&few, ranks, |map| FirstOrder::new(Adam::default(), map));
        assert!(
            none.err()
                .is_some_and(|error| error.to_string().contains("take fewer"))
        );
    }
    let made = Sharded::<_, f32>::new(&params, ranks, |_| {
        FirstOrder::new(Adam::default(), &ParamMap::flat(3)?)
    });
    assert!(
        made.err()
            .is_some_and(|error| error.to_string().contains("shard"))
    );
    Ok(())
}

/// State in few bits has no shards, and says so in place of a snapshot.
fn refused_state(ranks: &Ranks) -> Outcome {
    let params = ParamMap::flat(50_000)?;
    let mut there = Sharded::<_, f32>::new(&params, ranks, |map| {
        let mut adam = FirstOrder::new(Adam::default(), map)?;
        adam.store(Storage::named("bf16", 0).expect("bf16"), &|_| false)?;
        Ok(adam)
    })?;
    let refused = Snapshot::take(&mut [("adam", &mut there)]).expect_err("packed");
    assert!(
        refused.to_string().contains("cannot be sharded"),
        "{refused}"
    );
    assert!(
        there
            .store(Storage::named("8bit", 0).expect("8 bits"), &|_| false)
            .is_err()
    );
    // What is shown is whole, whoever looks.
    struct Names(Vec<(String, Vec<usize>)>);
    impl Visit<f32> for Names {
        fn buffer(&mut self, name: &str, shape: &[usize], _: &mut [f32]) {
            self.0.push((name.to_owned(), shape.to_vec()));
        }
        fn count(&mut self, _: &str, _: &mut u64) {}
        fn number(&mut self, _: &str, _: &mut f64) {}
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}
    }
    let map = ParamMap::new([("w", vec![4, 5])])?;
    let mut adam =
        Sharded::<_, f32>::new(&map, ranks, |map| FirstOrder::new(Adam::default(), map))?;
    let mut names = Names(Vec::new());
    adam.visit(&mut names);
    assert_eq!(
        names.0,
        [
            ("m/w".to_owned(), vec![4, 5]),
            ("s/w".to_owned(), vec![4, 5])
        ]
    );
    Ok(())
}

fn file() -> PathBuf {
    env::temp_dir().join("opt-mpi-test-state.safetensors")
}

/// An objective, a method and where it starts.
type Start = (AllReduced<Mlp<f32>>, Trained, Vec<f32>);
type Trained = Train<f32, opt_core::Gradient, Sharded<FirstOrder<f32, Adam, 2>>>;

fn trained(ranks: &Ranks) -> Result<Start, Failure> {
    let all = AllReduced::new(mine::<f32>(ranks), ranks);
    let params = all.params().clone();
    let adam = Sharded::new(&params, ranks, |map| FirstOrder::new(Adam::default(), map))?;
    Ok((all, Train::new(adam), start::<f32>()))
}

/// Five steps, and the state as one file.
pub(crate) fn save(ranks: &Ranks) -> Outcome {
    let (mut all, mut train, mut x) = trained(ranks)?;
    let mut step = 0_u64;
    while step < 5 {
        train.step(&mut all, &mut x)?;
        step += 1;
    }
    let saved = run![x, train, step].take()?;
    ranks.save(&saved, file())?;
    let nowhere = ranks
        .save(&saved, "/nowhere/at/all")
        .expect_err("no such folder");
    assert!(nowhere.to_string().contains("on rank 0"), "{nowhere}");
    Ok(())
}

/// From the file of another number of ranks: the same state as one process has from it, and on.
pub(crate) fn resume(ranks: &Ranks) -> Outcome {
    let (mut all, mut train, mut x) = trained(ranks)?;
    let mut step = 0_u64;
    let saved = ranks.load::<f32>(file())?;
    run![x, train, step].restore(&saved)?;
    assert_eq!(step, 5);
    assert_ne!(x, start::<f32>());
    let params = all.params().clone();
    let mut y = start::<f32>();
    let mut whole = FirstOrder::new(Adam::default(), &params)?;
    let named: &mut [(&str, &mut dyn State<f32>)] =
        &mut [("x", &mut y), ("train", &mut whole), ("step", &mut step)];
    saved.restore(named)?;
    same_bits("x", &x, &y);
    // Bit by bit on from there.
    let mut whole = Train::new(whole);
    for _ in 0..5 {
        train.step(&mut all, &mut x)?;
        whole.step(&mut all, &mut y)?;
    }
    same_bits("x", &x, &y);
    assert_eq!(run![x, train, step].take()?, {
        let (mut x, mut train) = (y, whole);
        run![x, train, step].take()?
    });
    let mut parameters = x.clone();
    let missing = Snapshot::take(&mut [("x", &mut Parameters::new(&params, &mut parameters)?)])?;
    assert!(missing.restore(&mut [("x", &mut train)]).is_err());
    assert!(ranks.load::<f32>("/nowhere/at/all").is_err());
    Ok(())
}
