use super::*;
use ndarray::array;
use opt_core::check_gradient;
use opt_nn::{Activation, Init, Spec, Target};
use opt_testkit::plane;

const UNITS: Units = Units {
    loss: 8.0,
    parameter: 0.25,
};

/// Every derivative against central differences of the one below it, and the value by hand.
#[test]
fn derivatives_are_those_of_the_scaled_function() {
    let plane = plane("rosenbrock").unwrap();
    let x = [-1.2, 1.0];
    let u = UNITS.scale(&x);
    assert_eq!(u, [-0.3, 0.25]);
    let mut scaled = Scaled::new(plane.clone(), UNITS);
    // Rosenbrock's function is 24.2 at its usual start.
    assert!((scaled.value(&u).unwrap() - 8.0 * 24.2).abs() < 1e-12);
    let check = check_gradient(&mut scaled, &u, 1e-6).unwrap();
    assert!(check.error < 1e-8, "{check:?}");

    let (mut high, mut low) = ([0.0; 2], [0.0; 2]);
    let (mut diagonal, mut product) = ([0.0; 2], [0.0; 2]);
    scaled.hessian_diag(&u, &mut diagonal).unwrap();
    for axis in 0..2 {
        let mut v = [0.0; 2];
        v[axis] = 1.0;
        let moved = |h: f64| [u[0] + h * v[0], u[1] + h * v[1]];
        scaled.grad(&moved(1e-6), &mut high).unwrap();
        scaled.grad(&moved(-1e-6), &mut low).unwrap();
        scaled.hessian_product(&u, &v, &mut product).unwrap();
        for row in 0..2 {
            let numeric = (high[row] - low[row]) / 2e-6;
            assert!((product[row] - numeric).abs() < 1e-6 * numeric.abs().max(1e4));
        }
        assert_eq!(diagonal[axis], product[axis]);
        // C/U² of 2JᵀJ, of Rosenbrock's own residuals.
        scaled.gauss_newton_product(&u, &v, &mut product).unwrap();
        let own = (plane.gauss_newton.unwrap())(x);
        assert_eq!(product, [128.0 * own[0][axis], 128.0 * own[1][axis]]);
    }
    let (mut g, mut square) = ([0.0; 2], [0.0; 2]);
    scaled.grad(&u, &mut high).unwrap();
    scaled.grad_moments(&u, &mut g, &mut square).unwrap();
    assert_eq!((g, square), (high, high.map(|g| g * g)));
}

/// The layers' products are the gradient, and Fisher's factors lose the loss's unit.
#[test]
fn layers_are_scaled_as_their_gradient_is() {
    let mut mlp: Mlp<f64> = Mlp::new(Spec::classifier(&[2, 3, 2], Activation::Tanh)).unwrap();
    let inputs = array![[0.5, -1.0], [1.5, 0.25], [-0.5, 0.75]];
    mlp.load(inputs.view(), Target::Classes(&[0, 1, 1]), 0)
        .unwrap();
    let x = mlp.init(Init::LeCun, 0);
    let mut plain = mlp.clone();
    let mut scaled = Scaled::new(mlp, UNITS);
    let u = UNITS.scale(&x);
    let mut g = vec![0.0; u.len()];
    scaled.grad(&u, &mut g).unwrap();
    let check = check_gradient(&mut scaled, &u, 1e-6).unwrap();
    assert!(check.error < 1e-7, "{check:?}");
    scaled.grad(&u, &mut g).unwrap();
    for index in 0..2 {
        let weight = scaled.places()[index].weight;
        let layer = scaled.layer(index).unwrap();
        let product = layer.delta.t().dot(&layer.input);
        let range = scaled.params().segments()[weight].range.clone();
        let close = product
            .iter()
            .zip(&g[range])
            .all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close, "layer {index}");
    }
    scaled.sample(&u, 3).unwrap();
    plain.sample(&x, 3).unwrap();
    let (own, other) = (plain.layer(1).unwrap(), scaled.layer(1).unwrap());
    assert_eq!(other.delta, 4.0 * &own.delta);
}
