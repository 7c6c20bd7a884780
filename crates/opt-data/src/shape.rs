use crate::Error;
use crate::error::check_length;

/// The shape of images that are rows of a matrix, channels last: feature
/// `(y·width + x)·channels + channel` is of the pixel in row y from above and column x from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}

impl ImageShape {
    /// Of the 32×32 pixels of red, green and blue of CIFAR-10.
    pub const CIFAR: Self = Self {
        height: 32,
        width: 32,
        channels: 3,
    };

    /// Of the 28×28 grey pixels of MNIST and Fashion-MNIST.
    pub const MNIST: Self = Self {
        height: 28,
        width: 28,
        channels: 1,
    };

    /// Values of an image; `usize::MAX` if there are more.
    pub fn features(&self) -> usize {
        let pixels = self.height.saturating_mul(self.width);
        pixels.saturating_mul(self.channels)
    }

    pub(crate) fn check(&self, what: &'static str, columns: usize) -> Result<(), Error> {
        check_length(what, self.features(), columns)
    }
}
