use std::collections::BTreeMap;

use burn_core::module::Module;
use burn_optim::OptimizerRecord;
use burn_pack::{Reader, Tensor, Writer};

use crate::{Error, walk};

/// A record of any burn optimizer, for this module: its states go where their parameters' *paths*
/// are.
///
/// Burn keys states by [`ParamId`](burn_core::module::ParamId), and a module that is made anew, or
/// loaded by a reader of another format, has others: its optimizer goes on with new states, and says
/// nothing (burn #5130). A record has the paths beside the ids, and by these the ids are changed.
///
/// ```
/// # use burn_core as burn;
/// # use burn_core::module::{Module, Param};
/// # use burn_core::tensor::{Device, Tensor};
/// # use burn_optim::{AdamConfig, GradientsParams};
/// # #[derive(Module, Debug)]
/// # struct Line { slope: Param<Tensor<1>> }
/// # let device = Device::flex().autodiff();
/// # let make = || Line { slope: Param::from_tensor(Tensor::ones([1], &device)) };
/// # let (old, mut adam) = (make(), AdamConfig::new().init());
/// # let grads = GradientsParams::from_grads(old.slope.val().sum().backward(), &old);
/// # let old = adam.step(0.1, old, grads);
/// let record = adam.to_record();
/// // Later: the same parameters, with other ids.
/// let module = make();
/// # assert_ne!(module.slope.id, old.slope.id);
/// let adam = AdamConfig::new().init().load_record(opt_burn::rebind(record, &module)?);
/// # assert_eq!(adam.to_record().len(), 2);
/// # Ok::<(), opt_burn::Error>(())
/// ```
///
/// # Errors
/// [`Error::Record`] that lists every state without a path, which records of older versions of burn
/// are, and every path that the module has not; [`Error::Store`].
pub fn rebind<M: Module>(record: OptimizerRecord, module: &M) -> Result<OptimizerRecord, Error> {
    let reader = Reader::from_bytes(record.into_bytes()?)?;
    let (paths, scalars) = (reader.metadata().clone(), reader.scalars().clone());
    let ids = walk::ids(module);
    let mut problems = Vec::new();
    let mut renamed = BTreeMap::new();
    for (old, path) in &paths {
        match ids.get(path) {
            Some(id) => {
                renamed.insert(old.as_str(), *id);
            }
            None => problems.push(format!("the module has no `{path}`")),
        }
    }
    // A name is that of a state, a point, and that of a number in it.
    let rename = |name: &str| {
        let (old, leaf) = name.split_once('.')?;
        let id = renamed.get(old)?.val();
        Some((id, format!("{id}.{leaf}")))
    };
    let lost = |name: &str| format!("`{name}` has no path");
    let mut tensors = Vec::new();
    for tensor in reader.into_tensors()? {
        let (name, dtype, shape, _, bytes) = tensor.into_parts()?;
        match rename(&name) {
            Some((id, name)) => tensors.push(Tensor::new(name, dtype, shape, Some(id), bytes)),
            None => problems.push(lost(&name)),
        }
    }
    let mut writer = Writer::new(tensors);
    for (name, value) in &scalars {
        match rename(name) {
            Some((_, name)) => writer = writer.with_scalar(&name, *value),
            None => problems.push(lost(name)),
        }
    }
    for (old, path) in &paths {
        if let Some(id) = renamed.get(old.as_str()) {
            writer = writer.with_metadata(&id.val().to_string(), path);
        }
    }
    if !problems.is_empty() {
        return Err(Error::Record(problems.join("; ")));
    }
    Ok(OptimizerRecord::from_bytes(writer.into_bytes()?)?)
}
