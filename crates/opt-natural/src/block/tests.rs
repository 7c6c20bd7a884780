use ndarray::Array2;
use opt_core::{LayerPlace, ParamMap, greatest};

use super::*;

fn wave<F: Scalar>(rows: usize, columns: usize, salt: f64) -> Array2<F> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        F::of((1.7 * i as f64 + 2.3 * j as f64 + salt).sin() + 0.1 * ((i * j) as f64).cos())
    })
}

fn near<F: Scalar>(a: &[F], b: &[F], tolerance: f64, what: &str) {
    let scale = greatest(b).f64();
    for (a, b) in a.iter().zip(b) {
        let error = (a.f64() - b.f64()).abs();
        assert!(
            error <= tolerance * scale,
            "{what}: {error:e} beside {scale}"
        );
    }
}

/// Either side of the direction, and either way along it.
fn compare<F: Decompose>((n, fan_out, rows, biased): (usize, usize, usize, bool), limit: f64) {
    let what = format!("{n}, {fan_out}, {rows}, {biased}");
    let shapes = [("w", vec![fan_out, n]), ("b", vec![fan_out])];
    let params = ParamMap::new(shapes).unwrap();
    let places = [LayerPlace::dense(0, biased.then_some(1))];
    let dense = Dense::all(&params, &places).unwrap().remove(0);
    let mut block = Block::<F>::new(&dense);
    let (input, delta) = (wave::<F>(rows, n, 0.9), wave::<F>(rows, fan_out, 1.3));
    block.keep(&Layer::new(input.view(), delta.view()));
    let drawn = wave::<F>(rows, fan_out, 2.1);
    block.keep_sampled(&Layer::new(input.view(), drawn.view()));
    block.stage(0.0, true).unwrap();
    block.invert(0.5, true).unwrap();
    let directions = [true, false].map(|by_rows| {
        let mut d = vec![F::zero(); params.len()];
        match by_rows {
            true => block.multiply_rows(true).unwrap(),
            false => {
                block.gradient().unwrap();
                block.multiply_gradient(true, None).unwrap();
            }
        }
        block.write(-F::one(), &mut d).unwrap();
        d
    });
    near(&directions[0], &directions[1], limit, &what);
    block.multiply_rows(true).unwrap();
    block.write(-F::one(), &mut directions[1].clone()).unwrap();
    block.along(&directions[0], true, 0).unwrap();
    block.along(&directions[0], false, 1).unwrap();
    near(&block.drawn[0], &block.drawn[1], limit, &what);
    near(&block.slope[..1], &block.slope[1..], limit, &what);
}

#[test]
fn both_sides_give_the_same() {
    for (n, fan_out, rows) in [
        (5, 3, 8),
        (9, 20, 4),
        (1, 1, 1),
        (150, 130, 20),
        (40, 30, 9),
    ] {
        for biased in [false, true] {
            compare::<f64>((n, fan_out, rows, biased), 1e-11);
            compare::<f32>((n, fan_out, rows, biased), 1e-3);
        }
    }
}
