//! State in fewer bits: the same for any number of threads and any way to step, resumed to the bit,
//! close to whole state, and refused where it can't work.

use opt_core::{
    Error, FieldVisitor, FirstOrder, Groups, Hyper, ParamMap, Part, Rule, Scalar, Slot, Snapshot,
    State, Step, Storage, Trusted, Update, each,
};

use crate::chain::{Chain, PLAIN, map, parts, wave};

const ALL: [Storage; 2] = [Storage::Bf16 { seed: 7 }, Storage::Bits8 { seed: 7 }];

fn chain(params: &ParamMap, storage: Storage) -> FirstOrder<f32, Chain, 2> {
    let mut update = FirstOrder::new(PLAIN, params).unwrap();
    update.store(storage, &|_| false).unwrap();
    update
}

fn gradient(len: usize, t: usize) -> Vec<f32> {
    (0..len).map(|i| wave(i + 31 * t)).collect()
}

fn snapshot(update: &mut dyn State<f32>) -> Snapshot<f32> {
    Snapshot::take(&mut [("update", update)]).unwrap()
}

#[test]
fn one_thread_or_many_whole_or_in_parts_are_the_same_bits() {
    // Segments that end within a block, and one that stays whole.
    let params = map(&[5_000, 100, 70_001, 4_096]);
    for storage in ALL {
        let run = |threads: usize, by_parts: bool| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let mut update = chain(&params, storage);
                let mut x = vec![1.0; params.len()];
                for t in 0..4 {
                    let g = gradient(x.len(), t);
                    if by_parts {
                        update.apply_parts(&mut parts(&params, &mut x, &g)).unwrap();
                    } else {
                        update.apply(&mut x, &g).unwrap();
                    }
                }
                (snapshot(&mut update), x)
            })
        };
        let expected = run(1, false);
        for (threads, by_parts) in [(1, true), (2, false), (3, true)] {
            assert!(run(threads, by_parts) == expected, "{storage:?} {threads}");
        }
    }
}

#[test]
fn a_restart_changes_no_bit() {
    let params = map(&[5_000, 100, 70_001]);
    for storage in ALL {
        let (mut whole, mut x) = (chain(&params, storage), vec![1.0; params.len()]);
        for t in 0..3 {
            whole.apply(&mut x, &gradient(params.len(), t)).unwrap();
        }
        let (saved, mut y) = (snapshot(&mut whole), x.clone());
        let mut again = chain(&params, storage);
        saved.restore(&mut [("update", &mut again)]).unwrap();
        for t in 3..6 {
            whole.apply(&mut x, &gradient(params.len(), t)).unwrap();
            again.apply(&mut y, &gradient(params.len(), t)).unwrap();
        }
        assert!(x == y && snapshot(&mut whole) == snapshot(&mut again));
        // Another storage is another state.
        for other in [Storage::Full, ALL[0], ALL[1]]
            .into_iter()
            .filter(|s| *s != storage)
        {
            let mut other = chain(&params, other);
            let error = saved.restore(&mut [("update", &mut other)]).unwrap_err();
            assert!(error.to_string().contains("update/a/s0"), "{error}");
        }
    }
}

