use opt_core::{Entry, Fisher};

use crate::{
    Decompose, Kfac, KfacMethod, NaturalGradient, NaturalGradientMethod, Preconditioned, Prong,
    ProngPlus,
};

/// The methods of this crate that make themselves from a parameter map, by name.
pub fn zoo<F: Decompose, O: Fisher<F> + ?Sized + 'static>() -> Vec<Entry<F, O>> {
    vec![
        Entry::method("prong", Prong::default(), Preconditioned::new),
        Entry::method("prong-plus", ProngPlus::default(), Preconditioned::new),
        Entry::method(
            "natural-gradient",
            NaturalGradient::default(),
            NaturalGradientMethod::new,
        ),
        Entry::method("kfac", Kfac::default(), KfacMethod::new),
    ]
}
