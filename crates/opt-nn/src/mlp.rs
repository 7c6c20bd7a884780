use std::fmt;

use ndarray::ArcArray2;
use opt_core::{Layer, LayerKind, LayerPlace, Layered, Objective, ObserveInputs, ParamMap, Scalar};
use rayon::prelude::*;

use crate::batch::{Batch, check};
use crate::buffer::view;
use crate::linear::Input;
use crate::linearize::Curvature;
use crate::net::Net;
use crate::pass::Pass;
use crate::sparse::Inputs;
use crate::threads::pooled;
use crate::{Error, Spec, Target};

/// A network with its loss on a minibatch: an [`Objective`].
///
/// [`load`](Self::load) or [`load_rows`](Self::load_rows) gives it a minibatch; all evaluations until the next see the same samples
/// and the same dropout masks. The parameters are not in here: they are the flat vector `x`
/// that every call takes, with segments `layer0.weight` of shape (fan_out, fan_in), `layer0.bias`,
/// `layer1.weight` and so on; a convolution's weight is of shape (channels, kernel, kernel, channels
/// below).
///
/// A layer's input can be whitened, a = V·U(h − c) + d, with V and d in the place of weight and
/// bias ([`Reparametrized`](opt_core::Reparametrized)): one more product in each direction, and
/// nothing for a layer without. It holds for every evaluation, in training and in inference. The
/// L2 penalty is on W = V·U: whitening does not change the objective.
///
/// A layer with [`Layer::norm`](crate::Layer::norm) normalizes h·Wᵀ over the minibatch before its
/// activation, and has segments `layer0.gamma` and `layer0.beta` instead of a bias. Training (the
/// [`Objective`]) goes by the statistics of the minibatch; inference by the running ones, which
/// take in each minibatch once, when a step on it has been accepted ([`Objective::accept`], which
/// methods call; a loop of one's own does it after each update), and are part of the model's state.
///
/// No buffer shrinks: after a first step, batches of that size or below allocate nothing. (The
/// pure-Rust GEMM allocates its packing buffer at every product; OpenBLAS does not.)
#[derive(Clone)]
pub struct Mlp<F> {
    pub(crate) net: Net<F>,
    pub(crate) batch: Batch<F>,
    /// Of the last gradient.
    pub(crate) trained: Pass<F>,
    /// Whether `trained` belongs to `batch`.
    fresh: bool,
    /// And to the coordinates of its layers.
    pub(crate) kept: bool,
    /// Whether `trained` is of [`Objective::grad`].
    graded: bool,
    /// Whether the running statistics have seen `batch`.
    followed: bool,
    /// Inference's own, so that it disturbs neither the minibatch nor what [`Layered`] shows.
    pub(crate) chunk: Batch<F>,
    pub(crate) scratch: Pass<F>,
    pub(crate) statistics: Option<ArcArray2<F>>,
    /// The row of `statistics` that is observed next.
    pub(crate) cursor: u64,
    /// Where it will be once the step that has observed is accepted.
    pub(crate) observed: Option<u64>,
    pub(crate) curvature: Curvature<F>,
}

impl<F: Scalar> Mlp<F> {
    /// # Errors
    /// [`Error::NoLayers`], [`Error::ZeroWidth`], [`Error::Dropout`], [`Error::OutputDropout`],
    /// [`Error::L2`], or [`Error::Params`] if a layer is larger than memory can be.
    pub fn new(spec: Spec) -> Result<Self, Error> {
        let net = Net::new(spec)?;
        Ok(Self {
            batch: Batch::new(&net.spec),
            trained: Pass::new(&net.spec),
            fresh: false,
            kept: false,
            graded: false,
            followed: false,
            chunk: Batch::new(&net.spec),
            scratch: Pass::new(&net.spec),
            statistics: None,
            cursor: 0,
            observed: None,
            curvature: Curvature::new(&net.spec),
            net,
        })
    }

