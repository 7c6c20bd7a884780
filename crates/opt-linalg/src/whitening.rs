use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Zip};
use opt_core::{Bound, Scalar, State, Visit};

use crate::symmetric::{TILE, gram, mirror, zeros};
use crate::{Eigen, Error};

/// Which of the whitening matrices, all equal up to a rotation: UᵀU = (Σ + εI)⁻¹.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// U = diag(λ + ε)^(−1/2) Eᵀ: onto the principal axes, smallest variance first.
    #[default]
    Pca,
    /// U = E diag(λ + ε)^(−1/2) Eᵀ: symmetric, the closest to the identity. Under a plain gradient
    /// step it makes no difference to PCA; under an elementwise rule it does. Costs two products
    /// more.
    Zca,
}

/// How a covariance becomes a whitening matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhiteningOptions {
    /// PCA or ZCA.
    pub form: Form,
    /// ε > 0, in the units of a variance. No direction is scaled by more than 1/√ε.
    pub epsilon: f64,
    /// Directions with λ < floor·λ_max are left unscaled (factor 1), instead of being scaled by
    /// about 1/√ε: constant pixels, dead units, and all that fewer samples than features cannot
    /// tell. In [0, 1]; 0 turns it off.
    pub floor: f64,
}

impl Default for WhiteningOptions {
    fn default() -> Self {
        Self {
            form: Form::Pca,
            epsilon: 0.1,
            floor: 0.0,
        }
    }
}

/// x ↦ U(x − c), which gives samples of mean c and covariance Σ = E diag(λ) Eᵀ the mean 0 and, in
/// the PCA form, the covariance diag(λ/(λ + ε)).
///
/// Desjardins, Simonyan, Pascanu, Kavukcuoglu, "Natural Neural Networks" (2015). λ below 0, which
/// rounding makes of 0, counts as 0.
///
/// ```
/// use ndarray::array;
/// use opt_linalg::{Eigh, Moments, Whitening, WhiteningOptions};
///
/// let mut moments = Moments::new(2);
/// // Variance 2, and a feature that is constant.
/// moments.update(array![[0.0, 1.0], [2.0, 1.0], [4.0, 1.0], [2.0, 1.0]].view())?;
/// let options = WhiteningOptions { epsilon: 0.25, ..WhiteningOptions::default() };
/// let mut whitening = Whitening::identity(2);
/// whitening.update(moments.mean(), &Eigh::new().compute(moments.lower())?, &options)?;
/// assert_eq!(whitening.c, array![2.0, 1.0]);
/// // 1/√(0 + ε) and 1/√(2 + ε), up to the eigenvectors' signs.
/// let expected = array![[0.0, 2.0], [2.0 / 3.0, 0.0]];
/// assert!((whitening.u.mapv(f64::abs) - expected).iter().all(|v| v.abs() < 1e-15));
/// # Ok::<(), opt_linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Whitening<F> {
    /// U, of shape (n, n).
    pub u: Array2<F>,
    /// U⁻¹ = E diag(λ + ε)^{1/2} (PCA), of shape (n, n): of the same factors, not of an inversion.
    pub u_inv: Array2<F>,
    /// c, of shape (n).
    pub c: Array1<F>,
}

impl<F: Scalar> Whitening<F> {
    /// U = I of order n, c = 0. If U does not fit into memory, all are empty.
    pub fn identity(n: usize) -> Self {
        let mut u = zeros(n).unwrap_or_default();
        u.diag_mut().fill(F::one());
        Self {
            u_inv: u.clone(),
            c: Array1::zeros(u.nrows()),
            u,
        }
    }

    /// Whitens for this mean and the covariance that `eigen` is of. The arrays are allocated anew
    /// only if they are of another size.
    ///
    /// # Errors
    /// [`Error::Core`] if an option is out of its range; [`Error::Width`] and [`Error::NonFinite`]
    /// of the mean; [`Error::Overflow`] if √ε or 1/√ε does not fit into the type;
    /// [`Error::TooLarge`]. Then U, U⁻¹ and c are as before.
    pub fn update(
        &mut self,
        mean: ArrayView1<'_, F>,
        eigen: &Eigen<'_, F>,
        options: &WhiteningOptions,
    ) -> Result<(), Error> {
        let n = eigen.values.len();
        let (rows, columns) = eigen.vectors.dim();
        for (what, found) in [("mean", mean.len()), ("basis", rows), ("basis", columns)] {
            if found != n {
                return Err(Error::Width {
                    what,
                    expected: n,
                    found,
                });
            }
        }
        if !mean.iter().all(|v| v.is_finite()) {
            return Err(Error::non_finite("mean", 0, mean.iter()));
        }
        let deviations = deviations::<F>(eigen, options)?;
        let fits = |m: &Array2<F>| m.dim() == (n, n) && m.is_standard_layout();
        if !fits(&self.u) || !fits(&self.u_inv) {
            let too_large = || Error::TooLarge { order: n };
            let u = zeros(n).ok_or_else(too_large)?;
            self.u_inv = zeros(n).ok_or_else(too_large)?;
            self.u = u;
        }
        match options.form {
            Form::Pca => self.pca(eigen, &deviations),
            Form::Zca => self.zca(eigen, &deviations)?,
        }
        self.c = mean.iter().copied().collect();
        Ok(())
    }

