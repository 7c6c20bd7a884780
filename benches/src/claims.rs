//! What the deck and its papers say of the methods, held against what was measured here.

use serde::Deserialize;

use crate::race::{Curve, curves};
use crate::results::{Judged, Measure, Outcome, Point, Run};

/// A sentence of an experiment's file that numbers can contradict: whatever is said of one method is
/// at most so many times the least of the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    pub(crate) claim: String,
    /// Which slide, or which figure of which paper.
    pub(crate) source: String,
    /// Of trajectories: on which function.
    pub(crate) problem: Option<String>,
    pub(crate) measure: Measure,
    /// What must be reached, where updates or seconds are counted: what the best of `than` ended with.
    pub(crate) to: Option<Measure>,
    /// Holds for all of them.
    pub(crate) of: Vec<String>,
    pub(crate) than: Vec<String>,
    pub(crate) at_most: f64,
}

impl Measure {
    fn of(self, point: &Point) -> Option<f64> {
        match self {
            Self::TrainLoss => point.train_loss,
            Self::TestLoss => point.test_loss,
            Self::TestError => point.test_error,
            Self::SquaredError => point.squared_error,
            Self::Condition => point.condition,
            Self::Value => point.value,
            Self::Updates => Some(point.update as f64),
            Self::Seconds => point.seconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::TrainLoss => "training loss",
            Self::TestLoss => "test loss",
            Self::TestError => "test error",
            Self::SquaredError => "squared error",
            Self::Condition => "condition number",
            Self::Value => "f",
            Self::Updates => "updates",
            Self::Seconds => "seconds",
        }
    }
}

/// Of the claims of an experiment those whose methods all ran.
pub(crate) fn judge(claims: &[Claim], runs: &[Run], reduced: bool) -> Vec<Judged> {
    let judged = claims.iter().filter_map(|claim| {
        let of_problem = |run: &&Run| claim.problem.is_none() || run.problem == claim.problem;
        let runs: Vec<Run> = runs.iter().filter(of_problem).cloned().collect();
        claim.judge(&runs, reduced)
    });
    judged.collect()
}

/// A method, and what it came to; none where it diverged, or never came there.
type Side = Vec<(String, Option<f64>)>;

impl Claim {
    fn judge(&self, runs: &[Run], reduced: bool) -> Option<Judged> {
        let measure = self.measure;
        let reached = self.to.unwrap_or(measure);
        let curves = curves(runs, |point| reached.of(point));
        let find = |name: &String| curves.iter().find(|(own, _)| own == name);
        let side = |names: &[String]| -> Option<Vec<&(String, Curve)>> {
            names.iter().map(find).collect()
        };
        let (of, than) = (side(&self.of)?, side(&self.than)?);
        let last = |(name, curve): &&(String, Curve)| {
            (name.clone(), curve.last().map(|point| point.value))
        };
        let finals: Side = than.iter().map(last).collect();
        let (mut ours, mut theirs): (Side, Side) = (of.iter().map(last).collect(), finals);
        if matches!(measure, Measure::Updates | Measure::Seconds) {
            let goal = least(&theirs)?;
            let reach = |(name, curve): &&(String, Curve)| {
                let at = curve.iter().find(|point| point.value <= goal);
                let cost = at.map(|point| match measure {
                    Measure::Seconds => point.seconds,
                    _ => point.update as f64,
                });
                (name.clone(), cost)
            };
            (ours, theirs) = (
                of.iter().map(reach).collect(),
                than.iter().map(reach).collect(),
            );
        }
        let limit = least(&theirs).map_or(f64::INFINITY, |least| self.at_most * least);
        let holds = ours.iter().all(|(_, v)| v.is_some_and(|v| v <= limit));
        let to = self.to.map(|to| format!(" to the same {}", to.name()));
        Some(Judged {
            claim: self.claim.clone(),
            source: self.source.clone(),
            problem: self.problem.clone(),
            measure: Some(reached),
            methods: self.of.iter().chain(&self.than).cloned().collect(),
            measured: format!(
                "{}{}: {} against {}",
                measure.name(),
                to.unwrap_or_default(),
                told(&ours),
                told(&theirs)
            ),
            verdict: match holds {
                true => Outcome::Holds,
                false => Outcome::DoesNot,
            },
            reduced,
        })
    }
}

fn least(side: &Side) -> Option<f64> {
    side.iter().filter_map(|(_, value)| *value).reduce(f64::min)
}

fn told(side: &Side) -> String {
    let told = side.iter().map(|(name, value)| match value {
        Some(value) if value.fract() == 0.0 => format!("{name} {value}"),
        Some(value) => format!("{name} {}", crate::report::short(*value)),
        None => format!("{name} never"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, losses: &[f64]) -> Run {
        let point = |(i, &loss): (usize, &f64)| Point {
            update: 10 * i as u64,
            seconds: Some(2.0 * i as f64),
            train_loss: Some(loss),
            ..Point::default()
        };
        Run {
            method: method.to_owned(),
            points: losses.iter().enumerate().map(point).collect(),
            ..Run::default()
        }
    }

    fn claim(measure: Measure, to: Option<Measure>, of: &str, than: &[&str], most: f64) -> Claim {
        Claim {
            claim: "c".to_owned(),
            source: "s".to_owned(),
            problem: None,
            measure,
            to,
            of: vec![of.to_owned()],
            than: than.iter().map(|name| (*name).to_owned()).collect(),
            at_most: most,
        }
    }

    #[test]
    fn claims_hold_or_do_not() {
        let mut failed = run("bad", &[4.0, 0.1]);
        failed.failed = Some("diverged".to_owned());
        let runs = [
            run("adam", &[4.0, 1.0, 0.5]),
            run("sgd", &[4.0, 3.0, 1.0]),
            failed,
        ];
        let loss = Measure::TrainLoss;
        let cases = [
            (
                claim(loss, None, "adam", &["sgd"], 0.5),
                Some((true, "training loss: adam 0.5000 against sgd 1")),
            ),
            (
                claim(loss, None, "adam", &["sgd"], 0.4),
                Some((false, "training loss: adam 0.5000 against sgd 1")),
            ),
            (
                claim(loss, None, "sgd", &["adam"], 1.0),
                Some((false, "training loss: sgd 1 against adam 0.5000")),
            ),
            // One that diverged is beaten by all, and beats none.
            (
                claim(loss, None, "bad", &["sgd"], 9.0),
                Some((false, "training loss: bad never against sgd 1")),
            ),
            (
                claim(loss, None, "sgd", &["bad"], 1.0),
                Some((true, "training loss: sgd 1 against bad never")),
            ),
            (
                claim(Measure::Updates, Some(loss), "adam", &["sgd"], 0.5),
                Some((
                    true,
                    "updates to the same training loss: adam 10 against sgd 20",
                )),
            ),
            (
                claim(Measure::Seconds, Some(loss), "sgd", &["adam"], 1.0),
                Some((
                    false,
                    "seconds to the same training loss: sgd never against adam 4",
                )),
            ),
            // Without its method a claim is none.
            (claim(loss, None, "adam", &["nag"], 1.0), None),
        ];
        for (claim, expected) in cases {
            let judged = judge(std::slice::from_ref(&claim), &runs, true);
            let got = judged.first().map(|judged| {
                assert!(judged.reduced);
                let json = serde_json::to_value(judged).unwrap();
                assert_eq!(json["measure"], "train_loss");
                assert_eq!(judged.methods[0], claim.of[0]);
                (judged.verdict == Outcome::Holds, judged.measured.as_str())
            });
            assert_eq!(got, expected, "{claim:?}");
        }
    }
}
