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
    let bbprop = Vsgd::method::<F, Bbprop>;
    let differences = Vsgd::method::<F, FiniteDifferences>;
    vec![
        Entry::method("newton", Newton::default(), Newton::method),
        Entry::method(
            "newton-diagonal",
            NewtonDiagonal::default(),
            NewtonDiagonal::method,
        ),
        Entry::method("esgd", Esgd::default(), Esgd::method),
        Entry::method("vsgd", vsgd(Form::Local), bbprop),
        Entry::method("vsgd-block", vsgd(Form::Block), bbprop),
        Entry::method("vsgd-global", vsgd(Form::Global), bbprop),
        Entry::method("vsgd-fd", vsgd(Form::Local), differences),
        Entry::method("scg", Scg::default(), Scg::method),
        Entry::method("hessian-free", HessianFree::default(), HessianFree::method),
        Entry::method("lbfgs", Lbfgs::default(), Lbfgs::method),
    ]
}
