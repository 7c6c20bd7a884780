//! A run that goes on where it was stopped, in a new process, to the bit.
//!
//! `cargo run -p opt-firstorder --example resume` makes 300 updates and saves after each: started
//! again, or stopped by Ctrl-C at any time and started again, it goes on with the next one.

#![allow(clippy::print_stdout)] // what an example is for

use opt_core::{Average, Averaging, Error, FirstOrder, ParamMap, Plateau, State, Tune, Visit, run};
use opt_firstorder::Adam;

/// A model of one's own, with state: a line a·t + b through noisy points, and its mean error.
struct Model {
    error: f64,
}

impl Model {
    /// The gradient of half the squared error at one point.
    fn grad(&mut self, x: &[f64], point: u64) -> [f64; 2] {
        let t = (point % 7) as f64 / 7.0;
        let noise = (point as f64).sin() / 10.0;
        let error = x[0] * t + x[1] - (2.0 * t + 1.0 + noise);
        self.error += 0.05 * (error.abs() - self.error);
        [error * t, error]
    }
}

impl State<f64> for Model {
    fn visit(&mut self, visitor: &mut dyn Visit<f64>) {
        visitor.number("error", &mut self.error);
    }
}

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "resume.safetensors".to_owned());
    let mut model = Model { error: 3.0 };

    // All of the run, and where it stands: at its beginning, or where the file says.
    let map = ParamMap::new([("a", vec![]), ("b", vec![])])?;
    let (mut x, mut step) = (vec![0.0; 2], 0);
    let mut method = FirstOrder::new(Adam::default(), &map)?;
    let mut average = Average::new(Averaging::Polyak { start: 50 }, &map, &x)?;
    let mut lr = Plateau::default().schedule()?;
    run![x, model, method, average, lr, step].resume(&path)?;
    while step < 300 {
        let g = model.grad(&x, step);
        method.set("lr", (0.1 * lr.value()).into())?;
        method.apply(&mut x, &g)?;
        average.update(&x)?;
        lr.observe(model.error)?;
        step += 1;
        run![x, model, method, average, lr, step].save(&path)?;
    }

    println!("{step} updates: {x:?}, on average {:?}", average.value());
    Ok(())
}
