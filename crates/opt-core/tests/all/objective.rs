//! The gradient check, the counter, and the messages that come with an objective.

use ndarray::ArrayView2;
use opt_core::{
    Counted, Error, GaussNewton, HessianDiag, HessianProduct, Layer, LayerPlace, Layered,
    Objective, ParamMap, Report, check_gradient,
};

/// Coordinates, and what is added to their derivatives.
type Planted = &'static [(usize, f64)];

/// x₀x₆ + Σ cᵢxᵢ³ with cᵢ = i + 1, and a few ways to be wrong.
#[derive(Clone)]
struct Cubic {
    params: ParamMap,
    planted: Vec<(usize, f64)>,
    /// The loss where the last coordinate is above 2.
    beyond: Option<f64>,
    places: [LayerPlace; 1],
    accepted: u64,
}

fn cubic(planted: &[(usize, f64)]) -> Cubic {
    Cubic {
        params: ParamMap::new([("w", vec![2, 2]), ("none", vec![0]), ("b", vec![3])]).unwrap(),
        planted: planted.to_vec(),
        beyond: None,
        places: [LayerPlace::dense(0, Some(2))],
        accepted: 0,
    }
}

impl Objective<f64> for Cubic {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let sum = x
            .iter()
            .enumerate()
            .map(|(i, x)| (i + 1) as f64 * x.powi(3));
        Ok(self
            .beyond
            .filter(|_| x[6] > 2.0)
            .unwrap_or(x[0] * x[6] + sum.sum::<f64>()))
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        for (i, (g, x)) in g.iter_mut().zip(x).enumerate() {
            *g = 3.0 * (i + 1) as f64 * x * x;
        }
        g[0] += x[6];
        g[6] += x[0];
        self.planted.iter().for_each(|&(i, error)| g[i] += error);
        self.value(x)
    }

    fn accept(&mut self) {
        self.accepted += 1;
    }
}

const X: [f64; 7] = [0.5, -1.0, 0.0, 1.5, -0.5, 1.0, 2.0];

#[test]
fn a_right_gradient_passes() {
    for h in [1e-3, 1e-5] {
        let worst = check_gradient(&mut cubic(&[]), &X, h).unwrap();
        // Central differences of cx³ with a step of xh, or that of a segment whose x are near 1, are
        // off by cx²h², and by the rounding of a loss near 90; the largest derivative is 84.5.
        assert!(worst.error < 7.0 * h * h + 1e-15 / h, "{worst:?}");
    }
}

#[test]
fn the_worst_derivative_is_named() {
    // Coordinates with what is added there; then the one to be found, with its two derivatives.
    let cases: [(Planted, (&str, usize), f64, f64); 6] = [
        (&[(0, 0.25)], ("w", 0), 2.75, 3.0),
        (&[(3, -0.5)], ("w", 3), 27.0, 26.5),
        (&[(4, 0.25)], ("b", 0), 3.75, 4.0),
        (&[(6, 1e3)], ("b", 2), 84.5, 1084.5),
        (&[(0, 0.25), (2, 0.5), (5, 0.25)], ("w", 2), 0.0, 0.5),
        // All are relative to the largest derivative: the larger error counts.
        (&[(6, 0.5), (2, 0.25)], ("b", 2), 84.5, 85.0),
    ];
    for (planted, place, derivative, analytic) in cases {
        let worst = check_gradient(&mut cubic(planted), &X, 1e-5).unwrap();
        assert_eq!((worst.segment.as_str(), worst.index), place);
        assert_eq!(worst.analytic, analytic);
        assert!((worst.numeric - derivative).abs() < 1e-7, "{worst:?}");
        let largest = analytic.abs().max(derivative).max(84.5);
        let error = (analytic - derivative).abs() / largest;
        assert!((worst.error - error).abs() < 1e-8, "{worst:?}");
    }
}

#[test]
fn what_cannot_be_checked_is_refused() {
    for h in [0.0, -1e-5, f64::NAN, f64::INFINITY] {
        let error = check_gradient(&mut cubic(&[]), &X, h).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("h = {h}: must be finite and above 0, also in the parameters' type")
        );
    }
    for len in [0, 6, 8] {
        let error = check_gradient(&mut cubic(&[]), &vec![0.0; len], 1e-5).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("x has length {len}, must have 7"))
        );
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let mut objective = cubic(&[]);
        objective.beyond = Some(bad);
        let error = check_gradient(&mut objective, &X, 1e-5).unwrap_err();
        let right = matches!(error, Error::NonFiniteLoss(v) if v.to_bits() == bad.to_bits());
        assert!(right, "{error}");

        let error = check_gradient(&mut cubic(&[(5, bad)]), &X, 1e-5).unwrap_err();
        let expected = format!("gradient of segment `b` is {bad} at index 1");
        assert_eq!(error.to_string(), expected);
    }
    // A step of 10⁻²⁰ times x is none.
    let error = check_gradient(&mut cubic(&[]), &X, 1e-20).unwrap_err();
    assert!(
        matches!(error, Error::Argument { name: "h", .. }),
        "{error}"
    );
}

