//! Who reads the direction before x moves, and what is told where nobody does.

use opt_core::{Error, FirstOrder, Method, Objective, ParamMap, Snapshot, Train, Trusted, Update};

use crate::chain::{PLAIN, map, parts, wave};

/// A gradient of ones, but for one element, and the bound that is vouched for.
struct Vouching {
    params: ParamMap,
    last: f32,
    bound: Option<f32>,
}

impl Objective<f32> for Vouching {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, _: &[f32]) -> Result<f32, Error> {
        Ok(1.0)
    }

    fn grad(&mut self, _: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        g.fill(1.0);
        g[4] = self.last;
        Ok(1.0)
    }

    fn gradient_bound(&self) -> Option<f32> {
        self.bound
    }
}

/// A bound that serves is taken at its word, which a lie shows: the element is found only after the
/// move. Any other, and none, has the gradient read.
#[test]
fn only_a_bound_that_fits_spares_the_reading() {
    let params = map(&[2, 3]);
    let cases = [
        (None, true),
        (Some(f32::NAN), true),
        (Some(f32::INFINITY), true),
        (Some(1.0), false),
        (Some(f32::MAX), false),
    ];
    for (bound, read) in cases {
        let mut objective = Vouching {
            params: params.clone(),
            last: f32::NAN,
            bound,
        };
        let mut method = Train::new(FirstOrder::<f32, _, 2>::new(PLAIN, &params).unwrap());
        let mut x = [1.0; 5];
        let error = Method::step(&mut method, &mut objective, &mut x).unwrap_err();
        let refused =
            matches!(&error, Error::NonFiniteGradient { segment, index: 2, .. } if segment == "s1");
        let diverged = matches!(error, Error::Diverged { .. });
        assert_eq!((refused, diverged), (read, !read), "{bound:?}: {error}");
        assert_eq!(x == [1.0; 5], read, "{bound:?}");
        // A clipped gradient is read for its norm in any case.
        let update = FirstOrder::<f32, _, 2>::new(PLAIN, &params).unwrap();
        let mut clipped = Train::new(update).clip(1.0).unwrap();
        let error = Method::step(&mut clipped, &mut objective, &mut [1.0; 5]).unwrap_err();
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{error}");
    }
}

/// Trust changes what is read, and no bit of what is computed.
#[test]
fn trusted_or_not_it_is_the_same_step() {
    let params = map(&[2, 3, 70_000]);
    let build = || FirstOrder::<f32, _, 3>::new(PLAIN, &params).unwrap();
    let (mut plain, mut trusted, mut by_parts) = (build(), Trusted(build()), Trusted(build()));
    let mut all = [0, 1, 2].map(|_| vec![1.0; params.len()]);
    for t in 0..3 {
        let g: Vec<f32> = (0..params.len()).map(|i| wave(i + t)).collect();
        let [a, b, c] = &mut all;
        plain.apply(a, &g).unwrap();
        trusted.apply(b, &g).unwrap();
        by_parts.apply_parts(&mut parts(&params, c, &g)).unwrap();
    }
    assert_eq!((&all[0], &all[0]), (&all[1], &all[2]));
    let expected = Snapshot::take(&mut [("update", &mut plain as _)]).unwrap();
    for other in [&mut trusted, &mut by_parts] {
        assert_eq!(
            Snapshot::take(&mut [("update", other as _)]).unwrap(),
            expected
        );
    }
}

#[test]
fn lengths_are_checked_all_the_same() {
    let params = map(&[2, 3]);
    let mut update = Trusted(FirstOrder::<f32, _, 1>::new(PLAIN, &params).unwrap());
    let mut x = [1.0; 5];
    for wrong in [0, 4, 6] {
        let error = update.apply(&mut x, &vec![1.0; wrong]).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error}");
        let error = update.check(1, &vec![1.0; wrong]).unwrap_err();
        assert!(error.to_string().contains("s1"), "{error}");
    }
    assert_eq!(x, [1.0; 5]);
}
