//! What a step of AdamW takes on the variables of a candle model with three million parameters: candle's own, the adapter's,
//! and `apply_parts` on slices, in turns. Run it with `--release`.

#![allow(clippy::print_stdout)] // what an example is for

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Optimizer as _, ParamsAdamW, VarBuilder, VarMap, linear};
use opt_candle::firstorder::{AdamW, FirstOrder, Part};
use opt_candle::{Optimizer, Vars};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// 784-1500-1200-10: 2,990,710 parameters in six tensors.
fn model() -> Result<VarMap> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    for (layer, width) in [784, 1500, 1200, 10].windows(2).enumerate() {
        linear(width[0], width[1], vb.pp(layer))?;
    }
    Ok(map)
}

fn ms(f: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    f()?;
    Ok(1e3 * start.elapsed().as_secs_f64())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() -> Result<()> {
    let turns: usize = std::env::args().nth(1).map_or(Ok(41), |n| n.parse())?;
    let (theirs, map) = (model()?, model()?);
    let vars = Vars::from_varmap(&map)?;
    let gradients: Vec<Tensor> = vars
        .vars()
        .iter()
        .map(|v| v.randn_like(0.0, 0.01))
        .collect::<candle_core::Result<_>>()?;
    // Only a backward pass makes a store of gradients.
    let store = |vars: &Vars| -> Result<candle_core::backprop::GradStore> {
        let mut grads = vars.vars()[0].sum_all()?.backward()?;
        for (var, gradient) in vars.vars().iter().zip(&gradients) {
            grads.insert(var, gradient.copy()?);
        }
        Ok(grads)
    };
    let (ours, other) = (store(&vars)?, store(&Vars::from_varmap(&theirs)?)?);
    let mut slices = Vec::new();
    for (var, gradient) in vars.vars().iter().zip(&gradients) {
        let flat = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        slices.push((flat(var)?, flat(gradient)?));
    }
    let mut plain = FirstOrder::<f32, _, _>::new(AdamW::default(), vars.params())?;
    let mut adapter = Optimizer::new(vars, AdamW::default())?;
    let mut candle = candle_nn::AdamW::new(theirs.all_vars(), ParamsAdamW::default())?;
    let mut times = [const { Vec::new() }; 3];
    for turn in 0..turns + 3 {
        let all = [
            ms(|| Ok(candle.step(&other)?))?,
            ms(|| Ok(adapter.step(&ours)?))?,
            ms(|| {
                let mut parts: Vec<_> = slices.iter_mut().map(|(x, d)| Part::new(x, d)).collect();
                Ok(plain.apply_parts(&mut parts)?)
            })?,
        ];
        if turn >= 3 {
            times
                .iter_mut()
                .zip(all)
                .for_each(|(times, ms)| times.push(ms));
        }
    }
    let count = adapter.vars().params().len();
    let [candle, adapter, plain] = times.map(median);
    println!("AdamW on {count} parameters, median of {turns} turns, ms per step:");
    println!("candle {candle:.2}, adapter {adapter:.2}, apply_parts on slices {plain:.2}");
    println!(
        "candle/adapter {:.1}, adapter/apply_parts {:.3}",
        candle / adapter,
        adapter / plain
    );
    Ok(())
}
