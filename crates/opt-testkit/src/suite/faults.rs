//! What is refused, and that nothing has changed then.

use opt_core::{Error, Objective, Scalar, State};

use super::{Seen, Setup, Subject, ensure, problem, run, setup, snapshot, text};
use crate::{Fault, Quadratic};

pub(super) fn bad_evaluations(subject: &Subject<'_>) -> Result<(), String> {
    let mut setup = setup(subject.double, &[])?;
    run(&mut setup, 3)?;
    let before = snapshot(&mut setup);
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
        ensure(snapshot(&mut setup) == before, || {
            format!("{fault:?} changed something")
        })?;
    }
    setup.0.fault = None;
    run(&mut setup, 1)
}

pub(super) fn bad_lengths(subject: &Subject<'_>) -> Result<(), String> {
    let mut setup = setup(subject.double, &[])?;
    run(&mut setup, 2)?;
    let before = snapshot(&mut setup);
    for len in [0, 19, 21] {
        let (objective, method, _) = &mut setup;
        let mut x = vec![7.0; len];
        let result = method.step(objective, &mut x);
        let refused = matches!(result, Err(Error::Length { found, .. }) if found == len);
        ensure(refused && x.iter().all(|&v| v == 7.0), || {
            format!("{len}: {result:?}")
        })?;
    }
    ensure(snapshot(&mut setup) == before, || {
        "the state has changed".to_owned()
    })
}

/// Each evaluation of a step fails once: either the step is refused, or it says what it did instead.
pub(super) fn faults_at_every_evaluation(subject: &Subject<'_>) -> Result<(), String> {
    for fault in [Fault::Loss, Fault::Gradient(16), Fault::Refusal] {
        for at in 0..1000 {
            let mut setup = setup(subject.double, &[])?;
            run(&mut setup, 3)?;
            let (before, accepted) = (snapshot(&mut setup), setup.0.accepted);
            setup.0.ambush = Some((at, fault));
            let (objective, method, x) = &mut setup;
            let result = method.step(objective, x);
            if objective.ambush.take().is_some() {
                break; // the step made fewer evaluations
            }
            let accepted = objective.accepted - accepted;
            let told = match &result {
                Err(_) => accepted == 0 && snapshot(&mut setup) == before,
                // Where only a value was asked for, a bad gradient is nobody's.
                Ok(report) => {
                    accepted <= 1 && (report.fallback.is_some() || fault == Fault::Gradient(16))
                }
            };
            ensure(told && finite(&mut setup), || {
                format!("{fault:?} at evaluation {at} gives {result:?}, accepted {accepted}")
            })?;
            run(&mut setup, 2)?;
        }
    }
    Ok(())
}

fn finite<F: Scalar>((_, method, x): &mut Setup<F>) -> bool {
    let mut seen = Seen::default();
    State::<F>::visit(method, &mut seen);
    seen.bad.is_empty() && x.iter().all(|v| v.is_finite())
}

/// Found in the pass that moves x, and named.
pub(super) fn x_that_is_not_finite(subject: &Subject<'_>) -> Result<(), String> {
    let objective: Quadratic<f64> = problem();
    let params = objective.params();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let Some(update) = subject.double.update(&[], params) else {
            return Ok(());
        };
        let (mut update, mut x) = (update.map_err(text)?, vec![1.0; params.len()]);
        x[17] = bad;
        x[19] = bad;
        let result = update.apply(&mut x, &vec![0.5; params.len()]);
        let right = matches!(
            &result,
            Err(Error::Diverged { segment, what: "x", index: 2, .. }) if segment == "bias"
        );
        ensure(right, || format!("{bad} gives {result:?}"))?;
    }
    Ok(())
}
