use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, each};

use crate::factor::{Settings, Whitens};

/// PRONG, projected natural gradient descent (Desjardins, Simonyan, Pascanu & Kavukcuoglu 2015),
/// in canonical coordinates: a preconditioner of W and b, over [`Preconditioned`](crate::Preconditioned).
///
/// The deck's algorithm trains V and d of a = V·U(h − c) + d by gradient descent, where U whitens
/// the layer's input h. In W = V·U and b = d − W·c the same step is
///
/// ```text
/// ΔW = Σ δ(h − c)ᵀ·(Σ_h + εI)⁻¹
/// Δb = Σ δ − ΔW·c
/// v ← μv + α(ΔW, Δb)
/// (W, b) ← (W, b) − v
/// ```
///
/// with c and Σ_h the mean and covariance of h, and δ = ∂loss/∂a. U is not needed, only the
/// inverse; and as the layers are plain, forward and backward cost what they always do. What is
/// added is one product of (batch, fan_in) by (fan_in, fan_in) per layer, where the whitened
/// layers of [`ProngCoordinates`](crate::ProngCoordinates) cost two, forward and backward.
/// Velocities need no transport, as they live in (W, b). Under gradient descent with or without
/// momentum the two are equal; for other rules they are not.
///
/// c and Σ_h are of the inputs of the last `samples` samples that the objective has seen, every
/// `period` updates; until there were so many, the layers are not whitened. A period longer than
/// the run whitens at initialization alone. Estimate from several times as many samples as the
/// layer has inputs.
///
/// Differs from the paper, which runs the samples forward anew with the parameters of the moment:
/// these are up to samples/batch updates old, and cost no forward pass. The slides' b = d + W·c
/// and the line that follows from it have the wrong sign, and their loop overwrites U before the
/// next layer has read it.
///
/// It needs [`Layered`](opt_core::Layered); parameters outside of dense layers follow their plain gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Prong {
    /// α. No direction moves by more than α/ε of its gradient: scale it with ε.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: f64,
    /// N_s, samples of an estimate.
    pub samples: f64,
}

impl Default for Prong {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100.0,
            samples: 5000.0,
        }
    }
}

impl Hyper for Prong {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("eps", &mut self.eps, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
        visit("samples", &mut self.samples, Bound::Count);
    }
}

/// PRONG+: [`Prong`] with a diagonal correction at every update (Desjardins et al. 2015).
///
/// Between two estimates the principal axes E stay, but the variances along them are followed:
///
/// ```text
/// s ← ρs + (1 − ρ)·mean over the minibatch of (Eᵀ(h − c))²
/// ΔW = Σ δ(h − c)ᵀ·E diag(1/(s + ε)) Eᵀ
/// ```
///
/// The paper's text was not at hand: that PRONG+ rescales whitened units by their variance in the
/// minibatch, and keeps the function, is all we know of it; the running average is our choice,
/// because a minibatch has fewer samples than a layer has inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ProngPlus {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: f64,
    /// N_s, samples of an estimate.
    pub samples: f64,
    /// ρ.
    pub decay: f64,
}

impl Default for ProngPlus {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100.0,
            samples: 5000.0,
            decay: 0.95,
        }
    }
}

impl Hyper for ProngPlus {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("eps", &mut self.eps, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
        visit("samples", &mut self.samples, Bound::Count);
        visit("decay", &mut self.decay, Bound::Unit);
    }
}

impl Whitens for Prong {
    fn settings(&self) -> Settings {
        Settings {
            eps: self.eps,
            period: self.period,
            samples: self.samples,
            decay: None,
        }
    }
}

impl Whitens for ProngPlus {
    fn settings(&self) -> Settings {
        Settings {
            eps: self.eps,
            period: self.period,
            samples: self.samples,
            decay: Some(self.decay),
        }
    }
}

/// The deck's momentum, v ← μv + αg, for the preconditioned gradient.
macro_rules! heavy_ball {
    ($rule:ty) => {
        impl<F: Scalar> Rule<F, 1> for $rule {
            fn slots(&self) -> [Slot; 1] {
                [Slot::zero("v")]
            }

            fn update(&self, _t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) {
                let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
                each(x, g, slots, move |x, g, [v]| {
                    let v = mu * v + lr * g;
                    (x - v, [v])
                });
            }
        }
    };
}
heavy_ball!(Prong);
heavy_ball!(ProngPlus);
