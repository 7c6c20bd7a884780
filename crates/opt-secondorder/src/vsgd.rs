use opt_core::{Bound, Choice, FieldVisitor, Hyper};

/// How many learning rates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One for each parameter: vSGD-l.
    Local,
    /// One for each segment: vSGD-b.
    Block,
    /// One for all: vSGD-g.
    Global,
}

impl Choice for Form {
    const ALL: &'static [(&'static str, Self)] = &[
        ("local", Self::Local),
        ("block", Self::Block),
        ("global", Self::Global),
    ];
}

/// vSGD: stochastic gradient descent that sets its learning rates from the noise and the curvature
/// it sees (Schaul, Zhang & LeCun, No more pesky learning rates, 2013; Schaul & LeCun, Adaptive
/// learning rates and parallelization for stochastic, sparse, non-smooth gradients, 2013).
///
/// ```text
/// τ ← τ + 1 if (g − ḡ)² > s²(v̄ − ḡ²)/n  or  (h − h̄)² > s²(v̄ₕ − h̄²)
/// ḡ ← ḡ + (g − ḡ)/τ      v̄ ← v̄ + (v − v̄)/τ      h̄ ← h̄ + (h − h̄)/τ      v̄ₕ ← v̄ₕ + (h² − v̄ₕ)/τ
/// P = ḡ²/(v̄/n + (n − 1)ḡ²/n)
/// η = P·h̄/max(v̄ₕ, ε²)
/// τ ← (1 − P)τ + 1
/// θ ← θ − ηg
/// ```
///
/// g is the gradient of a minibatch of n samples, v the mean of its samples' squared gradients, in
/// which a penalty is a part of each, and h its
/// curvature: by [`Bbprop`](crate::Bbprop), where v̄ₕ is h̄² and so η = P/h̄, or by
/// [`FiniteDifferences`](crate::FiniteDifferences).
/// [`VsgdDirection`](crate::VsgdDirection) is of either kind. P is the part of the gradient that is not noise. Without noise
/// a step is Newton's with the diagonal; at a minimum η falls as 1/t, as it must. With n = 1 the
/// equations are those of the paper.
///
/// The first n₀ minibatches are only averaged, equally: nothing moves. Then v̄ and h̄ are multiplied
/// by C, v̄ₕ by C², so that η is C² times too small, and grows as the averages forget; and τ is
/// n₀ + 1, with which the next minibatch weighs as much as each of those. A parameter that had no
/// gradient until then, such as those of an input that is rarely on, takes its segment's averages:
/// 0, multiplied by anything, would be no slow start.
///
/// In the other forms of [`Form`], ḡ², v̄, (g − ḡ)², (h − h̄)², h̄² and v̄ₕ are sums over the block
/// wherever they are compared, and h̄ is the largest of the block in η, of finite differences the
/// largest v̄ₕ/h̄: there a single parameter whose ḡ is near 0 can hold up its whole block.
///
/// Where nothing is known, nothing moves: η falls to 0 with h̄ below ε, for a parameter whose loss
/// is flat or linear, and P is 0 where v̄ is, for a unit that never sees an input.
///
/// Needs [`PerSample`](opt_core::PerSample), and [`HessianDiag`](opt_core::HessianDiag) or a second
/// gradient. A minibatch of one sample is the
/// paper's own case; the noise is then seen only from one minibatch to the next. Keeps 4 buffers,
/// with finite differences 5, and the same again for the step that is not yet made.
///
/// ε and the averages' squares have units: a gradient whose square is 0 in the type of the parameters
/// moves nothing, which the report tells of a whole segment.
///
/// Differs from the papers: outliers are judged by the noise of the minibatch's mean, so by n, as
/// the first author's code does, without which τ hardly ever grows on larger minibatches, and
/// learning diverges; τ counts minibatches; parameters without a gradient in the first n₀ have a
/// slow start too, without which wide networks diverge; the order is that above, where another of
/// the author's codes changes τ first; ε is a floor, and not added; the forms' rule of outliers is
/// ours.
///
/// Nothing is tuned: ten minibatches are averaged, and the rates are found.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
/// use opt_secondorder::{Bbprop, Vsgd};
///
/// let digits = opt_data::digits()?;
/// let mut mlp = Mlp::<f32>::new(Spec::classifier(&[64, 30, 10], Activation::Tanh))?;
/// let mut x = mlp.init(Init::LeCun, 0);
/// let mut method = Vsgd::default().method::<f32, Bbprop>(mlp.params())?;
/// for batch in 0..2000 {
///     let rows = 20 * (batch % 75)..20 * (batch % 75 + 1);
///     let inputs = digits.inputs.slice(ndarray::s![rows.clone(), ..]);
///     mlp.load(inputs, Target::Classes(&digits.labels[rows]), 0)?;
///     method.step(&mut mlp, &mut x)?;
/// }
/// mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
/// assert!(mlp.value(&x)? < 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vsgd {
    /// c of C = 1 + c√d, for d parameters. It protects from steps that all parameters take at once,
    /// each as if it were alone; but it takes about C·n₀ minibatches to wear off. The paper's C is
    /// d/10, as if all of them pulled the same way: for a network of 10⁵ parameters that is many
    /// epochs. A constant C does not serve both small and large networks: 100 does on MNIST for
    /// up to 10⁵ parameters, and diverges for 2·10⁶.
    pub slow_start: f64,
    /// n₀, in minibatches. Raise it for minibatches of one or two samples, where ten may not show
    /// every input.
    pub warmup: u64,
    /// s, in standard deviations. 0 turns the rule of outliers off.
    pub outlier: f64,
    /// ε, the curvature below which a parameter counts as flat, in units of h.
    pub eps: f64,
    /// Learning rates for parameters, segments or all.
    pub form: Form,
}

impl Default for Vsgd {
    fn default() -> Self {
        Self {
            slow_start: 1.0,
            warmup: 10,
            outlier: 2.0,
            eps: 1e-4,
            form: Form::Local,
        }
    }
}

impl Hyper for Vsgd {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("slow_start", &mut self.slow_start, Bound::NonNegative);
        visit.count("warmup", &mut self.warmup, 1);
        visit.real("outlier", &mut self.outlier, Bound::NonNegative);
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.choice("form", &mut self.form);
    }
}
