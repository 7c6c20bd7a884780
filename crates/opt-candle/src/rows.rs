//! What a layer shows: its inputs and slopes, row by row.

use candle_core::{Device, Tensor};
use ndarray::ArrayView2;
use opt_core::{LayerPlace, ParamMap};

use crate::element::read;
use crate::tape::{Taken, rows};
use crate::{Element, Error};

#[derive(Clone, Debug)]
pub(crate) struct Rows<F> {
    pub(crate) input: Vec<F>,
    pub(crate) delta: Vec<F>,
    pub(crate) fan_in: usize,
    pub(crate) fan_out: usize,
}

/// All numbers of a tensor, in row-major order.
pub(crate) fn numbers<F: Element>(tensor: &Tensor) -> Result<Vec<F>, Error> {
    let tensor = tensor.detach().to_dtype(F::OWN)?.contiguous()?;
    read(&tensor, <[F]>::to_vec)
}

fn refill<F: Element>(to: &mut Vec<F>, from: &Tensor) -> Result<(), Error> {
    let from = from.to_dtype(F::OWN)?.contiguous()?;
    read(&from, |from| {
        to.clear();
        to.extend_from_slice(from);
    })
}

impl<F: Element> Rows<F> {
    pub(crate) fn take(
        &mut self,
        layer: &Taken,
        input: &Tensor,
        delta: &Tensor,
        inputs: bool,
    ) -> Result<(), Error> {
        let Some(window) = &layer.window else {
            if inputs {
                refill(&mut self.input, input)?;
            }
            return refill(&mut self.delta, delta);
        };
        refill(&mut self.delta, &rows(delta)?)?;
        if let (true, Some(maps)) = (inputs, layer.maps(input.dims(), delta.dims())) {
            let input = input.to_dtype(F::OWN)?.contiguous()?;
            read(&input, |from: &[F]| {
                window.patches(&maps, from, &mut self.input)
            })?;
        }
        Ok(())
    }

    pub(crate) fn view(&self) -> Option<[ArrayView2<'_, F>; 2]> {
        let rows = self.delta.len() / self.fan_out.max(1);
        let input = ArrayView2::from_shape((rows, self.fan_in), &self.input).ok()?;
        let delta = ArrayView2::from_shape((rows, self.fan_out), &self.delta).ok()?;
        Some([input, delta])
    }

    /// Adds deltaᵀ·input to the gradient of the weight, and the sum of delta to that of the bias.
    pub(crate) fn add(
        &self,
        place: &LayerPlace,
        params: &ParamMap,
        g: &mut [F],
    ) -> Result<(), Error> {
        let (rows, device) = (self.delta.len() / self.fan_out.max(1), Device::Cpu);
        let input = Tensor::from_slice(&self.input, (rows, self.fan_in), &device)?;
        let delta = Tensor::from_slice(&self.delta, (rows, self.fan_out), &device)?;
        let mut add = |index: usize, from: Tensor| -> Result<(), Error> {
            let g = &mut g[params.segment(index)?.range.clone()];
            read(&from, |from| {
                g.iter_mut().zip(from).for_each(|(g, &from)| *g += from);
            })
        };
        add(place.weight, delta.t()?.matmul(&input)?.contiguous()?)?;
        match place.bias {
            Some(bias) => add(bias, delta.sum(0)?.contiguous()?),
            None => Ok(()),
        }
    }
}
