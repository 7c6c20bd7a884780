//! Published data sets that are too large for the repository, or not free to be in it, in the folder
//! that the environment variable `OPT_DATA` names. Without it these tests do nothing, and say so.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use opt_data::{Error, cifar10, fashion_mnist, imdb};

fn folder(what: &str) -> Option<PathBuf> {
    let folder = env::var_os("OPT_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("{what} is skipped: OPT_DATA, its folder, is not set");
    }
    folder
}

/// What is there, with the time that it took, or nothing if it is not.
fn read<T>(what: &str, data: impl Fn(PathBuf) -> Result<T, Error>) -> Option<T> {
    let (folder, start) = (folder(what)?, Instant::now());
    match data(folder) {
        Err(Error::Missing { dir, .. }) => {
            eprintln!("{what} is skipped: it is not in {dir}");
            None
        }
        data => {
            let data = Some(data.unwrap());
            eprintln!("{what}: {:.2?}", start.elapsed());
            data
        }
    }
}

#[test]
fn imdb_has_25_000_reviews_for_each_part() {
    let Some((train, test)) = read("IMDB", imdb) else {
        return;
    };
    for data in [&train, &test] {
        assert_eq!(data.inputs.rows(), 25_000);
        assert_eq!(
            data.labels.iter().filter(|label| **label == 1).count(),
            12_500
        );
        assert_eq!(data.classes, 2);
        let (kept, words) = (
            data.inputs.nnz(),
            data.inputs.data().iter().map(|n| f64::from(*n)),
        );
        eprintln!(
            "{}: {kept} counts, of {} words",
            data.name,
            words.sum::<f64>()
        );
    }
    assert_eq!(train.inputs.cols(), test.inputs.cols());
    let start = Instant::now();
    let words = train.frequent(5_000).unwrap();
    let (train, test) = (
        train.columns(&words).unwrap(),
        test.columns(&words).unwrap(),
    );
    eprintln!("IMDB, 5,000 words: {:.2?}", start.elapsed());
    assert_eq!((train.inputs.cols(), test.inputs.cols()), (5_000, 5_000));
    assert_eq!(
        train.frequent(5_000).unwrap(),
        (0..5_000).collect::<Vec<u32>>()
    );
}

#[test]
fn cifar_has_6_000_images_for_each_class() {
    let Some((train, test)) = read("CIFAR-10", cifar10) else {
        return;
    };
    for (data, count) in [(&train, 5_000), (&test, 1_000)] {
        assert_eq!(data.inputs.dim(), (10 * count, 3_072));
        for class in 0..10 {
            let of_class = data.labels.iter().filter(|label| **label == class);
            assert_eq!(of_class.count(), count);
        }
    }
    // The usual constants of the three channels.
    let fitted = opt_data::Standardize::fit_channels(train.inputs.view(), 3).unwrap();
    for (channel, (mean, deviation)) in [(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616)]
        .into_iter()
        .enumerate()
    {
        assert!(
            (fitted.mean[channel] - mean).abs() < 1e-3,
            "{}",
            fitted.mean[channel]
        );
        assert!((fitted.deviation[channel] - deviation).abs() < 2e-3);
    }
}

#[test]
fn fashion_mnist_has_7_000_images_for_each_class() {
    let Some(data) = read("Fashion-MNIST", fashion_mnist) else {
        return;
    };
    for (data, count) in [(&data.train, 6_000), (&data.test, 1_000)] {
        assert_eq!(data.inputs.dim(), (10 * count, 784));
        for class in 0..10 {
            let of_class = data.labels.iter().filter(|label| **label == class);
            assert_eq!(of_class.count(), count);
        }
    }
}

/// What is usual before a network: contrast, then ZCA.
#[cfg(any(feature = "lapack", feature = "faer"))]
#[test]
#[ignore = "takes minutes, and without optimization far more: run it with --release"]
fn cifar_is_whitened() {
    use ndarray::{Axis, s};

    let Some((mut train, _)) = read("CIFAR-10", cifar10) else {
        return;
    };
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        eprintln!("{what}: {:.2?}", start.elapsed());
    };
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("zca-cifar");
    let _ = std::fs::remove_file(&cache);
    let mut images = train.inputs.view_mut();
    let mut zca = None;
    timed("statistics by channel", &mut || {
        opt_data::Standardize::fit_channels(images.view(), 3).unwrap();
    });
    timed("contrast", &mut || {
        let contrast = opt_data::GlobalContrast::default();
        contrast.apply(images.view_mut()).unwrap();
    });
    for what in ["ZCA fitted and kept", "ZCA from its cache"] {
        timed(what, &mut || {
            zca = Some(opt_data::Zca::fit_cached(images.view(), 0.1, &cache).unwrap());
        });
    }
    let zca = zca.unwrap();
    // Random crops of an epoch, by minibatches of 100.
    let crops = opt_data::Crops {
        height: 32,
        width: 32,
        padding: 4,
        mirror: true,
        seed: 0,
    };
    let (shape, rows) = (opt_data::ImageShape::CIFAR, (0..50_000).collect::<Vec<_>>());
    let mut out = ndarray::Array2::zeros((100, 3_072));
    timed("crops of an epoch", &mut || {
        for rows in rows.chunks(100) {
            crops
                .random(images.view(), shape, rows, 0, out.view_mut())
                .unwrap();
        }
    });
    // The diagonal of W Σ W over all images is that of Σ(Σ + εI)⁻¹ = I − εW².
    timed("ZCA applied", &mut || zca.apply(images.view_mut()).unwrap());
    let wide = |x: ndarray::ArrayView2<'_, f32>| x.mapv(f64::from);
    let mut variance = ndarray::Array1::<f64>::zeros(3_072);
    for chunk in images.axis_chunks_iter(Axis(0), 1_000) {
        variance += &wide(chunk.view()).mapv(|x| x * x).sum_axis(Axis(0));
    }
    variance /= 50_000.0;
    let squares = wide(zca.matrix()).mapv(|w| w * w).sum_axis(Axis(0));
    let expected = squares.mapv(|square| 1.0 - 0.1 * square);
    let off = (&variance - &expected).mapv(f64::abs);
    assert!(off.iter().all(|off| *off < 1e-3), "{}", off.slice(s![..9]));
}
