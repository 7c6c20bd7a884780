//! What a rank has of x, segment by segment.

use std::ops::Range;

use opt_core::{Error, ParamMap};

/// What `range` has of `whole`, within `whole`.
pub(crate) fn piece(range: &Range<usize>, whole: &Range<usize>) -> Range<usize> {
    let start = range.start.clamp(whole.start, whole.end);
    let end = range.end.clamp(start, whole.end);
    start - whole.start..end - whole.start
}

/// The map of a part of x: all segments, each as long as what the part has of it.
pub(crate) fn shard(params: &ParamMap, range: &Range<usize>) -> Result<ParamMap, Error> {
    ParamMap::new(params.segments().iter().map(|segment| {
        let mut shape = vec![1; segment.shape.len()];
        match shape.first_mut() {
            Some(first) => *first = piece(range, &segment.range).len(),
            // A scalar of another rank must be empty, and so has an axis.
            None if piece(range, &segment.range).is_empty() => shape.push(0),
            None => {}
        }
        (segment.name.clone(), shape)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_every_element_once_and_every_name() {
        let params = ParamMap::new([
            ("w", vec![3, 4]),
            ("none", vec![0]),
            ("s", vec![]),
            ("b", vec![5]),
        ]);
        let params = params.unwrap();
        for parts in 1..=6 {
            let mut covered = 0;
            for index in 0..parts {
                let range = crate::ranks::part(index, parts, params.len());
                let map = shard(&params, &range).unwrap();
                assert_eq!(map.len(), range.len());
                covered += map.len();
                let names = map.segments().iter().map(|s| &*s.name);
                assert!(names.eq(["w", "none", "s", "b"]));
                assert_eq!(map.segments()[0].shape.len(), 2);
            }
            assert_eq!(covered, params.len());
        }
    }
}
