//! Where the dense layers of a model are in its parameter vector.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{Error, Layer, Layered, Scalar, all_finite};

use crate::FisherError;

/// A dense layer's place in the parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dense {
    /// Counted from the input.
    pub(crate) index: usize,
    /// The weight's name.
    pub(crate) name: String,
    pub(crate) fan_out: usize,
    pub(crate) fan_in: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
}

/// Whether what a layer shows is finite.
pub(crate) fn is_finite<F: Scalar>(values: ArrayView2<'_, F>) -> bool {
    match values.as_slice() {
        Some(values) => all_finite(values),
        None => values.iter().all(|v| v.is_finite()),
    }
}

impl Dense {
    pub(crate) fn len(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, Range::len)
    }

    /// Of the weight and of the bias, if there is one.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        std::iter::once(self.weight.clone()).chain(self.bias.clone())
    }

    /// The weight in a vector as long as the parameters.
    pub(crate) fn weight<'a, F>(&self, v: &'a [F]) -> Result<ArrayView2<'a, F>, Error> {
        let shape = (self.fan_out, self.fan_in);
        ArrayView2::from_shape(shape, &v[self.weight.clone()]).map_err(Error::objective)
    }

    /// As [`weight`](Self::weight), mutable.
    pub(crate) fn weight_mut<'a, F>(&self, v: &'a mut [F]) -> Result<ArrayViewMut2<'a, F>, Error> {
        let shape = (self.fan_out, self.fan_in);
        ArrayViewMut2::from_shape(shape, &mut v[self.weight.clone()]).map_err(Error::objective)
    }

    /// The layer as the objective shows it, after all shapes were checked.
    pub(crate) fn shown<F, O>(objective: &O, index: usize) -> Result<(Self, Layer<'_, F>), Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let layers = objective.layers();
        let layer = objective.layer(index).filter(|_| index < layers);
        let layer = layer.ok_or(FisherError::NoLayer { index, layers })?;
        let places = objective.segments(index);
        let (weight, bias) = places.ok_or(FisherError::NoLayer { index, layers })?;
        let segments = objective.params().segments();
        let (samples, fan_out) = layer.delta.dim();
        let fan_in = layer.input.ncols();
        let place = |segment: usize, len: Option<usize>| {
            let segment = segments.get(segment);
            let segment = segment.filter(|s| len == Some(s.range.len()));
            segment.ok_or(FisherError::LayerShape(index))
        };
        let weight = place(weight, fan_out.checked_mul(fan_in))?;
        let bias = bias.map(|bias| place(bias, Some(fan_out))).transpose()?;
        if layer.input.nrows() != samples {
            return Err(FisherError::LayerShape(index).into());
        }
        let dense = Self {
            index,
            name: weight.name.clone(),
            fan_out,
            fan_in,
            weight: weight.range.clone(),
            bias: bias.map(|bias| bias.range.clone()),
        };
        Ok((dense, layer))
    }

    /// All layers, which must have every parameter exactly once.
    pub(crate) fn all<F, O>(objective: &O) -> Result<Vec<Self>, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let all = (0..objective.layers()).map(|index| Ok(Self::shown(objective, index)?.0));
        let all = all.collect::<Result<Vec<_>, Error>>()?;
        for segment in objective.params().segments() {
            let weights = all.iter().map(|dense| &dense.weight);
            let biases = all.iter().filter_map(|dense| dense.bias.as_ref());
            let owners = weights
                .chain(biases)
                .filter(|range| **range == segment.range);
            if !segment.range.is_empty() && owners.count() != 1 {
                return Err(FisherError::NotDense(segment.name.clone()).into());
            }
        }
        Ok(all)
    }
}
