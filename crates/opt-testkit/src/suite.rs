use opt_core::{
    AnyMethod, Bound, Entry, Error, Objective, ParamMap, Parameters, Scalar, Snapshot, State, Visit,
};

use crate::{Fault, Quadratic};

/// A check that a method is not held to, and why.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    /// The method.
    pub method: &'static str,
    /// The check.
    pub check: &'static str,
    /// Why the method cannot pass it.
    pub reason: &'static str,
}

/// One method in both precisions.
struct Subject<'a> {
    single: &'a Entry<f32, Quadratic<f32>>,
    double: &'a Entry<f64, Quadratic<f64>>,
}

type Check = fn(&Subject<'_>) -> Result<(), String>;

const CHECKS: [(&str, Check); 10] = [
    ("descent", descent),
    ("resume", resume),
    ("resume from file", resume_from_file),
    ("sharded = whole", sharded),
    ("any number of threads", threads),
    ("f32 near f64", precisions),
    ("bad hyper-parameters", bad_hyper),
    ("bad evaluations", bad_evaluations),
    ("bad lengths", bad_lengths),
    ("distinct names", distinct_names),
];

/// Runs every check on every entry.
///
/// # Panics
/// With the list of all failures, if the two registries differ, or if a skip fits nothing.
pub fn suite(
    single: &[Entry<f32, Quadratic<f32>>],
    double: &[Entry<f64, Quadratic<f64>>],
    skips: &[Skip],
) {
    assert_eq!(single.len(), double.len());
    for skip in skips {
        let method = double.iter().any(|entry| entry.name() == skip.method);
        let check = CHECKS.iter().any(|(name, _)| *name == skip.check);
        assert!(method && check, "{skip:?} fits nothing");
    }
    let mut failures = Vec::new();
    for (single, double) in single.iter().zip(double) {
        let subject = Subject { single, double };
        for (name, check) in CHECKS {
            let method = double.name();
            if skips.iter().any(|s| s.method == method && s.check == name) {
                continue;
            }
            if let Err(why) = check(&subject) {
                failures.push(format!("{method}: {name}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// Two segments, curvatures from ½ to 2 and a minimum that is nowhere near 0.
fn problem<F: Scalar>() -> Quadratic<F> {
    sized(5, 3)
}

fn sized<F: Scalar>(rows: usize, columns: usize) -> Quadratic<F> {
    let shapes = [("weight", vec![rows, columns]), ("bias", vec![rows])];
    let params = ParamMap::new(shapes).expect("two segments");
    let curvature = |i: usize| 0.5 + 1.5 * ((i * 7 % 11) as f64 / 10.0);
    Quadratic::new(params, curvature, |i| 1.0 + (i % 3) as f64)
}

type Setup<F> = (Quadratic<F>, AnyMethod<F, Quadratic<F>>, Vec<F>);

fn setup<F: Scalar>(
    entry: &Entry<F, Quadratic<F>>,
    set: &[(&str, f64)],
) -> Result<Setup<F>, String> {
    let objective = problem();
    let method = entry.build(set, objective.params()).map_err(text)?;
    let x = vec![F::zero(); objective.params().len()];
    Ok((objective, method, x))
}

fn run<F: Scalar>(setup: &mut Setup<F>, steps: usize) -> Result<(), String> {
    let (objective, method, x) = setup;
    for _ in 0..steps {
        method.step(objective, x).map_err(text)?;
    }
    Ok(())
}

fn snapshot<F: Scalar>((objective, method, x): &mut Setup<F>) -> Result<Snapshot<F>, String> {
    let mut parameters = Parameters::new(objective.params(), x).map_err(text)?;
    Snapshot::take(&mut [("method", method.as_mut()), ("x", &mut parameters)]).map_err(text)
}

fn descent(subject: &Subject<'_>) -> Result<(), String> {
    let mut setup = setup(subject.double, &[])?;
    let start = setup.0.value(&setup.2).map_err(text)?;
    run(&mut setup, 200)?;
    let end = setup.0.value(&setup.2).map_err(text)?;
    ensure(end < start, || format!("loss {start} became {end}"))
}

/// Interrupted by a restore into a new method, the path is bitwise the same.
fn resumed(
    subject: &Subject<'_>,
    through: impl Fn(Snapshot<f64>) -> Result<Snapshot<f64>, String>,
) -> Result<(), String> {
    let mut whole = setup(subject.double, &[])?;
    run(&mut whole, 7)?;
    let saved = through(snapshot(&mut whole)?)?;
    run(&mut whole, 6)?;

    let (objective, mut method, mut x) = setup(subject.double, &[])?;
    let mut parameters = Parameters::new(objective.params(), &mut x).map_err(text)?;
    saved
        .restore(&mut [("method", method.as_mut()), ("x", &mut parameters)])
        .map_err(text)?;
    let mut resumed = (objective, method, x);
    run(&mut resumed, 6)?;
    let (a, b) = (snapshot(&mut whole)?, snapshot(&mut resumed)?);
    ensure(a == b, || format!("{a:?} is not {b:?}"))
}

fn resume(subject: &Subject<'_>) -> Result<(), String> {
    resumed(subject, Ok)
}

fn resume_from_file(subject: &Subject<'_>) -> Result<(), String> {
    let name = format!(
        "opt-{}-{}.safetensors",
        subject.double.name(),
        std::process::id()
    );
    let path = std::env::temp_dir().join(name);
    let result = resumed(subject, |snapshot| {
        snapshot.save(&path).map_err(text)?;
        Snapshot::load(&path).map_err(text)
    });
    let removed = std::fs::remove_file(&path);
    result.and(removed.map_err(|e| e.to_string()))
}

/// Stepping tensors of their own, or each with an optimizer of its own, is stepping the whole.
fn sharded(subject: &Subject<'_>) -> Result<(), String> {
    let objective: Quadratic<f64> = problem();
    let params = objective.params();
    let build = |params: &ParamMap| match subject.double.elementwise(&[], params) {
        Some(method) => method.map(Some).map_err(text),
        None => Ok(None),
    };
    let Some(mut whole) = build(params)? else {
        return Ok(()); // it needs an objective
    };
    let Some(mut parts) = build(params)? else {
        return Ok(());
    };
    let split = params.segments()[0].range.end;
    let (left, right) = (ParamMap::flat(split), ParamMap::flat(params.len() - split));
    let lone = [build(&left.map_err(text)?)?, build(&right.map_err(text)?)?];
    let [Some(mut left), Some(mut right)] = lone else {
        return Ok(());
    };
    let mut x = [(); 3].map(|()| vec![0.0; params.len()]);
    for step in 0..9 {
        let wave = |i: usize| ((i * 13 + step * 5) % 17) as f64 - 8.0;
        let g: Vec<f64> = (0..params.len()).map(wave).collect();
        let (g_left, g_right) = g.split_at(split);
        whole.apply(&mut x[0], &g).map_err(text)?;
        let (a, b) = x[1].split_at_mut(split);
        parts
            .apply_parts(&mut [a, b], &[g_left, g_right])
            .map_err(text)?;
        let (a, b) = x[2].split_at_mut(split);
        left.apply(a, g_left).map_err(text)?;
        right.apply(b, g_right).map_err(text)?;
    }
    ensure(x[0] == x[1] && x[0] == x[2], || format!("{x:?}"))
}

fn threads(subject: &Subject<'_>) -> Result<(), String> {
    let mut results = Vec::new();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let x = pool.map_err(|e| e.to_string())?.install(|| {
            // Larger than a few grains, and not a multiple of anything.
            let mut objective: Quadratic<f32> = sized(20_011, 7);
            let mut method = subject
                .single
                .build(&[], objective.params())
                .map_err(text)?;
            let mut x = vec![0.0; objective.params().len()];
            for _ in 0..3 {
                method.step(&mut objective, &mut x).map_err(text)?;
            }
            Ok::<_, String>(x)
        })?;
        results.push(x);
    }
    ensure(results.iter().all(|x| *x == results[0]), || {
        "the result depends on the number of threads".to_owned()
    })
}

fn precisions(subject: &Subject<'_>) -> Result<(), String> {
    let mut double = setup(subject.double, &[])?;
    let mut single = setup(subject.single, &[])?;
    run(&mut double, 20)?;
    run(&mut single, 20)?;
    for (&a, &b) in single.2.iter().zip(&double.2) {
        // Twenty steps of a well-conditioned problem lose about as many roundings of 6e-8.
        let (a, error) = (f64::from(a), (f64::from(a) - b).abs());
        ensure(error <= 1e-5 * b.abs().max(0.1), || {
            format!("{a} is not near {b}")
        })?;
    }
    Ok(())
}

fn bad_values(bound: Bound) -> Vec<f64> {
    let candidates = [-1.0, 0.0, 0.5, 1.0, 1.5, -1e-9];
    let bad = candidates.into_iter().filter(|&v| !bound.contains(v));
    bad.chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
        .collect()
}

fn bad_hyper(subject: &Subject<'_>) -> Result<(), String> {
    let mut meddled = setup(subject.double, &[])?;
    let mut untouched = setup(subject.double, &[])?;
    let params = problem::<f64>().params().clone();
    for field in subject.double.fields() {
        for value in bad_values(field.bound) {
            let named = |result: Result<(), Error>| match result {
                Err(Error::Hyper { name, .. }) if name == field.name => Ok(()),
                other => Err(format!("{} = {value}: {other:?}", field.name)),
            };
            let built = subject.double.build(&[(field.name, value)], &params);
            named(built.map(drop))?;
            named(meddled.1.set(field.name, value))?;
        }
    }
    match meddled.1.set("no-such-name", 1.0) {
        Err(Error::UnknownHyper { known, .. })
            if known.contains(subject.double.fields()[0].name) => {}
        other => return Err(format!("an unknown name gives {other:?}")),
    }
    run(&mut meddled, 5)?;
    run(&mut untouched, 5)?;
    ensure(meddled.2 == untouched.2, || {
        "a refused value took effect".to_owned()
    })
}

fn bad_evaluations(subject: &Subject<'_>) -> Result<(), String> {
    let mut setup = setup(subject.double, &[])?;
    run(&mut setup, 3)?;
    let before = snapshot(&mut setup)?;
    for fault in [Fault::Loss, Fault::Gradient(16), Fault::Refusal] {
        setup.0.fault = Some(fault);
        let (objective, method, x) = &mut setup;
        let result = method.step(objective, x);
        let right = match (fault, &result) {
            (Fault::Loss, Err(Error::NonFiniteLoss(v))) => v.is_nan(),
            (Fault::Gradient(_), Err(Error::NonFiniteGradient { segment, index, .. })) => {
                segment == "bias" && *index == 1
            }
            (Fault::Refusal, Err(Error::Objective(_))) => true,
            _ => false,
        };
        ensure(right, || format!("{fault:?} gives {result:?}"))?;
        ensure(snapshot(&mut setup)? == before, || {
            format!("{fault:?} changed something")
        })?;
    }
    setup.0.fault = None;
    run(&mut setup, 1)
}

fn bad_lengths(subject: &Subject<'_>) -> Result<(), String> {
    let mut setup = setup(subject.double, &[])?;
    run(&mut setup, 2)?;
    let before = snapshot(&mut setup)?;
    for len in [0, 19, 21] {
        let (objective, method, _) = &mut setup;
        let mut x = vec![7.0; len];
        let result = method.step(objective, &mut x);
        let refused = matches!(result, Err(Error::Length { found, .. }) if found == len);
        ensure(refused && x.iter().all(|&v| v == 7.0), || {
            format!("{len}: {result:?}")
        })?;
    }
    ensure(snapshot(&mut setup)? == before, || {
        "the state has changed".to_owned()
    })
}

fn distinct_names(subject: &Subject<'_>) -> Result<(), String> {
    struct Names(Vec<String>);
    impl Visit<f64> for Names {
        fn buffer(&mut self, name: &str, _: &[usize], _: &mut [f64]) {
            self.0.push(name.to_owned());
        }
        fn count(&mut self, name: &str, _: &mut u64) {
            self.0.push(name.to_owned());
        }
        fn number(&mut self, name: &str, _: &mut f64) {
            self.0.push(name.to_owned());
        }
    }
    let (_, mut method, _) = setup(subject.double, &[])?;
    let mut names = Names(Vec::new());
    let state: &mut dyn State<f64> = method.as_mut();
    state.visit(&mut names);
    let all = names.0.len();
    names.0.sort();
    names.0.dedup();
    ensure(all == names.0.len(), || format!("{:?}", names.0))
}
