use std::hint::select_unpredictable;

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{Scalar, each};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::buffer::{grow, view_mut};
use crate::linear::Input;
use crate::rows::each_row;
use crate::shape::Shape;
use crate::sparse::{Inputs, Words};
use crate::{Error, Loss, Spec};

/// What the network's output is compared with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Target<'a, F> {
    /// A class label for each row.
    Classes(&'a [u8]),
    /// Values of shape (batch, outputs).
    Values(ArrayView2<'a, F>),
    /// The inputs themselves, before dropout: an auto-encoder's target.
    Inputs,
}

/// A minibatch, in buffers that only grow: `rows` says how much of them is in use.
#[derive(Clone)]
pub(crate) struct Batch<F> {
    /// 0 until a minibatch is loaded.
    pub(crate) rows: usize,
    /// Whether it is trained on: then batch normalization goes by its own statistics.
    pub(crate) training: bool,
    /// Shape (rows, inputs), after dropout; unless they are sparse.
    pub(crate) input: Vec<F>,
    /// The same, if they are.
    words: Words<F>,
    sparse: bool,
    /// For each layer 0 or 1/keep of what it hands up; empty without dropout.
    pub(crate) masks: Vec<Vec<F>>,
    /// Shape (rows), if the target was class labels.
    pub(crate) classes: Vec<u8>,
    /// Shape (rows, outputs), unless the loss takes class labels.
    pub(crate) values: Vec<F>,
}

impl<F: Scalar> Batch<F> {
    pub(crate) fn bytes(&self) -> usize {
        let floats = [&self.input, &self.values].into_iter().chain(&self.masks);
        let floats = floats.map(|buffer| size_of_val(&**buffer));
        self.classes.len() + self.words.bytes() + floats.sum::<usize>()
    }

    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            rows: 0,
            training: false,
            input: Vec::new(),
            words: Words::new(),
            sparse: false,
            masks: vec![Vec::new(); spec.layers.len()],
            classes: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Copies a minibatch that [`check`] has passed, all rows or the chosen ones; with a seed, draws
    /// the dropout masks. A prediction has no target.
    pub(crate) fn load(
        &mut self,
        (spec, shapes): (&Spec, &[Shape]),
        inputs: Inputs<'_, F>,
        target: Option<Target<'_, F>>,
        chosen: Option<&[usize]>,
        seed: Option<u64>,
    ) -> Result<(), Error> {
        let (rows, outputs) = (chosen.map_or(inputs.dim().0, <[_]>::len), spec.outputs());
        // All that can fail comes first.
        if spec.loss != Loss::SoftmaxCrossEntropy {
            grow(&mut self.values, rows, outputs)?;
        }
        if let Some(Target::Classes(_)) = target {
            grow(&mut self.classes, rows, 1)?;
        }
        let layers = spec.layers.iter().zip(shapes);
        for (mask, (layer, shape)) in self.masks.iter_mut().zip(layers) {
            if seed.is_some() && threshold(layer.dropout) > 0 {
                grow(mask, rows, shape.above.len())?;
            }
        }
        match inputs {
            Inputs::Sparse(inputs) => self.words.load(inputs, chosen)?,
            Inputs::Dense(inputs) => {
                grow(&mut self.input, rows, spec.inputs)?;
                copy(
                    inputs,
                    chosen,
                    view_mut(&mut self.input, rows, spec.inputs)?,
                );
            }
        }
        self.sparse = matches!(inputs, Inputs::Sparse(_));
        match target {
            None => {}
            Some(Target::Classes(classes)) => {
                let own = &mut self.classes[..rows];
                match chosen {
                    None => own.copy_from_slice(classes),
                    Some(chosen) => {
                        (own.iter_mut().zip(chosen)).for_each(|(class, &row)| *class = classes[row])
                    }
                }
                if spec.loss != Loss::SoftmaxCrossEntropy {
                    let values = &mut self.values[..rows * outputs];
                    values.fill(F::zero());
                    for (row, &class) in values.chunks_exact_mut(outputs).zip(&*own) {
                        row[usize::from(class)] = F::one();
                    }
                }
            }
            Some(Target::Values(values)) => {
                copy(values, chosen, view_mut(&mut self.values, rows, outputs)?);
            }
            Some(Target::Inputs) => {
                let inputs = &self.input[..rows * spec.inputs];
                self.values[..rows * outputs].copy_from_slice(inputs);
            }
        }
        if let Some(seed) = seed {
            self.drop_units(spec, shapes, rows, seed);
        }
        self.rows = rows;
        self.training = seed.is_some();
        Ok(())
    }

    fn drop_units(&mut self, spec: &Spec, shapes: &[Shape], rows: usize, seed: u64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let key = rng.next_u64();
        if threshold(spec.input_dropout) > 0 {
            let scale = F::of(keep(spec.input_dropout).recip());
            let drop = |row, input: &mut [F]| {
                draw(key, row, spec.input_dropout, input, |x, kept| {
                    *x = select_unpredictable(kept, *x * scale, F::zero());
                });
            };
            match self.sparse {
                true => self.words.keep(drop),
                false => each_row(&mut self.input[..rows * spec.inputs], spec.inputs, drop),
            }
        }
        let layers = spec.layers.iter().zip(shapes);
        for (mask, (layer, shape)) in self.masks.iter_mut().zip(layers) {
            let key = rng.next_u64();
            if threshold(layer.dropout) > 0 {
                let scale = F::of(keep(layer.dropout).recip());
                let width = shape.above.len();
                each_row(&mut mask[..rows * width], width, |row, mask| {
                    draw(key, row, layer.dropout, mask, |m, kept| {
                        *m = select_unpredictable(kept, scale, F::zero());
                    });
                });
            }
        }
    }

    pub(crate) fn input(&self) -> Input<'_, F> {
        match self.sparse {
            true => Input::Sparse(&self.words),
            false => Input::Dense(&self.input),
        }
    }

    /// Multiplies what layer `index` has pooled, of `width` elements a sample, by its mask.
    pub(crate) fn drop_pooled(&self, index: usize, width: usize, pooled: &mut [F]) {
        if let Some(mask) = self.masks[index].get(..self.rows * width) {
            each_row(&mut pooled[..self.rows * width], width, |row, pooled| {
                let mask = &mask[row * width..(row + 1) * width];
                each(pooled, mask, [], |h, m, []| (h * m, []));
            });
        }
    }
}

