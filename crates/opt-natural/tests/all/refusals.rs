//! Layers that a method cannot take are refused when it is made, by name.

use opt_core::{Error, FirstOrder, LayerPlace, Method, Objective, ParamMap};
use opt_firstorder::Sgd;
use opt_natural::{FisherError, Kfac, NaturalGradient, Prong, ProngCoordinates, ProngPlus, Whiten};
use opt_nn::{Loss, Mlp};

use crate::common::small;

type Made = (&'static str, Result<(), Error>);

/// What every method, and every direction, says to these layers.
fn made(params: &ParamMap, places: &[LayerPlace]) -> [Made; 8] {
    let (prong, plus) = (Prong::default(), ProngPlus::default());
    let (kfac, natural) = (Kfac::default(), NaturalGradient::default());
    [
        ("prong", prong.method::<f64>(params, places).map(drop)),
        ("prong's", prong.direction::<f64>(params, places).map(drop)),
        ("prong-plus", plus.method::<f64>(params, places).map(drop)),
        ("plus's", plus.direction::<f64>(params, places).map(drop)),
        ("kfac", kfac.method::<f64>(params, places).map(drop)),
        ("kfac's", kfac.direction::<f64>(params, places).map(drop)),
        ("natural", natural.method::<f64>(params, places).map(drop)),
        (
            "natural's",
            natural.direction::<f64>(params, places).map(drop),
        ),
    ]
}

#[test]
fn layers_that_are_not_where_their_places_say() {
    let params = ParamMap::new([
        ("embedding", vec![7, 3]),
        ("kernel", vec![4, 3, 5]),
        ("w", vec![2, 4]),
        ("b", vec![2]),
        ("c", vec![3]),
    ])
    .unwrap();
    let good = LayerPlace::dense(2, Some(3));
    let cases: [(&[LayerPlace], usize, &str, &str); 6] = [
        (&[good, LayerPlace::dense(1, None)], 1, "kernel", "two axes"),
        (&[LayerPlace::dense(2, Some(4))], 0, "w", "shape [2]"),
        (&[LayerPlace::dense(2, Some(9))], 0, "w", "shape [2]"),
        (&[LayerPlace::dense(3, None)], 0, "b", "two axes"),
        (&[good, LayerPlace::dense(9, None)], 1, "?", "no segment 9"),
        (&[good, LayerPlace::dense(2, None)], 1, "w", "shares"),
    ];
    for (places, wanted, named, because) in cases {
        for (method, result) in made(&params, places) {
            let Err(Error::Layer { index, name, why }) = result else {
                panic!("{method}, {places:?}: {result:?}");
            };
            assert_eq!((index, name.as_str()), (wanted, named), "{method}: {why}");
            assert!(why.contains(because), "{method}: {why}");
        }
    }
    // A bias of two layers.
    let two = ParamMap::new([("v", vec![2, 4]), ("w", vec![2, 2]), ("b", vec![2])]).unwrap();
    let places = [LayerPlace::dense(0, Some(2)), LayerPlace::dense(1, Some(2))];
    for (method, result) in made(&two, &places) {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("layer 1, `w`"), "{method}: {text}");
        assert!(text.contains("shares a segment"), "{method}: {text}");
    }
}

/// An embedding follows the update alone; the two that have a block for everything say that they
/// have none for it.
#[test]
fn parameters_outside_of_layers() {
    let shapes = [("embedding", vec![7, 3]), ("w", vec![2, 4]), ("b", vec![2])];
    let params = ParamMap::new(shapes).unwrap();
    for (method, result) in made(&params, &[LayerPlace::dense(1, Some(2))]) {
        match method {
            "kfac" | "natural" | "natural's" => {
                let Err(Error::Objective(why)) = result else {
                    panic!("{method}: {result:?}");
                };
                let why = why.downcast_ref();
                assert!(
                    matches!(why, Some(FisherError::NotDense(name)) if name == "embedding"),
                    "{method}: {why:?}"
                );
            }
            _ => assert!(result.is_ok(), "{method}: {result:?}"),
        }
    }
    // A bias may come first.
    let params = ParamMap::new([("b", vec![2]), ("w", vec![2, 4])]).unwrap();
    for (method, result) in made(&params, &[LayerPlace::dense(1, Some(0))]) {
        assert!(result.is_ok(), "{method}: {result:?}");
    }
}

#[test]
fn coordinates_of_layers_that_are_not_there() {
    let (mlp, _): (Mlp<f64>, _) = small(false, Loss::SoftmaxCrossEntropy);
    let whiten = |params: &ParamMap| {
        let inner = FirstOrder::new(Sgd::default(), params).unwrap();
        ProngCoordinates::new(Whiten::default(), inner, &mlp).map(drop)
    };
    assert!(whiten(mlp.params()).is_ok());
    let shapes = [("w", vec![6, 5, 1]), ("b", vec![6])];
    let error = whiten(&ParamMap::new(shapes).unwrap()).unwrap_err();
    assert!(
        matches!(&error, Error::Layer { index: 0, name, .. } if name == "w"),
        "{error}"
    );
}

/// Nothing to whiten from.
#[test]
fn coordinates_without_a_statistics_set() {
    let (mut mlp, mut x): (Mlp<f64>, _) = small(false, Loss::SoftmaxCrossEntropy);
    let inner = FirstOrder::new(Sgd::default(), mlp.params()).unwrap();
    let mut prong = ProngCoordinates::new(Whiten::default(), inner, &mlp).unwrap();
    crate::common::load(&mut mlp, 0);
    let before = x.clone();
    let Err(Error::Objective(why)) = prong.step(&mut mlp, &mut x) else {
        panic!("taken");
    };
    assert!(matches!(
        why.downcast_ref(),
        Some(FisherError::NoStatistics)
    ));
    assert_eq!(x, before);
    assert!(mlp.whitening(0).is_none());
}
