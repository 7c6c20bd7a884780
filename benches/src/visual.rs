//! Trajectories on functions of two variables.

use opt_core::{Counted, Entry};
use opt_testkit::{Plane, plane, planes};

use crate::experiment::{Experiment, Trajectories};
use crate::plot::Landscape;
use crate::results::{Point, Run};
use crate::setting::{hyper, named};

/// What the methods step here.
pub(crate) type Surface = Counted<Plane>;

/// The path of every method on every problem, and a sentence on what those took that ended at a
/// stationary point.
pub(crate) fn run(
    experiment: &Experiment,
    config: &Trajectories,
    entries: &[&Entry<f64, Surface>],
) -> Result<(Vec<Run>, String), String> {
    let (mut runs, mut told) = (Vec::new(), String::new());
    for problem in &config.problems {
        let plane =
            plane(problem).ok_or_else(|| format!("{}: no problem `{problem}`", experiment.name))?;
        let mut all = Vec::new();
        for entry in entries {
            let (run, reached) = path(config, entry, &plane)?;
            all.extend(reached.map(|took| format!("{} {took}", entry.name())));
            runs.push(run);
        }
        if let Some(tolerance) = config.tolerance {
            let all = all.join(", ");
            told += &format!(
                " {problem}, to |g| ≤ {tolerance:e} in steps (values, gradients, curvature products \
                 or diagonals): {all}."
            );
        }
    }
    Ok((runs, told))
}

fn path(
    config: &Trajectories,
    entry: &Entry<f64, Surface>,
    plane: &Plane,
) -> Result<(Run, Option<String>), String> {
    let set = config.set_for(entry.name(), plane.name);
    let mut surface = Counted::new(plane.clone());
    let mut x = plane.start;
    let point = |update: u64, x: [f64; 2], gradients: u64| Point {
        update,
        gradient_evaluations: gradients,
        x: Some(x),
        value: Some((plane.value)(x)),
        ..Point::default()
    };
    let mut run = Run {
        method: entry.name().to_owned(),
        hyper: hyper(entry, &set),
        problem: Some(plane.name.to_owned()),
        points: vec![point(0, x, 0)],
        ..Run::default()
    };
    let built = entry.build(&named(&set), &surface);
    let mut method = built.map_err(|e| format!("{}: {e}", entry.name()))?;
    for update in 1..=config.steps {
        match method.step(&mut surface, &mut x) {
            Ok(report) => run.note(report.fallback),
            Err(why) => {
                run.failed = Some(format!("step {update}: {why}"));
                break;
            }
        }
        run.points.push(point(update, x, surface.gradients));
        let [a, b] = (plane.gradient)(x);
        if config.tolerance.is_some_and(|least| a.hypot(b) <= least) {
            let Counted {
                values,
                gradients,
                diagonals,
                hessian_products,
                gauss_newton_products,
                ..
            } = surface;
            let curvature = diagonals + hessian_products + gauss_newton_products;
            let took = format!("{update} ({values}, {gradients}, {curvature})");
            return Ok((run, Some(took)));
        }
    }
    Ok((run, None))
}

/// What to draw under the trajectories of the figure `EXPERIMENT-PROBLEM`.
pub(crate) fn landscape(figure: &str) -> Option<Landscape> {
    let planes = planes().ok()?;
    let plane = planes
        .into_iter()
        .find(|p| figure.ends_with(&format!("-{}", p.name)))?;
    let [x, y] = plane.window;
    let (value, minimum) = (plane.value, plane.minimum);
    Some(Landscape {
        f: Box::new(move |x, y| value([x, y])),
        x,
        y,
        minimum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn paths_end_at_a_stationary_point_and_tell_their_price() {
        let config = Trajectories {
            problems: vec!["valley".into(), "saddle".into()],
            methods: None,
            steps: 5,
            set: Default::default(),
            on: Default::default(),
            tolerance: Some(1e-6),
        };
        let experiment = Experiment {
            name: "e".into(),
            about: Default::default(),
            config: crate::experiment::Config::Trajectories(config),
        };
        let crate::experiment::Config::Trajectories(config) = &experiment.config else {
            unreachable!("made above");
        };
        let entries = registry::surfaces();
        let chosen: Vec<_> = (entries.iter())
            .filter(|entry| ["newton", "sgd"].contains(&entry.name()))
            .collect();
        let (runs, told) = run(&experiment, config, &chosen).unwrap();
        // Newton's method solves the quadratic in a step of two Hessian products, SGD does not.
        let steps: Vec<_> = runs.iter().map(|run| run.points.len() - 1).collect();
        assert_eq!(steps, [5, 1, 5, 0]);
        assert!(
            told.starts_with(" valley, to |g| ≤ 1e-6 in steps"),
            "{told}"
        );
        assert!(told.contains("diagonals): newton 1 (0, 1, 2)."), "{told}");
        // It refuses the saddle, which is told by its run.
        assert!(
            runs[3]
                .failed
                .as_deref()
                .is_some_and(|why| why.contains("positive definite"))
        );
    }
}
