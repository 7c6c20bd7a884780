use ndarray::{ArcArray2, Array2};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::batches::check_rows;
use crate::{Elements, Error, Idx, gather, gather_labels};

/// Labelled samples in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `(samples, features)`, in standard layout. Shared: a clone is no copy, so that a model can
    /// keep them too.
    pub inputs: ArcArray2<f32>,
    /// The class of every sample, below `classes`.
    pub labels: Vec<u8>,
    /// How many classes there are.
    pub classes: usize,
    /// For tables, plots and errors.
    pub name: String,
}

impl Dataset {
    /// Refuses labels that are all the same.
    pub(crate) fn new(inputs: Array2<f32>, labels: Vec<u8>, name: &str) -> Result<Self, Error> {
        Ok(Self {
            inputs: inputs.into_shared(),
            classes: count_classes(&labels, name)?,
            labels,
            name: name.to_owned(),
        })
    }

    /// Images and their labels as published in idx files.
    ///
    /// The first dimension of `images` counts the samples, the others are flattened to features.
    /// Pixels that are unsigned bytes are scaled from 0..=255 to 0..=1, and elements of other types
    /// are not. Labels are integers in 0..=255 of any type; `classes` is the greatest plus one. For
    /// MNIST itself use [`mnist`](crate::mnist), which also checks that the files are the published
    /// ones.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the labels are not of rank 1 or the images of rank 0, if there is not one
    /// label for every image, if an image has no pixels, or if a shape does not match its data;
    /// [`Error::Empty`] if there are no images; [`Error::NonFinite`] for a pixel that is not finite
    /// in `f32`; [`Error::Label`] for a label that is not a class; [`Error::OneClass`] if all labels
    /// are the same.
    pub fn from_idx(images: &Idx, labels: &Idx, name: &str) -> Result<Self, Error> {
        let shape = |what, expected, found| Error::Shape {
            what,
            expected,
            found,
        };
        let &[count] = labels.shape.as_slice() else {
            return Err(shape("dimensions of the labels", 1, labels.shape.len()));
        };
        if count != labels.data.len() {
            return Err(shape("elements of the labels", count, labels.data.len()));
        }
        let mut inputs = images.matrix()?;
        if count != inputs.nrows() {
            return Err(shape("labels", inputs.nrows(), count));
        }
        if let Elements::U8(_) = images.data {
            inputs /= 255.0;
        }
        let mut classes = Vec::with_capacity(count);
        for (sample, value) in labels.data.map(|label| label).into_iter().enumerate() {
            if f64::from(value as u8) != value {
                return Err(Error::Label {
                    what: name.to_owned(),
                    sample,
                    value,
                });
            }
            classes.push(value as u8);
        }
        Self::new(inputs, classes, name)
    }

    /// A copy of the given rows, in the given order; a row may come more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for an index out of range, [`Error::Shape`] if there is not one label for
    /// every input.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        self.check_labels()?;
        check_rows(self.labels.len(), rows)?;
        let mut inputs = Array2::zeros((rows.len(), self.inputs.ncols()));
        let mut labels = vec![0; rows.len()];
        gather(self.inputs.view(), rows, inputs.view_mut())?;
        gather_labels(&self.labels, rows, &mut labels)?;
        Ok(Self {
            inputs: inputs.into_shared(),
            labels,
            classes: self.classes,
            name: self.name.clone(),
        })
    }

    /// Splits at random into `(training, validation)`; both keep the order of the samples.
    ///
    /// The split depends on `seed` and the number of samples only. Classes are not balanced.
    ///
    /// # Errors
    ///
    /// [`Error::Split`] unless `validation` is less than the number of samples, [`Error::Shape`] if
    /// there is not one label for every input.
    pub fn split(&self, validation: usize, seed: u64) -> Result<(Self, Self), Error> {
        self.check_labels()?;
        let (kept, held_out) = split_rows(self.labels.len(), validation, seed)?;
        Ok((self.select(&kept)?, self.select(&held_out)?))
    }

    fn check_labels(&self) -> Result<(), Error> {
        if self.labels.len() == self.inputs.nrows() {
            return Ok(());
        }
        Err(Error::Shape {
            what: "labels",
            expected: self.inputs.nrows(),
            found: self.labels.len(),
        })
    }
}

/// The greatest label plus one, of at least two different labels.
pub(crate) fn count_classes(labels: &[u8], name: &str) -> Result<usize, Error> {
    let (Some(least), Some(greatest)) = (labels.iter().min(), labels.iter().max()) else {
        return Err(Error::Empty {
            what: name.to_owned(),
        });
    };
    if least == greatest {
        return Err(Error::OneClass {
            what: name.to_owned(),
            class: least.to_string(),
        });
    }
    Ok(usize::from(*greatest) + 1)
}

/// Rows for training and rows for validation, at random, each in ascending order.
pub(crate) fn split_rows(
    samples: usize,
    validation: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    if validation >= samples {
        return Err(Error::Split {
            validation,
            samples,
        });
    }
    let mut held_out: Vec<usize> = (0..samples).collect();
    held_out.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut kept = held_out.split_off(validation);
    held_out.sort_unstable();
    kept.sort_unstable();
    Ok((kept, held_out))
}
