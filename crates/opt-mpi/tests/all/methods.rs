//! Every method on the union of the ranks' minibatches, against one process that has them all.

use opt_core::{Direction, Entry, Layered, Method, Objective, PerSample, Snapshot, State, Value};
use opt_mpi::{AllReduced, Ranks};
use opt_natural::{Extent, Kfac, Prong, ProngPlus};
use opt_nn::{Init, Mlp, Spec};

use crate::Outcome;
use crate::model::{
    Certain, Gathering, ROWS, convolutional, loaded, mine, near, same_bits, spec, start, whole,
};

type All = AllReduced<Mlp<f64>, f64>;

fn compare(
    ranks: &Ranks,
    there: &Entry<f64, All>,
    here: &Entry<f64, Mlp<f64>>,
    set: &[(&str, Value)],
) -> Outcome {
    let (mut all, mut one) = (AllReduced::new(mine(ranks), ranks), whole());
    let (mut x, mut y) = (start(), start());
    let (mut method, mut reference) = (there.build(set, &all)?, here.build(set, &one)?);
    // Some collect before they move.
    let steps = if there.name().starts_with("vsgd") {
        14
    } else {
        4
    };
    for step in 0..steps {
        let (a, b) = (
            method.step(&mut all, &mut x)?,
            reference.step(&mut one, &mut y)?,
        );
        assert_eq!(a.fallback, b.fallback, "{} at step {step}", there.name());
        near(there.name(), &[a.loss], &[b.loss], 1e-9);
    }
    near(there.name(), &x, &y, 1e-8);
    assert!(x != start::<f64>(), "{} has not moved", there.name());
    Ok(())
}

pub(crate) fn check(ranks: &Ranks) -> Outcome {
    let there = opt_firstorder::zoo::<f64, All>();
    let here = opt_firstorder::zoo::<f64, Mlp<f64>>();
    for (there, here) in there.iter().zip(&here) {
        compare(ranks, there, here, &[])?;
    }
    let there = opt_secondorder::zoo::<f64, All>();
    let here = opt_secondorder::zoo::<f64, Mlp<f64>>();
    for (there, here) in there.iter().zip(&here) {
        match there.name() {
            "newton" => compare(ranks, there, here, &[("damping", Value::from(10.0))])?,
            "hessian-free" => compare(ranks, there, here, &[("cg_iterations", Value::from(8.0))])?,
            _ => compare(ranks, there, here, &[])?,
        }
    }
    let there = opt_natural::zoo::<f64, All>();
    let here = opt_natural::zoo::<f64, Mlp<f64>>();
    for (there, here) in there.iter().zip(&here) {
        match there.name() {
            // Its labels are drawn by the row of the minibatch: see below.
            "kfac" => {}
            name if name.starts_with("prong") => {
                let few = [
                    ("samples", Value::from(100.0)),
                    ("period", Value::from(1.0)),
                ];
                compare(ranks, there, here, &few)?;
            }
            _ => compare(ranks, there, here, &[])?,
        }
    }
    kfac(ranks, &spec())?;
    kfac(ranks, &convolutional())?;
    prong(ranks, &spec())?;
    prong(ranks, &convolutional())?;
    observed(ranks)?;
    products(ranks)
}

