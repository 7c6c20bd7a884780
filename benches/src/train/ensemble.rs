//! Networks of different seeds that vote: the mean of their probabilities.

use crate::results::{Point, Run, by_method};
use crate::train::Samples;
use ndarray::Array2;

/// Beside each method's runs one more: what all of its seeds are together.
pub(crate) fn together(runs: &[Run], test: &Samples) -> Vec<Run> {
    by_method(runs)
        .into_iter()
        .filter_map(|runs| one(&runs, test))
        .collect()
}

fn one(runs: &[&Run], test: &Samples) -> Option<Run> {
    let voters: Vec<&Array2<f32>> = runs.iter().filter_map(|run| run.outputs.as_ref()).collect();
    let (first, last) = (runs.first()?, runs.first()?.points.last()?);
    if voters.len() < 2 {
        return None;
    }
    let mut mean = Array2::<f32>::zeros(voters[0].dim());
    voters.iter().for_each(|outputs| mean += *outputs);
    mean /= voters.len() as f32;
    let (mut wrong, mut loss) = (0, 0.0);
    for (p, &label) in mean.rows().into_iter().zip(&test.labels) {
        let own = p[usize::from(label)];
        wrong += usize::from(p.iter().any(|&other| other > own));
        loss -= f64::from(own).ln();
    }
    let n = test.labels.len() as f64;
    let point = Point {
        update: last.update,
        gradient_evaluations: last.gradient_evaluations * voters.len() as u64,
        test_loss: Some(loss / n),
        test_error: Some(wrong as f64 / n),
        ..Point::default()
    };
    Some(Run {
        method: format!("{}, {} together", first.method, voters.len()),
        hyper: first.hyper.clone(),
        points: vec![point],
        ..Run::default()
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use opt_data::Dataset;

    use super::*;

    #[test]
    fn votes_are_means_of_probabilities() {
        let test: Samples = Dataset {
            inputs: Array2::zeros((2, 1)).into_shared(),
            labels: vec![0, 1],
            classes: 2,
            name: String::new(),
        }
        .into();
        let run = |outputs: Array2<f32>| Run {
            method: "bn".into(),
            points: vec![Point {
                update: 7,
                ..Point::default()
            }],
            outputs: Some(outputs),
            ..Run::default()
        };
        // Each of them is wrong once; together they are not.
        let runs = [
            run(array![[0.9, 0.1], [0.6, 0.4]]),
            run(array![[0.4, 0.6], [0.1, 0.9]]),
        ];
        let all = together(&runs, &test);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].method, "bn, 2 together");
        let point = &all[0].points[0];
        assert_eq!((point.update, point.test_error), (7, Some(0.0)));
        let expected = -0.5 * (0.65_f64.ln() + 0.65_f64.ln());
        assert!((point.test_loss.unwrap() - expected).abs() < 1e-6);
        assert!(together(&runs[..1], &test).is_empty());
    }
}
