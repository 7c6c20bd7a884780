//! Who reaches first what a baseline came to, or a given error.

use crate::results::{Point, Run, Stat, by_method};

/// For every contender the updates and seconds after which its median over the seeds is at the
/// best median of the baseline: of the squared error if it was measured, else of the test error.
pub(crate) fn against(runs: &[Run], baseline: &str) -> String {
    let all = runs.iter().flat_map(|run| &run.points);
    let squared = all.into_iter().any(|point| point.squared_error.is_some());
    let (what, field): (_, fn(&Point) -> Option<f64>) = match squared {
        true => ("squared error", |p| p.squared_error),
        false => ("test error", |p| p.test_error),
    };
    let curves = curves(runs, field);
    let own = curves.iter().filter(|(name, _)| name == baseline);
    let values = own.flat_map(|(_, curve)| curve.iter().map(|point| point.value));
    match values.reduce(f64::min) {
        None => String::new(),
        Some(best) => tell(&curves, &format!("the best {what} of {baseline}"), best),
    }
}

/// The same to this test error.
pub(crate) fn to_error(runs: &[Run], error: f64) -> String {
    tell(&curves(runs, |p| p.test_error), "a test error", error)
}

fn tell(curves: &[(String, Curve)], what: &str, goal: f64) -> String {
    let told =
        curves.iter().map(
            |(name, curve)| match curve.iter().find(|point| point.value <= goal) {
                Some(Reached {
                    update, seconds, ..
                }) => {
                    format!("{name} after {update} ({seconds:.1} s)")
                }
                None => format!("{name} never"),
            },
        );
    let told: Vec<_> = told.collect();
    format!(" Updates to {what}, {goal:.4}: {}.", told.join(", "))
}

/// A point of a curve, each number the median over the seeds that did not fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reached {
    pub(crate) update: u64,
    /// 0 where no time was taken.
    pub(crate) seconds: f64,
    pub(crate) value: f64,
}

pub(crate) type Curve = Vec<Reached>;

/// The curve of every method, by its name.
pub(crate) fn curves(
    runs: &[Run],
    field: impl Fn(&Point) -> Option<f64> + Copy,
) -> Vec<(String, Curve)> {
    let groups = by_method(runs).into_iter();
    groups.map(|runs| curve(&runs, field)).collect()
}

fn curve(runs: &[&Run], field: impl Fn(&Point) -> Option<f64> + Copy) -> (String, Curve) {
    let name = runs
        .first()
        .map_or_else(String::new, |run| run.method.clone());
    let sound: Vec<_> = runs.iter().filter(|run| run.failed.is_none()).collect();
    let length = sound.iter().map(|run| run.points.len()).min().unwrap_or(0);
    let at = |index: usize| {
        let points = || sound.iter().filter_map(move |run| run.points.get(index));
        let value = Stat::of(points().filter_map(field))?.median;
        let seconds = Stat::of(points().filter_map(|p| p.seconds));
        Some(Reached {
            update: points().next()?.update,
            seconds: seconds.map_or(0.0, |seconds| seconds.median),
            value,
        })
    };
    (name, (0..length).filter_map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_update_at_the_goal_is_told() {
        let run = |method: &str, errors: [f64; 3]| Run {
            method: method.to_owned(),
            points: (errors.iter().enumerate())
                .map(|(i, &error)| Point {
                    update: 10 * i as u64,
                    seconds: Some(i as f64),
                    test_error: Some(error),
                    ..Point::default()
                })
                .collect(),
            ..Run::default()
        };
        let runs = [
            run("sgd", [0.9, 0.3, 0.2]),
            run("sgd", [0.9, 0.5, 0.4]),
            run("bn", [0.9, 0.3, 0.1]),
            run("slow", [0.9, 0.8, 0.7]),
        ];
        // Medians of sgd: 0.9, 0.4, 0.3.
        let told = against(&runs, "sgd");
        let expected = "0.3000: sgd after 20 (2.0 s), bn after 10 (1.0 s), slow never.";
        assert!(told.ends_with(expected), "{told}");
        assert!(to_error(&runs, 0.1).ends_with("sgd never, bn after 20 (2.0 s), slow never."));
    }
}
