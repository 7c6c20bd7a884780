use std::collections::HashSet;
use std::ops::Range;

mod view;

use crate::error::Error;
use crate::kernel::{all_finite, first_non_finite};
use crate::scalar::Scalar;
use crate::state::visit::Visit;

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

    /// Segment number `index`.
    ///
    /// # Errors
    /// [`Error::NoSegment`].
    pub fn segment(&self, index: usize) -> Result<&Segment, Error> {
        self.segments.get(index).ok_or_else(|| Error::NoSegment {
            wanted: format!("segment number {index}"),
            known: format!("{} of them, counted from 0", self.segments.len()),
        })
    }

    /// The segment that the flat index falls into, and the index within it.
    pub fn locate(&self, index: usize) -> Option<(&Segment, usize)> {
        let at = self.segments.partition_point(|s| s.range.end <= index);
        let segment = self.segments.get(at)?;
        Some((segment, index - segment.range.start))
    }

    /// Refuses a vector that is not as long as this map.
    ///
    /// # Errors
    /// [`Error::Length`], with `what` as the vector's name.
    pub fn check_len(&self, what: &str, len: usize) -> Result<(), Error> {
        Error::length(what, self.len, len)
    }

    /// A segment whose gradient is as long as it.
    ///
    /// # Errors
    /// [`Error::NoSegment`]; [`Error::Length`], with the segment's name.
    pub(crate) fn check_part(&self, segment: usize, len: usize) -> Result<&Segment, Error> {
        let place = self.segment(segment)?;
        if place.range.len() != len {
            // Made only where it is told: steps do not allocate.
            let what = format!("gradient of {}", place.name);
            Error::length(&what, place.range.len(), len)?;
        }
        Ok(place)
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
        let (at, value) = first_non_finite(g).unwrap_or_default();
        let (segment, index) = self
            .locate(at)
            .map_or_else(Default::default, |(s, index)| (s.name.clone(), index));
        Err(Error::NonFiniteGradient {
            segment,
            index,
            value,
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
}
