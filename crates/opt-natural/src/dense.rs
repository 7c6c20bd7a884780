//! Where the layers of a model are in its parameter vector, and what they show.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{
    Error, Layer, LayerKind, LayerPlace, Layered, ParamMap, Scalar, first_non_finite, greatest,
};

use crate::FisherError;

/// A layer's place in the parameter vector. A convolution is a dense layer of its patches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dense {
    /// Counted from the input.
    pub(crate) index: usize,
    /// The weight's name.
    pub(crate) name: String,
    pub(crate) fan_out: usize,
    pub(crate) fan_in: usize,
    /// Of a pixel, which a patch of a convolution has several of; of a dense layer fan_in.
    pub(crate) channels: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
}

impl Dense {
    /// All layers, if no segment belongs to two of them.
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
            let channels = match place.kind {
                LayerKind::Dense => fan_in,
                LayerKind::Convolution => *params.segments()[place.weight]
                    .shape
                    .last()
                    .unwrap_or(&fan_in),
                _ => return Err(refuse("only dense layers and convolutions are taken")),
            };
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
                channels,
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

    /// Whether a step d of the weight is not 0, and yet too short to move it in its type.
    pub(crate) fn vanishes<F: Scalar>(&self, x: &[F], d: &[F]) -> bool {
        let (x, d) = (&x[self.weight.clone()], &d[self.weight.clone()]);
        x.iter().zip(d).all(|(&x, &d)| x + d == x) && d.iter().any(|d| !d.is_zero())
    }

    /// Of h̄ = (h, 1), or of h without a bias.
    pub(crate) fn inputs(&self) -> usize {
        self.fan_in + usize::from(self.bias.is_some())
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
        self.checked(objective.layer(self.index), objective)
    }

    /// As [`shown`](Self::shown), of this process's rows alone.
    fn part<'a, F, O>(&self, objective: &'a O) -> Result<Layer<'a, F>, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let layer = match objective.team() {
            Some(team) => team.layer(self.index),
            None => objective.layer(self.index),
        };
        self.checked(layer, objective)
    }

    /// As [`part`](Self::part), and refused unless finite.
    pub(crate) fn own<'a, F, O>(&self, objective: &'a O) -> Result<Layer<'a, F>, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let layer = self.part(objective)?;
        self.finite(layer.input)?;
        self.finite(layer.delta)?;
        Ok(layer)
    }

    fn checked<'a, F, O>(
        &self,
        layer: Option<Layer<'a, F>>,
        objective: &O,
    ) -> Result<Layer<'a, F>, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let layer = layer.ok_or_else(|| FisherError::NoLayer {
            index: self.index,
            layers: objective.places().len(),
        })?;
        let rows = layer.input.nrows();
        let whole = layer.samples > 0 && rows.is_multiple_of(layer.samples);
        let fits = layer.input.ncols() == self.fan_in && layer.delta.dim() == (rows, self.fan_out);
        if !fits || !(whole || rows == 0) {
            return Err(FisherError::LayerShape(self.index).into());
        }
        Ok(layer)
    }

    /// As [`own`](Self::own), of all layers, over `shown`. Gives the greatest magnitude of an input.
    pub(crate) fn show_all<'a, F, O>(
        all: &[Self],
        objective: &'a O,
        shown: &mut Vec<Layer<'a, F>>,
    ) -> Result<F, Error>
    where
        F: Scalar,
        O: Layered<F> + ?Sized,
    {
        let mut most = F::zero();
        shown.clear();
        for dense in all {
            let layer = dense.part(objective)?;
            most = most.max(dense.finite(layer.input)?);
            dense.finite(layer.delta)?;
            shown.push(layer);
        }
        Ok(most)
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

/// An empty list with the memory of this one, of layers that are borrowed for another time.
pub(crate) fn recycle<'to, F>(mut list: Vec<Layer<'_, F>>) -> Vec<Layer<'to, F>> {
    list.clear();
    // Collected in place; there is nothing left to map.
    list.into_iter().map_while(|_| None).collect()
}

/// What a gradient has beside the layers' δᵀh: of a penalty, and of parameters outside of layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest {
    /// Whether a layer's weight has any.
    pub(crate) of_layers: Vec<bool>,
    /// Whether a layer's bias has any.
    pub(crate) of_biases: Vec<bool>,
    /// The greatest magnitude but for the layers' weights.
    pub(crate) outside: f64,
}

impl Rest {
    /// Reads the gradient once; refused if it is not finite.
    pub(crate) fn find<F: Scalar>(
        &mut self,
        params: &ParamMap,
        layers: &[Dense],
        g: &[F],
    ) -> Result<(), Error> {
        params.check_len("gradient", g.len())?;
        for all in [&mut self.of_layers, &mut self.of_biases] {
            all.clear();
            all.resize(layers.len(), false);
        }
        self.outside = 0.0;
        for segment in params.segments() {
            let most = greatest(&g[segment.range.clone()]).f64();
            if !most.is_finite() {
                return params.check_gradient(g);
            }
            let here = |dense: &Dense| dense.weight == segment.range;
            if let Some(index) = layers.iter().position(here) {
                self.of_layers[index] |= most > 0.0;
                continue;
            }
            self.outside = self.outside.max(most);
            let here = |dense: &Dense| dense.bias.as_ref() == Some(&segment.range);
            if let Some(index) = layers.iter().position(here) {
                self.of_biases[index] |= most > 0.0;
            }
        }
        Ok(())
    }

    /// Whether there is none at all.
    pub(crate) fn is_none(&self) -> bool {
        self.outside == 0.0 && !self.of_layers.contains(&true)
    }
}
