//! A module's parameters by path.

use std::collections::BTreeMap;

use burn_core::module::{Module, ModuleVisitor, Param, ParamId};
use burn_core::tensor::{Element, Tensor};
use opt_core::{ParamMap, Scalar};

use crate::{Error, host};

/// Where a traversal is: what burn's own records and groups call a path.
#[derive(Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn join(&self) -> String {
        self.0.join(".")
    }
}

/// The module's trainable parameters, by path and in the order of burn's traversals: those that
/// require a gradient. Others, such as batch normalization's running statistics, are none of an
/// optimizer's.
///
/// # Errors
/// [`Error::DType`] for one that is not of type `F`; [`opt_core::Error::NoParameters`] where nothing
/// requires a gradient, as in a module that was made without autodiff.
pub fn params<F: Scalar + Element, M: Module>(module: &M) -> Result<ParamMap, Error> {
    let mut list = List::<F>::default();
    module.visit(&mut list);
    match list.error {
        Some(error) => Err(error),
        None => Ok(ParamMap::new(list.found)?),
    }
}

struct List<F> {
    path: Path,
    found: Vec<(String, Vec<usize>)>,
    error: Option<Error>,
    of: std::marker::PhantomData<F>,
}

impl<F> Default for List<F> {
    fn default() -> Self {
        Self {
            path: Path::default(),
            found: Vec::new(),
            error: None,
            of: std::marker::PhantomData,
        }
    }
}

impl<F: Scalar + Element> ModuleVisitor for List<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Without its reparameterization, which is visited by itself.
        let tensor = param.base();
        if !tensor.is_require_grad() {
            return;
        }
        let path = self.path.join();
        if let Err(error) = host::typed::<F>(&path, tensor.dtype()) {
            self.error.get_or_insert(error);
        }
        self.found.push((path, tensor.dims().to_vec()));
    }
}

/// The ids of all float parameters, by path.
pub(crate) fn ids<M: Module>(module: &M) -> BTreeMap<String, ParamId> {
    struct Ids(Path, BTreeMap<String, ParamId>);

    impl ModuleVisitor for Ids {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.join(), param.id);
        }
    }

    let mut ids = Ids(Path::default(), BTreeMap::new());
    module.visit(&mut ids);
    ids.1
}
