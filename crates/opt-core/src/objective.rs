use ndarray::{ArrayView1, ArrayView2};

use crate::{Error, ParamMap, Scalar};

/// What is minimized: a model with its loss, that has seen a minibatch.
///
/// All evaluations between two steps see the same minibatch and the same dropout masks: whoever
/// loads the next batch does so between calls of [`Method::step`](crate::Method::step).
///
/// An objective returns a loss that is not finite as it is, and an error only if it could not be
/// evaluated; the methods turn the former into [`Error::NonFiniteLoss`].
pub trait Objective<F: Scalar> {
    /// Names and places of the parameters.
    fn params(&self) -> &ParamMap;

    /// The loss at `x`.
    ///
    /// # Errors
    /// [`Error::Length`], or what the model refuses.
    fn value(&mut self, x: &[F]) -> Result<F, Error>;

    /// The loss at `x`; writes its gradient over `g`.
    ///
    /// # Errors
    /// As [`value`](Self::value). `g` is then undefined.
    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error>;

    /// The step that the last evaluations were for has been made: statistics of the model's own,
    /// such as batch normalization's running averages, follow it now. Never called for a step that
    /// was refused. Nothing by default.
    fn accept(&mut self) {}
}

/// An objective that knows the diagonal of its Hessian, or a non-negative approximation that it
/// names. Needed by diagonal Newton and vSGD.
pub trait HessianDiag<F: Scalar>: Objective<F> {
    /// Writes the diagonal at `x` over `h`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error>;
}

/// An objective that multiplies vectors by its Hessian. Needed by ESGD and Newton-CG.
pub trait HessianProduct<F: Scalar>: Objective<F> {
    /// Writes H(x)·v over `out`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error>;
}

/// An objective that multiplies vectors by its Gauss–Newton matrix JᵀH_L J, which is positive
/// semidefinite where the loss is convex in the model's output. Needed by Hessian-free.
pub trait GaussNewton<F: Scalar>: Objective<F> {
    /// Writes G(x)·v over `out`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error>;
}

/// An objective that is a mean over samples, and tells how their gradients scatter. Needed by vSGD
/// and, for its preconditioner, by Hessian-free.
pub trait PerSample<F: Scalar>: Objective<F> {
    /// Number of samples in the minibatch; 1 for a function without samples.
    fn samples(&self) -> usize;

    /// As [`Objective::grad`]; also writes the mean over the samples n of (∂lossₙ/∂x)², element by
    /// element, over `square`. A penalty, which depends on no sample, is in the loss and in `g`, but
    /// not in `square`.
    ///
    /// # Errors
    /// As [`Objective::grad`].
    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error>;

    /// Writes d of the penalty ½Σdᵢxᵢ² that is a part of the loss over `d`: l2 where a weight is
    /// penalized, else 0, which it is everywhere by default.
    fn penalty(&self, d: &mut [F]) {
        d.fill(F::zero());
    }
}

/// An objective made of dense layers a = W·h + b that shows what its last gradient was made of.
/// Needed by K-FAC and by PRONG as a preconditioner.
pub trait Layered<F: Scalar>: Objective<F> {
    /// Number of dense layers.
    fn layers(&self) -> usize;

    /// Positions of W, of shape (fan_out, fan_in), and of b, of shape (fan_out), if it has one,
    /// of layer `index` in [`ParamMap::segments`]; `None` beyond the last layer.
    fn segments(&self, index: usize) -> Option<(usize, Option<usize>)>;

    /// As [`Objective::grad`], but the gradients of the layers' W and b lack their part deltaᵀ·input
    /// (for b: the sum of delta), which the caller makes of [`layer`](Self::layer) as it needs it.
    /// What remains there is that of penalties.
    ///
    /// # Errors
    /// As [`Objective::grad`].
    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error>;

    /// Layer `index`, counted from the input, as the last call of [`Objective::grad`] left it;
    /// `None` before the first call or beyond the last layer.
    fn layer(&self, index: usize) -> Option<Layer<'_, F>>;
}

/// A layered model that is a probability distribution of its output, p(y | x, θ), and so has a
/// Fisher matrix: the mean over samples and over the model's own labels of the gradient's outer
/// product. Both calls run the loaded minibatch forward and backward, and leave inputs and deltas
/// for [`Layered::layer`] to show.
///
/// The deltas are those of the mean over the batch, as after [`Objective::grad`].
pub trait Fisher<F: Scalar>: Layered<F> {
    /// Number of outputs z, and so of [`factor`](Self::factor)s.
    fn outputs(&self) -> usize;

    /// Deltas of −ln p(y | x, θ) for labels y that are drawn from the model: from softmax for a
    /// softmax cross-entropy, from Bernoulli for a sigmoid one, from a Gaussian of variance 1 for
    /// half a squared error. The same seed draws the same labels.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), Error>;

    /// Deltas of column `index` of a factor L of the Fisher matrix of the output, L·Lᵀ =
    /// E_y[∇_z ln p ∇_z ln pᵀ], for each sample: summed over all columns, the outer products of
    /// the samples' gradients give the exact Fisher matrix, without drawing.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn factor(&mut self, x: &[F], index: usize) -> Result<(), Error>;
}

