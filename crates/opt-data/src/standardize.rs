use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use crate::Error;
use crate::error::check_finite;

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
        let (mean, variance) = measure(inputs)?;
        Ok(Self {
            mean,
            deviation: variance.mapv(deviation),
        })
    }

    /// Measures mean and deviation of every channel of images, over all their pixels: `inputs` is
    /// `(samples, pixels·channels)`, channels last. The result has a mean and a deviation for every
    /// feature, those of its channel.
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit); [`Error::Setting`] unless the features are one or more pixels of
    /// `channels` values.
    pub fn fit_channels(inputs: ArrayView2<'_, f32>, channels: usize) -> Result<Self, Error> {
        let features = inputs.ncols();
        if features == 0 || channels == 0 || !features.is_multiple_of(channels) {
            return Err(Error::Setting {
                what: "channels",
                expected: format!("a divisor of the {features} features"),
                found: channels.to_string(),
            });
        }
        let (means, variance) = measure(inputs)?;
        let mut fitted = Self {
            mean: means.clone(),
            deviation: variance.clone(),
        };
        let pixels = (features / channels) as f64;
        for channel in 0..channels {
            let of_channel = || (channel..features).step_by(channels);
            // Relative to the first pixel, as the samples are to the first sample.
            let first = means[channel];
            let shift = of_channel().map(|f| means[f] - first).sum::<f64>() / pixels;
            let mean = first + shift;
            let square = |f: usize| variance[f] + (means[f] - first - shift).powi(2);
            let deviation = deviation(of_channel().map(square).sum::<f64>() / pixels);
            for feature in of_channel() {
                fitted.mean[feature] = mean;
                fitted.deviation[feature] = deviation;
            }
        }
        Ok(fitted)
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

/// Mean and variance of every column.
fn measure(inputs: ArrayView2<'_, f32>) -> Result<(Array1<f64>, Array1<f64>), Error> {
    if inputs.nrows() == 0 {
        return Err(Error::Empty {
            what: "the inputs to standardize".to_owned(),
        });
    }
    check_finite(&inputs)?;
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
    Ok((first + shift, variance))
}

fn deviation(variance: f64) -> f64 {
    if variance > 0.0 { variance.sqrt() } else { 1.0 }
}
