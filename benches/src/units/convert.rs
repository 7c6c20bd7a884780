//! The units of hyper-parameters: what keeps the path when the problem's units change.

use crate::scaled::Units;
use crate::setting::{Setting, Settings};

/// The powers of the loss's unit L and of the parameters' unit θ that a hyper-parameter is in.
struct Unit {
    loss: i32,
    parameter: i32,
}

/// θ²/L: what a gradient, in L/θ, is multiplied by to be a step.
const RATE: Unit = unit(-1, 2);
/// θ: a step itself.
const STEP: Unit = unit(0, 1);
/// L/θ.
const GRADIENT: Unit = unit(1, -1);
const GRADIENT_SQUARED: Unit = unit(2, -2);
const STEP_SQUARED: Unit = unit(0, 2);
/// L/θ², of a Hessian.
const CURVATURE: Unit = unit(1, -2);
/// 1/θ², of Fisher's matrix: −ln p has no unit.
const FISHER: Unit = unit(0, -2);
/// 1/L, of a rate that multiplies F⁻¹g.
const PER_LOSS: Unit = unit(-1, 0);
/// 1/θ, of a decay that is multiplied by a step.
const PER_STEP: Unit = unit(0, -1);

const fn unit(loss: i32, parameter: i32) -> Unit {
    Unit { loss, parameter }
}

/// Names, and the unit of each.
type Fields = &'static [(&'static str, Unit)];

/// Methods, their hyper-parameters that have a unit, and which. What is not here has none, or is a
/// part of a formula that mixes units.
const UNITS: &[(&[&str], Fields)] = &[
    (
        &["sgd", "momentum", "nag", "nesterov", "gains"],
        &[("lr", RATE), ("weight_decay", CURVATURE)],
    ),
    (
        &["delta-bar-delta"],
        &[("lr", RATE), ("kappa", RATE), ("weight_decay", CURVATURE)],
    ),
    (
        &["rprop-minus", "rprop-plus", "irprop-minus", "irprop-plus"],
        &[("step0", STEP), ("step_min", STEP), ("step_max", STEP)],
    ),
    (&["manhattan"], &[("step0", STEP)]),
    (
        &["adagrad"],
        &[
            ("lr", STEP),
            ("eps", GRADIENT),
            ("initial_accumulator", GRADIENT_SQUARED),
        ],
    ),
    (
        &[
            "rmsprop",
            "rmsprop-centered",
            "rmsprop-momentum",
            "adam",
            "amsgrad",
            "adamax",
        ],
        &[("lr", STEP), ("eps", GRADIENT), ("weight_decay", CURVATURE)],
    ),
    (
        &["adamw"],
        &[("lr", STEP), ("eps", GRADIENT), ("weight_decay", PER_STEP)],
    ),
    (
        &["adadelta", "adadelta-corrected"],
        &[("eps_grad", GRADIENT_SQUARED), ("eps_update", STEP_SQUARED)],
    ),
    (
        &["adadelta-immediate"],
        &[
            ("eps_grad", GRADIENT_SQUARED),
            ("eps_update", STEP_SQUARED),
            ("weight_decay", CURVATURE),
        ],
    ),
    (
        &["newton-diagonal", "esgd", "hessian-free"],
        &[("damping", CURVATURE)],
    ),
    (
        &["vsgd", "vsgd-block", "vsgd-global", "vsgd-fd"],
        &[("eps", CURVATURE)],
    ),
    (&["prong", "prong-plus"], &[("lr", RATE)]),
    (
        &["natural-gradient", "kfac"],
        &[("lr", PER_LOSS), ("damping", FISHER)],
    ),
];

/// The hyper-parameters of a method in other units; none where none has a unit.
pub(crate) fn converted(method: &str, hyper: &Settings, units: Units) -> Option<Settings> {
    let own = UNITS.iter().find(|(names, _)| names.contains(&method));
    let (_, fields) = own?;
    let convert = |(name, value): (&String, &Setting)| {
        let unit = fields.iter().find(|(field, _)| field == name);
        let factor = unit.map_or(1.0, |(_, unit)| {
            units.loss.powi(unit.loss) * units.parameter.powi(unit.parameter)
        });
        // What has a unit is a real number.
        let real = value.real().filter(|_| unit.is_some());
        let value = real.map_or_else(|| value.clone(), |v| (factor * v).into());
        (name.clone(), value)
    };
    Some(hyper.iter().map(convert).collect())
}