#[cfg(feature = "safetensors")]
#[test]
fn a_file_keeps_the_type() {
    let params = map(&[5_000, 100]);
    for storage in ALL {
        let (mut update, mut x) = (chain(&params, storage), vec![1.0; params.len()]);
        update.apply(&mut x, &gradient(params.len(), 0)).unwrap();
        let saved = snapshot(&mut update);
        let name = format!("opt-storage-{}-{storage:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        saved.save(&path).unwrap();
        let read = Snapshot::load(&path).unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        std::fs::remove_file(&path).unwrap();
        assert!(read == saved);
        let most = match storage {
            Storage::Bf16 { .. } => 2 * 2 * 5_000,
            _ => 2 * 5_000,
        };
        assert!(bytes < most + 2 * 4 * 100 + 2_000, "{storage:?}: {bytes}");
    }
}

/// An average of squares that is divided by, as Adam has it.
#[derive(Clone, Debug)]
struct Scaled;

impl Hyper for Scaled {
    fn fields(&mut self, _: &mut FieldVisitor<'_>) {}
}

impl<F: Scalar> Rule<F, 2> for Scaled {
    fn slots(&self) -> [Slot; 2] {
        [Slot::zero("m"), Slot::positive("s", 0.0)]
    }

    fn decays(&self) -> Option<[f64; 2]> {
        Some([0.9, 0.99])
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let [c1, c2] = step.debias.map(|c| F::of(c.recip()));
        let of = F::of;
        each(x, g, slots, move |x, g, [m, s]| {
            let (m, s) = (of(0.9) * m + of(0.1) * g, of(0.99) * s + of(0.01) * g * g);
            (
                x - of(0.01) * (m * c1) / ((s * c2).sqrt() + of(1e-8)),
                [m, s],
            )
        })
    }
}

/// ½Σ cᵢxᵢ² with curvatures over three decades in one block, with noise in the gradient: it comes as
/// near to the minimum as with whole state, and nothing is thrown away by a square that vanished.
#[test]
fn it_minimizes_as_whole_state_does() {
    let params = map(&[8_192]);
    let minimize = |storage: Storage| {
        let mut update = FirstOrder::<f32, _, 2>::new(Scaled, &params).unwrap();
        update.store(storage, &|_| false).unwrap();
        let (mut x, mut most) = (vec![1.0_f32; params.len()], 0.0_f32);
        for t in 0..600 {
            let g: Vec<f32> = (x.iter().enumerate())
                .map(|(i, x)| 10_f32.powi(-(i as i32 % 4)) * (x + 0.05 * wave(i + 977 * t)))
                .collect();
            update.apply(&mut x, &g).unwrap();
            most = x.iter().fold(most, |m, x| m.max(x.abs()));
        }
        let mean = x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len() as f64;
        (mean.sqrt(), most)
    };
    let (whole, _) = minimize(Storage::Full);
    for storage in ALL {
        let (found, most) = minimize(storage);
        assert!(found <= 1.25 * whole, "{storage:?}: {found}, {whole}");
        assert!(most < 1.1, "{storage:?}: {most}");
    }
}

#[test]
fn small_and_named_segments_stay_whole() {
    let params = map(&[4_095, 4_096, 10_000]);
    for (storage, bytes) in ALL.into_iter().zip([2 * 2 * 4_096, 2 * (4_096 + 2 * 16)]) {
        let mut update = FirstOrder::<f32, _, 2>::new(PLAIN, &params).unwrap();
        update.store(storage, &|s| s.name == "s2").unwrap();
        assert_eq!(update.bytes(), bytes + 4 * 2 * (4_095 + 10_000));
        assert_eq!(update.width(), 2);
        let slots = [0, 1, 2].map(|segment| update.slot("b", segment).is_some());
        assert_eq!(slots, [true, false, true]);
    }
}

/// A state that is compared from step to step.
#[derive(Clone, Debug)]
struct Greatest;

impl Hyper for Greatest {
    fn fields(&mut self, _: &mut FieldVisitor<'_>) {}
}

impl<F: Scalar> Rule<F, 1> for Greatest {
    fn slots(&self) -> [Slot; 1] {
        [Slot::exact("most", 0.0)]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        each(x, g, slots, move |x, g, [most]| (x, [most.max(g)]))
    }
}

#[test]
fn what_cannot_work_is_refused_and_nothing_has_changed() {
    let params = map(&[10, 5_000]);
    for storage in ALL {
        let mut groups = Groups::<f32>::builder()
            .rule("a", |s| s.name == "s0", One)
            .rule("b", |s| s.name == "s1", Greatest)
            .build(&params)
            .unwrap();
        let error = groups.store(storage, &|_| false).unwrap_err();
        assert!(matches!(error, Error::Storage(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("`most`") && text.contains("`s1`"), "{text}");
        assert!(groups.slot("most", 1).is_some());
        // Whole, it works; and through wrappers.
        groups.store(storage, &|s| s.name == "s1").unwrap();
        let mut boxed: Box<dyn Update<f32>> = Box::new(Trusted(groups));
        boxed.store(storage, &|s| s.name == "s1").unwrap();
        // Not after a step.
        let (mut x, g) = (vec![0.0; 5_010], vec![1.0; 5_010]);
        boxed.apply(&mut x, &g).unwrap();
        let error = boxed.store(Storage::Full, &|_| false).unwrap_err();
        assert!(matches!(error, Error::Storage(_)), "{error}");
    }
}

#[derive(Clone, Debug)]
struct One;

impl Hyper for One {
    fn fields(&mut self, _: &mut FieldVisitor<'_>) {}
}

impl<F: Scalar> Rule<F, 0> for One {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 0]) -> bool {
        each(x, g, slots, move |x, g, []| (x - g, []))
    }
}

/// In double precision a number may be beyond what the few bits can hold: told, after the move.
#[test]
fn state_beyond_the_range_of_single_precision_is_told() {
    let params = map(&[5_000]);
    for storage in ALL {
        let mut update = FirstOrder::<f64, _, 1>::new(PLAIN, &params).unwrap();
        update.store(storage, &|_| false).unwrap();
        let (mut x, mut g) = (vec![0.0; 5_000], vec![1.0; 5_000]);
        update.apply_parts(&mut [Part::new(&mut x, &g)]).unwrap();
        g[4_999] = 1e60;
        let error = update.apply(&mut x, &g).unwrap_err();
        let told =
            matches!(&error, Error::Diverged { segment, what: "state", .. } if segment == "s0");
        assert!(told, "{error}");
    }
}
