//! What goes wrong on one rank.

use std::process::{Command, exit};

use opt_core::{Error, FirstOrder, Objective, ParamMap, Snapshot, Train};
use opt_firstorder::Momentum;
use opt_mpi::{AllReduced, Ranks, Sharded};
use opt_nn::Mlp;

use crate::model::{mine, same_bits, start};
use crate::{Failure, Outcome};

/// What a rank's objective does next.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Fails,
    Length,
    LossIsNan,
    GradientIsInfinite,
    Panics,
}

struct Faulty {
    inner: Mlp<f32>,
    fault: Fault,
}

impl Faulty {
    fn result(&self, loss: f32) -> Result<f32, Error> {
        match self.fault {
            Fault::Fails => Err(Error::objective("the disk is full")),
            Fault::Length => self.inner.params().check_len("x", 1).map(|()| loss),
            Fault::LossIsNan => Ok(f32::NAN),
            Fault::Panics => panic!("a bug of the model"),
            Fault::None | Fault::GradientIsInfinite => Ok(loss),
        }
    }
}

impl Objective<f32> for Faulty {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f32]) -> Result<f32, Error> {
        let loss = self.inner.value(x)?;
        self.result(loss)
    }

    fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        let loss = self.inner.grad(x, g)?;
        if self.fault == Fault::GradientIsInfinite {
            g[13] = f32::INFINITY;
        }
        self.result(loss)
    }
}

/// An objective, a method and where it starts.
type Start = (AllReduced<Faulty>, Trained, Vec<f32>);
type Trained = Train<f32, opt_core::Gradient, Sharded<FirstOrder<f32, Momentum, 1>>>;

fn trained(ranks: &Ranks) -> Result<Start, Failure> {
    let inner = mine::<f32>(ranks);
    let fault = Fault::None;
    let all = AllReduced::weighted(Faulty { inner, fault }, ranks, |faulty| {
        opt_core::PerSample::<f32>::samples(&faulty.inner)
    });
    let update = Sharded::new(all.params(), ranks, |map| {
        FirstOrder::new(Momentum::default(), map)
    })?;
    Ok((all, Train::new(update), start()))
}

/// Every rank hears of the fault of rank 1 with the same error, stands where it stood, and goes on.
pub(crate) fn errors(ranks: &Ranks) -> Outcome {
    let (mut all, mut train, mut x) = trained(ranks)?;
    train.step(&mut all, &mut x)?;
    let (before, state) = (x.clone(), Snapshot::take(&mut [("", &mut train)])?);
    for (fault, debug) in [
        (
            Fault::Fails,
            "OnRank { rank: 1, message: \"the disk is full\" }",
        ),
        (
            Fault::Length,
            "Length { what: \"x\", expected: 685, found: 1 }",
        ),
        (Fault::LossIsNan, "NonFiniteLoss(NaN)"),
        (Fault::GradientIsInfinite, "index: 13, value: inf"),
    ] {
        all.inner.fault = if ranks.rank() == 1 {
            fault
        } else {
            Fault::None
        };
        let error = train.step(&mut all, &mut x).expect_err("refused");
        assert!(format!("{error:?}").contains(debug), "{error:?}");
        same_bits("x", &x, &before);
        assert_eq!(Snapshot::take(&mut [("", &mut train)])?, state);
        if matches!(fault, Fault::Fails | Fault::Length) {
            assert!(all.value(&x).is_err());
        }
    }
    all.inner.fault = Fault::None;
    train.step(&mut all, &mut x)?;
    assert_ne!(x, before);
    // Of the caller's own doing.
    let read: Result<u8, _> = match ranks.rank() {
        1 => Err(Error::objective("no such file")),
        _ => Ok(3),
    };
    let error = ranks.agree(read).expect_err("on rank 1");
    assert_eq!(error.to_string(), "objective: on rank 1: no such file");
    assert_eq!(ranks.agree(Ok(ranks.rank()))?, ranks.rank());
    // What one rank has for all, if no rank has failed.
    let mut own = vec![ranks.rank() as f32; 3];
    let failed = match ranks.rank() {
        0 => Err(Error::NonFiniteNorm(f64::INFINITY)),
        _ => Ok(()),
    };
    let error = ranks.share(1, failed, &mut own).expect_err("on rank 0");
    assert!(matches!(error, Error::NonFiniteNorm(_)));
    assert_eq!(own, [ranks.rank() as f32; 3]);
    assert!(ranks.share(ranks.size(), Ok(()), &mut own).is_err());
    ranks.share(1, Ok(()), &mut own)?;
    assert_eq!(own, [1.0; 3]);
    let mut other = vec![0.0_f32; 3 + ranks.rank()];
    assert!(ranks.share(0, Ok(()), &mut other).is_err());
    Ok(())
}

