use std::path::Path;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use opt_linalg::{Eigh, Form, Moments, Whitening, WhiteningOptions, gemm};

use crate::contrast::check_setting;
use crate::error::{check_finite, check_length};
use crate::{Error, zca_cache};

/// Rows at a time: enough for products at full speed, few beside a set.
const CHUNK: usize = 1024;

/// ZCA whitening, as measured on one set and applied to others (with the feature `lapack` or
/// `faer`).
///
/// ```text
/// x ← W(x − μ),  W = E diag(λ + ε)^(−1/2) Eᵀ
/// ```
///
/// where μ is the mean and E diag(λ) Eᵀ the covariance, divided by n, of the training set: features
/// then have covariance E diag(λ/(λ + ε)) Eᵀ there, and stay as close to what they were as that
/// allows (Bell & Sejnowski, 1997; Krizhevsky, 2009). It is usual after [`GlobalContrast`], and no
/// direction is scaled by more than 1/√ε.
///
/// μ, covariance and eigenvalues are found in `f64`, and W is kept and applied in `f32`. Fitting
/// takes three matrices of `f64` of the order of the features, and on the 3,072 of CIFAR-10 a minute
/// or so: [`fit_cached`](Self::fit_cached) does it once.
///
/// ```
/// use ndarray::array;
/// use opt_data::Zca;
///
/// // Variances 4 and 0.
/// let mut train = array![[3.0, 1.0], [-1.0, 1.0]];
/// let zca = Zca::fit(train.view(), 0.25)?;
/// zca.apply(train.view_mut())?;
/// assert!((train[[0, 0]] - 2.0 / 4.25_f32.sqrt()).abs() < 1e-6);
/// assert_eq!(train.column(1), array![0.0, 0.0]);
/// # Ok::<(), opt_data::Error>(())
/// ```
///
/// [`GlobalContrast`]: crate::GlobalContrast
#[derive(Clone, Debug, PartialEq)]
pub struct Zca {
    mean: Array1<f32>,
    matrix: Array2<f32>,
}

impl Zca {
    /// Measures a training set, `(samples, features)`; ε > 0 is in units of a variance.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for an ε that is not positive and finite, or with 1/√ε beyond `f32`;
    /// [`Error::Empty`] without samples, [`Error::NonFinite`] for a value that is NaN or infinite, [`Error::Whitening`] if the matrices
    /// do not fit into memory or the eigenvalues are not found.
    pub fn fit(inputs: ArrayView2<'_, f32>, epsilon: f64) -> Result<Self, Error> {
        // No element of W is greater than its greatest gain.
        let fits = epsilon > 0.0 && 1.0 / epsilon.sqrt() < f64::from(f32::MAX);
        check_setting("epsilon", epsilon, fits, "above 0, 1/√ε in f32")?;
        if inputs.is_empty() {
            return Err(Error::Empty {
                what: "the inputs to whiten".to_owned(),
            });
        }
        check_finite(&inputs)?;
        let whitening = measure(&inputs, epsilon).map_err(Error::Whitening)?;
        Ok(Self {
            mean: whitening.c.mapv(|c| c as f32),
            matrix: whitening.u.mapv(|w| w as f32),
        })
    }

    /// [`fit`](Self::fit), once: the result is kept in the file `cache`, and read from there by
    /// later calls with the same inputs, to the bit, and ε.
    ///
    /// The file is written whole or not at all. A cache of other inputs, or one that is damaged, is
    /// fitted anew and written over. A file that does not begin as a cache does is an error, and
    /// stays.
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit); [`Error::Format`] if there is another file, [`Error::Io`] if it cannot
    /// be read, [`Error::Write`] if it cannot be written.
    pub fn fit_cached(
        inputs: ArrayView2<'_, f32>,
        epsilon: f64,
        cache: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let (cache, key) = (cache.as_ref(), zca_cache::key(&inputs, epsilon));
        if let Some((mean, matrix)) = zca_cache::read(cache, &key, inputs.ncols())? {
            return Ok(Self { mean, matrix });
        }
        let fitted = Self::fit(inputs, epsilon)?;
        zca_cache::write(cache, &key, (&fitted.mean, &fitted.matrix))?;
        Ok(fitted)
    }

    /// μ, of shape (features).
    pub fn mean(&self) -> ArrayView1<'_, f32> {
        self.mean.view()
    }

    /// W, of shape (features, features), symmetric.
    pub fn matrix(&self) -> ArrayView2<'_, f32> {
        self.matrix.view()
    }

    /// Whitens `inputs`, `(samples, features)`, in place.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the number of features is another, [`Error::NonFinite`] for a value that
    /// is NaN or infinite; [`Error::Scale`] for one so large that the result might be, with the
    /// inverse of the greatest gain as the deviation. Nothing is changed then.
    pub fn apply(&self, mut inputs: ArrayViewMut2<'_, f32>) -> Result<(), Error> {
        check_length("features to whiten", self.mean.len(), inputs.ncols())?;
        check_finite(&inputs.view())?;
        self.check_range(&inputs.view())?;
        let mut centred = Array2::zeros((CHUNK.min(inputs.nrows()), inputs.ncols()));
        for mut chunk in inputs.axis_chunks_iter_mut(Axis(0), CHUNK) {
            let mut centred = centred.slice_mut(s![..chunk.nrows(), ..]);
            centred.assign(&chunk);
            centred -= &self.mean;
            // W is symmetric: rows times W are W times columns.
            let (x, w) = (centred.view(), self.matrix.view());
            gemm(1.0, x, w, 0.0, chunk.view_mut()).map_err(Error::Whitening)?;
        }
        Ok(())
    }

    /// Whether no sum of products can leave the range of `f32`.
    fn check_range(&self, inputs: &ArrayView2<'_, f32>) -> Result<(), Error> {
        let rows = self.matrix.rows().into_iter();
        let gains = rows.map(|row| row.iter().map(|w| f64::from(w.abs())).sum());
        let gain = gains.fold(1.0, f64::max);
        let bound = f64::from(f32::MAX) / gain;
        for ((sample, feature), &value) in inputs.indexed_iter() {
            let mean = f64::from(self.mean[feature]);
            if (f64::from(value) - mean).abs() >= bound {
                return Err(Error::Scale {
                    sample,
                    feature,
                    value,
                    mean,
                    deviation: 1.0 / gain,
                });
            }
        }
        Ok(())
    }
}

fn measure(
    inputs: &ArrayView2<'_, f32>,
    epsilon: f64,
) -> Result<Whitening<f64>, opt_linalg::Error> {
    let mut moments = Moments::new(inputs.ncols());
    for chunk in inputs.axis_chunks_iter(Axis(0), CHUNK) {
        moments.update(chunk.mapv(f64::from).view())?;
    }
    let options = WhiteningOptions {
        form: Form::Zca,
        epsilon,
        floor: 0.0,
    };
    let (mut eigh, mut whitening) = (Eigh::new(), Whitening::identity(inputs.ncols()));
    let eigen = eigh.compute(moments.lower())?;
    whitening.update(moments.mean(), &eigen, &options)?;
    Ok(whitening)
}
