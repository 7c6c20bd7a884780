//! The digits, a network for them, and the part of a minibatch that a rank has.

use std::ops::Range;

use ndarray::{Array2, s};
use opt_core::{Error, Layer, LayerPlace, Layered, Objective, ParamMap, SampledFisher, Scalar};
use opt_mpi::Ranks;
use opt_nn::{Activation, Convolution, Init, Layer as Of, Mlp, Spec, Target};

/// Of the minibatch that all ranks have together: an odd number, so that their parts differ.
pub(crate) const ROWS: usize = 53;

pub(crate) fn spec() -> Spec {
    let mut spec = Spec::classifier(&[64, 9, 10], Activation::Tanh);
    spec.l2 = 0.01;
    spec
}

pub(crate) fn convolutional() -> Spec {
    let mut spec = Spec::classifier(&[64, 10], Activation::Tanh);
    let convolution = Convolution {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    spec.image = Some([8, 8, 1]);
    (spec.layers).insert(0, Of::convolution(3, convolution, Activation::Tanh));
    spec
}

/// A network that has seen these of the digits.
pub(crate) fn loaded<F: Scalar>(spec: Spec, rows: Range<usize>) -> Mlp<F> {
    let digits = opt_data::digits().expect("digits");
    let inputs: Array2<F> = digits
        .inputs
        .slice(s![rows.clone(), ..])
        .mapv(|v| F::of(v.into()));
    let mut mlp = Mlp::new(spec).expect("a network");
    let labels = &digits.labels[rows];
    mlp.load(inputs.view(), Target::Classes(labels), 7)
        .expect("a minibatch");
    mlp
}

/// This rank's part of the minibatch.
pub(crate) fn mine<F: Scalar>(ranks: &Ranks) -> Mlp<F> {
    loaded(spec(), ranks.part(ROWS))
}

/// All of it.
pub(crate) fn whole<F: Scalar>() -> Mlp<F> {
    loaded(spec(), 0..ROWS)
}

pub(crate) fn start<F: Scalar>() -> Vec<F> {
    Mlp::new(spec()).expect("a network").init(Init::LeCun, 3)
}

/// Refuses vectors that are not as near as rounding leaves them.
pub(crate) fn near<F: Scalar>(what: &str, found: &[F], expected: &[F], tolerance: f64) {
    let scale = expected.iter().fold(0.0, |most, v| v.f64().abs().max(most));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a.f64() - b.f64()).abs();
        assert!(
            error <= tolerance * scale,
            "{what}, {at}: {a} and {b}, of {scale}"
        );
    }
    assert_eq!(found.len(), expected.len());
}

pub(crate) fn same_bits<F: Scalar>(what: &str, found: &[F], expected: &[F]) {
    let bits = |v: &F| v.f64().to_bits();
    let differs = found
        .iter()
        .zip(expected)
        .position(|(a, b)| bits(a) != bits(b));
    assert_eq!(differs, None, "{what}");
    assert_eq!(found.len(), expected.len(), "{what}");
}

/// A model whose labels depend on no seed, so that they are the same however the samples are dealt:
/// "drawn" is the first column of the Fisher matrix's factor.
pub(crate) struct Certain {
    pub(crate) net: Mlp<f64>,
    /// What the first layer's deltas are said to be.
    pub(crate) shown: Option<Array2<f64>>,
}

impl Certain {
    pub(crate) fn new(net: Mlp<f64>) -> Self {
        Self { net, shown: None }
    }
}

impl Objective<f64> for Certain {
    fn params(&self) -> &ParamMap {
        self.net.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.net.value(x)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.net.grad(x, g)
    }
}

impl Layered<f64> for Certain {
    fn places(&self) -> &[LayerPlace] {
        self.net.places()
    }

    fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.net.deltas(x, g)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        let mut layer = self.net.layer(index)?;
        if let Some(delta) = self.shown.as_ref().filter(|_| index == 0) {
            layer.delta = delta.view();
        }
        Some(layer)
    }
}

impl SampledFisher<f64> for Certain {
    fn sample(&mut self, x: &[f64], _: u64) -> Result<(), Error> {
        opt_core::Fisher::factor(&mut self.net, x, 1)
    }
}

/// Hides that there are other ranks, whose rows are then gathered.
pub(crate) struct Gathering<O>(pub(crate) O);

impl<O: Objective<f64>> Objective<f64> for Gathering<O> {
    fn params(&self) -> &ParamMap {
        self.0.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.0.value(x)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.grad(x, g)
    }
}

impl<O: Layered<f64>> Layered<f64> for Gathering<O> {
    fn places(&self) -> &[LayerPlace] {
        self.0.places()
    }

    fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.deltas(x, g)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        self.0.layer(index)
    }
}

impl<O: SampledFisher<f64>> SampledFisher<f64> for Gathering<O> {
    fn sample(&mut self, x: &[f64], seed: u64) -> Result<(), Error> {
        self.0.sample(x, seed)
    }
}