    /// Copies a minibatch, with inputs of shape (batch, inputs), and draws its dropout masks from
    /// `seed`: the same masks for the same seed, whatever the number of threads.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`], [`Error::Width`], [`Error::Rows`], [`Error::Class`],
    /// [`Error::TargetKind`], [`Error::BatchTooLarge`]. The earlier minibatch then stays.
    pub fn load<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a, F>>,
        target: Target<'_, F>,
        seed: u64,
    ) -> Result<(), Error>
    where
        F: 'a,
    {
        self.take_in(inputs.into(), target, None, seed)
    }

    /// [`load`](Self::load) of the chosen rows of a whole data set, in their order and in one copy;
    /// a row may come more than once.
    ///
    /// ```
    /// use opt_core::Objective;
    /// use opt_nn::{Activation, Init, Mlp, Spec, Target};
    ///
    /// let data = opt_data::digits()?;
    /// let mut net = Mlp::<f32>::new(Spec::classifier(&[64, 10], Activation::Tanh))?;
    /// let (x, mut g) = (net.init(Init::LeCun, 0), vec![0.0; net.params().len()]);
    /// let mut batches = opt_data::Batches::new(data.labels.len(), 100, 0)?;
    /// for update in 0..30 {
    ///     let (rows, classes) = (batches.rows(update), Target::Classes(&data.labels));
    ///     net.load_rows(data.inputs.view(), classes, rows, update)?;
    ///     net.grad(&x, &mut g)?; // and an update of x
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Row`]. Of the classes, only those of chosen rows must
    /// have an output.
    pub fn load_rows<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a, F>>,
        target: Target<'_, F>,
        rows: &[usize],
        seed: u64,
    ) -> Result<(), Error>
    where
        F: 'a,
    {
        self.take_in(inputs.into(), target, Some(rows), seed)
    }

    fn take_in(
        &mut self,
        inputs: Inputs<'_, F>,
        target: Target<'_, F>,
        chosen: Option<&[usize]>,
        seed: u64,
    ) -> Result<(), Error> {
        let Net { spec, shapes, .. } = &self.net;
        check(spec, &inputs, target, chosen)?;
        (self.batch).load((spec, shapes), inputs, Some(target), chosen, Some(seed))?;
        (self.fresh, self.kept, self.followed, self.observed) = (false, false, false, None);
        self.curvature.invalidate();
        Ok(())
    }

    /// Bytes of the minibatch, and of what the passes over it keep. Parameters and gradient are the
    /// caller's.
    pub fn bytes(&self) -> usize {
        self.batch.bytes() + self.trained.bytes() + self.chunk.bytes() + self.scratch.bytes()
    }

    /// Runs the minibatch backward from the slope that `forward` has left in the last delta, to
    /// the deltas of all layers and, if it is wanted, to the gradient.
    pub(crate) fn differentiate<R: Send>(
        &mut self,
        x: &[F],
        g: Option<&mut [F]>,
        keep: bool,
        forward: impl FnOnce(&Net<F>, &Batch<F>, &mut Pass<F>) -> Result<R, Error> + Send,
    ) -> Result<R, opt_core::Error> {
        self.net.params.check_len("x", x.len())?;
        if let (true, Input::Sparse(_)) = (keep, self.batch.input()) {
            let what = "shown as the rows of a layer, as K-FAC and PRONG need them";
            return Err(opt_core::Error::objective(Error::Sparse { what }));
        }
        (self.fresh, self.kept, self.graded) = (false, false, false);
        let Self {
            net,
            batch,
            trained,
            ..
        } = self;
        trained.keep = keep;
        let result = pooled(net, batch.rows, || {
            let result = forward(net, batch, trained)?;
            net.backward(x, batch, trained, g)?;
            Ok(result)
        });
        let result = result.map_err(|e: Error| opt_core::Error::objective(e))?;
        (self.fresh, self.kept) = (true, true);
        Ok(result)
    }
}

impl<F: Scalar> Objective<F> for Mlp<F> {
    fn params(&self) -> &ParamMap {
        &self.net.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, opt_core::Error> {
        self.net.params.check_len("x", x.len())?;
        let Self {
            net,
            batch,
            scratch,
            ..
        } = self;
        let loss = pooled(net, batch.rows, || net.objective(x, batch, scratch));
        loss.map_err(opt_core::Error::objective)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, opt_core::Error> {
        self.net.params.check_len("x", x.len())?;
        self.net.params.check_len("gradient", g.len())?;
        let loss = self.differentiate(x, Some(g), false, |net, batch, pass| {
            net.objective(x, batch, pass)
        })?;
        self.graded = true;
        Ok(loss)
    }

    fn gradient_bound(&self) -> Option<F> {
        let known = self.kept && self.graded;
        known.then(|| self.net.gradient_bound(&self.batch, &self.trained))?
    }

    /// The running statistics take in the minibatch, as its last gradient saw it; once, and only if
    /// what they come to is finite. Observation goes on after the samples that were shown.
    fn accept(&mut self) {
        if let Some(next) = self.observed.take() {
            self.cursor = next;
        }
        if self.fresh && !self.followed {
            let Net { spec, running, .. } = &mut self.net;
            self.trained.norms.follow(spec, running);
            self.followed = true;
        }
    }
}

/// A layer is shown between a call of [`Objective::grad`], [`Layered::deltas`] or
/// [`Fisher`](opt_core::Fisher) and the next of [`Mlp::load`]; a convolution, whose patches take
/// kernel² times the room of its maps, not after [`Objective::grad`]; one on sparse inputs never.
///
/// Of a whitened layer too, `input` is h, before whitening: so deltaᵀ·input is the gradient by
/// W = V·U of the layer a = W·h + b, where `grad` gives that by V, deltaᵀ·(input − c)·Uᵀ, which is
/// also what [`deltas`](Layered::deltas) leaves out.
impl<F: Scalar> Layered<F> for Mlp<F> {
    fn places(&self) -> &[LayerPlace] {
        &self.net.layers
    }

    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, opt_core::Error> {
        self.net.params.check_len("x", x.len())?;
        self.net.params.check_len("gradient", g.len())?;
        let loss = self.differentiate(x, None, true, |net, batch, pass| {
            net.objective(x, batch, pass)
        })?;
        // Zeros for many parameters take as long to write as an update, so all threads do.
        let zeros = |g: &mut [F]| g.fill(F::zero());
        match g.len() {
            0..262_144 => zeros(g),
            _ => g.par_chunks_mut(1 << 15).for_each(zeros),
        }
        for index in 0..self.net.spec.layers.len() {
            let done = self.net.penalize(index, x, &self.trained, g);
            done.map_err(opt_core::Error::objective)?;
            self.net.normalized(index, &self.trained.norms, g);
        }
        Ok(loss)
    }

    fn observe(
        &mut self,
        x: &[F],
        samples: usize,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<usize, opt_core::Error> {
        self.observe_inputs(x, samples, visit)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, F>> {
        let place = self.net.layers.get(index).filter(|_| self.fresh)?;
        let convolution = place.kind == LayerKind::Convolution;
        if convolution && !self.trained.keep {
            return None;
        }
        let (rows, units) = (
            self.net.rows(index, &self.batch),
            self.net.dense(index).units,
        );
        let input = self.net.shown(index, &self.batch, &self.trained)?;
        let delta = view(&self.trained.deltas[index], rows, units).ok()?;
        Some(match convolution {
            true => Layer::positions(input, delta, self.batch.rows),
            false => Layer::new(input, delta),
        })
    }
}

impl<F> fmt::Debug for Mlp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mlp");
        out.field("spec", &self.net.spec).finish_non_exhaustive()
    }
}
