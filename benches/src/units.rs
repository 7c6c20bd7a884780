//! Which method takes the same path when the loss, or the parameters, come in other units.

mod convert;

use ndarray::{Array2, s};
use opt_core::{Counted, Entry, Objective};
use opt_data::Dataset;
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

use crate::experiment::Invariance;
use crate::registry;
use crate::results::{Point, Rescaled, Run, Verdict};
use crate::scaled::{Scaled, Units};
use crate::setting::{Settings, hyper, named};
use crate::stop::Stop;

pub(crate) use convert::converted;

/// What the methods step here: it has all that any of them needs.
pub(crate) type Problem = Counted<Scaled<Mlp<f64>>>;

/// All methods.
pub(crate) fn methods() -> Vec<Entry<f64, Problem>> {
    registry::layered()
}

/// A path in the problem's own units, as far as it went.
struct Path {
    x: Vec<Vec<f64>>,
    /// The loss at the start and at the end.
    loss: [f64; 2],
    run: Run,
}

impl Invariance {
    /// The network that is trained, for the report.
    pub(crate) fn model(&self) -> String {
        format!("16-10, sigmoid cross-entropy, L2 {}", self.l2)
    }

    /// For each method the run in the problem's own units, then those in all others: as it is, and,
    /// where hyper-parameters have units, with these converted.
    pub(crate) fn run(
        &self,
        digits: &Dataset,
        chosen: &[&Entry<f64, Problem>],
        stop: &Stop,
    ) -> Result<Vec<Run>, String> {
        let (network, start) = self.network(digits)?;
        let mut runs = Vec::new();
        for entry in chosen {
            if stop.asked() {
                break;
            }
            let name = entry.name();
            let set = self.set.get(name).cloned().unwrap_or_default();
            let path = |label: &str, set: &Settings, units| {
                self.path(&network, &start, entry, label, set, units)
            };
            let own = path(name, &set, Units::OWN)?;
            let all = hyper(entry, &set);
            let label = format!("{name}, converted");
            let (mut plain, mut other) = (Vec::new(), Vec::new());
            for units in self.units() {
                plain.push(self.judge(&own, path(name, &set, units)?, units));
                if let Some(set) = converted(name, &all, units) {
                    other.push(self.judge(&own, path(&label, &set, units)?, units));
                }
            }
            runs.push(own.run);
            runs.extend(plain.into_iter().chain(other));
        }
        Ok(runs)
    }

    /// The loss in other units, then the parameters.
    fn units(&self) -> impl Iterator<Item = Units> {
        let scales = self.scales.iter();
        let losses = scales.clone().map(|&loss| Units { loss, ..Units::OWN });
        losses.chain(scales.map(|&parameter| Units {
            parameter,
            ..Units::OWN
        }))
    }

    /// A logistic regression for each digit, at 4×4, where the dense Hessian and Fisher matrix are
    /// small. (Softmax, which does not change with a shift of all its inputs, has a singular
    /// Hessian, from which Newton's method can't start.)
    fn network(&self, digits: &Dataset) -> Result<(Mlp<f64>, Vec<f64>), String> {
        let mut spec = Spec::classifier(&[16, 10], Activation::Tanh);
        (spec.loss, spec.l2) = (Loss::SigmoidCrossEntropy, self.l2);
        let mut mlp = Mlp::new(spec).map_err(|e| e.to_string())?;
        let images = shrink(digits, self.samples);
        let labels = digits.labels.get(..images.nrows()).unwrap_or_default();
        let loaded = mlp.load(images.view(), Target::Classes(labels), 0);
        loaded.map_err(|e| e.to_string())?;
        // PRONG whitens from it before its first update: else it would only collect here.
        let statistics = mlp.set_statistics(images.to_shared());
        statistics.map_err(|e| e.to_string())?;
        let x = mlp.init(Init::LeCun, 0);
        Ok((mlp, x))
    }

