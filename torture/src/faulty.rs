//! A network that can do all that a method may ask of it, and does one of these things wrong.

use ndarray::{Array2, ArrayView1, ArrayView2};
use opt_core::{
    Error, Fisher, GaussNewton, HessianDiag, HessianProduct, Layer, LayerPlace, Layered, Objective,
    ObserveInputs, ParamMap, PerSample, Reparametrized, SampledFisher, State, Visit,
};
use opt_nn::Mlp;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It returns an error, after it has worked: what it was to write is NaN.
    Refusal,
    /// The loss is this.
    Loss(f32),
    /// An element of the vector that it writes is this: a gradient, a product, a diagonal.
    Element(usize, f32),
    /// An element of the mean of squares is this.
    Square(usize, f32),
    /// An element of a layer that it shows is this: of the deltas, or of the inputs it observes.
    Shown(usize, f32),
}

/// What an evaluation returns, and so what can go wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evaluation {
    Value,
    Gradient,
    Deltas,
    Moments,
    Product,
    Drawn,
    Observed,
}

impl Evaluation {
    /// All that can go wrong.
    pub(crate) fn faults(self, element: usize, value: f32) -> Vec<Fault> {
        use Fault::{Element, Loss, Refusal, Shown, Square};
        match self {
            Self::Value => vec![Refusal, Loss(value)],
            Self::Gradient => vec![Refusal, Loss(value), Element(element, value)],
            Self::Deltas => vec![
                Refusal,
                Loss(value),
                Element(element, value),
                Shown(element, value),
            ],
            Self::Moments => vec![
                Refusal,
                Loss(value),
                Element(element, value),
                Square(element, value),
            ],
            Self::Product => vec![Refusal, Element(element, value)],
            Self::Drawn | Self::Observed => vec![Refusal, Shown(element, value)],
        }
    }
}

/// The network and its fault.
pub(crate) struct Faulty {
    pub(crate) net: Mlp<f32>,
    /// Evaluations since this was emptied.
    pub(crate) seen: Vec<Evaluation>,
    /// In which evaluation, and what. `None` once it has happened.
    pub(crate) ambush: Option<(usize, Fault)>,
    /// Steps that were accepted.
    pub(crate) accepted: u64,
    /// The deltas of the first layer, if they are spoilt.
    shown: Option<Array2<f32>>,
    /// Whether the last gradient was, so that its bound is none.
    spoilt: bool,
}

impl Faulty {
    pub(crate) fn new(net: Mlp<f32>) -> Self {
        Self {
            net,
            seen: Vec::new(),
            ambush: None,
            accepted: 0,
            shown: None,
            spoilt: false,
        }
    }

    /// The fault of an evaluation that begins, if it is its turn.
    fn begin(&mut self, evaluation: Evaluation) -> Option<Fault> {
        let at = self.seen.len();
        self.seen.push(evaluation);
        self.shown = None;
        let (turn, fault) = self.ambush?;
        if turn != at {
            return None;
        }
        self.ambush = None;
        Some(fault)
    }

    /// Spoils what an evaluation has written, or refuses it.
    fn spoil(&mut self, fault: Option<Fault>, out: &mut [f32]) -> Result<(), Error> {
        self.spoilt = fault.is_some();
        match fault {
            Some(Fault::Refusal) => {
                out.fill(f32::NAN);
                return Err(refused());
            }
            Some(Fault::Element(at, value)) => out[at % out.len()] = value,
            Some(Fault::Shown(at, value)) => {
                let first = self.net.layer(0);
                let mut delta = first.ok_or_else(refused)?.delta.to_owned();
                spoil_one(&mut delta, at, value);
                self.shown = Some(delta);
            }
            _ => {}
        }
        Ok(())
    }