/// Factors and gradient that are summed, and inverses that are dealt out; with a model of its own step
/// size, and as a direction.
fn kfac(ranks: &Ranks, spec: &Spec) -> Outcome {
    let all = || {
        let mine = loaded(spec.clone(), ranks.part(ROWS));
        AllReduced::weighted(Certain::new(mine), ranks, |certain| {
            PerSample::<f64>::samples(&certain.net)
        })
    };
    let one = loaded(spec.clone(), 0..ROWS);
    let start = one.init(Init::LeCun, 3);
    let (mut all, mut gathering, mut one) = (all(), Gathering(all()), Certain::new(one));
    let (mut x, mut y, mut z) = (start.clone(), start.clone(), start);
    let method = || Kfac::default().method(one.params(), one.places());
    let (mut there, mut gathered, mut here) = (method()?, method()?, method()?);
    let mut bytes = [0; 2];
    for _ in 0..7 {
        let before = ranks.traffic().bytes;
        let a = there.step(&mut all, &mut x)?;
        let between = ranks.traffic().bytes;
        gathered.step(&mut gathering, &mut z)?;
        let after = ranks.traffic().bytes;
        let b = here.step(&mut one, &mut y)?;
        assert_eq!(a.fallback, b.fallback);
        bytes = [between - before, after - between];
    }
    near("kfac", &x, &y, 1e-8);
    near("kfac of gathered rows", &z, &y, 1e-8);
    // Of a convolution there are many more rows than columns.
    assert!(spec.image.is_none() || 2 * bytes[0] < bytes[1], "{bytes:?}");
    same_everywhere(ranks, "kfac", &x, &mut there)?;
    let (own, before) = (x.clone(), Snapshot::take(&mut [("", &mut there)])?);
    // What one rank alone sees is refused on all.
    let infinite = all.inner.net.layer(0).ok_or("no layer")?.delta.to_owned() * f64::INFINITY;
    all.inner.shown = Some(infinite).filter(|_| ranks.rank() == 1);
    let error = there.step(&mut all, &mut x).expect_err("infinite deltas");
    assert!(error.to_string().contains("layer0.weight"), "{error}");
    same_bits("x of a refused step", &x, &own);
    let refused = Snapshot::take(&mut [("", &mut there)])?;
    assert!(refused == before, "the state of a refused step");
    all.inner.shown = None;

    let direction = || Kfac::default().direction::<f64>(one.params(), one.places());
    let (mut there, mut here) = (direction()?, direction()?);
    let (mut d, mut expected) = (x.clone(), x.clone());
    there.propose(&mut all, &x, &mut d)?;
    here.propose(&mut one, &x, &mut expected)?;
    near("kfac's direction", &d, &expected, 1e-8);
    Ok(())
}

/// To the bit: what one rank saves all can load.
fn same_everywhere(ranks: &Ranks, name: &str, x: &[f64], method: &mut dyn State<f64>) -> Outcome {
    let mut first = x.to_vec();
    ranks.broadcast(&mut first)?;
    same_bits(name, x, &first);
    let before = Snapshot::take(&mut [("", &mut *method)])?;
    ranks.share(0, Ok(()), &mut *method)?;
    let shared = Snapshot::take(&mut [("", method)])?;
    assert!(shared == before, "{name}: states of the ranks differ");
    Ok(())
}

/// Statistics and gradients that are summed, in all of PRONG's forms, over a refresh or two.
fn prong(ranks: &Ranks, spec: &Spec) -> Outcome {
    let network = loaded::<f64>(spec.clone(), 0..ROWS);
    let (params, places) = (network.params(), network.places());
    let (samples, period) = (2 * ROWS as u64, 2);
    let make = |extent: Option<Extent>| match extent {
        Some(whitening) => Prong {
            samples,
            period,
            whitening,
            ..Prong::default()
        }
        .method::<f64>(params, places),
        None => ProngPlus {
            samples,
            period,
            ..ProngPlus::default()
        }
        .method(params, places),
    };
    let extents = [Extent::Full, Extent::Patches, Extent::Diagonal];
    for form in extents.map(Some).into_iter().chain([None]) {
        let name = &format!("prong, {form:?}");
        let (mut there, mut here) = (make(form)?, make(form)?);
        let mine = Certain::new(loaded(spec.clone(), ranks.part(ROWS)));
        let mut all = AllReduced::weighted(mine, ranks, |certain| {
            PerSample::<f64>::samples(&certain.net)
        });
        let mut one = Certain::new(loaded(spec.clone(), 0..ROWS));
        let start = one.net.init(Init::LeCun, 3);
        let (mut x, mut y) = (start.clone(), start.clone());
        for step in 0..9 {
            let (a, b) = (there.step(&mut all, &mut x)?, here.step(&mut one, &mut y)?);
            assert_eq!(a.fallback, b.fallback, "{name} at step {step}");
        }
        assert!(x != start, "{name}");
        near(name, &x, &y, 1e-8);
        same_everywhere(ranks, name, &x, &mut there)?;
        let own = x.clone();
        let infinite = all.inner.net.layer(0).ok_or("no layer")?.delta.to_owned() * f64::INFINITY;
        all.inner.shown = Some(infinite).filter(|_| ranks.rank() == 1);
        let error = there.step(&mut all, &mut x).expect_err("infinite deltas");
        assert!(error.to_string().contains("layer0.weight"), "{error}");
        same_bits(name, &x, &own);
    }
    Ok(())
}

