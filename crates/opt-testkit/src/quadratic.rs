use opt_core::{
    Error, GaussNewton, HessianDiag, HessianProduct, Objective, ParamMap, PerSample, Scalar, dot,
};

/// f(x) = ½ Σ aᵢ(xᵢ − cᵢ)²: every answer is known in closed form.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quadratic<F> {
    /// a, the eigenvalues of the Hessian.
    pub curvature: Vec<F>,
    /// c.
    pub minimum: Vec<F>,
    /// What goes wrong in the next values and gradients.
    pub fault: Option<Fault>,
    /// What goes wrong once, after so many evaluations of any kind that go right; `None` again once
    /// it has.
    pub ambush: Option<(u64, Fault)>,
    /// Calls of [`Objective::accept`].
    pub accepted: u64,
    params: ParamMap,
    /// x − c, and the gradient of a value: kept, so that nothing is allocated after the first
    /// evaluation.
    work: [Vec<F>; 2],
}

/// What a [`Quadratic`] does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The loss is NaN.
    Loss,
    /// This element of the gradient is NaN.
    Gradient(usize),
    /// It returns an error.
    Refusal,
}

impl<F: Scalar> Quadratic<F> {
    /// A quadratic over these parameters; element `i` of both vectors is given by a function.
    pub fn new(
        params: ParamMap,
        curvature: impl Fn(usize) -> f64,
        minimum: impl Fn(usize) -> f64,
    ) -> Self {
        Self {
            curvature: (0..params.len()).map(|i| F::of(curvature(i))).collect(),
            minimum: (0..params.len()).map(|i| F::of(minimum(i))).collect(),
            fault: None,
            ambush: None,
            accepted: 0,
            params,
            work: [Vec::new(), Vec::new()],
        }
    }

    /// The fault of an evaluation that begins, if it is its turn.
    fn ambushed(&mut self) -> Option<Fault> {
        let (left, fault) = self.ambush.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let fault = *fault;
        self.ambush = None;
        Some(fault)
    }

    /// What an ambush does to a product, which has no loss: a NaN in it stands for one.
    fn spoil(&mut self, out: &mut [F]) -> Result<(), Error> {
        match self.ambushed() {
            Some(Fault::Refusal) => return Err(refused()),
            Some(Fault::Gradient(index)) => out[index] = F::nan(),
            Some(Fault::Loss) => out.fill(F::nan()),
            None => {}
        }
        Ok(())
    }

    fn scale_by_curvature(&self, v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.params.check_len("vector", v.len())?;
        self.params.check_len("product", out.len())?;
        for ((out, &v), &a) in out.iter_mut().zip(v).zip(&self.curvature) {
            *out = a * v;
        }
        Ok(())
    }
}

impl<F: Scalar> Objective<F> for Quadratic<F> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        let mut g = std::mem::take(&mut self.work[1]);
        g.resize(x.len(), F::zero());
        let loss = self.grad(x, &mut g);
        self.work[1] = g;
        loss
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        self.params.check_len("x", x.len())?;
        self.params.check_len("gradient", g.len())?;
        let fault = self.ambushed().or(self.fault);
        if fault == Some(Fault::Refusal) {
            return Err(refused());
        }
        let mut offset = std::mem::take(&mut self.work[0]);
        offset.clear();
        offset.extend(x.iter().zip(&self.minimum).map(|(&x, &c)| x - c));
        self.scale_by_curvature(&offset, g)?;
        let value = F::of(0.5 * dot(&offset, g));
        self.work[0] = offset;
        match fault {
            Some(Fault::Gradient(index)) => g[index] = F::nan(),
            Some(Fault::Loss) => return Ok(F::nan()),
            _ => {}
        }
        Ok(value)
    }

    fn accept(&mut self) {
        self.accepted += 1;
    }
}

fn refused() -> Error {
    Error::objective("refused on purpose")
}

impl<F: Scalar> HessianDiag<F> for Quadratic<F> {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error> {
        self.params.check_len("x", x.len())?;
        h.copy_from_slice(&self.curvature);
        self.spoil(h)
    }
}

impl<F: Scalar> HessianProduct<F> for Quadratic<F> {
    fn hessian_product(&mut self, _x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.scale_by_curvature(v, out)?;
        self.spoil(out)
    }
}

impl<F: Scalar> GaussNewton<F> for Quadratic<F> {
    fn gauss_newton_product(&mut self, _x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        self.scale_by_curvature(v, out)?;
        self.spoil(out)
    }
}

impl<F: Scalar> PerSample<F> for Quadratic<F> {
    fn samples(&self) -> usize {
        1
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error> {
        one_sample(self, x, g, square)
    }
}

/// [`PerSample::grad_moments`] of a function without samples.
pub(crate) fn one_sample<F: Scalar>(
    objective: &mut impl Objective<F>,
    x: &[F],
    g: &mut [F],
    square: &mut [F],
) -> Result<F, Error> {
    objective.params().check_len("square", square.len())?;
    let loss = objective.grad(x, g)?;
    square.iter_mut().zip(g).for_each(|(s, g)| *s = *g * *g);
    Ok(loss)
}
