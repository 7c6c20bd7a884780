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
    let bbprop = |vsgd: Vsgd, o: &O| vsgd.method::<F, Bbprop>(o.params());
    let differences = |vsgd: Vsgd, o: &O| vsgd.method::<F, FiniteDifferences>(o.params());
    vec![
        Entry::method("newton", Newton::default(), |h, o: &O| h.method(o.params())),
        Entry::method("newton-diagonal", NewtonDiagonal::default(), |h, o: &O| {
            h.method(o.params())
        }),
        Entry::method("esgd", Esgd::default(), |h, o: &O| h.method(o.params())),
        Entry::method("vsgd", vsgd(Form::Local), bbprop),
        Entry::method("vsgd-block", vsgd(Form::Block), bbprop),
        Entry::method("vsgd-global", vsgd(Form::Global), bbprop),
        Entry::method("vsgd-fd", vsgd(Form::Local), differences),
        Entry::method("scg", Scg::default(), |h, o: &O| h.method(o.params())),
        Entry::method("hessian-free", HessianFree::default(), |h, o: &O| {
            h.method(o.params())
        }),
        Entry::method("lbfgs", Lbfgs::default(), |h, o: &O| h.method(o.params())),
    ]
}
