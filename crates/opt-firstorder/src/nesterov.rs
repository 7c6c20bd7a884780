use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

/// Nesterov's accelerated gradient in the stored-point form (Sutskever, Martens, Dahl & Hinton
/// 2013, as PyTorch writes it), for gradients that are taken at the stored parameters.
///
/// ```text
/// b ← μb + g
/// θ ← θ − α(g + μb)
/// ```
///
/// With constant α the stored θ is the point that [`LookAhead`](crate::LookAhead) takes its
/// gradient at: θ here equals θ − μv there. The slide's v = αf′(θ − μv) drops the term μv.
///
/// b is up to g/(1 − μ), and so it takes |g| ≤ ¼(1 − μ)·max, where max is the greatest number of the
/// type.
///
/// *Paper:* Bengio, Boulanger-Lewandowski & Pascanu, Advances in optimizing recurrent networks, 2013.
/// *Needs* a gradient of any minibatch. *Costs* one number of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Nag`](crate::Nag), [`Momentum`](crate::Momentum).
///
/// The first step is 1 + μ of SGD's.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Nesterov};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Nesterov { lr: 0.1, ..Nesterov::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 0.1 * (3.0 + 0.9 * 3.0))).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Nesterov {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Nesterov {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Nesterov {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 1> for Nesterov {
    fn slots(&self) -> [Slot; 1] {
        [Slot::zero("b")]
    }

    fn takes(&self) -> Takes {
        // b is at most g/(1 − μ).
        Takes::up_to(0.25 * (1.0 - self.momentum) * F::max_value().f64())
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, mu, decay) = (
            F::of(self.lr),
            F::of(self.momentum),
            F::of(self.weight_decay),
        );
        each(x, g, slots, move |x, g, [b]| {
            let g = g + decay * x;
            let b = mu * b + g;
            (x - lr * (g + mu * b), [b])
        })
    }
}
