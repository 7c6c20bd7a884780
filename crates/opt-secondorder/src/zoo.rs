use opt_core::{Entry, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar};

use crate::*;

/// Every method of this crate, by name, with its default hyper-parameters.
pub fn zoo<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + ?Sized + 'static,
{
    let vsgd = |form| Vsgd {
        form,
        ..Vsgd::default()
    };
    let bbprop = VsgdMethod::<F, Bbprop>::new;
    let differences = VsgdMethod::<F, FiniteDifferences>::new;
    vec![
        Entry::method("newton", Newton::default(), NewtonMethod::new),
        Entry::method(
            "newton-diagonal",
            NewtonDiagonal::default(),
            NewtonDiagonalMethod::new,
        ),
        Entry::method("esgd", Esgd::default(), EsgdMethod::new),
        Entry::method("vsgd", vsgd(Form::Local), bbprop),
        Entry::method("vsgd-block", vsgd(Form::Block), bbprop),
        Entry::method("vsgd-global", vsgd(Form::Global), bbprop),
        Entry::method("vsgd-fd", vsgd(Form::Local), differences),
        Entry::method("scg", Scg::default(), ScgMethod::new),
        Entry::method(
            "hessian-free",
            HessianFree::default(),
            HessianFreeMethod::new,
        ),
        Entry::method("lbfgs", Lbfgs::default(), LbfgsMethod::new),
    ]
}