/// f and its gradient times a factor each, of x times a unit.
struct InUnits {
    inner: Cubic,
    loss: f64,
    gradient: f64,
    unit: f64,
}

impl Objective<f64> for InUnits {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let x: Vec<_> = x.iter().map(|x| x / self.unit).collect();
        Ok(self.loss * self.inner.value(&x)?)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let inner: Vec<_> = x.iter().map(|x| x / self.unit).collect();
        self.inner.grad(&inner, g)?;
        let slope = self.gradient * self.loss / self.unit;
        g.iter_mut().for_each(|g| *g *= slope);
        self.value(x)
    }
}

#[test]
fn the_check_has_no_units() {
    let check = |planted, gradient, loss, unit: f64| {
        let inner = cubic(planted);
        let mut objective = InUnits {
            inner,
            loss,
            gradient,
            unit,
        };
        let x = X.map(|x| x * unit);
        check_gradient(&mut objective, &x, 1e-5).unwrap().error
    };
    // In particular, a sign that is wrong shows in a small loss too.
    for loss in [1e-30, 1e-8, 1.0, 1e14] {
        for unit in [1e-12, 1e-8, 1.0, 1e20] {
            assert!(check(&[], 1.0, loss, unit) < 1e-9, "{loss} {unit}");
            assert!(check(&[], -1.0, loss, unit) > 1.9, "{loss} {unit}");
            assert!(check(&[], 1.01, loss, unit) > 0.009, "{loss} {unit}");
        }
    }
    let (small, large) = (2_f64.powi(-60), 2_f64.powi(40));
    let planted: Planted = &[(3, 1e-3)];
    let plain = check(planted, 1.0, 1.0, 1.0);
    assert_eq!(check(planted, 1.0, small, large), plain);
    assert_eq!(check(planted, 1.0, large, small), plain);
}

impl HessianDiag<f64> for Cubic {
    fn hessian_diag(&mut self, _: &[f64], h: &mut [f64]) -> Result<(), Error> {
        h.fill(1.0);
        Ok(())
    }
}

impl HessianProduct<f64> for Cubic {
    fn hessian_product(&mut self, _: &[f64], _: &[f64], h: &mut [f64]) -> Result<(), Error> {
        h.fill(2.0);
        Ok(())
    }
}

impl GaussNewton<f64> for Cubic {
    fn gauss_newton_product(&mut self, _: &[f64], _: &[f64], h: &mut [f64]) -> Result<(), Error> {
        h.fill(3.0);
        Err(Error::objective("no such layer"))
    }
}

impl Layered<f64> for Cubic {
    fn places(&self) -> &[LayerPlace] {
        &self.places
    }

    fn deltas(&mut self, _: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        g.fill(4.0);
        Ok(0.5)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        let empty = ArrayView2::from_shape((0, 0), &[]).ok()?;
        (index == 0).then(|| Layer::new(empty, empty))
    }
}

#[test]
fn evaluations_are_counted_and_passed_on() {
    let mut counted = Counted::new(cubic(&[]));
    let report = check_gradient(&mut counted, &X, 1e-5).unwrap();
    assert_eq!(
        report,
        check_gradient(&mut counted.inner, &X, 1e-5).unwrap()
    );
    assert_eq!((counted.values, counted.gradients), (14, 1));

    let mut h = [0.0; 7];
    counted.hessian_diag(&X, &mut h).unwrap();
    assert_eq!(h, [1.0; 7]);
    counted.hessian_product(&X, &X, &mut h).unwrap();
    assert_eq!(h, [2.0; 7]);
    let error = counted.gauss_newton_product(&X, &X, &mut h).unwrap_err();
    assert_eq!(error.to_string(), "objective: no such layer");
    assert_eq!(h, [3.0; 7]);
    let products = (counted.hessian_products, counted.gauss_newton_products);
    assert_eq!((counted.diagonals, products), (1, (1, 1)));
    assert_eq!(counted.second_order(), 1.0 + 2.0 + 4.0 / 3.0);
    assert_eq!((counted.values, counted.gradients), (14, 1));

    assert_eq!(counted.places(), [LayerPlace::dense(0, Some(2))]);
    assert_eq!(counted.params().len(), 7);
    assert_eq!(counted.layer(0).unwrap().input.dim(), (0, 0));
    assert!(counted.layer(1).is_none());
    assert_eq!(counted.deltas(&X, &mut h).unwrap(), 0.5);
    assert_eq!((h, counted.gradients), ([4.0; 7], 2));
    counted.accept();
    assert_eq!(counted.inner.accepted, 1);
}

#[test]
fn a_report_refuses_a_loss_that_is_not_finite() {
    assert_eq!(Report::new(0.5).unwrap().loss, 0.5);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Report::new(bad).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the loss is {bad}: lower the learning rate")));
    }
}
