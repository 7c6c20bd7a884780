use opt_core::{Entry, Objective, Scalar};

use crate::*;

/// Every method of this crate, by name, with its default hyper-parameters: the one list that
/// tests, benches, the trace command and the report go by.
pub fn zoo<F: Scalar, O: Objective<F> + ?Sized + 'static>() -> Vec<Entry<F, O>> {
    vec![
        Entry::rule("sgd", Sgd::default()),
        Entry::rule("momentum", Momentum::default()),
        Entry::method("nag", Nag::default(), |nag, objective: &O| {
            nag.method(objective.params())
        }),
        Entry::rule("nesterov", Nesterov::default()),
        Entry::rule("rprop-minus", RpropMinus::default()),
        Entry::rule("rprop-plus", RpropPlus::default()),
        Entry::rule("irprop-minus", IRpropMinus::default()),
        Entry::method(
            "irprop-plus",
            IRpropPlus::default(),
            |rprop, objective: &O| rprop.method(objective.params()),
        ),
        Entry::rule("manhattan", Manhattan::default()),
        Entry::rule("delta-bar-delta", DeltaBarDelta::default()),
        Entry::rule("gains", Gains::default()),
        Entry::rule("adagrad", AdaGrad::default()),
        Entry::rule("rmsprop", RmsProp::default()),
        Entry::rule("rmsprop-centered", RmsPropCentered::default()),
        Entry::rule("rmsprop-momentum", RmsPropMomentum::default()),
        Entry::rule("adadelta", AdaDelta::default()),
        Entry::rule("adadelta-immediate", AdaDeltaImmediate::default()),
        Entry::rule("adadelta-corrected", AdaDeltaCorrected::default()),
        Entry::rule("adam", Adam::default()),
        Entry::rule("amsgrad", AmsGrad::default()),
        Entry::rule("adamw", AdamW::default()),
        Entry::rule("adamax", AdaMax::default()),
    ]
}