    /// Of a pass that is shown alone.
    fn drawn(
        &mut self,
        pass: impl FnOnce(&mut Mlp<f32>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let fault = self.begin(Evaluation::Drawn);
        pass(&mut self.net)?;
        self.spoil(fault, &mut [])
    }

    /// Of something that writes one vector.
    fn product(
        &mut self,
        out: &mut [f32],
        product: impl FnOnce(&mut Mlp<f32>, &mut [f32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let fault = self.begin(Evaluation::Product);
        product(&mut self.net, out)?;
        self.spoil(fault, out)
    }
}

fn refused() -> Error {
    Error::objective("refused on purpose")
}

fn spoil_one(all: &mut Array2<f32>, at: usize, value: f32) {
    let at = at % all.len().max(1);
    if let Some(element) = all.iter_mut().nth(at) {
        *element = value;
    }
}

fn spoilt_loss(fault: Option<Fault>, loss: f32) -> f32 {
    match fault {
        Some(Fault::Loss(loss)) => loss,
        _ => loss,
    }
}

impl Objective<f32> for Faulty {
    fn params(&self) -> &ParamMap {
        self.net.params()
    }

    fn value(&mut self, x: &[f32]) -> Result<f32, Error> {
        let fault = self.begin(Evaluation::Value);
        let loss = self.net.value(x)?;
        self.spoil(fault, &mut [])?;
        Ok(spoilt_loss(fault, loss))
    }

    fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        let fault = self.begin(Evaluation::Gradient);
        let loss = self.net.grad(x, g)?;
        self.spoil(fault, g)?;
        Ok(spoilt_loss(fault, loss))
    }

    fn gradient_bound(&self) -> Option<f32> {
        self.net.gradient_bound().filter(|_| !self.spoilt)
    }

    fn accept(&mut self) {
        self.accepted += 1;
        self.net.accept();
    }
}

impl HessianDiag<f32> for Faulty {
    fn hessian_diag(&mut self, x: &[f32], h: &mut [f32]) -> Result<(), Error> {
        self.product(h, |net, h| net.hessian_diag(x, h))
    }
}

impl HessianProduct<f32> for Faulty {
    fn hessian_product(&mut self, x: &[f32], v: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.product(out, |net, out| net.hessian_product(x, v, out))
    }
}

impl GaussNewton<f32> for Faulty {
    fn gauss_newton_product(&mut self, x: &[f32], v: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.product(out, |net, out| net.gauss_newton_product(x, v, out))
    }
}

impl PerSample<f32> for Faulty {
    fn samples(&self) -> usize {
        self.net.samples()
    }

    fn penalty(&self, d: &mut [f32]) {
        self.net.penalty(d);
    }

    fn grad_moments(&mut self, x: &[f32], g: &mut [f32], square: &mut [f32]) -> Result<f32, Error> {
        let fault = self.begin(Evaluation::Moments);
        let loss = self.net.grad_moments(x, g, square)?;
        self.spoil(fault, g)?;
        if let Some(Fault::Square(at, value)) = fault {
            square[at % square.len()] = value;
        }
        Ok(spoilt_loss(fault, loss))
    }
}

impl Layered<f32> for Faulty {
    fn places(&self) -> &[LayerPlace] {
        self.net.places()
    }

    fn deltas(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        let fault = self.begin(Evaluation::Deltas);
        let loss = self.net.deltas(x, g)?;
        self.spoil(fault, g)?;
        Ok(spoilt_loss(fault, loss))
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f32>> {
        let mut layer = self.net.layer(index)?;
        if let Some(delta) = self.shown.as_ref().filter(|_| index == 0) {
            layer.delta = delta.view();
        }
        Some(layer)
    }

    /// An error comes in the middle, when the first layer has been shown.
    fn observe(
        &mut self,
        x: &[f32],
        samples: usize,
        visit: &mut ObserveInputs<'_, f32>,
    ) -> Result<usize, Error> {
        let fault = self.begin(Evaluation::Observed);
        self.net.observe(x, samples, &mut |index, rows| {
            if index == 0 {
                return visit(index, rows);
            }
            match fault {
                Some(Fault::Refusal) => Err(refused()),
                Some(Fault::Shown(at, value)) => {
                    let mut rows = rows.to_owned();
                    spoil_one(&mut rows, at, value);
                    visit(index, rows.view())
                }
                _ => visit(index, rows),
            }
        })
    }
}

impl SampledFisher<f32> for Faulty {
    fn sample(&mut self, x: &[f32], seed: u64) -> Result<(), Error> {
        self.drawn(|net| net.sample(x, seed))
    }

    fn resample(&mut self, x: &[f32], seed: u64) -> Result<(), Error> {
        self.drawn(|net| net.resample(x, seed))
    }
}

impl Fisher<f32> for Faulty {
    fn outputs(&self) -> usize {
        self.net.outputs()
    }

    fn factor(&mut self, x: &[f32], index: usize) -> Result<(), Error> {
        self.drawn(|net| net.factor(x, index))
    }
}

impl Reparametrized<f32> for Faulty {
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, f32>,
        c: ArrayView1<'_, f32>,
    ) -> Result<(), Error> {
        self.net.set_whitening(index, u, c)
    }

    fn clear_whitening(&mut self) {
        self.net.clear_whitening();
    }
}

impl State<f32> for Faulty {
    fn visit(&mut self, visitor: &mut dyn Visit<f32>) {
        self.net.visit(visitor);
    }
}
