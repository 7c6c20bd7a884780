use ndarray::{ArrayBase, ArrayViewD, ArrayViewMutD, Data, DataMut, Dimension};

use super::{Part, Update};
use crate::error::Error;
use crate::scalar::Scalar;

/// An array of parameters and its direction, of any dimension and layout, for
/// [`Update::apply_arrays`].
#[derive(Debug)]
pub struct ArrayPart<'a, F> {
    x: ArrayViewMutD<'a, F>,
    d: Option<ArrayViewD<'a, F>>,
}

impl<'a, F> ArrayPart<'a, F> {
    /// An array with its direction, of the same shape.
    pub fn new<D, S, T>(x: &'a mut ArrayBase<S, D>, d: &'a ArrayBase<T, D>) -> Self
    where
        D: Dimension,
        S: DataMut<Elem = F>,
        T: Data<Elem = F>,
    {
        Self {
            x: x.view_mut().into_dyn(),
            d: Some(d.view().into_dyn()),
        }
    }

    /// An array that has no direction in this step.
    pub fn still<D: Dimension, S: DataMut<Elem = F>>(x: &'a mut ArrayBase<S, D>) -> Self {
        Self {
            x: x.view_mut().into_dyn(),
            d: None,
        }
    }
}

/// Row-major, if the array is not.
fn copy<F: Scalar>(view: &ArrayViewD<'_, F>) -> Option<Vec<F>> {
    match view.as_slice() {
        Some(_) => None,
        None => Some(view.iter().copied().collect()),
    }
}

pub(super) fn apply<F: Scalar, U: Update<F> + ?Sized>(
    update: &mut U,
    arrays: &mut [ArrayPart<'_, F>],
) -> Result<(), Error> {
    let segments = update.params().segments();
    Error::length("list of arrays", segments.len(), arrays.len())?;
    for (segment, array) in segments.iter().zip(&*arrays) {
        let d = array.d.as_ref().map(|d| d.shape());
        for found in [Some(array.x.shape()), d].into_iter().flatten() {
            if found != segment.shape {
                return Err(Error::ArrayShape {
                    segment: segment.name.clone(),
                    expected: segment.shape.clone(),
                    found: found.to_vec(),
                });
            }
        }
    }
    let mut xs: Vec<_> = arrays.iter().map(|array| copy(&array.x.view())).collect();
    let ds: Vec<_> = (arrays.iter())
        .map(|array| array.d.as_ref().and_then(copy))
        .collect();
    let mut parts = Vec::with_capacity(arrays.len());
    for ((array, x), d) in arrays.iter_mut().zip(&mut xs).zip(&ds) {
        // Where there is no copy, the array is a slice.
        let x = match x {
            Some(x) => &mut x[..],
            None => array.x.as_slice_mut().unwrap_or_default(),
        };
        let d = match (d, &array.d) {
            (Some(d), _) => Some(&d[..]),
            (None, Some(d)) => d.as_slice(),
            (None, None) => None,
        };
        parts.push(Part { x, d });
    }
    let result = update.apply_parts(&mut parts);
    drop(parts);
    for (array, x) in arrays.iter_mut().zip(xs) {
        if let Some(x) = x {
            array.x.iter_mut().zip(x).for_each(|(to, from)| *to = from);
        }
    }
    result
}
