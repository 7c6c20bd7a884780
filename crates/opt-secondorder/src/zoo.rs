use opt_core::{Entry, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar};

use crate::{Lbfgs, LbfgsMethod};

/// Every method of this crate, by name, with its default hyper-parameters.
pub fn zoo<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + ?Sized + 'static,
{
    vec![Entry::method("lbfgs", Lbfgs::default(), LbfgsMethod::new)]
}
