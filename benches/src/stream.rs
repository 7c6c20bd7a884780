//! What a method makes of a stream of gradients that is given: 1 at every step, and one outlier.

use std::collections::BTreeMap;

use opt_core::{Entry, Error, Objective, ParamMap};
use serde::Deserialize;

use crate::results::{Point, Run};
use crate::setting::{Settings, hyper, named};

#[derive(Debug, Deserialize)]
pub(crate) struct Stream {
    pub(crate) methods: Vec<String>,
    pub(crate) steps: u64,
    /// The step that has another gradient, and which.
    pub(crate) at: u64,
    pub(crate) outlier: f64,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Settings>,
}

/// One parameter, whose gradient does not depend on it.
pub(crate) struct Given {
    params: ParamMap,
    gradient: f64,
}

impl Objective<f64> for Given {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        Ok(self.gradient * x.iter().sum::<f64>())
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        g.fill(self.gradient);
        self.value(x)
    }
}

/// Those that need a gradient and nothing else.
pub(crate) fn methods() -> Vec<Entry<f64, Given>> {
    opt_firstorder::zoo()
}

impl Stream {
    /// A run for each method, and a sentence on each.
    pub(crate) fn run(&self, entries: &[&Entry<f64, Given>]) -> Result<(Vec<Run>, String), String> {
        let (mut runs, mut told) = (Vec::new(), Vec::new());
        for entry in entries {
            let run = self.path(entry)?;
            let step = |t: u64| {
                let step = t
                    .checked_sub(1)
                    .and_then(|i| run.points.get(i as usize)?.step);
                step.map_or("–".to_owned(), |v| format!("{v:.3e}"))
            };
            let at = self.at;
            let shown = [1, at - 1, at, at + 1, at + 20].map(step).join(", ");
            told.push(format!("{} {shown}", entry.name()));
            runs.push(run);
        }
        let told = format!(
            " Length of the first step, of that before the outlier, at it, after it and 20 later: {}.",
            told.join("; ")
        );
        Ok((runs, told))
    }

    fn path(&self, entry: &Entry<f64, Given>) -> Result<Run, String> {
        let text = |e: Error| format!("{}: {e}", entry.name());
        let set = self.set.get(entry.name()).cloned().unwrap_or_default();
        let params = ParamMap::flat(1).map_err(text)?;
        let mut given = Given {
            params,
            gradient: 1.0,
        };
        let mut method = entry.build(&named(&set), &given).map_err(text)?;
        let mut run = Run {
            method: entry.name().to_owned(),
            hyper: hyper(entry, &set),
            ..Run::default()
        };
        for update in 1..=self.steps {
            given.gradient = if update == self.at { self.outlier } else { 1.0 };
            // From 0, so that a short step after a long way has all its digits.
            let mut x = [0.0];
            method.step(&mut given, &mut x).map_err(text)?;
            run.points.push(Point {
                update,
                gradient_evaluations: update,
                step: Some(x[0].abs()),
                ..Point::default()
            });
        }
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_its_delay_adadelta_takes_the_outlier_at_its_length() {
        let stream = Stream {
            methods: Vec::new(),
            steps: 8,
            at: 5,
            outlier: 1e3,
            set: [(
                "adadelta-immediate".to_owned(),
                [("lr".to_owned(), 0.5.into())].into(),
            )]
            .into(),
        };
        let entries = methods();
        let chosen = |name: &str| entries.iter().find(|e| e.name() == name).unwrap();
        let both = ["adadelta-immediate", "sgd"].map(chosen);
        let (runs, told) = stream.run(&both).unwrap();
        let steps: Vec<_> = runs[0].points.iter().map(|p| p.step.unwrap()).collect();
        assert_eq!(steps, [0.5, 0.5, 0.5, 0.5, 500.0, 0.5, 0.5, 0.5]);
        assert_eq!(runs[1].points[4].step, Some(10.0));
        assert!(
            told.contains("sgd 1.000e-2, 1.000e-2, 1.000e1, 1.000e-2, –."),
            "{told}"
        );
    }
}