/// What [`Reparametrized::observe`] calls with some rows of the input h of a layer, of shape
/// (rows, fan_in), before whitening.
pub type ObserveInputs<'a, F> = dyn FnMut(usize, ArrayView2<'_, F>) -> Result<(), Error> + 'a;

/// A layered model whose layers can whiten their input: a = V·U(h − c) + d, where V and d are the
/// parameters in `x`, of the shapes of W and b, and U and c are the model's. Needed by PRONG in
/// its own coordinates.
pub trait Reparametrized<F: Scalar>: Layered<F> {
    /// Runs the next `samples` samples of the model's statistics set through the network, without
    /// dropout, and shows the inputs of every layer, piece by piece.
    ///
    /// # Errors
    /// What the model or `visit` refuses; also if there is no statistics set.
    fn observe(
        &mut self,
        x: &[F],
        samples: usize,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<(), Error>;

    /// Sets U, of shape (fan_in, fan_in), and c, of shape (fan_in), of layer `index`. The function
    /// that `x` stands for changes with it, unless `x` is changed too.
    ///
    /// # Errors
    /// [`Error::Length`] for another shape, or no such layer; then nothing has changed.
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<(), Error>;
}

/// Inputs and output deltas of one dense layer over the last minibatch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Layer<'a, F> {
    /// h, of shape (batch, fan_in), after dropout.
    pub input: ArrayView2<'a, F>,
    /// ∂loss/∂a, of shape (batch, fan_out), where the loss is the mean over the batch: so that
    /// the gradient of W, but for weight decay, is deltaᵀ·input.
    pub delta: ArrayView2<'a, F>,
}

impl<'a, F> Layer<'a, F> {
    /// A layer, for models that implement [`Layered`].
    pub fn new(input: ArrayView2<'a, F>, delta: ArrayView2<'a, F>) -> Self {
        Self { input, delta }
    }
}

/// Counts the evaluations of the objective that it wraps: the honest price of a method.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counted<O> {
    /// The objective itself.
    pub inner: O,
    /// Calls of [`Objective::value`].
    pub values: u64,
    /// Calls of [`Objective::grad`].
    pub gradients: u64,
    /// Calls for a Hessian's diagonal.
    pub diagonals: u64,
    /// Hessian–vector products.
    pub hessian_products: u64,
    /// Gauss–Newton–vector products.
    pub gauss_newton_products: u64,
}

impl<O> Counted<O> {
    /// Starts counting at zero.
    pub fn new(inner: O) -> Self {
        Self {
            inner,
            values: 0,
            gradients: 0,
            diagonals: 0,
            hessian_products: 0,
            gauss_newton_products: 0,
        }
    }

    /// What gradients alone cost, in gradients, by the matrix products of a dense network: a
    /// value is a third of one.
    pub fn first_order(&self) -> f64 {
        self.gradients as f64 + self.values as f64 / 3.0
    }

    /// What curvature cost, in gradients: a diagonal one, a Gauss–Newton product 4/3 and a Hessian
    /// product 2, without the passes that are made once at each point.
    pub fn second_order(&self) -> f64 {
        let products = 4.0 / 3.0 * self.gauss_newton_products as f64;
        self.diagonals as f64 + products + 2.0 * self.hessian_products as f64
    }
}

impl<F: Scalar, O: Objective<F>> Objective<F> for Counted<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        self.values += 1;
        self.inner.value(x)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        self.gradients += 1;
        self.inner.grad(x, g)
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}

impl<F: Scalar, O: HessianDiag<F>> HessianDiag<F> for Counted<O> {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error> {
        self.diagonals += 1;
        self.inner.hessian_diag(x, h)
    }
}

impl<F: Scalar, O: HessianProduct<F>> HessianProduct<F> for Counted<O> {
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.hessian_products += 1;
        self.inner.hessian_product(x, v, out)
    }
}

impl<F: Scalar, O: GaussNewton<F>> GaussNewton<F> for Counted<O> {
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.gauss_newton_products += 1;
        self.inner.gauss_newton_product(x, v, out)
    }
}

impl<F: Scalar, O: PerSample<F>> PerSample<F> for Counted<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error> {
        self.gradients += 1;
        self.inner.grad_moments(x, g, square)
    }

    fn penalty(&self, d: &mut [F]) {
        self.inner.penalty(d);
    }
}

impl<F: Scalar, O: Fisher<F>> Fisher<F> for Counted<O> {
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }

    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), Error> {
        self.gradients += 1;
        self.inner.sample(x, seed)
    }

    fn factor(&mut self, x: &[F], index: usize) -> Result<(), Error> {
        self.gradients += 1;
        self.inner.factor(x, index)
    }
}

impl<F: Scalar, O: Reparametrized<F>> Reparametrized<F> for Counted<O> {
    fn observe(
        &mut self,
        x: &[F],
        samples: usize,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<(), Error> {
        self.inner.observe(x, samples, visit)
    }

    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<(), Error> {
        self.inner.set_whitening(index, u, c)
    }
}

impl<F: Scalar, O: Layered<F>> Layered<F> for Counted<O> {
    fn layers(&self) -> usize {
        self.inner.layers()
    }

    fn segments(&self, index: usize) -> Option<(usize, Option<usize>)> {
        self.inner.segments(index)
    }

    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        self.gradients += 1;
        self.inner.deltas(x, g)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, F>> {
        self.inner.layer(index)
    }
}
