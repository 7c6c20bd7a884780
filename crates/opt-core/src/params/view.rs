use ndarray::{
    ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut1, ArrayViewMut2, ArrayViewMutD, IxDyn,
};

use super::{ParamMap, Segment};
use crate::error::Error;
use crate::scalar::Scalar;

impl ParamMap {
    /// The tensor `name` inside `x`.
    ///
    /// # Errors
    /// [`Error::NoSegment`], [`Error::Length`] if `x` is not of this map.
    pub fn view<'a, F: Scalar>(&self, name: &str, x: &'a [F]) -> Result<ArrayViewD<'a, F>, Error> {
        let segment = self.find(name, x.len(), None)?;
        ArrayViewD::from_shape(IxDyn(&segment.shape), &x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The tensor `name` inside `x`, mutable.
    ///
    /// # Errors
    /// [`Error::NoSegment`], [`Error::Length`] if `x` is not of this map.
    pub fn view_mut<'a, F: Scalar>(
        &self,
        name: &str,
        x: &'a mut [F],
    ) -> Result<ArrayViewMutD<'a, F>, Error> {
        let segment = self.find(name, x.len(), None)?;
        ArrayViewMutD::from_shape(IxDyn(&segment.shape), &mut x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The vector `name` inside `x`.
    ///
    /// # Errors
    /// [`Error::NoSegment`] (also if it has not one axis), [`Error::Length`].
    pub fn view1<'a, F: Scalar>(&self, name: &str, x: &'a [F]) -> Result<ArrayView1<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(1))?;
        ArrayView1::from_shape(segment.shape[0], &x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The vector `name` inside `x`, mutable.
    ///
    /// # Errors
    /// [`Error::NoSegment`] (also if it has not one axis), [`Error::Length`].
    pub fn view1_mut<'a, F: Scalar>(
        &self,
        name: &str,
        x: &'a mut [F],
    ) -> Result<ArrayViewMut1<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(1))?;
        ArrayViewMut1::from_shape(segment.shape[0], &mut x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The matrix `name` inside `x`.
    ///
    /// # Errors
    /// [`Error::NoSegment`] (also if it has not two axes), [`Error::Length`].
    pub fn view2<'a, F: Scalar>(&self, name: &str, x: &'a [F]) -> Result<ArrayView2<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(2))?;
        ArrayView2::from_shape(
            (segment.shape[0], segment.shape[1]),
            &x[segment.range.clone()],
        )
        .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The matrix `name` inside `x`, mutable.
    ///
    /// # Errors
    /// [`Error::NoSegment`] (also if it has not two axes), [`Error::Length`].
    pub fn view2_mut<'a, F: Scalar>(
        &self,
        name: &str,
        x: &'a mut [F],
    ) -> Result<ArrayViewMut2<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(2))?;
        ArrayViewMut2::from_shape(
            (segment.shape[0], segment.shape[1]),
            &mut x[segment.range.clone()],
        )
        .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    fn find(&self, name: &str, len: usize, axes: Option<usize>) -> Result<&Segment, Error> {
        self.check_len("x", len)?;
        let fits = |s: &&Segment| axes.is_none_or(|n| n == s.shape.len());
        self.get(name).filter(fits).ok_or_else(|| {
            let all = self.segments.iter();
            Error::NoSegment {
                wanted: match axes {
                    Some(n) => format!("segment `{name}` with {n} axes"),
                    None => format!("segment `{name}`"),
                },
                known: (all.map(|s| format!("{} {:?}", s.name, s.shape)))
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        })
    }
}
