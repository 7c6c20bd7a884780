//! The data of one experiment: dense or sparse, as images or not.

use ndarray::{ArcArray2, ArrayView2, s};
use opt_data::{Csr, Dataset, ImageShape, SparseDataset, Standardize};
use opt_nn::Inputs;
use std::sync::Arc;

/// Samples with their classes. A clone shares the inputs.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    inputs: Values,
    pub(crate) labels: Vec<u8>,
    pub(crate) classes: usize,
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
enum Values {
    Dense(ArcArray2<f32>),
    Sparse(Arc<Csr>),
}

impl From<Dataset> for Samples {
    fn from(data: Dataset) -> Self {
        Self {
            inputs: Values::Dense(data.inputs),
            labels: data.labels,
            classes: data.classes,
            name: data.name,
        }
    }
}

impl From<SparseDataset> for Samples {
    fn from(data: SparseDataset) -> Self {
        Self {
            inputs: Values::Sparse(data.inputs),
            labels: data.labels,
            classes: data.classes,
            name: data.name,
        }
    }
}

impl Samples {
    /// Inputs of one sample.
    pub(crate) fn width(&self) -> usize {
        match &self.inputs {
            Values::Dense(inputs) => inputs.ncols(),
            Values::Sparse(inputs) => inputs.cols(),
        }
    }

    /// The first `rows`, or all if there are fewer.
    pub(crate) fn first(&self, rows: usize) -> (Inputs<'_, f32>, &[u8]) {
        let rows = rows.min(self.labels.len());
        let inputs = match &self.inputs {
            Values::Dense(inputs) => Inputs::from(inputs.slice(s![..rows, ..])),
            Values::Sparse(inputs) => Inputs::from(inputs.slice_outer(0..rows)),
        };
        (inputs, &self.labels[..rows])
    }

    /// All inputs, unless they are sparse.
    pub(crate) fn dense(&self) -> Option<&ArcArray2<f32>> {
        match &self.inputs {
            Values::Dense(inputs) => Some(inputs),
            Values::Sparse(_) => None,
        }
    }

    /// The same with other inputs.
    pub(crate) fn with(&self, inputs: ArcArray2<f32>) -> Self {
        Self {
            inputs: Values::Dense(inputs),
            labels: self.labels.clone(),
            classes: self.classes,
            name: self.name.clone(),
        }
    }

    /// The first `rows` alone.
    pub(crate) fn truncated(&self, rows: usize) -> Self {
        let mut few = self.clone();
        if rows >= few.labels.len() {
            return few;
        }
        few.labels.truncate(rows);
        match &mut few.inputs {
            Values::Dense(inputs) => *inputs = inputs.slice(s![..rows, ..]).to_shared(),
            Values::Sparse(inputs) => *inputs = Arc::new(inputs.slice_outer(0..rows).to_owned()),
        }
        few
    }
}

/// Training, validation and test samples.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub(crate) train: Samples,
    pub(crate) validation: Samples,
    pub(crate) test: Samples,
    /// If they are images.
    pub(crate) image: Option<ImageShape>,
}

impl Split {
    /// All three, changed by `f`. Sparse inputs are refused.
    pub(crate) fn map(
        &self,
        f: impl Fn(ArrayView2<'_, f32>) -> Result<ArcArray2<f32>, opt_data::Error>,
    ) -> Result<Self, String> {
        let apply = |data: &Samples| {
            let Some(inputs) = data.dense() else {
                return Err(format!("{}: counts of words stay as they are", data.name));
            };
            let changed = f(inputs.view()).map_err(|e| e.to_string())?;
            Ok(data.with(changed))
        };
        Ok(Self {
            train: apply(&self.train)?,
            validation: apply(&self.validation)?,
            test: apply(&self.test)?,
            image: self.image,
        })
    }

    /// With inputs of mean 0 and variance 1, by those of the training set: of each, or of each channel
    /// of an image.
    pub(crate) fn standardized(&self, by_channel: bool) -> Result<Self, String> {
        let Some(inputs) = self.train.dense() else {
            return self.map(|inputs| Ok(inputs.to_shared()));
        };
        let channels = self
            .image
            .filter(|_| by_channel)
            .map(|image| image.channels);
        let measured = match channels {
            Some(channels) => Standardize::fit_channels(inputs.view(), channels),
            None => Standardize::fit(inputs.view()),
        };
        let measured = measured.map_err(|e| e.to_string())?;
        self.map(|inputs| {
            let mut inputs = inputs.to_owned();
            measured.apply(inputs.view_mut())?;
            Ok(inputs.into_shared())
        })
    }
}
