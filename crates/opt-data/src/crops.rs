use ndarray::{ArrayView2, ArrayViewMut2};
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::batches::{check_rows, generator};
use crate::error::check_length;
use crate::{Error, ImageShape};

/// Crops of images: at random places, and mirrored or not, for training; of the middle for testing.
///
/// An image is padded on all four sides with zeros (the mean, once a set is standardized), and a
/// crop cut out of it; it is mirrored left to right with probability ½. Place and mirroring depend on
/// the seed, the epoch and the index of the sample only: not on the batch that it is in, nor on
/// what was asked for before. A run resumes exactly where it stopped.
///
/// ```
/// use ndarray::{Array2, array};
/// use opt_data::{Crops, ImageShape};
///
/// let shape = ImageShape { height: 2, width: 3, channels: 1 };
/// let images = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]];
/// let crops = Crops { height: 2, width: 1, padding: 0, mirror: true, seed: 7 };
/// let mut out = Array2::zeros((1, 2));
/// crops.center(images.view(), shape, &[0], out.view_mut())?;
/// assert_eq!(out, array![[2.0, 5.0]]);
/// crops.random(images.view(), shape, &[0], 3, out.view_mut())?;
/// assert_eq!(out[[0, 1]], out[[0, 0]] + 3.0);
/// # Ok::<(), opt_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crops {
    /// Of the crop, in pixels.
    pub height: usize,
    /// Of the crop, in pixels.
    pub width: usize,
    /// Pixels of zeros on each side.
    pub padding: usize,
    /// Whether random crops are mirrored half of the time.
    pub mirror: bool,
    /// Of places and mirroring. It may be that of the [`Batches`](crate::Batches) too.
    pub seed: u64,
}

/// Where a crop starts in the padded image.
struct Place {
    top: usize,
    left: usize,
    mirrored: bool,
}

impl Crops {
    /// The shape of the crops of images of this shape.
    pub fn shape(&self, images: ImageShape) -> ImageShape {
        ImageShape {
            height: self.height,
            width: self.width,
            channels: images.channels,
        }
    }

    /// Writes random crops of the given rows of `images`, `(samples, height·width·channels)`, to
    /// `out`, `(rows.len(), height·width·channels)` with the height and width of a crop; without
    /// allocation.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if images or `out` are of another shape, [`Error::Setting`] for a crop
    /// without pixels or larger than the padded image, [`Error::Row`] for an index out of range;
    /// nothing is written then.
    pub fn random(
        &self,
        images: ArrayView2<'_, f32>,
        shape: ImageShape,
        rows: &[usize],
        epoch: u64,
        out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), Error> {
        // Mixed in one by one, as in `generator`.
        let base = generator(self.seed, epoch).next_u64();
        self.write(images, shape, rows, out, |row, down, right| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(base ^ row as u64);
            Place {
                top: random.random_range(0..=down),
                left: random.random_range(0..=right),
                mirrored: self.mirror && random.random_bool(0.5),
            }
        })
    }

    /// Writes the crop in the middle of each given row, as [`random`](Self::random) does; where it
    /// cannot be exactly in the middle, it is up or left by half a pixel.
    ///
    /// # Errors
    ///
    /// As [`random`](Self::random).
    pub fn center(
        &self,
        images: ArrayView2<'_, f32>,
        shape: ImageShape,
        rows: &[usize],
        out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), Error> {
        self.write(images, shape, rows, out, |_, down, right| Place {
            top: down / 2,
            left: right / 2,
            mirrored: false,
        })
    }

    /// `place` gets the row and how far down and to the right a crop may start.
    fn write(
        &self,
        images: ArrayView2<'_, f32>,
        shape: ImageShape,
        rows: &[usize],
        mut out: ArrayViewMut2<'_, f32>,
        place: impl Fn(usize, usize, usize) -> Place,
    ) -> Result<(), Error> {
        shape.check("values of an image", images.ncols())?;
        let down = self.room("height of a crop", self.height, shape.height)?;
        let right = self.room("width of a crop", self.width, shape.width)?;
        self.shape(shape).check("values of a crop", out.ncols())?;
        check_length("rows of crops", rows.len(), out.nrows())?;
        check_rows(images.nrows(), rows)?;
        out.fill(0.0);
        for (mut out, &row) in out.rows_mut().into_iter().zip(rows) {
            let (image, place) = (images.row(row), place(row, down, right));
            for y in 0..self.height {
                let Some(from_y) = inside(place.top + y, self.padding, shape.height) else {
                    continue;
                };
                for x in 0..self.width {
                    let Some(from_x) = inside(place.left + x, self.padding, shape.width) else {
                        continue;
                    };
                    let x = if place.mirrored {
                        self.width - 1 - x
                    } else {
                        x
                    };
                    let from = (from_y * shape.width + from_x) * shape.channels;
                    let to = (y * self.width + x) * shape.channels;
                    for channel in 0..shape.channels {
                        out[to + channel] = image[from + channel];
                    }
                }
            }
        }
        Ok(())
    }

    /// How many pixels a crop may be moved along an axis of the padded image.
    fn room(&self, what: &'static str, crop: usize, image: usize) -> Result<usize, Error> {
        let padded = image.checked_add(self.padding.saturating_mul(2));
        let room = padded.and_then(|padded| padded.checked_sub(crop));
        room.filter(|_| crop > 0).ok_or_else(|| Error::Setting {
            what,
            expected: format!("1 to {image} + 2·{} pixels", self.padding),
            found: crop.to_string(),
        })
    }
}

/// The place in the image of one in the padded image; nothing in the padding.
fn inside(place: usize, padding: usize, length: usize) -> Option<usize> {
    place.checked_sub(padding).filter(|place| *place < length)
}