/// Ranks that do not make the same calls, or not at the same place.
pub(crate) fn out_of_step(ranks: &Ranks) -> Outcome {
    let (mut all, mut train, mut x) = trained(ranks)?;
    let last = ranks.rank() + 1 == ranks.size();
    let mut g = x.clone();
    let evaluated = if last {
        all.value(&x)
    } else {
        all.grad(&x, &mut g)
    };
    let error = evaluated.expect_err("other calls").to_string();
    let expected = format!("rank {} to Objective::value (685)", ranks.size() - 1);
    assert!(error.contains(&expected), "{error}");
    // A snapshot of one rank only.
    let snapshot = match last {
        false => Snapshot::take(&mut [("", &mut train)]).map(|_| ()),
        true => all.value(&x).map(|_| ()),
    };
    let error = snapshot.expect_err("other calls").to_string();
    assert!(error.contains("State::visit"), "{error}");
    // One bit of x.
    if last {
        x[600] = f32::from_bits(x[600].to_bits() ^ 1);
    }
    let error = train
        .step(&mut all, &mut x)
        .expect_err("another x")
        .to_string();
    assert!(error.contains("Ranks::broadcast"), "{error}");
    ranks.broadcast(&mut x)?;
    train.step(&mut all, &mut x)?;
    let len = if last { 2 } else { 3 };
    assert!(ranks.broadcast(&mut x[..len]).is_err());
    assert!(opt_mpi::run(|_| Ok::<_, opt_mpi::Error>(())) == Err(opt_mpi::Error::Started));
    Ok(())
}

fn steps(ranks: &Ranks, mut before: impl FnMut(u64, &mut AllReduced<Faulty>)) -> Outcome {
    let (mut all, mut train, mut x) = trained(ranks)?;
    for step in 0..1_000_000 {
        before(step, &mut all);
        train.step(&mut all, &mut x)?;
    }
    Ok(())
}

pub(crate) fn panic(ranks: &Ranks) -> Outcome {
    steps(ranks, |step, all| {
        if step == 3 && ranks.rank() == 1 {
            all.inner.fault = Fault::Panics;
        }
    })
}

pub(crate) fn killed(ranks: &Ranks) -> Outcome {
    steps(ranks, |step, _| {
        if step == 3 && ranks.rank() == 1 {
            let own = std::process::id().to_string();
            let _ = Command::new("kill").args(["-9", &own]).status();
        }
    })
}

pub(crate) fn exits(ranks: &Ranks) -> Outcome {
    steps(ranks, |step, _| {
        if step == 3 && ranks.rank() == 1 {
            exit(3);
        }
    })
}

/// The others hear of the error of rank 1.
pub(crate) fn alone(ranks: &Ranks) -> Outcome {
    if ranks.rank() == 1 {
        return Err("no such file".into());
    }
    steps(ranks, |_, _| ())
}

/// A rank that has made fewer steps than the others is missed, not waited for.
pub(crate) fn early(ranks: &Ranks) -> Outcome {
    if ranks.rank() == 0 {
        let (mut all, mut train, mut x) = trained(ranks)?;
        train.step(&mut all, &mut x)?;
        return Ok(());
    }
    let error = steps(ranks, |_, _| ())
        .expect_err("rank 0 has gone")
        .to_string();
    assert!(
        error.contains("rank 0 came to the end of its run"),
        "{error}"
    );
    let again = steps(ranks, |_, _| ())
        .expect_err("and is still gone")
        .to_string();
    assert!(again.contains("the end of its run"), "{again}");
    Ok(())
}
