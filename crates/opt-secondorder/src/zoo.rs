use opt_core::{Entry, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar};

use crate::*;

/// Every method of this crate, by name, with its default hyper-parameters.
pub fn zoo<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + ?Sized + 'static,
{
    vec![
        Entry::method("scg", Scg::default(), ScgMethod::new),
        Entry::method(
            "hessian-free",
            HessianFree::default(),
            HessianFreeMethod::new,
        ),
        Entry::method("lbfgs", Lbfgs::default(), LbfgsMethod::new),
    ]
}
