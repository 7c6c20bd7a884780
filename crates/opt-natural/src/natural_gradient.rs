use opt_core::{
    Bound, Error, FieldVisitor, Fisher, Hyper, Method, ParamMap, Report, Scalar, State, Visit,
};

use crate::Decompose;
use crate::fisher::{Part, Sum};

/// Whose labels a Fisher matrix is the expectation over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Curvature {
    /// The model's own, summed exactly: one pass forward and backward for each output.
    Fisher,
    /// The model's own, one drawn for each sample, with the step's number as seed: one pass.
    SampledFisher,
    /// The data's own: no pass, but no Fisher matrix either. It vanishes where the data is fitted.
    EmpiricalFisher,
}

/// Which part of a Fisher matrix is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocks {
    /// All of it.
    Full,
    /// One block for weight and bias of each layer; 0 between layers.
    Layers,
}

/// The natural gradient, damped (Amari, Natural gradient works efficiently in learning, 1998).
///
/// ```text
/// F = E_x E_{y∼p(y|x,θ)}[∇ ln p ∇ ln pᵀ]
/// θ ← θ − α(F + λI)⁻¹g
/// ```
///
/// g is the gradient of the minibatch, over which F is taken too. With the full matrix and λ = 0
/// a step does not depend on the coordinates: where θ = Aφ, the steps map as θ does. Damping gives
/// that up, and blocks keep it within each layer only.
///
/// Needs [`Fisher`], and that every parameter belongs to one dense layer. A step costs the passes
/// that [`Curvature`] says, batch·p² operations for each of them, and p³/3 to solve, for blocks of
/// p ≤ [`MAX_BLOCK`](crate::MAX_BLOCK) parameters.
///
/// Differs from the paper in λ: F is singular where there are fewer samples than parameters, and
/// always for softmax, which does not change with a shift of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct NaturalGradient {
    /// α. 1 is the whole step to the minimum of the quadratic model, which suits the full data; on
    /// minibatches it follows the noise, the more so as λ is small.
    pub lr: f64,
    /// λ, in units of F: of the squared gradient of a sample. Directions that the minibatch knows
    /// nothing of are divided by it alone.
    pub damping: f64,
    /// Whose labels.
    pub curvature: Curvature,
    /// Which blocks.
    pub blocks: Blocks,
}

impl Default for NaturalGradient {
    fn default() -> Self {
        Self {
            lr: 0.3,
            damping: 0.1,
            curvature: Curvature::Fisher,
            blocks: Blocks::Full,
        }
    }
}

impl Hyper for NaturalGradient {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("damping", &mut self.damping, Bound::NonNegative);
    }
}

/// [`NaturalGradient`] over an objective. Its only state is the number of steps.
#[derive(Clone, Debug)]
pub struct NaturalGradientMethod<F> {
    hyper: NaturalGradient,
    params: ParamMap,
    t: u64,
    gradient: Vec<F>,
    direction: Vec<F>,
}

impl<F: Decompose> NaturalGradientMethod<F> {
    /// # Errors
    /// [`Error::Hyper`].
    pub fn new(hyper: NaturalGradient, params: &ParamMap) -> Result<Self, Error> {
        hyper.check()?;
        let (params, gradient, direction) = (params.clone(), Vec::new(), Vec::new());
        Ok(Self {
            hyper,
            params,
            t: 0,
            gradient,
            direction,
        })
    }
}

impl<F: Decompose, O: Fisher<F> + ?Sized> Method<F, O> for NaturalGradientMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let t = self.t.saturating_add(1);
        self.gradient.resize(x.len(), F::zero());
        self.direction.resize(x.len(), F::zero());
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        self.params.check_gradient(&self.gradient)?;
        let mut sum = Sum::new(match self.hyper.blocks {
            Blocks::Full => Part::All,
            Blocks::Layers => Part::Layers,
        });
        match self.hyper.curvature {
            Curvature::Fisher => sum.exact(objective, x)?,
            Curvature::SampledFisher => {
                objective.sample(x, t)?;
                sum.add(objective)?;
            }
            Curvature::EmpiricalFisher => sum.add(objective)?,
        }
        let direction = &mut self.direction;
        sum.solve(&self.gradient, self.hyper.damping, direction)?;
        let lr = F::of(self.hyper.lr);
        x.iter_mut().zip(direction).for_each(|(x, d)| *x -= lr * *d);
        self.t = t;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar> State<F> for NaturalGradientMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
    }
}
