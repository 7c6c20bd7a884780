//! Rows of all ranks' minibatches: of dense layers and of convolutions.

use opt_core::{Fisher, Layered, Objective, SampledFisher};
use opt_mpi::{AllReduced, Ranks};
use opt_nn::{Init, Mlp};

use crate::Outcome;
use crate::model::{ROWS, convolutional, loaded, mine, near, start, whole};

fn compare(all: &AllReduced<Mlp<f64>, f64>, one: &Mlp<f64>) {
    for index in 0..one.places().len() {
        let (a, b) = (
            all.layer(index).expect("rows"),
            one.layer(index).expect("rows"),
        );
        assert_eq!(a.samples, ROWS);
        assert_eq!(
            (a.input.dim(), a.delta.dim()),
            (b.input.dim(), b.delta.dim())
        );
        let flat = |m: ndarray::ArrayView2<'_, f64>| m.iter().copied().collect::<Vec<_>>();
        near("inputs", &flat(a.input), &flat(b.input), 1e-13);
        near("deltas", &flat(a.delta), &flat(b.delta), 1e-13);
    }
    assert!(all.layer(one.places().len()).is_none());
}

pub(crate) fn check(ranks: &Ranks) -> Outcome {
    let (mut all, mut one) = (AllReduced::new(mine::<f64>(ranks), ranks), whole::<f64>());
    assert!(all.layer(0).is_none(), "before the first evaluation");
    let x = start::<f64>();
    let (mut g, mut h) = (x.clone(), x.clone());
    let losses = [all.deltas(&x, &mut g)?, one.deltas(&x, &mut h)?];
    near("loss", &losses[..1], &losses[1..], 1e-14);
    near("the rest of the gradient", &g, &h, 1e-14);
    compare(&all, &one);
    // Of a factor, whose deltas are others; and of a gradient.
    all.factor(&x, 4)?;
    one.factor(&x, 4)?;
    compare(&all, &one);
    all.grad(&x, &mut g)?;
    one.grad(&x, &mut h)?;
    compare(&all, &one);
    let y: Vec<f64> = x.iter().map(|x| 0.9 * x).collect();
    all.deltas(&y, &mut g)?;
    one.deltas(&y, &mut h)?;
    compare(&all, &one);
    drawn(&mut all, &y)?;

    let (spec, part) = (convolutional(), ranks.part(ROWS));
    let mut all = AllReduced::new(loaded::<f64>(spec.clone(), part), ranks);
    let mut one = loaded::<f64>(spec, 0..ROWS);
    let x = one.init(Init::LeCun, 1);
    let (mut g, mut h) = (x.clone(), x.clone());
    all.deltas(&x, &mut g)?;
    one.deltas(&x, &mut h)?;
    assert!(one.layer(0).is_some_and(|layer| layer.input.nrows() > ROWS));
    compare(&all, &one);
    Ok(())
}

/// Labels are drawn by seed, as the model of one rank does; other ones on each rank.
fn drawn(all: &mut AllReduced<Mlp<f64>, f64>, x: &[f64]) -> Outcome {
    let last = all.places().len() - 1;
    let deltas = |all: &AllReduced<Mlp<f64>, f64>| {
        let layer = all.layer(last).expect("rows");
        layer.delta.to_owned()
    };
    let inputs = all.layer(last).expect("rows").input.to_owned();
    all.resample(x, 5)?;
    let first = deltas(all);
    assert_eq!(all.layer(last).expect("rows").input, inputs);
    all.sample(x, 5)?;
    assert_eq!(deltas(all), first);
    all.resample(x, 6)?;
    assert_ne!(deltas(all), first);
    Ok(())
}
