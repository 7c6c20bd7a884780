use opt_core::{
    Bound, Choice, Direction, Error, FieldVisitor, FirstOrder, Fisher, Hyper, LayerPlace, ParamMap,
    Report, Rule, Scalar, Slot, Staged, State, Step, Train, Tuned, Visit, each,
};
use opt_linalg::Decompose;

use crate::dense::Dense;
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

impl Choice for Curvature {
    const ALL: &'static [(&'static str, Self)] = &[
        ("fisher", Self::Fisher),
        ("sampled-fisher", Self::SampledFisher),
        ("empirical-fisher", Self::EmpiricalFisher),
    ];
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

impl Choice for Blocks {
    const ALL: &'static [(&'static str, Self)] = &[("full", Self::Full), ("layers", Self::Layers)];
}

impl From<Blocks> for Part {
    fn from(blocks: Blocks) -> Self {
        match blocks {
            Blocks::Full => Self::All,
            Blocks::Layers => Self::Layers,
        }
    }
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
/// Needs [`Fisher`], and that every parameter belongs to one layer. A step costs the passes
/// that [`Curvature`] says, batch·p² operations for each of them, and p³/3 to solve, for blocks of
/// p ≤ [`MAX_BLOCK`](crate::MAX_BLOCK) parameters.
///
/// Differs from the paper in λ: F is singular where there are fewer samples than parameters, and
/// always for softmax, which does not change with a shift of its inputs.
///
/// *Relatives:* [`Kfac`](crate::Kfac), [`Prong`](crate::Prong).
///
/// Twenty steps of softmax regression on the digits.
///
/// ```
/// use opt_natural::{Layered, Method, NaturalGradient, Objective};
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
///
/// let digits = opt_data::digits()?;
/// let spec = Spec::classifier(&[64, 10], Activation::Tanh);
/// let mut mlp = Mlp::<f32>::new(spec)?;
/// let mut x = mlp.init(Init::LeCun, 0);
/// mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
/// let mut method = NaturalGradient::default().method(mlp.params(), mlp.places())?;
/// let before = mlp.value(&x)?;
/// for _ in 0..20 {
///     method.step(&mut mlp, &mut x)?;
/// }
/// assert!(mlp.value(&x)? < 0.5 * before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.choice("curvature", &mut self.curvature);
        visit.choice("blocks", &mut self.blocks);
    }
}

impl NaturalGradient {
    /// The natural gradient alone: `lr` is not read.
    ///
    /// # Errors
    /// As [`Hyper::check`]; [`Error::Layer`] for a layer of another kind, or that is not where its
    /// place says; [`FisherError::NotDense`](crate::FisherError::NotDense) inside
    /// [`Error::Objective`] for a parameter outside of layers.
    pub fn direction<F: Decompose>(
        &self,
        params: &ParamMap,
        places: &[LayerPlace],
    ) -> Result<NaturalDirection<F>, Error> {
        Dense::covering(params, places)?;
        let settings = Metric {
            damping: self.damping,
            curvature: self.curvature,
            blocks: self.blocks,
        };
        Ok(NaturalDirection {
            settings: Tuned::new::<F>(settings)?,
            params: params.clone(),
            t: 0,
            gradient: vec![F::zero(); params.len()],
            sum: Sum::new(self.blocks.into()),
        })
    }

    /// The method, θ ← θ − αd.
    ///
    /// # Errors
    /// As [`direction`](Self::direction).
    pub fn method<F: Decompose>(
        &self,
        params: &ParamMap,
        places: &[LayerPlace],
    ) -> Result<NaturalMethod<F>, Error> {
        let descent = FirstOrder::new(Descent { lr: self.lr }, params)?;
        Ok(Train::along(self.direction(params, places)?, descent))
    }
}

/// The natural gradient with plain descent.
pub type NaturalMethod<F> = Train<F, NaturalDirection<F>, FirstOrder<F, Descent, 0>>;

#[derive(Clone, Debug, PartialEq)]
struct Metric {
    damping: f64,
    curvature: Curvature,
    blocks: Blocks,
}

impl Hyper for Metric {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.choice("curvature", &mut self.curvature);
        visit.choice("blocks", &mut self.blocks);
    }
}

/// θ ← θ − αd for a direction d.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// α.
    pub lr: f64,
}

impl Hyper for Descent {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 0> for Descent {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 0]) -> bool {
        let lr = F::of(self.lr);
        each(x, g, slots, move |x, g, []| (x - lr * g, []))
    }
}

/// The natural gradient: made by [`NaturalGradient::direction`]. Its only state is the number of
/// steps.
#[derive(Clone, Debug)]
pub struct NaturalDirection<F: Scalar> {
    settings: Tuned<Metric>,
    params: ParamMap,
    t: u64,
    gradient: Vec<F>,
    /// What a step works in.
    sum: Sum<F>,
}

opt_core::tune_by!(NaturalDirection, settings);

impl<F: Decompose, O: Fisher<F> + ?Sized> Direction<F, O> for NaturalDirection<F> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        self.params.check_gradient(&self.gradient)?;
        let sum = &mut self.sum;
        sum.begin(self.settings.blocks.into());
        match self.settings.curvature {
            Curvature::Fisher => sum.exact(objective, x)?,
            Curvature::SampledFisher => {
                objective.sample(x, self.t.saturating_add(1))?;
                sum.add(objective)?;
            }
            Curvature::EmpiricalFisher => sum.add(objective)?,
        }
        sum.solve(&self.gradient, self.settings.damping, d)?;
        Ok(report)
    }
}

impl<F: Scalar> Staged for NaturalDirection<F> {
    fn commit(&mut self) {
        self.t = self.t.saturating_add(1);
    }
}

impl<F: Scalar> State<F> for NaturalDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
    }
}
