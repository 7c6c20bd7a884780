//! Tensors of one's own as ndarray's, of any dimension and layout, with gradients of one's own.

#![allow(clippy::print_stdout)] // what an example is for

use ndarray::{Array1, Array4};
use opt_firstorder::{ArrayPart, Error, FirstOrder, ParamMap, RmsProp};

fn main() -> Result<(), Error> {
    // A kernel that is kept in another order than row-major, and a bias.
    let mut kernel = Array4::<f32>::ones((8, 3, 5, 5)).permuted_axes([0, 2, 3, 1]);
    let mut bias = Array1::<f32>::zeros(8);

    let shapes = [("kernel", kernel.shape().to_vec()), ("bias", vec![8])];
    let mut rmsprop = FirstOrder::new(RmsProp::default(), &ParamMap::new(shapes)?)?;
    for step in 0..10 {
        let gradient = kernel.mapv(|w| w - 0.5);
        // No gradient for the bias in every other step: it, its state and its count stay.
        let ones = Array1::ones(8);
        let bias = match step % 2 {
            0 => ArrayPart::new(&mut bias, &ones),
            _ => ArrayPart::still(&mut bias),
        };
        rmsprop.apply_arrays(&mut [ArrayPart::new(&mut kernel, &gradient), bias])?;
    }
    println!("kernel {:.4}, bias {:.4}", kernel[[0, 0, 0, 0]], bias[0]);
    assert!(kernel[[7, 4, 4, 2]] < 1.0 && bias[7] < 0.0);
    assert_eq!((rmsprop.steps(0), rmsprop.steps(1)), (10, 5));
    Ok(())
}
