//! Arrays of any dimension and layout.

use ndarray::{Array, Array2, Array3, ArrayD, Axis, IxDyn, Slice, s};
use opt_core::{ArrayPart, Error, FirstOrder, ParamMap, Part, Snapshot};

use crate::chain::{Chain, PLAIN, wave};

type Sgd = FirstOrder<f32, Chain, 3>;

fn params() -> ParamMap {
    let shapes: [(&str, &[usize]); 7] = [
        ("scalar", &[]),
        ("plain", &[3, 4]),
        ("transposed", &[5, 2]),
        ("strided", &[3, 3]),
        ("reversed", &[6]),
        ("permuted", &[2, 3, 4]),
        ("none", &[0, 2]),
    ];
    ParamMap::new(shapes.map(|(name, shape)| (name, shape.to_vec()))).unwrap()
}

/// Arrays whose views have the shapes of the map, but only two of them are row-major.
struct Arrays {
    scalar: Array<f32, ndarray::Ix0>,
    plain: Array2<f32>,
    transposed: Array2<f32>,
    strided: Array2<f32>,
    reversed: ArrayD<f32>,
    permuted: Array3<f32>,
    none: Array2<f32>,
}

fn filled(shape: &[usize], seed: usize) -> ArrayD<f32> {
    let n = shape.iter().product();
    let values = (0..n).map(|i| wave(i + seed)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
}

fn dim<D: ndarray::Dimension>(shape: &[usize], seed: usize) -> Array<f32, D> {
    filled(shape, seed).into_dimensionality().unwrap()
}

impl Arrays {
    fn new(seed: usize) -> Self {
        Self {
            scalar: dim(&[], seed),
            plain: dim(&[3, 4], seed + 1),
            transposed: dim(&[2, 5], seed + 2),
            strided: dim(&[6, 7], seed + 3),
            reversed: dim(&[6], seed + 4),
            permuted: dim(&[4, 2, 3], seed + 5),
            none: dim(&[0, 2], seed),
        }
    }

    /// In the map's shapes, as dynamic views.
    fn views(&self) -> [ndarray::ArrayViewD<'_, f32>; 7] {
        let mut reversed = self.reversed.view();
        reversed.invert_axis(Axis(0));
        [
            self.scalar.view().into_dyn(),
            self.plain.view().into_dyn(),
            self.transposed.t().into_dyn(),
            self.strided.slice(s![..;2, 1..;2]).into_dyn(),
            reversed,
            self.permuted.view().permuted_axes([1, 2, 0]).into_dyn(),
            self.none.view().into_dyn(),
        ]
    }

    fn views_mut(&mut self) -> [ndarray::ArrayViewMutD<'_, f32>; 7] {
        let mut reversed = self.reversed.view_mut();
        reversed.invert_axis(Axis(0));
        [
            self.scalar.view_mut().into_dyn(),
            self.plain.view_mut().into_dyn(),
            self.transposed.view_mut().reversed_axes().into_dyn(),
            self.strided.slice_mut(s![..;2, 1..;2]).into_dyn(),
            reversed,
            self.permuted.view_mut().permuted_axes([1, 2, 0]).into_dyn(),
            self.none.view_mut().into_dyn(),
        ]
    }

    /// Row-major, one after another.
    fn rows(&self) -> Vec<Vec<f32>> {
        let views = self.views();
        views.iter().map(|v| v.iter().copied().collect()).collect()
    }
}

#[test]
fn any_layout_steps_as_its_row_major_copy_does() {
    let map = params();
    let make = || Sgd::with(&map, |_| PLAIN).unwrap();
    let (mut by_array, mut by_part) = (make(), make());
    let mut x = Arrays::new(3);
    let mut rows = x.rows();
    let outside = x.strided.clone();
    for t in 0..3 {
        // The gradients have other layouts than their parameters where t is odd.
        let d = Arrays::new(100 + t);
        let contiguous: Vec<ArrayD<f32>> = (d.views().iter())
            .map(|v| ArrayD::from_shape_vec(v.raw_dim(), v.iter().copied().collect()).unwrap())
            .collect();
        let (mut views, d_views, d_rows) = (x.views_mut(), d.views(), d.rows());
        let mut arrays: Vec<_> = (views.iter_mut().enumerate())
            .map(|(i, x)| match (i == 2, t % 2) {
                (true, 1) => ArrayPart::still(x),
                (_, 1) => ArrayPart::new(x, &contiguous[i]),
                _ => ArrayPart::new(x, &d_views[i]),
            })
            .collect();
        by_array.apply_arrays(&mut arrays).unwrap();
        let mut parts: Vec<_> = (rows.iter_mut().zip(&d_rows).enumerate())
            .map(|(i, (x, d))| match (i == 2, t % 2) {
                (true, 1) => Part::still(x),
                _ => Part::new(x, d),
            })
            .collect();
        by_part.apply_parts(&mut parts).unwrap();
        assert_eq!(x.rows(), rows);
    }
    let taken =
        [by_array, by_part].map(|mut sgd| Snapshot::take(&mut [("sgd", &mut sgd)]).unwrap());
    assert_eq!(taken[0], taken[1]);
    // What lies between the strides is nobody's.
    for ((place, new), old) in x.strided.indexed_iter().zip(&outside) {
        let inside = place.0 % 2 == 0 && place.1 % 2 == 1;
        assert!(inside != (new == old), "{place:?}");
    }
}

#[test]
fn other_shapes_and_bad_gradients_change_nothing() {
    let map = params();
    let mut sgd = Sgd::new(PLAIN, &map).unwrap();
    let before = Snapshot::take(&mut [("sgd", &mut sgd)]).unwrap();
    let mut x = Arrays::new(3);
    let start = x.rows();
    for (index, segment) in map.segments().iter().enumerate() {
        let (mut d, good) = (Arrays::new(7), Arrays::new(7));
        let mut bad_views = d.views_mut();
        // As many elements, but another shape; and the right shape with a NaN in it.
        let mut other: Vec<usize> = segment.shape.iter().rev().copied().collect();
        other.push(1);
        let shaped = filled(&other, 0);
        let poisoned = match bad_views[index].iter_mut().last() {
            Some(last) => std::mem::replace(last, f32::NAN).is_finite(),
            None => false,
        };
        let (bad, good) = (bad_views.map(|v| v.to_owned()), good.views());
        for wrong_shape in [true, false] {
            let mut views = x.views_mut();
            let mut arrays: Vec<_> = (views.iter_mut().enumerate())
                .map(|(i, x)| match (i == index, wrong_shape) {
                    (true, true) => ArrayPart::new(x, &shaped),
                    (true, false) => ArrayPart::new(x, &bad[i]),
                    _ => ArrayPart::new(x, &good[i]),
                })
                .collect();
            if !wrong_shape && !poisoned {
                continue; // there is no element to be bad
            }
            match sgd.apply_arrays(&mut arrays).unwrap_err() {
                Error::ArrayShape {
                    segment: name,
                    expected,
                    found,
                } if wrong_shape => {
                    assert_eq!(
                        (name, expected),
                        (segment.name.clone(), segment.shape.clone())
                    );
                    assert_eq!(found, other);
                }
                Error::NonFiniteGradient {
                    segment: name,
                    index: at,
                    ..
                } if !wrong_shape => {
                    assert_eq!((name, at), (segment.name.clone(), segment.range.len() - 1));
                }
                error => panic!("{error}"),
            }
            let mut views = x.views_mut();
            let mut few: Vec<_> = views.iter_mut().take(3).map(ArrayPart::still).collect();
            let error = sgd.apply_arrays(&mut few).unwrap_err().to_string();
            assert_eq!(error, "list of arrays has length 3, must have 7");
        }
        assert_eq!(x.rows(), start);
        assert_eq!(Snapshot::take(&mut [("sgd", &mut sgd)]).unwrap(), before);
    }
    // Of x too.
    let mut x = ArrayD::<f32>::zeros(IxDyn(&[2, 2]));
    let map = ParamMap::new([("w", vec![4])]).unwrap();
    let mut sgd = Sgd::new(PLAIN, &map).unwrap();
    let d = ArrayD::<f32>::zeros(IxDyn(&[2, 2]));
    let mut sliced = x.slice_axis_mut(Axis(0), Slice::from(..));
    let error = sgd.apply_arrays(&mut [ArrayPart::new(&mut sliced, &d)]);
    assert!(matches!(error, Err(Error::ArrayShape { found, .. }) if found == [2, 2]));
}