    fn path(
        &self,
        network: &Mlp<f64>,
        start: &[f64],
        entry: &Entry<f64, Problem>,
        label: &str,
        set: &Settings,
        units: Units,
    ) -> Result<Path, String> {
        let text = |e: opt_core::Error| format!("{label}: {e}");
        let mut plain = Scaled::new(network.clone(), Units::OWN);
        let mut loss = |x: &[f64]| Objective::value(&mut plain, x).unwrap_or(f64::NAN);
        let mut problem = Counted::new(Scaled::new(network.clone(), units));
        let mut u = units.scale(start);
        let built = entry.build(&named(set), &problem);
        let first = loss(start);
        let mut run = Run {
            method: label.to_owned(),
            hyper: hyper(entry, set),
            points: vec![point(0, 0, first)],
            ..Run::default()
        };
        let mut x = vec![start.to_vec()];
        // A hyper-parameter may have no room for its value in these units.
        match built {
            Err(e) if units == Units::OWN => return Err(text(e)),
            Err(e) => run.failed = Some(e.to_string()),
            Ok(mut method) => {
                for update in 1..=self.steps {
                    match method.step(&mut problem, &mut u) {
                        Ok(report) => run.note(report.fallback),
                        Err(e) => {
                            run.failed = Some(format!("step {update}: {e}"));
                            break;
                        }
                    }
                    x.push(u.iter().map(|u| u / units.parameter).collect());
                }
            }
        }
        let last = x.last().map_or(f64::NAN, |x| loss(x));
        let done = x.len() as u64 - 1;
        run.points.push(point(done, problem.gradients, last));
        Ok(Path {
            x,
            loss: [first, last],
            run,
        })
    }

    /// How a path in other units compares with that in the problem's own.
    fn judge(&self, own: &Path, path: Path, units: Units) -> Run {
        let apart = apart(&own.x, &path.x);
        let ratio = path.loss[1] / own.loss[1];
        let ended_alike = path.x.len() == own.x.len();
        let verdict = if ended_alike && apart.is_some_and(|apart| apart <= self.tolerance) {
            Verdict::Invariant
        } else if path.loss[1].is_nan() || path.loss[1] > path.loss[0] {
            Verdict::Diverges
        } else if path.run.failed.is_some() {
            Verdict::Refused
        } else if ratio < 1.0 {
            Verdict::Faster
        } else {
            Verdict::Slower
        };
        let mut run = path.run;
        run.units = Some(Rescaled {
            loss: units.loss,
            parameter: units.parameter,
            apart,
            ratio: Some(ratio),
            verdict,
        });
        run
    }
}

fn point(update: u64, gradients: u64, value: f64) -> Point {
    Point {
        update,
        gradient_evaluations: gradients,
        value: Some(value),
        ..Point::default()
    }
}

/// The greatest distance of two paths at any step, as a part of the farthest that the first went.
/// None where that never moved, and neither did the other.
fn apart(own: &[Vec<f64>], other: &[Vec<f64>]) -> Option<f64> {
    let start = own.first()?;
    let far = own.iter().map(|x| distance(x, start)).fold(0.0, f64::max);
    let steps = own.iter().zip(other).map(|(a, b)| distance(a, b));
    // NaN stays: `f64::max` would lose it.
    let most = steps.fold(0.0, |most: f64, d| match d <= most || most.is_nan() {
        true => most,
        false => d,
    });
    Some(if most == 0.0 { 0.0 } else { most / far })
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

/// The first images, 8×8 to 4×4 in means of 2×2.
fn shrink(digits: &Dataset, samples: usize) -> Array2<f64> {
    let rows = samples.min(digits.labels.len());
    let images = digits.inputs.slice(s![..rows, ..]);
    Array2::from_shape_fn((rows, 16), |(image, pixel)| {
        let (row, column) = (2 * (pixel / 4), 2 * (pixel % 4));
        let at = |i: usize, j: usize| f64::from(images[[image, 8 * (row + i) + column + j]]);
        0.25 * (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1))
    })
}

#[cfg(test)]
mod tests;
