use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use crate::Error;

/// Scales every feature to mean 0 and standard deviation 1, as measured on one set and applied to
/// others.
///
/// x ← (x − mean) / deviation, with mean = Σx/n and deviation = √(Σ(x − mean)²/n) of the set that it
/// was fitted on. A feature that is constant there has deviation 1: it is shifted and not scaled.
///
/// A feature that is nearly constant, such as a border pixel of MNIST that is set in one of 60,000
/// images, is blown up by a factor of up to √n where it is set.
///
/// ```
/// use ndarray::array;
/// use opt_data::Standardize;
///
/// let mut train = array![[1.0, 5.0], [3.0, 5.0]];
/// let mut test = array![[4.0, 6.0]];
/// let scaling = Standardize::fit(train.view())?;
/// scaling.apply(train.view_mut())?;
/// scaling.apply(test.view_mut())?;
/// assert_eq!(train, array![[-1.0, 0.0], [1.0, 0.0]]);
/// assert_eq!(test, array![[2.0, 1.0]]);
/// # Ok::<(), opt_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardize {
    /// `(features)`.
    pub mean: Array1<f64>,
    /// `(features)`; 1 where a feature is constant.
    pub deviation: Array1<f64>,
}

impl Standardize {
    /// Measures mean and deviation of every column of `inputs`, `(samples, features)`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] without samples, [`Error::NonFinite`] if a value is NaN or infinite.
    pub fn fit(inputs: ArrayView2<'_, f32>) -> Result<Self, Error> {
        if inputs.nrows() == 0 {
            return Err(Error::Empty {
                what: "the inputs to standardize".to_owned(),
            });
        }
        if let Some(((sample, feature), &value)) =
            inputs.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(Error::NonFinite {
                sample,
                feature,
                value: value.into(),
            });
        }
        // Relative to the first sample, so that the deviation of a constant feature is exactly 0.
        let samples = inputs.nrows() as f64;
        let first = inputs.row(0).mapv(f64::from);
        let mut shift = Array1::<f64>::zeros(inputs.ncols());
        for row in inputs.rows() {
            ndarray::azip!((shift in &mut shift, &x in row, &first in &first) {
                *shift += f64::from(x) - first;
            });
        }
        shift /= samples;
        let mut variance = Array1::<f64>::zeros(inputs.ncols());
        for row in inputs.rows() {
            ndarray::azip!((sum in &mut variance, &x in row, &first in &first, &shift in &shift) {
                *sum += (f64::from(x) - first - shift).powi(2);
            });
        }
        variance /= samples;
        Ok(Self {
            mean: first + shift,
            deviation: variance.mapv(|v| if v > 0.0 { v.sqrt() } else { 1.0 }),
        })
    }

    /// Scales `inputs`, `(samples, features)`, in place.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the number of features is another, [`Error::NonFinite`] for a value that
    /// is NaN or infinite, [`Error::Scale`] for one that would be so afterwards; nothing is changed
    /// then.
    pub fn apply(&self, mut inputs: ArrayViewMut2<'_, f32>) -> Result<(), Error> {
        for expected in [self.mean.len(), self.deviation.len()] {
            if inputs.ncols() != expected {
                return Err(Error::Shape {
                    what: "features to standardize",
                    expected,
                    found: inputs.ncols(),
                });
            }
        }
        let scaled = |x: f32, feature| {
            ((f64::from(x) - self.mean[feature]) / self.deviation[feature]) as f32
        };
        for ((sample, feature), &value) in inputs.indexed_iter() {
            if !value.is_finite() {
                return Err(Error::NonFinite {
                    sample,
                    feature,
                    value: value.into(),
                });
            }
            if !scaled(value, feature).is_finite() {
                return Err(Error::Scale {
                    sample,
                    feature,
                    value,
                    mean: self.mean[feature],
                    deviation: self.deviation[feature],
                });
            }
        }
        for mut row in inputs.rows_mut() {
            for (feature, x) in row.iter_mut().enumerate() {
                *x = scaled(*x, feature);
            }
        }
        Ok(())
    }
}
