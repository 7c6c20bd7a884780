//! The data sets of the experiments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use opt_data::{Crops, GlobalContrast, ImageShape, Zca};

use super::default_out;
use crate::experiment::{Data, Preparation, Training};
use crate::mnist_dir;
use crate::train::{Cropping, Samples, Split};

/// The film sentences that are tested on, of 10,568.
const REVIEWS: usize = 2_000;

/// Variances of a contrast-normalized image below this stay, when it is whitened.
const ZCA: f64 = 0.1;

/// The data sets, read once.
pub(super) struct Splits {
    /// Where those are that the repository does not have.
    folder: PathBuf,
    all: BTreeMap<Key, Split>,
}

/// What, how many are held out, how many words, and how it is prepared.
type Key = (Data, usize, usize, Preparation);

impl Splits {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let named = folder.map(Path::to_owned);
        Self {
            folder: named.unwrap_or_else(|| crate::root().join("data")),
            all: BTreeMap::new(),
        }
    }

    /// Of an experiment, with what it asks for; of images that it crops the middles, and what it trains
    /// on.
    pub(super) fn of(
        &mut self,
        config: &Training,
        examples: usize,
    ) -> Result<(Split, Option<Cropping>), String> {
        let key = (config.data, config.validation, config.words, config.inputs);
        let mut split = self.get(key)?.clone();
        split.train = split.train.truncated(examples);
        let (Some(size), Some(image)) = (config.crop, split.image) else {
            return Ok((split, None));
        };
        let crops = Crops {
            height: size,
            width: size,
            padding: 0,
            mirror: true,
            seed: 0,
        };
        let cropped = centred(&split, image, &crops)?;
        let train = split.train;
        let cropping = Cropping {
            train,
            image,
            crops,
        };
        Ok((cropped, Some(cropping)))
    }

    pub(super) fn mnist(&mut self, validation: usize) -> Result<&Split, String> {
        self.get((Data::Mnist, validation, 0, Preparation::Pixels))
    }

    fn get(&mut self, key: Key) -> Result<&Split, String> {
        use std::collections::btree_map::Entry as Place;
        match self.all.entry(key) {
            Place::Occupied(place) => Ok(place.into_mut()),
            Place::Vacant(place) => Ok(place.insert(read(&self.folder, key)?)),
        }
    }
}

fn read(folder: &Path, (data, validation, words, inputs): Key) -> Result<Split, String> {
    let (rest, test, image) = find(folder, data, words)?;
    let text = |e: opt_data::Error| e.to_string();
    let (train, held_out) = match rest {
        Rest::Dense(rest) => {
            let (train, held_out) = rest.split(validation, 0).map_err(text)?;
            (train.into(), held_out.into())
        }
        Rest::Sparse(rest) => {
            let (train, held_out) = rest.split(validation, 0).map_err(text)?;
            (train.into(), held_out.into())
        }
    };
    let split = Split {
        train,
        validation: held_out,
        test,
        image,
    };
    match inputs {
        Preparation::Pixels => Ok(split),
        Preparation::Standardized => split.standardized(true),
        Preparation::Whitened => whitened(&split),
    }
}

enum Rest {
    Dense(opt_data::Dataset),
    Sparse(opt_data::SparseDataset),
}