    fn pca(&mut self, eigen: &Eigen<'_, F>, deviations: &[f64]) {
        scale_rows(
            eigen.vectors,
            deviations.iter().map(|d| 1.0 / d),
            &mut self.u,
        );
        let scale: Vec<F> = deviations.iter().map(|&d| F::of(d)).collect();
        transpose_scaled(eigen.vectors, &scale, self.u_inv.view_mut());
    }

    /// E diag(s) Eᵀ as the product of diag(√s)Eᵀ with itself: half the work, and symmetric.
    fn zca(&mut self, eigen: &Eigen<'_, F>, deviations: &[f64]) -> Result<(), Error> {
        let roots = deviations.iter().map(|d| d.sqrt());
        let mut scaled = Array2::zeros(eigen.vectors.dim());
        scale_rows(eigen.vectors, roots.clone().map(|d| 1.0 / d), &mut scaled);
        gram(F::one(), scaled.view(), F::zero(), self.u.view_mut())?;
        mirror(self.u.view_mut());
        scale_rows(eigen.vectors, roots, &mut scaled);
        gram(F::one(), scaled.view(), F::zero(), self.u_inv.view_mut())?;
        mirror(self.u_inv.view_mut());
        Ok(())
    }
}

impl<F: Scalar> State<F> for Whitening<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (name, matrix) in [("u", &mut self.u), ("u_inv", &mut self.u_inv)] {
            let (rows, columns) = matrix.dim();
            if let Some(data) = matrix.as_slice_mut() {
                visitor.buffer(name, &[rows, columns], data);
            }
        }
        let n = self.c.len();
        if let Some(c) = self.c.as_slice_mut() {
            visitor.buffer("c", &[n], c);
        }
    }
}

/// √(λ + ε) of every direction, or 1 below the floor.
fn deviations<F: Scalar>(
    eigen: &Eigen<'_, F>,
    options: &WhiteningOptions,
) -> Result<Vec<f64>, Error> {
    let &WhiteningOptions { epsilon, floor, .. } = options;
    opt_core::Error::bounded("epsilon", epsilon, Bound::Positive)?;
    if floor != 0.0 {
        opt_core::Error::bounded("floor", floor, Bound::Shrink)?;
    }
    let least = epsilon.sqrt();
    if !F::of(least).is_normal() || !F::of(1.0 / least).is_normal() {
        return Err(Error::Overflow {
            what: "the square root of epsilon, or its inverse,",
        });
    }
    let lambdas = eigen.values.iter().map(|v| v.f64().max(0.0));
    let floor = floor * lambdas.clone().fold(0.0, f64::max);
    // `hypot`, because λ + ε may overflow where its root does not.
    let deviation = |v: f64| {
        if v < floor {
            1.0
        } else {
            v.sqrt().hypot(least)
        }
    };
    Ok(lambdas.map(deviation).collect())
}

/// out ← diag(scale)·A.
fn scale_rows<F: Scalar>(
    a: ArrayView2<'_, F>,
    scale: impl Iterator<Item = f64>,
    out: &mut Array2<F>,
) {
    for ((a, scale), mut out) in a.rows().into_iter().zip(scale).zip(out.rows_mut()) {
        let scale = F::of(scale);
        Zip::from(&mut out)
            .and(a)
            .for_each(|out, &a| *out = scale * a);
    }
}

/// out[i, k] = scale[k]·a[k, i]: the transpose of diag(scale)·A.
fn transpose_scaled<F: Scalar>(a: ArrayView2<'_, F>, scale: &[F], mut out: ArrayViewMut2<'_, F>) {
    let (m, n) = (
        a.nrows().min(out.ncols()).min(scale.len()),
        a.ncols().min(out.nrows()),
    );
    for top in (0..n).step_by(TILE) {
        for left in (0..m).step_by(TILE) {
            for i in top..(top + TILE).min(n) {
                for k in left..(left + TILE).min(m) {
                    out[[i, k]] = scale[k] * a[[k, i]];
                }
            }
        }
    }
}
