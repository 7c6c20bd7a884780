//! burn's optimizers and its perceptron, on its backend for processors, flex.

mod training;
mod update;

use burn::tensor::Device;

use crate::turns::Runner;
use crate::work::Work;

pub(crate) const NAME: &str = "burn";
pub(crate) const GAP: &str =
    "it has no AdaDelta, AdaMax, Rprop and sign descent; nor do we decompose matrices by it";

/// `None` for what it does not have.
pub(crate) fn runner(work: &Work) -> Option<Runner<'static>> {
    let repeat = match *work {
        Work::Update {
            rule,
            parameters,
            rate,
        } => update::repeat(rule, parameters, rate, &Device::flex())?,
        Work::Training(net) => training::repeat(net, &Device::flex().autodiff()),
        Work::Convolution { .. } | Work::Eigh { .. } => return None,
    };
    Some(Runner {
        name: NAME.to_owned(),
        how: Some("flex".to_owned()),
        repeat,
    })
}