/// Copies all rows, or the chosen ones in their order, which [`check`] has passed.
fn copy<F: Scalar>(
    from: ArrayView2<'_, F>,
    chosen: Option<&[usize]>,
    mut to: ArrayViewMut2<'_, F>,
) {
    match chosen {
        None => to.assign(&from),
        Some(chosen) => (to.rows_mut().into_iter().zip(chosen))
            .for_each(|(mut to, &row)| to.assign(&from.row(row))),
    }
}

/// A rate in units of 1/65536. Never 65536, which would drop everything.
fn threshold(rate: f64) -> u16 {
    (rate * 65536.0).round() as u16 // saturates
}

/// The exact probability that a unit is kept.
pub(crate) fn keep(rate: f64) -> f64 {
    1.0 - f64::from(threshold(rate)) / 65536.0
}

/// Calls `f(element, kept)` for every element of a row. Each row is a random stream of its own,
/// so that it does not matter which thread draws it; 16 bits decide on a unit.
#[inline(always)]
fn draw<F>(key: u64, row: usize, rate: f64, values: &mut [F], f: impl Fn(&mut F, bool)) {
    let threshold = threshold(rate);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(key.wrapping_add(row as u64));
    let mut next = |four: &mut [F]| {
        let bits = rng.next_u64();
        for (k, value) in four.iter_mut().enumerate() {
            f(value, (bits >> (16 * k)) as u16 >= threshold);
        }
    };
    // Chunks of a known length unroll.
    let (chunks, rest) = values.as_chunks_mut::<4>();
    chunks.iter_mut().for_each(|four| next(four));
    if !rest.is_empty() {
        next(rest);
    }
}

/// Refuses inputs and targets that the network can't take, and chosen rows that are not there. Of
/// the classes only those of chosen rows are looked at.
pub(crate) fn check<F: Scalar>(
    spec: &Spec,
    inputs: &Inputs<'_, F>,
    target: Target<'_, F>,
    chosen: Option<&[usize]>,
) -> Result<(), Error> {
    check_inputs(spec, inputs)?;
    let (rows, outputs) = (inputs.dim().0, spec.outputs());
    if let (Target::Inputs, Inputs::Sparse(_)) = (target, inputs) {
        let what = "an auto-encoder's target";
        return Err(Error::Sparse { what });
    }
    let (targets, width) = match target {
        Target::Classes(classes) => (classes.len(), outputs),
        Target::Values(values) => values.dim(),
        Target::Inputs => (rows, spec.inputs),
    };
    let (classes, loss) = (matches!(target, Target::Classes(_)), spec.loss);
    if loss == Loss::SoftmaxCrossEntropy && !classes {
        let target = target.kind();
        return Err(Error::TargetKind { loss, target });
    }
    check_width("targets", outputs, width)?;
    if targets != rows {
        return Err(Error::Rows {
            inputs: rows,
            targets,
        });
    }
    if let Some(chosen) = chosen {
        if chosen.is_empty() {
            return Err(Error::EmptyBatch);
        }
        if let Some(&row) = chosen.iter().find(|&&row| row >= rows) {
            return Err(Error::Row { row, rows });
        }
    }
    let Target::Classes(classes) = target else {
        return Ok(());
    };
    let wrong = |&row: &usize| usize::from(classes[row]) >= outputs;
    let row = match chosen {
        None => (0..rows).find(wrong),
        Some(chosen) => chosen.iter().copied().find(wrong),
    };
    match row {
        None => Ok(()),
        Some(row) => Err(Error::Class {
            row,
            class: classes[row],
            outputs,
        }),
    }
}

/// Refuses inputs that the network can't take.
pub(crate) fn check_inputs<F>(spec: &Spec, inputs: &Inputs<'_, F>) -> Result<(), Error> {
    let (rows, width) = inputs.dim();
    if rows == 0 {
        return Err(Error::EmptyBatch);
    }
    check_width("inputs", spec.inputs, width)?;
    match inputs {
        Inputs::Sparse(inputs) if !inputs.is_csr() => Err(Error::SparseColumns),
        Inputs::Sparse(_) if spec.layers.first().is_some_and(|l| l.convolution.is_some()) => {
            Err(Error::Sparse { what: "convolved" })
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_width(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Width {
        what,
        expected,
        found,
    })
}
