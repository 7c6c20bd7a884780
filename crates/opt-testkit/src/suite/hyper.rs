//! Hyper-parameters that are refused.

use opt_core::{Bound, Error, Kind, Value};

use super::{Subject, ensure, problem, run, setup};

/// Values that a field cannot take: out of its range, or of another kind.
fn bad_values(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Real(bound) => {
            let candidates = [-1.0, 0.0, 0.5, 1.0, 1.5, -1e-9];
            let bad = candidates.into_iter().filter(|&v| !bound.contains(v));
            let bad = bad.chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            bad.map(Value::Real).chain(["fast".into()]).collect()
        }
        Kind::Count(least) => {
            let below = least.checked_sub(1).map(Value::Count);
            let reals = [-1.0, 2.5, f64::NAN, 2_f64.powi(64)].map(Value::Real);
            below
                .into_iter()
                .chain(reals)
                .chain(["fast".into()])
                .collect()
        }
        Kind::Choice(_) => vec!["no-such-choice".into(), 1.into(), 0.5.into()],
        _ => Vec::new(),
    }
}

pub(super) fn bad_hyper(subject: &Subject<'_>) -> Result<(), String> {
    let mut meddled = setup(subject.double, &[])?;
    let mut untouched = setup(subject.double, &[])?;
    let objective = problem::<f64>();
    for field in subject.double.fields() {
        for value in bad_values(&field.kind) {
            let named = |result: Result<(), Error>| match result {
                Err(Error::Hyper { name, .. }) if name == field.name => Ok(()),
                other => Err(format!("{} = {value}: {other:?}", field.name)),
            };
            let set = [(field.name.as_str(), value.clone())];
            named(subject.double.build(&set, &objective).map(drop))?;
            named(meddled.1.set(&field.name, value.clone()))?;
        }
    }
    let first = &subject.double.fields()[0].name;
    for result in [
        meddled.1.set("no-such-name", 1.into()),
        meddled.1.scale("no-such-name", 1.0),
    ] {
        match result {
            Err(Error::UnknownHyper { known, .. }) if known.contains(first) => {}
            other => return Err(format!("an unknown name gives {other:?}")),
        }
    }
    run(&mut meddled, 5)?;
    run(&mut untouched, 5)?;
    ensure(meddled.2 == untouched.2, || {
        "a refused value took effect".to_owned()
    })
}

/// Values in their range in double precision, but in single precision out of it.
pub(super) fn values_that_round(subject: &Subject<'_>) -> Result<(), String> {
    let mut meddled = setup(subject.single, &[])?;
    let mut untouched = setup(subject.single, &[])?;
    let objective = problem::<f32>();
    for field in subject.single.fields() {
        let values: &[f64] = match &field.kind {
            Kind::Real(Bound::Positive) => &[1e39, 1e-50],
            Kind::Real(Bound::Shrink) => &[1e-50],
            Kind::Real(Bound::NonNegative | Bound::Grow) => &[1e39],
            Kind::Real(Bound::Unit) => &[1.0 - 1e-9],
            _ => &[],
        };
        for &value in values {
            let named = |result: Result<(), Error>| match result {
                Err(Error::HyperRounds { name, .. }) if name == field.name => Ok(()),
                other => Err(format!("{} = {value:e}: {other:?}", field.name)),
            };
            let set = [(field.name.as_str(), Value::Real(value))];
            named(subject.single.build(&set, &objective).map(drop))?;
            named(meddled.1.set(&field.name, Value::Real(value)))?;
        }
    }
    run(&mut meddled, 5)?;
    run(&mut untouched, 5)?;
    ensure(meddled.2 == untouched.2, || {
        "a refused value took effect".to_owned()
    })
}
