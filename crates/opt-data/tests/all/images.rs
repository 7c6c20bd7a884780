//! Contrast, channels and crops, against loops written plainly.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::collections::HashSet;

use ndarray::{Array2, Axis, array};
use opt_data::{Crops, Error, GlobalContrast, ImageShape, Standardize};
use proptest::prelude::*;

#[test]
fn contrast_is_that_of_the_equation() {
    // Mean 4 and variance 4, mean 0 and variance 2/3, no contrast.
    let images = array![
        [2.0, 6.0, 2.0, 6.0],
        [0.0, 0.0, -1.0, 1.0],
        [7.0, 7.0, 7.0, 7.0]
    ];
    let applied = |scale, lambda, eps| {
        let mut images = images.clone();
        let contrast = GlobalContrast { scale, lambda, eps };
        contrast.apply(images.view_mut()).map(|()| images)
    };
    for (scale, lambda, eps, divisors) in [
        (1.0, 0.0, 1e-8, [2.0, 0.5_f32.sqrt()]),
        (3.0, 5.0, 1e-8, [3.0, 5.5_f32.sqrt()]),
        (1.0, 0.0, 1.5, [2.0, 1.5]),
    ] {
        let found = applied(scale, lambda, eps).unwrap();
        let scale = scale as f32;
        for (row, mean) in [(0, 4.0), (1, 0.0)] {
            for (x, out) in images.row(row).iter().zip(found.row(row)) {
                let expected = scale * (x - mean) / divisors[row];
                assert!((out - expected).abs() < 1e-6, "{out} {expected}");
            }
        }
        assert_eq!(found.row(2), array![0.0, 0.0, 0.0, 0.0]);
    }
    for (scale, lambda, eps, what) in [
        (0.0, 0.0, 1.0, "scale"),
        (f64::NAN, 0.0, 1.0, "scale"),
        (1.6e38, 0.0, 1.0, "scale"),
        (1.0, -1.0, 1.0, "lambda"),
        (1.0, f64::INFINITY, 1.0, "lambda"),
        (1.0, 0.0, 0.0, "eps"),
    ] {
        let error = applied(scale, lambda, eps).unwrap_err();
        assert!(
            matches!(error, Error::Setting { what: found, .. } if found == what),
            "{error}"
        );
    }
    let mut images = array![[1.0, 2.0], [f32::NAN, 0.0]];
    let error = GlobalContrast::default()
        .apply(images.view_mut())
        .unwrap_err();
    assert!(matches!(
        error,
        Error::NonFinite {
            sample: 1,
            feature: 0,
            ..
        }
    ));
    assert_eq!(images.row(0), array![1.0, 2.0]);
    // What rounding would make of a constant image is not blown up.
    let mut images = Array2::from_elem((1, 3_071), 0.1);
    let contrast = GlobalContrast {
        eps: 1e-300,
        ..GlobalContrast::default()
    };
    contrast.apply(images.view_mut()).unwrap();
    assert!(images.iter().all(|x| *x == 0.0));
    // Values at the edge of f32 are none of f64; images without pixels are none.
    let mut images = array![
        [f32::MAX, f32::MIN],
        [f32::from_bits(1), -f32::from_bits(1)]
    ];
    GlobalContrast::default().apply(images.view_mut()).unwrap();
    assert_eq!(images.row(0), array![1.0, -1.0]);
    assert!(images[[1, 0]] > 0.0 && images[[1, 1]] < 0.0);
    GlobalContrast::default()
        .apply(Array2::zeros((2, 0)).view_mut())
        .unwrap();
}

