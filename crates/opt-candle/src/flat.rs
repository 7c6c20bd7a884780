//! The variables as one vector, for methods that evaluate where they will.

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use opt_core::{Error as CoreError, Method, ParamMap, Report};

use crate::element::{pull, push, read};
use crate::{Element, Error, Vars};

/// A convolution's weight, of which the vector has the channels last: (channels, pixels of the kernel).
pub(crate) type Kernel = (usize, usize);

/// The variables and a vector that stands for them.
#[derive(Debug)]
pub(crate) struct Flat<F> {
    pub(crate) vars: Vars,
    pub(crate) params: ParamMap,
    kernels: Vec<Option<Kernel>>,
    /// Between two steps.
    x: Vec<F>,
    /// A weight on its way.
    turned: Vec<F>,
}

/// (a, b) from (b, a), for every matrix in a row of them.
fn transpose<F: Copy>(from: &[F], (a, b): Kernel, to: &mut [F]) {
    for (from, to) in from.chunks_exact(a * b).zip(to.chunks_exact_mut(a * b)) {
        for (i, row) in to.chunks_exact_mut(b).enumerate() {
            for (j, to) in row.iter_mut().enumerate() {
                *to = from[j * a + i];
            }
        }
    }
}

impl<F: Element> Flat<F> {
    /// With the channels last where `kernels` says so.
    pub(crate) fn new(vars: Vars, kernels: Vec<Option<Kernel>>) -> Result<Self, Error> {
        vars.check::<F>()?;
        let segments = vars.params().segments().iter().zip(&kernels);
        let shapes = segments.map(|(segment, kernel)| {
            let mut shape = segment.shape.clone();
            if kernel.is_some() && shape.len() > 2 {
                let channels = shape.remove(1);
                shape.push(channels);
            }
            (segment.name.clone(), shape)
        });
        let params = ParamMap::new(shapes)?;
        Ok(Self {
            // NaN is no number of a variable in 16 bits: all are taken.
            x: vec![F::nan(); params.len()],
            turned: Vec::new(),
            params,
            kernels,
            vars,
        })
    }

    /// x as the variables are.
    pub(crate) fn pull(&mut self) -> Result<(), Error> {
        let Self {
            vars, x, turned, ..
        } = self;
        let all = self.params.segments().iter().zip(vars.vars());
        for ((segment, var), kernel) in all.zip(&self.kernels) {
            let x = &mut x[segment.range.clone()];
            match kernel {
                None => pull(var, x)?,
                Some((channels, pixels)) => {
                    turned.resize(x.len(), F::zero());
                    transpose(x, (*channels, *pixels), turned);
                    pull(var, turned)?;
                    transpose(turned, (*pixels, *channels), x);
                }
            }
        }
        Ok(())
    }

    /// The variables as `x` is.
    pub(crate) fn push(&mut self, x: &[F]) -> Result<(), Error> {
        self.params.check_len("x", x.len())?;
        let all = self.params.segments().iter().zip(self.vars.vars());
        for ((segment, var), kernel) in all.zip(&self.kernels) {
            let x = &x[segment.range.clone()];
            match kernel {
                None => push(var, x)?,
                Some(kernel) => {
                    self.turned.resize(x.len(), F::zero());
                    transpose(x, *kernel, &mut self.turned);
                    push(var, &self.turned)?
                }
            };
        }
        Ok(())
    }

    /// Writes the gradient over `g`, 0 where a variable has none; gives whether any has.
    pub(crate) fn gradient(&self, grads: &GradStore, g: &mut [F]) -> Result<bool, Error> {
        let mut any = false;
        for (index, segment) in self.params.segments().iter().enumerate() {
            let g = &mut g[segment.range.clone()];
            match (self.vars.gradient::<F>(index, grads)?, self.kernels[index]) {
                (None, _) => g.fill(F::zero()),
                (Some(from), None) => read(&from, |from| g.copy_from_slice(from))?,
                (Some(from), Some((channels, pixels))) => {
                    read(&from, |from| transpose(from, (pixels, channels), g))?;
                }
            }
            any |= grads.get(&self.vars.vars()[index]).is_some();
        }
        Ok(any)
    }
}

/// A model that one method after another steps.
pub(crate) trait Steps<F: Element> {
    fn flat(&mut self) -> &mut Flat<F>;

    /// From where the variables are to where the method puts them; also if a trial has moved them
    /// meanwhile.
    fn step_by<M: Method<F, Self>>(&mut self, method: &mut M) -> Result<Report<F>, Error> {
        self.flat().pull()?;
        let mut x = std::mem::take(&mut self.flat().x);
        let report = method.step(self, &mut x);
        let put = self.flat().push(&x);
        self.flat().x = x;
        let report = report?;
        put?;
        Ok(report)
    }
}

/// The loss as a number.
pub(crate) fn number<F: Element>(loss: &Tensor) -> Result<F, Error> {
    if loss.elem_count() != 1 {
        return Err(Error::LossShape(loss.dims().to_vec()));
    }
    let loss = loss.flatten_all()?.to_dtype(candle_core::DType::F64)?;
    let value = loss.to_vec1::<f64>()?;
    Ok(F::of(value.first().copied().unwrap_or(f64::NAN)))
}

/// The lengths that a method has brought.
pub(crate) fn lengths<F>(params: &ParamMap, x: &[F], g: &[F]) -> Result<(), CoreError> {
    params.check_len("x", x.len())?;
    params.check_len("gradient", g.len())
}
