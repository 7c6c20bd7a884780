use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::{Error, Idx, gather, gather_labels};

/// Labelled samples in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `(samples, features)`, in standard layout.
    pub inputs: Array2<f32>,
    /// The class of every sample, below `classes`.
    pub labels: Vec<u8>,
    /// How many classes there are.
    pub classes: usize,
    /// For tables, plots and errors.
    pub name: String,
}

impl Dataset {
    /// Images and their labels as published in idx files; pixels are scaled from 0..=255 to 0..=1.
    ///
    /// The first dimension of `images` counts the samples, the others are flattened to features.
    /// `classes` is the greatest label plus one. For MNIST itself use [`mnist`](crate::mnist), which
    /// also checks that the files are the published ones.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the labels are not of rank 1 or the images of rank 0, if there is not one
    /// label for every image, or if a shape does not match its data; [`Error::Empty`] if there are no
    /// images.
    pub fn from_idx(images: &Idx, labels: &Idx, name: &str) -> Result<Self, Error> {
        let shape = |what, expected, found| Error::Shape {
            what,
            expected,
            found,
        };
        let &[count] = labels.shape.as_slice() else {
            return Err(shape("dimensions of the labels", 1, labels.shape.len()));
        };
        let Some((&samples, rest)) = images.shape.split_first() else {
            return Err(shape("dimensions of the images, at least", 1, 0));
        };
        if count != labels.data.len() {
            return Err(shape("bytes of the labels", count, labels.data.len()));
        }
        if count != samples {
            return Err(shape("labels", samples, count));
        }
        let Some(max) = labels.data.iter().max() else {
            return Err(Error::Empty {
                what: name.to_owned(),
            });
        };
        let features = rest.iter().fold(1, |n: usize, d| n.saturating_mul(*d));
        let pixels = images.data.iter().map(|pixel| f32::from(*pixel) / 255.0);
        let inputs =
            Array2::from_shape_vec((samples, features), pixels.collect()).map_err(|_| {
                let expected = samples.saturating_mul(features);
                shape("bytes of the images", expected, images.data.len())
            })?;
        Ok(Self {
            inputs,
            labels: labels.data.clone(),
            classes: usize::from(*max) + 1,
            name: name.to_owned(),
        })
    }

    /// A copy of the given rows, in the given order; a row may come more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for an index out of range, [`Error::Shape`] if there is not one label for
    /// every input.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        self.check_labels()?;
        if let Some(row) = rows.iter().find(|row| **row >= self.labels.len()) {
            return Err(Error::Row {
                row: *row,
                rows: self.labels.len(),
            });
        }
        let mut inputs = Array2::zeros((rows.len(), self.inputs.ncols()));
        let mut labels = vec![0; rows.len()];
        gather(self.inputs.view(), rows, inputs.view_mut())?;
        gather_labels(&self.labels, rows, &mut labels)?;
        Ok(Self {
            inputs,
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
        let samples = self.labels.len();
        if validation >= samples {
            return Err(Error::Split {
                validation,
                samples,
            });
        }
        let mut rows: Vec<usize> = (0..samples).collect();
        rows.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let (held_out, kept) = rows.split_at_mut(validation);
        held_out.sort_unstable();
        kept.sort_unstable();
        Ok((self.select(kept)?, self.select(held_out)?))
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
