use opt_core::{
    Bound, Choice, Error, FieldVisitor, FirstOrder, Hyper, LayerPlace, ParamMap, Rule, Scalar,
    Slot, Step, Train, each,
};
use opt_linalg::Decompose;

use crate::preconditioner::{ProngDirection, ProngSettings};

/// How much of the covariance of a layer's inputs is whitened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// All of it: Σ. Of a convolution that of the channels of a pixel, whose samples are pixels, as in
    /// the paper: of the patch's middle one.
    #[default]
    Full,
    /// All of it, also of a convolution: that of its patches, as K-FAC's A.
    Patches,
    /// The variance of each input, without any rotation: h is centred and divided by √(diag Σ + ε). What
    /// batch normalization does to pre-activations, done to the inputs of a layer, from the same
    /// statistics as PRONG. Each scale costs a division and not a decomposition.
    Diagonal,
}

impl Choice for Extent {
    const ALL: &'static [(&'static str, Self)] = &[
        ("full", Self::Full),
        ("patches", Self::Patches),
        ("diagonal", Self::Diagonal),
    ];
}

/// PRONG, projected natural gradient descent (Desjardins, Simonyan, Pascanu & Kavukcuoglu 2015),
/// in canonical coordinates: a preconditioner of W and b.
///
/// The deck's algorithm trains V and d of a = V·U(h − c) + d by gradient descent, where U whitens
/// the layer's input h. In W = V·U and b = d − W·c the same step is
///
/// ```text
/// ΔW = (Σ δ(h − c)ᵀ + R)·(Σ_h + εI)⁻¹
/// Δb = Σ δ − ΔW·c
/// v ← μv + α(ΔW, Δb)
/// (W, b) ← (W, b) − v
/// ```
///
/// with c and Σ_h the mean and covariance of h, δ = ∂loss/∂a, and R the gradient of a penalty on W,
/// such as l2·W. U is not needed, only the
/// inverse; and as the layers are plain, forward and backward cost what they always do. What is
/// added is one product of (batch, fan_in) by (fan_in, fan_in) per layer, where the whitened
/// layers of [`ProngCoordinates`](crate::ProngCoordinates) cost two, forward and backward. With a
/// penalty, or where fan_out is below the batch, that product is of the gradient's rows instead.
///
/// Directions whose variance is far below ε are hardly whitened. Where there are enough of them, a
/// refresh keeps the k others only, beside a multiple of I, and the product costs 2k/fan_in of the
/// dense one ([`DampedInverse`](crate::DampedInverse)): a whitened gradient then differs by at most
/// 1 % of its length from that of the exact inverse, where an estimate from N_s samples is off by
/// √(fan_in/N_s). The choice is made for each layer of 128 inputs or more, at each refresh; one that
/// was dense is asked again at every eighth. [`ProngPlus`] always keeps all directions.
///
/// Of a convolution, h is the patch of each position. c and Σ_h are those of whole patches, or, as the
/// paper has it and by default, those of a pixel's channels for each pixel of the patch
/// ([`Extent`]): then (Σ_h + εI)⁻¹ has kernel² equal blocks. Either is the step of a whitened network,
/// V∗U(h − c), that is the same function everywhere: what pads the maps is −U·c there, and not 0.
///
/// Velocities need no transport, as they live in (W, b). Under gradient descent with or without
/// momentum the two are equal; for other rules they are not.
///
/// It whitens before the first update, from `samples` samples of the model's statistics set
/// ([`Layered::observe`](opt_core::Layered::observe)). Without such a set the first steps only
/// collect, from their minibatches, and x stays ([`Fallback::Collecting`]). From then on c and Σ_h
/// are of the inputs of the last `samples` samples of training, every `period` updates. A period
/// longer than the run whitens at initialization alone. Estimate from several times as many samples
/// as the layer has inputs: fewer than it has inputs do harm ([`Fallback::FewSamples`]).
///
/// Differs from the paper, which runs the samples forward anew with the parameters of the moment
/// at every refresh: these are up to samples/batch updates old, and cost no forward pass. The
/// slides' b = d + W·c and the line that follows from it have the wrong sign, and their loop
/// overwrites U before the next layer has read it.
///
/// [`method`](Self::method) is PRONG with the deck's momentum; [`direction`](Self::direction) the
/// preconditioned gradient alone, for any [`Update`](opt_core::Update). Both need
/// [`Layered`](opt_core::Layered), of dense layers and convolutions; parameters outside of
/// layers follow their plain gradient.
///
/// [`Fallback::Collecting`]: opt_core::Fallback::Collecting
/// [`Fallback::FewSamples`]: opt_core::Fallback::FewSamples
///
/// All digits as one minibatch.
///
/// ```
/// use opt_natural::{Layered, Method, Objective, Prong};
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
///
/// let digits = opt_data::digits()?;
/// let spec = Spec::classifier(&[64, 30, 10], Activation::Tanh);
/// let mut mlp = Mlp::<f32>::new(spec)?;
/// let mut x = mlp.init(Init::LeCun, 0);
/// mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
/// let settings = Prong { samples: 1000, lr: 0.05, ..Prong::default() };
/// let mut method = settings.method(mlp.params(), mlp.places())?;
/// let before = mlp.value(&x)?;
/// for _ in 0..40 {
///     method.step(&mut mlp, &mut x)?;
/// }
/// assert!(mlp.value(&x)? < 0.5 * before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Prong {
    /// α. No direction moves by more than α/ε of its gradient: scale it with ε.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: u64,
    /// N_s, samples of an estimate.
    pub samples: u64,
    /// Whether Σ_h is the covariance, or its diagonal alone. A method that is made keeps what it was
    /// made with: its state differs.
    pub whitening: Extent,
}

