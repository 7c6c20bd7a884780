use std::collections::HashSet;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewD, ArrayViewMut2, ArrayViewMutD, IxDyn};

use crate::{Error, Scalar, Visit, all_finite};

/// One named tensor inside the flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Unique within its map.
    pub name: String,
    /// Axis lengths, row-major; empty for a scalar.
    pub shape: Vec<usize>,
    /// Where it lies in the flat vector.
    pub range: Range<usize>,
}

/// Names, shapes and places of all tensors in one flat parameter vector.
///
/// One vector gives the fused update, sharding, snapshots and dot products without a tree of
/// tensors; the map gives each tensor back as an ndarray view.
///
/// ```
/// use opt_core::ParamMap;
///
/// let params = ParamMap::new([("weight", vec![3, 2]), ("bias", vec![3])])?;
/// let mut x = vec![0.0_f32; params.len()];
/// params.view2_mut("weight", &mut x)?[[2, 1]] = 1.0;
/// assert_eq!(x[5], 1.0);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamMap {
    segments: Vec<Segment>,
    len: usize,
}

impl ParamMap {
    /// Lays the tensors out one after another, in the order given. Segments of size zero are
    /// allowed beside others.
    ///
    /// # Errors
    /// [`Error::NoParameters`], [`Error::DuplicateSegment`], [`Error::SegmentTooLarge`].
    pub fn new<N: Into<String>>(
        tensors: impl IntoIterator<Item = (N, Vec<usize>)>,
    ) -> Result<Self, Error> {
        let mut names = HashSet::new();
        let (mut segments, mut len) = (Vec::new(), 0_usize);
        for (name, shape) in tensors {
            let name = name.into();
            if !names.insert(name.clone()) {
                return Err(Error::DuplicateSegment(name));
            }
            // ndarray counts strides in isize, so that is the limit of a view; of an empty one,
            // the limit of its other axes.
            let fits = |n: &usize| isize::try_from(*n).is_ok();
            let mut axes = shape.iter().filter(|&&d| d != 0);
            let product = axes.try_fold(1_usize, |n, &d| n.checked_mul(d));
            let size = |n| if shape.contains(&0) { 0 } else { n };
            let end = product.filter(fits).and_then(|n| len.checked_add(size(n)));
            let Some(end) = end.filter(fits) else {
                return Err(Error::SegmentTooLarge(name));
            };
            segments.push(Segment {
                name,
                shape,
                range: len..end,
            });
            len = end;
        }
        if len == 0 {
            return Err(Error::NoParameters);
        }
        Ok(Self { segments, len })
    }

    /// A map of one vector of length `len`, named `x`.
    ///
    /// # Errors
    /// [`Error::NoParameters`] if `len` is 0.
    pub fn flat(len: usize) -> Result<Self, Error> {
        Self::new([("x", vec![len])])
    }

    /// Number of parameters. Never 0.
    #[allow(clippy::len_without_is_empty)] // an empty map cannot be made
    pub fn len(&self) -> usize {
        self.len
    }

    /// All segments, in the order of the flat vector.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment of this name.
    pub fn get(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|s| s.name == name)
    }

    /// The segment that the flat index falls into, and the index within it.
    pub fn locate(&self, index: usize) -> Option<(&Segment, usize)> {
        let at = self.segments.partition_point(|s| s.range.end <= index);
        let segment = self.segments.get(at)?;
        Some((segment, index - segment.range.start))
    }

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
    /// As [`view`](Self::view).
    pub fn view_mut<'a, F: Scalar>(
        &self,
        name: &str,
        x: &'a mut [F],
    ) -> Result<ArrayViewMutD<'a, F>, Error> {
        let segment = self.find(name, x.len(), None)?;
        ArrayViewMutD::from_shape(IxDyn(&segment.shape), &mut x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The matrix `name` inside `x`.
    ///
    /// # Errors
    /// [`Error::NoSegment`] (also if it has not two axes), [`Error::Length`].
    pub fn view2<'a, F: Scalar>(&self, name: &str, x: &'a [F]) -> Result<ArrayView2<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(2))?;
        let shape = (segment.shape[0], segment.shape[1]);
        ArrayView2::from_shape(shape, &x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// The matrix `name` inside `x`, mutable.
    ///
    /// # Errors
    /// As [`view2`](Self::view2).
    pub fn view2_mut<'a, F: Scalar>(
        &self,
        name: &str,
        x: &'a mut [F],
    ) -> Result<ArrayViewMut2<'a, F>, Error> {
        let segment = self.find(name, x.len(), Some(2))?;
        let shape = (segment.shape[0], segment.shape[1]);
        ArrayViewMut2::from_shape(shape, &mut x[segment.range.clone()])
            .map_err(|_| Error::SegmentTooLarge(name.to_owned()))
    }

    /// Refuses a vector that is not as long as this map.
    ///
    /// # Errors
    /// [`Error::Length`], with `what` as the vector's name.
    pub fn check_len(&self, what: &str, len: usize) -> Result<(), Error> {
        Error::length(what, self.len, len)
    }

    /// Refuses what no method steps by: a gradient of another length, or one that is not finite.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteGradient`] with the first such element.
    pub fn check_gradient<F: Scalar>(&self, g: &[F]) -> Result<(), Error> {
        self.check_len("gradient", g.len())?;
        if all_finite(g) {
            return Ok(());
        }
        let at = g.iter().position(|v| !v.is_finite()).unwrap_or_default();
        let (segment, index) = self
            .locate(at)
            .map_or_else(Default::default, |(s, index)| (s.name.clone(), index));
        Err(Error::NonFiniteGradient {
            segment,
            index,
            value: g[at].f64(),
        })
    }

    /// Shows a vector of state of this map, such as a velocity, segment by segment, as
    /// `name/segment`. Of another length than the map's, it is shown whole, with the shape that it
    /// should have: a snapshot refuses it.
    pub fn visit<F: Scalar>(&self, name: &str, data: &mut [F], visitor: &mut dyn Visit<F>) {
        if data.len() != self.len {
            return visitor.buffer(name, &[self.len], data);
        }
        for segment in &self.segments {
            let name = format!("{name}/{}", segment.name);
            visitor.buffer(&name, &segment.shape, &mut data[segment.range.clone()]);
        }
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
