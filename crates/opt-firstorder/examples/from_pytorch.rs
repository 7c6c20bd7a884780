//! AdamW on a tensor and a gradient of one's own: what `docs/migrating.md` has beside PyTorch's lines.

use ndarray::Array2;
use opt_firstorder::{AdamW, ArrayPart, FirstOrder, ParamMap};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut weight = Array2::<f32>::ones((3, 2));
    let params = ParamMap::new([("weight", vec![3, 2])])?;
    let rule = AdamW {
        lr: 1e-3,
        weight_decay: 0.01,
        ..AdamW::default()
    };
    let mut adamw = FirstOrder::new(rule, &params)?;
    let gradient = Array2::ones((3, 2)); // yours
    adamw.apply_arrays(&mut [ArrayPart::new(&mut weight, &gradient)])?;
    // A decay of 1e-5, and a first step of lr.
    let expected = 1.0 - 1e-5 - 1e-3;
    assert!(weight.iter().all(|w| (w - expected).abs() < 1e-6));
    Ok(())
}
