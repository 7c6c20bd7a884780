//! What a layer does to its input with its weight.

use opt_core::Scalar;
use opt_linalg::gemm;

use crate::Error;
use crate::buffer::{square, view, view_mut};
use crate::sparse::Words;

/// A layer's input.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a, F> {
    /// Shape (rows, inputs).
    Dense(&'a [F]),
    /// Of the first layer alone.
    Sparse(&'a Words<F>),
}

/// a = L(W, h), linear in W and in h. So the tangent is two of the same, L(Ẇ, h) + L(W, ḣ), and
/// likewise that of each slope.
pub(crate) trait Linear<F: Scalar> {
    /// a ← L(W, h) + β·a.
    fn forward(
        &self,
        weight: &[F],
        input: Input<'_, F>,
        beta: F,
        a: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error>;

    /// From the slope δ by a to that by W, `to` ← δᵀh + β·`to`, summed over the rows.
    fn gradient(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        beta: F,
        to: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error>;

    /// From the slope by a to that by h, `under` ← δ·W + β·`under`.
    fn backward(
        &self,
        weight: &[F],
        delta: &[F],
        beta: F,
        under: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error>;

    /// As [`gradient`](Self::gradient) with β = 0, but the slopes of each sample by themselves are
    /// squared before they are summed.
    fn squares(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        to: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error>;
}

/// Buffers that only grow.
#[derive(Clone)]
pub(crate) struct Work<F> {
    pub(crate) groups: Vec<Group<F>>,
    /// For squares, of inputs and of deltas.
    pub(crate) squared: [Vec<F>; 2],
}

impl<F> Default for Work<F> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            squared: [Vec::new(), Vec::new()],
        }
    }
}

impl<F> Work<F> {
    pub(crate) fn bytes(&self) -> usize {
        let groups = self.groups.iter().map(Group::bytes).sum::<usize>();
        let squared = self.squared.iter().map(|buffer| size_of_val(&**buffer));
        groups + squared.sum::<usize>()
    }
}

/// The buffers of one group of samples.
#[derive(Clone)]
pub(crate) struct Group<F> {
    pub(crate) patches: Vec<F>,
    /// Of the weight's shape.
    pub(crate) partial: Vec<F>,
    /// As `partial`, of one sample.
    pub(crate) single: Vec<F>,
}

impl<F> Group<F> {
    fn bytes(&self) -> usize {
        let all = [&self.patches, &self.partial, &self.single];
        all.into_iter().map(|buffer| size_of_val(&**buffer)).sum()
    }
}

/// a = h·Wᵀ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    pub(crate) units: usize,
    pub(crate) fan_in: usize,
}

impl<F: Scalar> Linear<F> for Dense {
    fn forward(
        &self,
        weight: &[F],
        input: Input<'_, F>,
        beta: F,
        a: &mut [F],
        _: &mut Work<F>,
    ) -> Result<(), Error> {
        let &Self { units, fan_in } = self;
        match input {
            Input::Sparse(words) => words.forward(weight, beta, a, units),
            Input::Dense(input) => {
                let rows = a.len() / units;
                let (h, w) = (view(input, rows, fan_in)?, view(weight, units, fan_in)?);
                gemm(F::one(), h, w.t(), beta, view_mut(a, rows, units)?)?;
            }
        }
        Ok(())
    }

    fn gradient(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        beta: F,
        to: &mut [F],
        _: &mut Work<F>,
    ) -> Result<(), Error> {
        let &Self { units, fan_in } = self;
        match input {
            Input::Sparse(words) => words.gradient(delta, beta, to, fan_in),
            Input::Dense(input) => {
                let rows = delta.len() / units;
                let (delta, h) = (view(delta, rows, units)?, view(input, rows, fan_in)?);
                gemm(F::one(), delta.t(), h, beta, view_mut(to, units, fan_in)?)?;
            }
        }
        Ok(())
    }

    fn backward(
        &self,
        weight: &[F],
        delta: &[F],
        beta: F,
        under: &mut [F],
        _: &mut Work<F>,
    ) -> Result<(), Error> {
        let &Self { units, fan_in } = self;
        let rows = delta.len() / units;
        let (delta, w) = (view(delta, rows, units)?, view(weight, units, fan_in)?);
        let under = view_mut(under, rows, fan_in)?;
        Ok(gemm(F::one(), delta, w, beta, under)?)
    }

    fn squares(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        to: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let [inputs, deltas] = &mut work.squared;
        square(delta, deltas)?;
        match input {
            Input::Sparse(words) => {
                let squared = words.squared();
                squared.gradient(&deltas[..delta.len()], F::zero(), to, self.fan_in);
            }
            Input::Dense(input) => {
                let rows = delta.len() / self.units;
                square(&input[..rows * self.fan_in], inputs)?;
                let (delta, h) = (
                    view(deltas, rows, self.units)?,
                    view(inputs, rows, self.fan_in)?,
                );
                let to = view_mut(to, self.units, self.fan_in)?;
                gemm(F::one(), delta.t(), h, F::zero(), to)?;
            }
        }
        Ok(())
    }
}
