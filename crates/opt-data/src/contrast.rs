use ndarray::ArrayViewMut2;

use crate::Error;
use crate::error::check_finite;

/// Global contrast normalization: every image by itself to mean 0 and equal contrast.
///
/// ```text
/// x ← s·(x − x̄) / max(ε, √(λ + Σ(x − x̄)²/n))
/// ```
///
/// over the n values of an image, all channels together (Goodfellow, Bengio & Courville, Deep
/// Learning, 2016, equation 12.3).
///
/// pylearn2's `global_contrast_normalize` calls s `scale`, λ `sqrt_bias` and ε `min_divisor`, and
/// differs: it has the sum of squares in place of their mean (so that its s is ours times √n, and
/// its λ ours times n), or divides by n − 1 with `use_std`, and it divides by 1 instead of ε.
///
/// ```
/// use ndarray::array;
/// use opt_data::GlobalContrast;
///
/// // The second has no contrast, and none is made of it.
/// let mut images = array![[1.0, 3.0], [5.0, 5.0]];
/// GlobalContrast::default().apply(images.view_mut())?;
/// assert_eq!(images, array![[-1.0, 1.0], [0.0, 0.0]]);
/// # Ok::<(), opt_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlobalContrast {
    /// s > 0, the deviation of the result. Default: 1.
    pub scale: f64,
    /// λ ≥ 0, in units of a variance. Default: 0.
    pub lambda: f64,
    /// ε > 0, in units of the inputs. Default: 1e-8.
    pub eps: f64,
}

impl Default for GlobalContrast {
    fn default() -> Self {
        Self {
            scale: 1.0,
            lambda: 0.0,
            eps: 1e-8,
        }
    }
}

impl GlobalContrast {
    /// Normalizes images, `(samples, features)`, in place. Sums are in `f64`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a setting out of its range, or an s so large that a result might not be
    /// finite; [`Error::NonFinite`] for a value that is NaN or infinite. Nothing is changed then.
    pub fn apply(&self, mut images: ArrayViewMut2<'_, f32>) -> Result<(), Error> {
        // No value is further from the mean than √n deviations.
        let (n, scale) = (images.ncols() as f64, self.scale);
        let fits = scale > 0.0 && scale * n.sqrt() < f64::from(f32::MAX) / 2.0;
        check_setting("scale", scale, fits, "above 0, times √n in f32")?;
        check_setting("lambda", self.lambda, self.lambda >= 0.0, "from 0")?;
        check_setting("eps", self.eps, self.eps > 0.0, "above 0")?;
        check_finite(&images.view())?;
        for mut image in images.rows_mut() {
            // Relative to the first value, so that there is exactly no contrast in a constant image.
            let first = image.first().map_or(0.0, |x| f64::from(*x));
            let shift = image.iter().map(|x| f64::from(*x) - first).sum::<f64>() / n;
            let centred = |x: f32| f64::from(x) - first - shift;
            let squares: f64 = image.iter().map(|x| centred(*x).powi(2)).sum();
            let deviation = (self.lambda + squares / n).sqrt().max(self.eps);
            image.mapv_inplace(|x| (scale * (centred(x) / deviation)) as f32);
        }
        Ok(())
    }
}

/// Whether a number is finite and in its range.
pub(crate) fn check_setting(
    what: &'static str,
    value: f64,
    in_range: bool,
    range: &str,
) -> Result<(), Error> {
    if value.is_finite() && in_range {
        return Ok(());
    }
    Err(Error::Setting {
        what,
        expected: format!("a finite number {range}"),
        found: value.to_string(),
    })
}
