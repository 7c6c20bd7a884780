//! Where the layers of a model are in its parameter vector, and what they show.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{
    Error, Layer, LayerKind, LayerPlace, Layered, ParamMap, Scalar, first_non_finite, greatest,
};

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

impl Dense {
    /// All layers, if every one is dense and no segment belongs to two of them.
    pub(crate) fn all(params: &ParamMap, places: &[LayerPlace]) -> Result<Vec<Self>, Error> {
        let mut taken = vec![false; params.segments().len()];
        let mut all = Vec::with_capacity(places.len());
        for (index, place) in places.iter().enumerate() {
            let (fan_out, fan_in) = place.shape(index, params)?;
            let weight = params.segment(place.weight)?;
            let refuse = |why: &str| Error::Layer {
                index,
                name: weight.name.clone(),
                why: why.to_owned(),
            };
            if place.kind != LayerKind::Dense {
                return Err(refuse("only dense layers are taken"));
            }
            for at in std::iter::once(place.weight).chain(place.bias) {
                if std::mem::replace(&mut taken[at], true) {
                    return Err(refuse("it shares a segment with another layer"));
                }
            }
            let bias = place.bias.map(|bias| params.segment(bias)).transpose()?;
            all.push(Self {
                index,
                name: weight.name.clone(),
                fan_out,
                fan_in,
                weight: weight.range.clone(),
                bias: bias.map(|bias| bias.range.clone()),
            });
        }
        Ok(all)
    }

    /// As [`all`](Self::all), if the layers have every parameter.
    pub(crate) fn covering(params: &ParamMap, places: &[LayerPlace]) -> Result<Vec<Self>, Error> {
        let all = Self::all(params, places)?;
        for segment in params.segments().iter().filter(|s| !s.range.is_empty()) {
            let mut ranges = all.iter().flat_map(Self::ranges);
            if !ranges.any(|range| range == segment.range) {
                return Err(FisherError::NotDense(segment.name.clone()).into());
            }
        }
        Ok(all)
    }

    /// Whether so many samples are fewer than some layer has inputs.
    pub(crate) fn few(all: &[Self], samples: u64) -> bool {
        all.iter().any(|dense| samples < dense.fan_in as u64)
    }

    /// Whether a step d of the weight is not 0, and yet too short to move it in its type.
    pub(crate) fn vanishes<F: Scalar>(&self, x: &[F], d: &[F]) -> bool {
        let (x, d) = (&x[self.weight.clone()], &d[self.weight.clone()]);
        x.iter().zip(d).all(|(&x, &d)| x + d == x) && d.iter().any(|d| !d.is_zero())
    }

    pub(crate) fn len(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, Range::len)
    }

    /// Of the weight and of the bias, if there is one.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
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

    /// The layer as the objective shows it, after its shapes were checked.
    pub(crate) fn shown<'a, F, O>(&self, objective: &'a O) -> Result<Layer<'a, F>, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let layer = objective.layer(self.index).ok_or(FisherError::NoLayer {
            index: self.index,
            layers: objective.places().len(),
        })?;
        let rows = layer.input.nrows();
        if layer.input.ncols() != self.fan_in || layer.delta.dim() != (rows, self.fan_out) {
            return Err(FisherError::LayerShape(self.index).into());
        }
        Ok(layer)
    }

    /// As [`shown`](Self::shown), of all layers, and refused unless finite. Gives the greatest
    /// magnitude of an input too.
    pub(crate) fn all_shown<'a, F, O>(
        all: &[Self],
        objective: &'a O,
    ) -> Result<(Vec<Layer<'a, F>>, F), Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let (mut shown, mut most) = (Vec::with_capacity(all.len()), F::zero());
        for dense in all {
            let layer = dense.shown(objective)?;
            most = most.max(dense.finite(layer.input)?);
            dense.finite(layer.delta)?;
            shown.push(layer);
        }
        Ok((shown, most))
    }

    /// The greatest magnitude of what the layer shows; refused if it is not finite.
    fn finite<F: Scalar>(&self, values: ArrayView2<'_, F>) -> Result<F, Error> {
        let most = match values.as_slice() {
            Some(values) => greatest(values),
            None => values.iter().fold(F::zero(), |most, v| {
                if v.is_finite() {
                    most.max(v.abs())
                } else {
                    F::infinity()
                }
            }),
        };
        if most.is_finite() {
            return Ok(most);
        }
        let (index, value) = first_non_finite(values.iter()).unwrap_or_default();
        Err(Error::NonFiniteGradient {
            segment: self.name.clone(),
            index,
            value,
        })
    }
}
