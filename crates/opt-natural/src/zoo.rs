use opt_core::{Entry, Fisher};

use crate::{Decompose, Kfac, NaturalGradient, Prong, ProngPlus};

/// The methods of this crate, by name.
pub fn zoo<F: Decompose, O: Fisher<F> + ?Sized + 'static>() -> Vec<Entry<F, O>> {
    vec![
        Entry::method("prong", Prong::default(), |prong, objective: &O| {
            prong.method(objective.params(), objective.places())
        }),
        Entry::method(
            "prong-plus",
            ProngPlus::default(),
            |prong, objective: &O| prong.method(objective.params(), objective.places()),
        ),
        Entry::method(
            "natural-gradient",
            NaturalGradient::default(),
            |natural, objective: &O| natural.method(objective.params(), objective.places()),
        ),
        Entry::method("kfac", Kfac::default(), |kfac, objective: &O| {
            kfac.method(objective.params(), objective.places())
        }),
    ]
}