#[test]
fn channels_are_standardized_over_all_pixels() {
    let images = Array2::from_shape_fn((5, 12), |(i, j)| ((i * 31 + j * j * 7) % 13) as f32);
    for channels in [1, 2, 3, 4, 6, 12] {
        let fitted = Standardize::fit_channels(images.view(), channels).unwrap();
        let pixels = images.to_shape((60 / channels, channels)).unwrap();
        let pixels = pixels.mapv(f64::from);
        let (mean, deviation) = (
            pixels.mean_axis(Axis(0)).unwrap(),
            pixels.std_axis(Axis(0), 0.0),
        );
        for feature in 0..12 {
            assert!((fitted.mean[feature] - mean[feature % channels]).abs() < 1e-12);
            assert!((fitted.deviation[feature] - deviation[feature % channels]).abs() < 1e-12);
        }
    }
    // The same value everywhere: deviation 1, though a mean of 0.1 in f32 is not exact.
    let fitted = Standardize::fit_channels(Array2::from_elem((7, 9), 0.1).view(), 3).unwrap();
    assert!(fitted.deviation.iter().all(|d| *d == 1.0));
    for channels in [0, 5, 24, usize::MAX] {
        let error = Standardize::fit_channels(images.view(), channels).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Setting {
                    what: "channels",
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(Standardize::fit_channels(Array2::zeros((2, 0)).view(), 1).is_err());
    let none = Standardize::fit_channels(Array2::zeros((0, 3)).view(), 3);
    assert!(matches!(none, Err(Error::Empty { .. })));
    let wild = Standardize::fit_channels(array![[f32::NAN]].view(), 1);
    assert!(matches!(wild, Err(Error::NonFinite { .. })));
}

const SHAPE: ImageShape = ImageShape {
    height: 4,
    width: 5,
    channels: 3,
};

fn images() -> Array2<f32> {
    // No value is 0, and all are different.
    Array2::from_shape_fn((6, SHAPE.features()), |(i, j)| (1 + 60 * i + j) as f32)
}

/// The crop that starts at (top, left) of the padded image, pixel by pixel.
fn naive(crops: &Crops, image: usize, top: usize, left: usize, mirrored: bool) -> Vec<f32> {
    let images = images();
    let mut out = Vec::new();
    for y in 0..crops.height {
        for x in 0..crops.width {
            let x = if mirrored { crops.width - 1 - x } else { x };
            let y = (top + y) as isize - crops.padding as isize;
            let x = (left + x) as isize - crops.padding as isize;
            for channel in 0..3 {
                let inside = (0..4).contains(&y) && (0..5).contains(&x);
                out.push(match inside {
                    true => images[[image, (y as usize * 5 + x as usize) * 3 + channel]],
                    false => 0.0,
                });
            }
        }
    }
    out
}

fn crop(crops: &Crops, rows: &[usize], epoch: u64) -> Array2<f32> {
    let mut out = Array2::from_elem((rows.len(), crops.shape(SHAPE).features()), f32::NAN);
    crops
        .random(images().view(), SHAPE, rows, epoch, out.view_mut())
        .unwrap();
    out
}

#[test]
fn random_crops_are_those_of_a_plain_loop_and_all_of_them_come() {
    for (height, width, padding, mirror) in [
        (4, 5, 0, true),
        (2, 3, 0, false),
        (4, 5, 2, true),
        (1, 1, 1, false),
        (8, 9, 2, true),
        (3, 5, 1, true),
    ] {
        let crops = Crops {
            height,
            width,
            padding,
            mirror,
            seed: 5,
        };
        let (down, right) = (4 + 2 * padding - height, 5 + 2 * padding - width);
        let (mut places, mut seen) = (Vec::new(), HashSet::new());
        for top in 0..=down {
            for left in 0..=right {
                places.push((top, left, false));
                if mirror {
                    places.push((top, left, true));
                }
            }
        }
        for epoch in 0..60 * places.len() as u64 / 6 {
            for (image, found) in crop(&crops, &[0, 1, 2, 3, 4, 5], epoch)
                .rows()
                .into_iter()
                .enumerate()
            {
                let is = |(top, left, mirrored): &&(usize, usize, bool)| {
                    naive(&crops, image, *top, *left, *mirrored) == found.to_vec()
                };
                seen.insert(places.iter().find(is).unwrap());
            }
        }
        // Crops of nothing but padding are all alike.
        let crop = |(top, left, mirrored): &(usize, usize, bool)| {
            naive(&crops, 0, *top, *left, *mirrored)
                .iter()
                .map(|x| *x as u32)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            seen.len(),
            places.iter().map(crop).collect::<HashSet<_>>().len()
        );
    }
}

#[test]
fn center_crops_are_in_the_middle() {
    for (height, width, padding, top, left) in [
        (4, 5, 0, 0, 0),
        (2, 3, 0, 1, 1),
        (2, 3, 4, 5, 5),
        (3, 4, 0, 0, 0),
        (3, 4, 1, 1, 1),
        (6, 9, 2, 1, 0),
    ] {
        let crops = Crops {
            height,
            width,
            padding,
            mirror: true,
            seed: 0,
        };
        let mut out = Array2::from_elem((2, height * width * 3), f32::NAN);
        crops
            .center(images().view(), SHAPE, &[4, 1], out.view_mut())
            .unwrap();
        assert_eq!(out.row(0).to_vec(), naive(&crops, 4, top, left, false));
        assert_eq!(out.row(1).to_vec(), naive(&crops, 1, top, left, false));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let crops = Crops {
        height: 4,
        width: 5,
        padding: 0,
        mirror: false,
        seed: 0,
    };
    let refused = |crops: Crops, shape, rows: &[usize], columns| {
        let mut out = Array2::from_elem((1, columns), 7.0);
        let error = crops
            .random(images().view(), shape, rows, 0, out.view_mut())
            .unwrap_err();
        assert!(
            crops
                .center(images().view(), shape, rows, out.view_mut())
                .is_err()
        );
        assert!(out.iter().all(|x| *x == 7.0));
        error.to_string()
    };
    let tall = Crops {
        height: 7,
        padding: 1,
        ..crops
    };
    assert_eq!(
        refused(tall, SHAPE, &[0], 105),
        "height of a crop: expected 1 to 4 + 2·1 pixels, found 7"
    );
    let wide = Crops { width: 6, ..crops };
    assert!(refused(wide, SHAPE, &[0], 72).starts_with("width of a crop: expected 1 to 5"));
    assert!(refused(Crops { width: 0, ..crops }, SHAPE, &[0], 0).starts_with("width"));
    let padded = Crops {
        padding: usize::MAX,
        ..crops
    };
    assert!(refused(padded, SHAPE, &[0], 60).starts_with("height"));
    assert!(refused(crops, SHAPE, &[6], 60).contains("row indices below 6"));
    assert!(refused(crops, SHAPE, &[0, 1], 60).starts_with("rows of crops: expected 2"));
    assert!(refused(crops, SHAPE, &[0], 59).starts_with("values of a crop: expected 60"));
    let other = ImageShape {
        channels: 1,
        ..SHAPE
    };
    assert!(refused(crops, other, &[0], 20).starts_with("values of an image: expected 20"));
    let huge = ImageShape {
        height: usize::MAX,
        ..SHAPE
    };
    assert!(refused(crops, huge, &[0], 60).starts_with("values of an image"));
}

proptest! {
    #[test]
    fn a_crop_depends_on_seed_epoch_and_sample_alone(
        rows in prop::collection::vec(0_usize..6, 1..12),
        epoch in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let crops = Crops { height: 3, width: 4, padding: 2, mirror: true, seed };
        let all = crop(&crops, &[0, 1, 2, 3, 4, 5], epoch);
        prop_assert_eq!(crop(&crops, &rows, epoch), all.select(Axis(0), &rows));
    }
}

#[test]
fn seeds_epochs_and_samples_draw_differently() {
    let crops = |seed| Crops {
        height: 4,
        width: 5,
        padding: 9,
        mirror: true,
        seed,
    };
    let mut seen = HashSet::new();
    for seed in 0..4 {
        for epoch in 0..4 {
            // Where the crop is of the padded image shows in what it has of an image of ones.
            let mut out = Array2::zeros((64, 60));
            let ones = Array2::from_shape_fn((64, 60), |(_, j)| (j + 1) as f32);
            let rows: Vec<_> = (0..64).collect();
            let crops = crops(seed);
            crops
                .random(ones.view(), SHAPE, &rows, epoch, out.view_mut())
                .unwrap();
            seen.insert(out.mapv(|x| x as u32).into_raw_vec_and_offset().0);
        }
    }
    assert_eq!(seen.len(), 16);
}
