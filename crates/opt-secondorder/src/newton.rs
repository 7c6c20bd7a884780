use opt_core::{
    Bound, Error as CoreError, FieldVisitor, HessianProduct, Hyper, Method, ParamMap, Report,
    Scalar, State, Tuned, Visit, all_finite, dot,
};

use crate::error::Error;
use crate::vectors::check_range;

/// Most parameters that [`NewtonMethod`] takes: its matrix is then 32 MiB, and one factorization
/// takes a second or so.
pub const MAX_NEWTON: usize = 2048;

/// Newton's method with the whole Hessian, damped.
///
/// ```text
/// (H + λI)v = g
/// θ ← θ − αv
/// ```
///
/// The exact answer for small problems, and what the other methods of this crate approximate. With
/// α = 1 and λ = 0 a step does not depend on the coordinates, solves a convex quadratic at once,
/// and converges quadratically near a minimum. Nothing safeguards it far from there: a step may
/// raise the loss.
///
/// Needs [`HessianProduct`]. A step takes a gradient, n products, one for each column of H, and
/// n³/3 operations, in double precision, for n ≤ [`MAX_NEWTON`] parameters. H is symmetrized: the
/// mean of both halves is taken, since those of a computed Hessian differ by rounding.
///
/// A step is refused with [`Error::Indefinite`] unless H + λI is positive definite beyond rounding:
/// elsewhere v may point uphill, or to a saddle point. At a minimum, where g is 0, it does not move.
///
/// *Relatives:* [`NewtonDiagonal`](crate::NewtonDiagonal), [`HessianFree`](crate::HessianFree), [`Lbfgs`](crate::Lbfgs).
///
/// A quadratic is solved in one step.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_secondorder::Newton;
///
/// let mut plane = opt_testkit::plane("valley").expect("it is one of them");
/// let settings = Newton::default();
/// let mut method = settings.method(Objective::<f64>::params(&plane))?;
/// let mut x = plane.start;
/// method.step(&mut plane, &mut x)?;
/// assert!(x[0].abs() < 1e-9 && x[1].abs() < 1e-9);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Newton {
    /// α. With 0, `x` stays.
    pub lr: f64,
    /// λ, in units of H, and so in those of the loss over x².
    pub damping: f64,
}

impl Default for Newton {
    fn default() -> Self {
        Self {
            lr: 1.0,
            damping: 0.0,
        }
    }
}

impl Hyper for Newton {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("damping", &mut self.damping, Bound::NonNegative);
    }
}

/// [`Newton`] over an objective. It has no state.
#[derive(Clone, Debug)]
pub struct NewtonMethod<F> {
    hyper: Tuned<Newton>,
    params: ParamMap,
    gradient: Vec<F>,
    /// A column of the identity.
    unit: Vec<F>,
    column: Vec<F>,
    /// H + λI, then its factors, row by row.
    matrix: Vec<f64>,
    direction: Vec<f64>,
}

impl Newton {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`CoreError::Hyper`]; [`Error::TooLarge`] beyond [`MAX_NEWTON`] parameters.
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<NewtonMethod<F>, CoreError> {
        let hyper = Tuned::new::<F>(self)?;
        let n = params.len();
        if n > MAX_NEWTON {
            let (params, limit) = (n, MAX_NEWTON);
            return Err(Error::TooLarge { params, limit }.into());
        }
        Ok(NewtonMethod {
            hyper,
            params: params.clone(),
            gradient: vec![F::zero(); n],
            unit: vec![F::zero(); n],
            column: vec![F::zero(); n],
            matrix: vec![0.0; n * n],
            direction: vec![0.0; n],
        })
    }
}

opt_core::tune_by!(NewtonMethod, hyper);

impl<F: Scalar> NewtonMethod<F> {
    /// Writes the symmetrized Hessian plus damping over the matrix.
    fn assemble<O>(&mut self, objective: &mut O, x: &[F]) -> Result<(), CoreError>
    where
        O: HessianProduct<F> + ?Sized,
    {
        let n = self.params.len();
        for j in 0..n {
            self.unit.fill(F::zero());
            self.unit[j] = F::one();
            objective.hessian_product(x, &self.unit, &mut self.column)?;
            let row = &mut self.matrix[j * n..(j + 1) * n];
            for (entry, value) in row.iter_mut().zip(&self.column) {
                *entry = value.f64();
            }
        }
        if !all_finite(&self.matrix) {
            return Err(Error::NonFinite("the Hessian").into());
        }
        for i in 0..n {
            for j in 0..i {
                // The upper half is not read again.
                let (lower, upper) = (self.matrix[i * n + j], self.matrix[j * n + i]);
                self.matrix[i * n + j] = 0.5 * lower + 0.5 * upper;
            }
            self.matrix[i * n + i] += self.hyper.damping;
        }
        Ok(())
    }
}

impl<F: Scalar, O: HessianProduct<F> + ?Sized> Method<F, O> for NewtonMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        self.params.check_gradient(&self.gradient)?;
        self.assemble(objective, x)?;
        factorize(&mut self.matrix, x.len())?;
        for (v, g) in self.direction.iter_mut().zip(&self.gradient) {
            *v = g.f64();
        }
        solve(&self.matrix, &mut self.direction);
        if !all_finite(&self.direction) {
            return Err(Error::NonFinite("the Newton step").into());
        }
        // The column's buffer is free.
        let (lr, next) = (self.hyper.lr, &mut self.column);
        for ((next, x), v) in next.iter_mut().zip(&*x).zip(&self.direction) {
            *next = F::of(x.f64() - lr * v);
        }
        check_range(&self.params, next)?;
        x.copy_from_slice(next);
        objective.accept();
        Ok(report)
    }
}

impl<F: Scalar> State<F> for NewtonMethod<F> {
    fn visit(&mut self, _visitor: &mut dyn Visit<F>) {}
}

/// Writes L and D of A = LDLᵀ over the lower half of A, of shape (n, n): D in the diagonal, where L
/// has ones. Without square roots, so that A times any power of two has the same L.
fn factorize(a: &mut [f64], n: usize) -> Result<(), Error> {
    for i in 0..n {
        let (above, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..n];
        // First the row of LD, which needs no D.
        for j in 0..i {
            let other = &above[j * n..j * n + j];
            row[j] -= dot(&row[..j], other);
        }
        let mut value = row[i];
        for j in 0..i {
            let l = row[j] / above[j * n + j];
            value -= l * row[j];
            row[j] = l;
        }
        // Less than what rounding leaves of a zero counts as one.
        if value <= n as f64 * f64::EPSILON * row[i].abs() {
            return Err(Error::Indefinite { pivot: i, value });
        }
        row[i] = value;
    }
    Ok(())
}

/// Solves LDLᵀv = b in place of b.
fn solve(a: &[f64], v: &mut [f64]) {
    let n = v.len();
    for i in 0..n {
        let row = &a[i * n..i * n + i];
        v[i] -= dot(row, &v[..i]);
    }
    for (i, v) in v.iter_mut().enumerate() {
        *v /= a[i * n + i];
    }
    for i in (0..n).rev() {
        let (row, solved) = (&a[i * n..i * n + i], v[i]);
        for (v, l) in v[..i].iter_mut().zip(row) {
            *v -= solved * l;
        }
    }
}
