//! Where steps lead: down, the same way however they are cut, and again after a restart.

use opt_core::{Objective, ParamMap, Parameters, Part, Snapshot, Update};

use super::{Subject, ensure, problem, run, setup, sized, snapshot, text};
use crate::Quadratic;

pub(super) fn descent(subject: &Subject<'_>) -> Result<(), String> {
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
    let saved = through(snapshot(&mut whole))?;
    run(&mut whole, 6)?;

    let (objective, mut method, mut x) = setup(subject.double, &[])?;
    let map = objective.params();
    let mut parameters = Parameters::new(map, &mut x).expect("the right length");
    saved
        .restore(&mut [("method", method.as_mut()), ("x", &mut parameters)])
        .map_err(text)?;
    let mut resumed = (objective, method, x);
    run(&mut resumed, 6)?;
    let (a, b) = (snapshot(&mut whole), snapshot(&mut resumed));
    ensure(a == b, || format!("{a:?} is not {b:?}"))
}

pub(super) fn resume(subject: &Subject<'_>) -> Result<(), String> {
    resumed(subject, Ok)
}

pub(super) fn resume_from_file(subject: &Subject<'_>) -> Result<(), String> {
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

/// The rule alone, without an objective, if the method is one.
fn update(
    subject: &Subject<'_>,
    params: &ParamMap,
) -> Result<Option<Box<dyn Update<f64>>>, String> {
    let update = subject.double.update(&[], params);
    update.transpose().map_err(text)
}

/// The gradient of a step, of no pattern.
fn gradient(params: &ParamMap, step: usize) -> Vec<f64> {
    let wave = |i: usize| ((i * 13 + step * 5) % 17) as f64 - 8.0;
    (0..params.len()).map(wave).collect()
}

/// Stepping tensors of their own, or each with an optimizer of its own, is stepping the whole.
pub(super) fn sharded(subject: &Subject<'_>) -> Result<(), String> {
    let objective: Quadratic<f64> = problem();
    let params = objective.params();
    let (Some(mut whole), Some(mut parts)) = (update(subject, params)?, update(subject, params)?)
    else {
        return Ok(()); // it needs an objective
    };
    let split = params.segments()[0].range.end;
    let (left, right) = (ParamMap::flat(split), ParamMap::flat(params.len() - split));
    let lone = [
        update(subject, &left.map_err(text)?)?,
        update(subject, &right.map_err(text)?)?,
    ];
    let [Some(mut left), Some(mut right)] = lone else {
        return Ok(());
    };
    let mut x = [(); 3].map(|()| vec![0.0; params.len()]);
    for step in 0..9 {
        let g = gradient(params, step);
        let (g_left, g_right) = g.split_at(split);
        whole.apply(&mut x[0], &g).map_err(text)?;
        let (a, b) = x[1].split_at_mut(split);
        parts
            .apply_parts(&mut [Part::new(a, g_left), Part::new(b, g_right)])
            .map_err(text)?;
        let (a, b) = x[2].split_at_mut(split);
        left.apply(a, g_left).map_err(text)?;
        right.apply(b, g_right).map_err(text)?;
    }
    ensure(x[0] == x[1] && x[0] == x[2], || format!("{x:?}"))
}

/// Segments that have no gradient in some steps: in parts, and one at a time, each as if it were
/// alone with the steps that it had. Resumed in the middle, when the counts have gone apart.
pub(super) fn parts(subject: &Subject<'_>) -> Result<(), String> {
    let objective: Quadratic<f64> = problem();
    let params = objective.params();
    let make = || update(subject, params);
    let (Some(mut together), Some(mut apart), Some(mut resumed)) = (make()?, make()?, make()?)
    else {
        return Ok(());
    };
    let ranges: Vec<_> = params.segments().iter().map(|s| s.range.clone()).collect();
    let mut lone = Vec::new();
    for range in &ranges {
        let map = ParamMap::flat(range.len()).map_err(text)?;
        lone.extend(update(subject, &map)?);
    }
    let mut x = [(); 3].map(|()| vec![0.0; params.len()]);
    for step in 0..12 {
        if step == 7 {
            let saved = Snapshot::take(&mut [("u", &mut together)]).expect("names that differ");
            saved.restore(&mut [("u", &mut resumed)]).map_err(text)?;
            std::mem::swap(&mut together, &mut resumed);
        }
        let g = gradient(params, step);
        let has = |index: usize| step % 5 != index && step % 3 != 2;
        let [x_parts, x_apart, x_lone] = &mut x;
        let (a, b) = x_parts.split_at_mut(ranges[1].start);
        let d = [0, 1].map(|index| has(index).then_some(&g[ranges[index].clone()]));
        let mut list = [Part { x: a, d: d[0] }, Part { x: b, d: d[1] }];
        together.apply_parts(&mut list).map_err(text)?;
        for (index, range) in ranges.iter().enumerate() {
            d[index]
                .map_or(Ok(()), |d| apart.check(index, d))
                .map_err(text)?;
            let x = &mut x_apart[range.clone()];
            let mut part = [Part { x, d: d[index] }];
            apart.advance(index, &mut part).map_err(text)?;
            if let Some(d) = d[index] {
                lone[index]
                    .apply(&mut x_lone[range.clone()], d)
                    .map_err(text)?;
            }
        }
    }
    ensure(x[0] == x[1] && x[0] == x[2], || format!("{x:?}"))?;
    let states = [together, apart]
        .map(|mut u| Snapshot::take(&mut [("u", &mut u)]).expect("names that differ"));
    ensure(states[0] == states[1], || format!("{states:?}"))
}

pub(super) fn threads(subject: &Subject<'_>) -> Result<(), String> {
    let mut results = Vec::new();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let x = pool.map_err(|e| e.to_string())?.install(|| {
            // Larger than a few grains, and not a multiple of anything.
            let mut objective: Quadratic<f32> = sized(20_011, 7);
            let mut method = subject.single.build(&[], &objective).map_err(text)?;
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

pub(super) fn precisions(subject: &Subject<'_>) -> Result<(), String> {
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