impl Default for Prong {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100,
            samples: 5000,
            whitening: Extent::Full,
        }
    }
}

impl Hyper for Prong {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.count("samples", &mut self.samples, 1);
        visit.choice("whitening", &mut self.whitening);
    }
}

/// PRONG+: [`Prong`] with a diagonal correction at every update (Desjardins et al. 2015).
///
/// Between two estimates the principal axes E stay, but the variances along them are followed:
///
/// ```text
/// s ← ρs + (1 − ρ)·mean over the minibatch of (Eᵀ(h − c))²
/// ΔW = (Σ δ(h − c)ᵀ + R)·E diag(1/(s + ε)) Eᵀ
/// ```
///
/// The paper's text was not at hand: that PRONG+ rescales whitened units by their variance in the
/// minibatch, and keeps the function, is all we know of it; the running average is our choice,
/// because a minibatch has fewer samples than a layer has inputs.
///
/// All digits as one minibatch.
///
/// ```
/// use opt_natural::{Layered, Method, Objective, ProngPlus};
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
///
/// let digits = opt_data::digits()?;
/// let spec = Spec::classifier(&[64, 30, 10], Activation::Tanh);
/// let mut mlp = Mlp::<f32>::new(spec)?;
/// let mut x = mlp.init(Init::LeCun, 0);
/// mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
/// let settings = ProngPlus { samples: 1000, lr: 0.05, ..ProngPlus::default() };
/// let mut method = settings.method(mlp.params(), mlp.places())?;
/// let before = mlp.value(&x)?;
/// for _ in 0..40 {
///     method.step(&mut mlp, &mut x)?;
/// }
/// assert!(mlp.value(&x)? < 0.5 * before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ProngPlus {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: u64,
    /// N_s, samples of an estimate.
    pub samples: u64,
    /// ρ.
    pub decay: f64,
}

impl Default for ProngPlus {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100,
            samples: 5000,
            decay: 0.95,
        }
    }
}

impl Hyper for ProngPlus {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.count("samples", &mut self.samples, 1);
        visit.real("decay", &mut self.decay, Bound::Unit);
    }
}

/// The two halves of both.
macro_rules! halves {
    ($settings:ident, $this:ident => $decay:expr, $whitening:expr) => {
        impl $settings {
            /// Which way alone: neither `lr` nor `momentum` is read.
            ///
            /// # Errors
            /// As [`Hyper::check`]; [`Error::Layer`] for a layer of another kind, or that is not
            /// where its place says.
            pub fn direction<F: Decompose>(
                &self,
                params: &ParamMap,
                places: &[LayerPlace],
            ) -> Result<ProngDirection<F>, Error> {
                let $this = self;
                let settings = ProngSettings {
                    eps: self.eps,
                    period: self.period,
                    samples: self.samples,
                    decay: $decay,
                    whitening: $whitening,
                    made: $whitening,
                };
                ProngDirection::new(settings, params, places)
            }

            /// The method: by the deck's momentum.
            ///
            /// # Errors
            /// As [`direction`](Self::direction).
            pub fn method<F: Decompose>(
                &self,
                params: &ParamMap,
                places: &[LayerPlace],
            ) -> Result<ProngMethod<F>, Error> {
                let ball = HeavyBall {
                    lr: self.lr,
                    momentum: self.momentum,
                };
                let direction = self.direction(params, places)?;
                Ok(Train::along(direction, FirstOrder::new(ball, params)?))
            }
        }
    };
}
halves!(Prong, this => None, this.whitening);
halves!(ProngPlus, this => Some(this.decay), Extent::Full);

/// PRONG or PRONG+ with the deck's momentum.
pub type ProngMethod<F> = Train<F, ProngDirection<F>, FirstOrder<F, HeavyBall, 1>>;

/// The deck's momentum, v ← μv + αd, for a direction d.
#[derive(Clone, Debug, PartialEq)]
pub struct HeavyBall {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
}

impl Hyper for HeavyBall {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
    }
}

impl<F: Scalar> Rule<F, 1> for HeavyBall {
    fn slots(&self) -> [Slot; 1] {
        [Slot::zero("v")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
        each(x, g, slots, move |x, g, [v]| {
            let v = mu * v + lr * g;
            (x - v, [v])
        })
    }
}
