//! A network with one fault in one of its evaluations.

use std::cell::Cell;

use ndarray::{Array2, ArrayView1, ArrayView2};
use opt_core::{
    Error, Fisher, Layer, LayerPlace, Layered, Objective, ObserveInputs, ParamMap, Reparametrized,
    SampledFisher, State, Visit,
};
use opt_nn::Mlp;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It cannot be evaluated.
    Refusal,
    /// The loss is this.
    Loss(f64),
    /// This element of the gradient is this.
    Gradient(usize, f64),
    /// An output delta of the last layer is this.
    Delta(f64),
    /// An input of the second layer is this.
    Input(f64),
}

/// Counts evaluations of any kind, and spoils one.
pub(crate) struct Faulty {
    pub(crate) inner: Mlp<f64>,
    pub(crate) calls: usize,
    /// In which of them.
    pub(crate) fault: Option<(usize, Fault)>,
    /// Whether the fault has shown: what nobody looks at is none.
    pub(crate) struck: Cell<bool>,
    /// Inputs and deltas of all layers, if they are spoilt.
    shown: Option<Vec<(Array2<f64>, Array2<f64>)>>,
}

impl Faulty {
    pub(crate) fn new(inner: Mlp<f64>) -> Self {
        let (fault, shown) = (None, None);
        Self {
            inner,
            calls: 0,
            fault,
            struck: Cell::new(false),
            shown,
        }
    }

    /// Counts an evaluation; gives what is wrong with it.
    fn due(&mut self) -> Option<Fault> {
        self.calls += 1;
        let (at, fault) = self.fault?;
        (at == self.calls - 1).then_some(fault)
    }

    /// Spoils the result of a pass backward.
    fn spoil(&mut self, fault: Option<Fault>, g: Option<&mut [f64]>) -> Result<(), Error> {
        self.shown = None;
        match (fault, g) {
            (Some(Fault::Refusal), _) => {
                self.struck.set(true);
                return Err(Error::objective("refused on purpose"));
            }
            (Some(Fault::Gradient(at, value)), Some(g)) => {
                self.struck.set(true);
                g[at] = value;
            }
            (Some(Fault::Delta(value) | Fault::Input(value)), _) => {
                let layers = (0..self.inner.places().len()).map(|index| {
                    let layer = self.inner.layer(index).unwrap();
                    (layer.input.to_owned(), layer.delta.to_owned())
                });
                let mut layers: Vec<_> = layers.collect();
                if matches!(fault, Some(Fault::Delta(_))) {
                    layers.last_mut().unwrap().1[[3, 1]] = value;
                } else {
                    layers[1].0[[2, 0]] = value;
                }
                self.shown = Some(layers);
            }
            _ => {}
        }
        Ok(())
    }

    fn loss(&mut self, fault: Option<Fault>, loss: f64) -> f64 {
        match fault {
            Some(Fault::Loss(loss)) => {
                self.struck.set(true);
                loss
            }
            _ => loss,
        }
    }
}

impl Objective<f64> for Faulty {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let (fault, loss) = (self.due(), self.inner.value(x)?);
        if fault == Some(Fault::Refusal) {
            self.struck.set(true);
            return Err(Error::objective("refused on purpose"));
        }
        Ok(self.loss(fault, loss))
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let (fault, loss) = (self.due(), self.inner.grad(x, g)?);
        self.spoil(fault, Some(g))?;
        Ok(self.loss(fault, loss))
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}

impl Layered<f64> for Faulty {
    fn places(&self) -> &[LayerPlace] {
        self.inner.places()
    }

    fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let (fault, loss) = (self.due(), self.inner.deltas(x, g)?);
        self.spoil(fault, Some(g))?;
        Ok(self.loss(fault, loss))
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        match &self.shown {
            Some(all) => {
                self.struck.set(true);
                all.get(index).map(|(h, d)| Layer::new(h.view(), d.view()))
            }
            None => self.inner.layer(index),
        }
    }

    fn observe(
        &mut self,
        x: &[f64],
        samples: usize,
        visit: &mut ObserveInputs<'_, f64>,
    ) -> Result<usize, Error> {
        let (fault, mut hit) = (self.due(), false);
        let shown = self.inner.observe(x, samples, &mut |index, rows| {
            if index != 1 {
                return visit(index, rows);
            }
            match fault {
                Some(Fault::Refusal) => {
                    hit = true;
                    Err(Error::objective("refused on purpose"))
                }
                Some(Fault::Input(value)) => {
                    hit = true;
                    let mut rows = rows.to_owned();
                    rows[[2, 0]] = value;
                    visit(index, rows.view())
                }
                _ => visit(index, rows),
            }
        });
        self.struck.set(self.struck.get() | hit);
        shown
    }
}

impl SampledFisher<f64> for Faulty {
    fn sample(&mut self, x: &[f64], seed: u64) -> Result<(), Error> {
        let fault = self.due();
        self.inner.sample(x, seed)?;
        self.spoil(fault, None)
    }
}

impl Fisher<f64> for Faulty {
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }

    fn factor(&mut self, x: &[f64], index: usize) -> Result<(), Error> {
        let fault = self.due();
        self.inner.factor(x, index)?;
        self.spoil(fault, None)
    }
}

impl Reparametrized<f64> for Faulty {
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, f64>,
        c: ArrayView1<'_, f64>,
    ) -> Result<(), Error> {
        let fault = self.due();
        if fault == Some(Fault::Refusal) {
            self.struck.set(true);
            return Err(Error::objective("refused on purpose"));
        }
        self.inner.set_whitening(index, u, c)
    }

    fn clear_whitening(&mut self) {
        self.inner.clear_whitening();
    }
}

impl State<f64> for Faulty {
    fn visit(&mut self, visitor: &mut dyn Visit<f64>) {
        self.inner.visit(visitor);
    }
}
