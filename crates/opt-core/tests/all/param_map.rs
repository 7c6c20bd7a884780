//! Names, shapes and places of tensors in one flat vector.

use ndarray::{IxDyn, arr2};
use opt_core::{Error, ParamMap};

const ISIZE_MAX: usize = isize::MAX as usize;

type Shapes = Vec<(&'static str, Vec<usize>)>;

/// Zero-sized segments first, last, and side by side in the middle.
fn map() -> ParamMap {
    ParamMap::new([
        ("none", vec![0]),
        ("weight", vec![3, 2]),
        ("rows", vec![0, 4]),
        ("columns", vec![4, 0]),
        ("scale", vec![]),
        ("cube", vec![2, 1, 2]),
        ("end", vec![0]),
    ])
    .expect("distinct and not empty")
}

#[test]
fn segments_lie_one_after_another() {
    let map = map();
    let places = map.segments().iter().map(|s| (s.name.as_str(), &s.range));
    let expected = [
        ("none", &(0..0)),
        ("weight", &(0..6)),
        ("rows", &(6..6)),
        ("columns", &(6..6)),
        ("scale", &(6..7)),
        ("cube", &(7..11)),
        ("end", &(11..11)),
    ];
    assert_eq!(places.collect::<Vec<_>>(), expected);
    assert_eq!(map.len(), 11);
    assert_eq!(map.get("cube").unwrap().shape, [2, 1, 2]);
    assert_eq!(map.get("Cube"), None);
    let flat = ParamMap::flat(4).unwrap();
    assert_eq!(flat, ParamMap::new([("x", vec![4])]).unwrap());
}

#[test]
fn views_are_row_major_and_in_place() {
    let map = map();
    let mut x: Vec<f64> = (0..11).map(f64::from).collect();
    assert_eq!(
        map.view2("weight", &x).unwrap(),
        arr2(&[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    );
    assert_eq!(
        map.view("weight", &x).unwrap(),
        map.view2("weight", &x).unwrap().into_dyn()
    );
    assert_eq!(map.view("scale", &x).unwrap()[IxDyn(&[])], 6.0);
    assert_eq!(map.view("cube", &x).unwrap()[[1, 0, 1]], 10.0);
    for name in ["none", "rows", "columns", "end"] {
        let view = map.view(name, &x).unwrap();
        assert_eq!(view.shape(), map.get(name).unwrap().shape);
        assert!(view.is_empty());
    }
    assert_eq!(map.view2_mut("columns", &mut x).unwrap().dim(), (4, 0));

    map.view2_mut("weight", &mut x).unwrap()[[2, 0]] = -4.0;
    map.view_mut("scale", &mut x).unwrap()[IxDyn(&[])] = -6.0;
    map.view_mut("cube", &mut x).unwrap()[[1, 0, 0]] = -9.0;
    let expected = [0.0, 1.0, 2.0, 3.0, -4.0, 5.0, -6.0, 7.0, 8.0, -9.0, 10.0];
    assert_eq!(x, expected);
}

#[test]
fn every_index_is_located_in_the_segment_that_owns_it() {
    let map = map();
    for index in 0..map.len() {
        let owner = map.segments().iter().find(|s| s.range.contains(&index));
        let owner = owner.unwrap();
        assert_eq!(map.locate(index), Some((owner, index - owner.range.start)));
    }
    for index in [11, 12, usize::MAX] {
        assert_eq!(map.locate(index), None);
    }
}

#[test]
fn bad_maps_are_refused() {
    // Half of the address space each: two fit, three do not.
    let half = ISIZE_MAX / 2;
    let cases: [(Shapes, &str); 11] = [
        (vec![], "no parameters"),
        (vec![("a", vec![0]), ("b", vec![3, 0])], "no parameters"),
        (vec![("a", vec![1]), ("b", vec![]), ("a", vec![2])], "`a`"),
        (vec![("a", vec![0]), ("a", vec![1])], "`a`"),
        (vec![("a", vec![usize::MAX])], "`a`"),
        (vec![("a", vec![1]), ("b", vec![ISIZE_MAX])], "`b`"),
        (vec![("a", vec![1 << 40, 1 << 40])], "`a`"),
        (vec![("a", vec![2, 2, usize::MAX / 2])], "`a`"),
        (
            vec![("a", vec![half]), ("b", vec![half]), ("c", vec![half])],
            "`c`",
        ),
        // ndarray cannot view these, though they have no element.
        (vec![("x", vec![1]), ("a", vec![0, ISIZE_MAX, 2])], "`a`"),
        (vec![("x", vec![1]), ("a", vec![usize::MAX, 2, 0])], "`a`"),
    ];
    for (shapes, part) in cases {
        let error = ParamMap::new(shapes.clone()).unwrap_err();
        let right = match &error {
            Error::NoParameters => shapes.iter().all(|(_, s)| s.contains(&0)),
            Error::DuplicateSegment(name) => shapes.iter().filter(|s| s.0 == name).count() == 2,
            Error::SegmentTooLarge(name) => shapes.last().unwrap().0 == name,
            _ => false,
        };
        let text = error.to_string();
        assert!(right && text.contains(part), "{shapes:?}: {text}");
    }
    assert!(matches!(ParamMap::flat(0), Err(Error::NoParameters)));
    assert_eq!(ParamMap::flat(ISIZE_MAX).unwrap().len(), ISIZE_MAX);
}

#[test]
fn bad_views_are_refused() {
    let map = map();
    for len in [0, 10, 12] {
        let mut x = vec![0.0_f32; len];
        let results = [
            map.view("weight", &x).map(drop),
            map.view2("weight", &x).map(drop),
            map.view_mut("weight", &mut x).map(drop),
            map.view2_mut("weight", &mut x).map(drop),
            map.check_len("x", len),
        ];
        for result in results {
            let right = matches!(
                &result,
                Err(Error::Length { what, expected: 11, found }) if what == "x" && *found == len
            );
            assert!(right, "{len}: {result:?}");
        }
    }
    let mut x = [0.0_f32; 11];
    let unknown = "no segment `bias`; there are: none [0], weight [3, 2], rows [0, 4], \
                   columns [4, 0], scale [], cube [2, 1, 2], end [0]";
    assert_eq!(map.view("bias", &x).unwrap_err().to_string(), unknown);
    assert_eq!(
        map.view_mut("bias", &mut x).unwrap_err().to_string(),
        unknown
    );
    for name in ["none", "scale", "cube", "bias"] {
        let wanted = format!("no segment `{name}` with 2 axes; there are: none [0], weight");
        let errors = [
            map.view2(name, &x).unwrap_err(),
            map.view2_mut(name, &mut x).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().starts_with(&wanted), "{error}");
        }
    }
}
