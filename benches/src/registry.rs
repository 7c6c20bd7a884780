//! The methods of all crates, by what they step.

use opt_core::{
    Counted, Entry, Fisher, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar,
};
use opt_natural::Decompose;
use opt_nn::Mlp;

/// What all methods train: a network that counts its evaluations.
pub(crate) type Network = Counted<Mlp<f32>>;

/// Those that train the networks of the experiments.
pub(crate) fn networks() -> Vec<Entry<f32, Network>> {
    layered()
}

/// All: those that need no layers, and those that do.
pub(crate) fn layered<F, O>() -> Vec<Entry<F, O>>
where
    F: Decompose,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + Fisher<F> + 'static,
{
    let mut all = surfaces();
    all.extend(opt_natural::zoo());
    all
}

/// Those that need no layers.
pub(crate) fn surfaces<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + 'static,
{
    let mut all = opt_firstorder::zoo();
    all.extend(opt_secondorder::zoo());
    all
}

/// What kind of method it is, by its registered name: how the report groups and colours it.
pub(crate) fn family(method: &str) -> &'static str {
    let has = |zoo: Vec<Entry<f32, Network>>| zoo.iter().any(|entry| entry.name() == method);
    match method {
        "sgd" | "momentum" | "nag" | "nesterov" => "sgd",
        "manhattan" | "delta-bar-delta" | "gains" => "sign",
        rprop if rprop.contains("rprop-") => "sign",
        _ if has(opt_natural::zoo()) => "natural",
        _ if has(opt_secondorder::zoo()) => "curvature",
        _ => "adaptive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_crates_family() {
        let families = |names: Vec<&'static str>| -> std::collections::BTreeSet<_> {
            names.into_iter().map(family).collect()
        };
        let first = opt_firstorder::zoo::<f32, Network>();
        let first = families(first.iter().map(Entry::name).collect());
        assert_eq!(first, ["adaptive", "sgd", "sign"].into());
        let second = opt_secondorder::zoo::<f32, Network>();
        assert_eq!(
            families(second.iter().map(Entry::name).collect()),
            ["curvature"].into()
        );
        let natural = opt_natural::zoo::<f32, Network>();
        assert_eq!(
            families(natural.iter().map(Entry::name).collect()),
            ["natural"].into()
        );
    }
}