/// What is to be trained on, the test set, and the shape of an image. Says where it is from; without the
/// files of a set that the repository does not have, it is another.
fn find(
    folder: &Path,
    data: Data,
    words: usize,
) -> Result<(Rest, Samples, Option<ImageShape>), String> {
    let text = |e: opt_data::Error| e.to_string();
    let here = |name: &str, from: &Path| eprintln!("  {name} from {}", from.display());
    let missing = |name: &str, why: opt_data::Error, other: &str| {
        eprintln!("  no {name} ({why}); {other} instead. `--data DIR` says where it is");
    };
    let images = |mnist: opt_data::Mnist| {
        let image = Some(ImageShape::MNIST);
        (Rest::Dense(mnist.train), mnist.test.into(), image)
    };
    match data {
        Data::Digits => {
            let (rest, test) = opt_data::digits()
                .and_then(|digits| digits.split(360, 0))
                .map_err(text)?;
            let image = ImageShape {
                height: 8,
                width: 8,
                channels: 1,
            };
            Ok((Rest::Dense(rest), test.into(), Some(image)))
        }
        Data::Mnist => Ok(images(opt_data::mnist(mnist_dir()).map_err(text)?)),
        Data::FashionMnist => match opt_data::fashion_mnist(folder) {
            Ok(fashion) => {
                here("Fashion-MNIST", folder);
                Ok(images(fashion))
            }
            Err(why @ opt_data::Error::Missing { .. }) => {
                missing("Fashion-MNIST", why, "MNIST");
                find(folder, Data::Mnist, words)
            }
            Err(why) => Err(text(why)),
        },
        Data::Cifar10 => match opt_data::cifar10(folder) {
            Ok((rest, test)) => {
                here("CIFAR-10", folder);
                Ok((Rest::Dense(rest), test.into(), Some(ImageShape::CIFAR)))
            }
            Err(why @ opt_data::Error::Missing { .. }) => {
                missing("CIFAR-10", why, "Fashion-MNIST or MNIST");
                find(folder, Data::FashionMnist, words)
            }
            Err(why) => Err(text(why)),
        },
        Data::Imdb => match opt_data::imdb(folder) {
            Ok((rest, test)) => {
                here("IMDB", folder);
                frequent(rest, &test, words)
            }
            Err(why @ opt_data::Error::Missing { .. }) => {
                missing("IMDB", why, "the sentences of film reviews");
                find(folder, Data::Reviews, words)
            }
            Err(why) => Err(text(why)),
        },
        Data::Reviews => {
            let dir = crate::root().join("benches/data/reviews");
            let (rest, test) = opt_data::reviews(dir, REVIEWS, 0).map_err(text)?;
            frequent(rest, &test, words)
        }
    }
}

/// The most frequent words of what is trained on, in both.
fn frequent(
    rest: opt_data::SparseDataset,
    test: &opt_data::SparseDataset,
    words: usize,
) -> Result<(Rest, Samples, Option<ImageShape>), String> {
    let text = |e: opt_data::Error| e.to_string();
    let chosen = rest.frequent(words).map_err(text)?;
    let test = test.columns(&chosen).map_err(text)?;
    let rest = rest.columns(&chosen).map_err(text)?;
    Ok((Rest::Sparse(rest), test.into(), None))
}

/// Global contrast normalization, then ZCA by the training set. Its matrix is kept in a file beside
/// the results.
fn whitened(split: &Split) -> Result<Split, String> {
    let text = |e: opt_data::Error| e.to_string();
    let normalized = split.map(|inputs| {
        let mut inputs = inputs.to_owned();
        GlobalContrast::default().apply(inputs.view_mut())?;
        Ok(inputs.into_shared())
    })?;
    let Some(inputs) = normalized.train.dense() else {
        return Ok(normalized);
    };
    let folder = default_out().with_file_name("zca");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let file = folder.join(format!("{}-{}.zca", split.train.name, inputs.nrows()));
    eprintln!(
        "  whitening {} images: minutes, the first time",
        inputs.nrows()
    );
    let zca = Zca::fit_cached(inputs.view(), ZCA, file).map_err(text)?;
    normalized.map(|inputs| {
        let mut inputs = inputs.to_owned();
        zca.apply(inputs.view_mut())?;
        Ok(inputs.into_shared())
    })
}

/// The middles of all images.
fn centred(split: &Split, image: ImageShape, crops: &Crops) -> Result<Split, String> {
    let small = crops.shape(image);
    let middle = |inputs: ArrayView2<'_, f32>| {
        let rows: Vec<usize> = (0..inputs.nrows()).collect();
        let mut out = Array2::zeros((rows.len(), small.features()));
        crops.center(inputs, image, &rows, out.view_mut())?;
        Ok(out.into_shared())
    };
    let mut cropped = split.map(middle)?;
    cropped.image = Some(small);
    Ok(cropped)
}

/// For the report.
pub(super) fn describe(data: &Split) -> String {
    let count = |d: &Samples| d.labels.len();
    let (train, validation, test) = (
        count(&data.train),
        count(&data.validation),
        count(&data.test),
    );
    format!(
        "{}: {train} training, {validation} validation, {test} test examples",
        data.train.name
    )
}
