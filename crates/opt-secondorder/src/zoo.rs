use opt_core::{Entry, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar};

/// Every method of this crate, by name, with its default hyper-parameters.
pub fn zoo<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + ?Sized + 'static,
{
    vec![]
}
