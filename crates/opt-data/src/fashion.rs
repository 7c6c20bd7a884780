use std::path::Path;

use crate::error::check_length;
use crate::source::{Source, folder};
use crate::{Dataset, Error, Mnist, read_idx_from};

/// Where Debian's package `dataset-fashion-mnist` puts the files.
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";

/// Reads Fashion-MNIST: 60,000 and 10,000 images of 784 pixels in 0..=1, ten classes of clothing.
///
/// H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
/// Learning Algorithms (2017); MIT licence. `dir` holds the files of [`mnist`](crate::mnist) by their
/// names, itself or in a folder `fashion-mnist`. Without `train-images-idx3-ubyte` there, the folder
/// of Debian's package `dataset-fashion-mnist` is taken, if that is installed. Nothing is checked but
/// that the files belong together: this reads any data set of that layout.
///
/// # Errors
///
/// [`Error::Missing`] for a file that is not there, those of [`read_idx`](crate::read_idx) and
/// [`Dataset::from_idx`], and [`Error::Shape`] if the test images are of another size.
pub fn fashion_mnist(dir: impl AsRef<Path>) -> Result<Mnist, Error> {
    let mut dir = folder(dir.as_ref(), &["fashion-mnist"]);
    let (first, packaged) = ("train-images-idx3-ubyte", Path::new(DEBIAN));
    let missing = matches!(Source::in_folder(&dir, first), Err(Error::Missing { .. }));
    if missing && packaged.is_dir() {
        dir = packaged.to_owned();
    }
    let load = |part: &str, name| {
        let read = |what| {
            let source = Source::in_folder(&dir, &format!("{part}-{what}-ubyte"))?;
            read_idx_from(source.reader, &source.file)
        };
        Dataset::from_idx(&read("images-idx3")?, &read("labels-idx1")?, name)
    };
    let train = load("train", "fashion-mnist-train")?;
    let test = load("t10k", "fashion-mnist-test")?;
    check_length("test pixels", train.inputs.ncols(), test.inputs.ncols())?;
    Ok(Mnist { train, test })
}