/// Whitening before the first step, by a statistics set of which each rank has a part.
fn observed(ranks: &Ranks) -> Outcome {
    let digits = opt_data::digits()?;
    let inputs = digits.inputs.mapv(f64::from);
    let rows = 300..300 + 131;
    let part = ranks.part(rows.len());
    let set = |mlp: &mut Mlp<f64>, from: usize, to: usize| {
        let rows = inputs.slice(ndarray::s![rows.start + from..rows.start + to, ..]);
        mlp.set_statistics(rows.to_shared())
    };
    let (mut all, mut one) = (AllReduced::new(mine::<f64>(ranks), ranks), whole::<f64>());
    set(&mut all.inner, part.start, part.end)?;
    set(&mut one, 0, rows.len())?;
    let prong = Prong {
        samples: rows.len() as u64,
        ..Prong::default()
    };
    let mut there = prong.direction::<f64>(one.params(), one.places())?;
    let mut here = there.clone();
    let (x, mut d) = (start::<f64>(), start::<f64>());
    let mut expected = d.clone();
    let report = there.propose(&mut all, &x, &mut d)?;
    let other = here.propose(&mut one, &x, &mut expected)?;
    assert_eq!((report.moves, report.fallback), (true, other.fallback));
    near("prong's direction", &d, &expected, 1e-9);
    Ok(())
}

/// What no method above has used, by itself.
fn products(ranks: &Ranks) -> Outcome {
    use opt_core::{GaussNewton, HessianDiag, HessianProduct};
    let (mut all, mut one) = (AllReduced::new(mine::<f64>(ranks), ranks), whole::<f64>());
    let x = start::<f64>();
    let v: Vec<f64> = (0..x.len()).map(|i| (i as f64 * 0.9).cos()).collect();
    let mut pair = [x.clone(), x.clone()];
    let [a, b] = &mut pair;
    all.hessian_product(&x, &v, a)?;
    one.hessian_product(&x, &v, b)?;
    near("hessian product", a, b, 1e-12);
    all.gauss_newton_product(&x, &v, a)?;
    one.gauss_newton_product(&x, &v, b)?;
    near("gauss-newton product", a, b, 1e-12);
    all.hessian_diag(&x, a)?;
    one.hessian_diag(&x, b)?;
    near("diagonal", a, b, 1e-12);
    let mut squares = [x.clone(), x.clone()];
    let [s, t] = &mut squares;
    all.grad_moments(&x, a, s)?;
    one.grad_moments(&x, b, t)?;
    near("gradient", a, b, 1e-12);
    near("squares", s, t, 1e-12);
    // Of few samples, so that the network knows a bound without a look at the gradient.
    all.inner = loaded(spec(), ranks.part(6));
    all.grad(&x, a)?;
    let bound = all.gradient_bound().expect("a bound");
    assert!(a.iter().all(|g| g.abs() <= bound));
    assert!(all.inner.gradient_bound().is_some_and(|own| own <= bound));
    all.value(&x)?;
    assert_eq!(all.gradient_bound(), None, "of another evaluation");
    Ok(())
}
