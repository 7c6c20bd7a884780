use std::fmt;
use std::marker::PhantomData;

use burn_core::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn_core::tensor::{Element, Tensor, TensorData};
use burn_optim::GradientsParams;
use opt_core::{Objective, ParamMap, Scalar};

use crate::Error;
use crate::host::{self, Place};
use crate::walk::{Path, params};

/// A burn module with its loss as an [`Objective`]: for methods that evaluate where they like, such as
/// L-BFGS, scaled conjugate gradients and Hessian-free's relatives that need a gradient alone.
///
/// ```
/// # use burn_core as burn;
/// use burn_core::module::{Module, Param};
/// use burn_core::tensor::{Device, Tensor};
/// use opt_burn::ModuleObjective;
/// use opt_core::{Method, Objective};
/// use opt_secondorder::Lbfgs;
///
/// #[derive(Module, Debug)]
/// struct Line {
///     slope: Param<Tensor<1>>,
/// }
///
/// let device = Device::flex().autodiff();
/// let line = Line { slope: Param::from_tensor(Tensor::ones([1], &device)) };
/// let mut objective = ModuleObjective::<f32, _, _>::new(line, |line: &Line| {
///     (line.slope.val() - 3.0).square().sum()
/// })?;
/// let mut x = objective.start()?;
/// let mut lbfgs = Lbfgs::default().method(objective.params())?;
/// for _ in 0..5 {
///     lbfgs.step(&mut objective, &mut x)?;
/// }
/// let line = objective.into_module(&x)?;
/// assert!((line.slope.val().into_scalar::<f32>() - 3.0).abs() < 1e-5);
/// # Ok::<(), opt_core::Error>(())
/// ```
///
/// The loss must be the same function at every call: the same samples, and no dropout that is drawn
/// anew. [`load`](Self::load) changes it. What panics within the loss, a product of shapes that do not
/// fit for example, panics here.
///
/// The parameters are those of [`params`]: the ones that require a gradient. One that the loss
/// does not depend on has a gradient of 0. An evaluation copies x into the module once, and the
/// gradient out of it once.
pub struct ModuleObjective<F, M, L> {
    /// `None` after the loss has panicked.
    module: Option<M>,
    params: ParamMap,
    loss: L,
    of: PhantomData<F>,
}

impl<F: Scalar + Element, M: Module, L: FnMut(&M) -> Tensor<1>> ModuleObjective<F, M, L> {
    /// The module with its loss, of one element.
    ///
    /// # Errors
    /// As [`params`].
    pub fn new(module: M, loss: L) -> Result<Self, Error> {
        Ok(Self {
            params: params::<F, M>(&module)?,
            module: Some(module),
            loss,
            of: PhantomData,
        })
    }

    /// The parameters that the module has now: where to start.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn start(&self) -> Result<Vec<F>, Error> {
        let mut read = Read {
            x: Vec::with_capacity(self.params.len()),
            error: None,
        };
        if let Some(module) = &self.module {
            module.visit(&mut read);
        }
        match read.error {
            Some(error) => Err(error),
            None => Ok(read.x),
        }
    }

    /// Another loss of the same type, of the next minibatch for example.
    pub fn load(&mut self, loss: L) {
        self.loss = loss;
    }

    /// The module with these parameters.
    ///
    /// # Errors
    /// [`opt_core::Error::Length`].
    pub fn into_module(mut self, x: &[F]) -> Result<M, Error> {
        self.put(x)
    }

    /// Takes the module, with `x` as its parameters.
    fn put(&mut self, x: &[F]) -> Result<M, Error> {
        self.params.check_len("x", x.len())?;
        let module = self.module.take().ok_or_else(|| {
            let text = "is gone, as its loss has panicked";
            Error::Module(text.to_owned())
        })?;
        Ok(module.map(&mut Write { rest: x }))
    }

    fn evaluate(&mut self, x: &[F]) -> Result<(M, Tensor<1>), Error> {
        let module = self.put(x)?;
        let loss = (self.loss)(&module);
        let [elements] = loss.dims();
        if elements == 1 {
            return Ok((module, loss));
        }
        self.module = Some(module);
        Err(Error::Loss(elements))
    }
}

/// The number in a tensor of one element.
fn number<F: Scalar + Element>(loss: Tensor<1>) -> Result<F, Error> {
    host::typed::<F>("the loss", loss.dtype())?;
    let data = host::take("the loss", loss)?;
    let value = host::slice::<F>("the loss", &data)?.first().copied();
    value.ok_or(Error::Loss(0))
}

impl<F, M, L> Objective<F> for ModuleObjective<F, M, L>
where
    F: Scalar + Element,
    M: Module,
    L: FnMut(&M) -> Tensor<1>,
{
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, opt_core::Error> {
        let (module, loss) = self.evaluate(x)?;
        self.module = Some(module);
        Ok(number(loss)?)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, opt_core::Error> {
        self.params.check_len("gradient", g.len())?;
        let (module, loss) = self.evaluate(x)?;
        if !loss.is_tracked() {
            self.module = Some(module);
            return Err(Error::NoGradient.into());
        }
        let grads = GradientsParams::from_grads(loss.backward(), &module);
        let mut spread = Spread {
            path: Path::default(),
            grads,
            rest: g,
            error: None,
        };
        module.visit(&mut spread);
        let error = spread.error;
        self.module = Some(module);
        match error {
            Some(error) => Err(error.into()),
            None => Ok(number(loss.inner())?),
        }
    }
}

impl<F, M: fmt::Debug, L> fmt::Debug for ModuleObjective<F, M, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut objective = f.debug_struct("ModuleObjective");
        objective.field("module", &self.module);
        objective.finish_non_exhaustive()
    }
}

/// Reads the parameters.
struct Read<F> {
    x: Vec<F>,
    error: Option<Error>,
}

impl<F: Scalar + Element> ModuleVisitor for Read<F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if !tensor.is_require_grad() || self.error.is_some() {
            return;
        }
        let read = host::take("a parameter", tensor).and_then(|data| {
            self.x.extend_from_slice(host::slice("a parameter", &data)?);
            Ok(())
        });
        self.error = read.err();
    }
}

/// Writes the parameters.
struct Write<'a, F> {
    rest: &'a [F],
}

impl<F: Scalar + Element> ModuleMapper for Write<'_, F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let len = tensor.dims().iter().product::<usize>();
        let tensor = match self.rest.split_at_checked(len) {
            Some((x, rest)) if tensor.is_require_grad() => {
                self.rest = rest;
                let place = Place::of(&tensor);
                place.tensor(TensorData::new(x.to_vec(), place.shape().to_vec()), id)
            }
            _ => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Copies the gradients.
struct Spread<'a, F> {
    path: Path,
    grads: GradientsParams,
    rest: &'a mut [F],
    error: Option<Error>,
}

impl<F: Scalar + Element> ModuleVisitor for Spread<'_, F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if !tensor.is_require_grad() {
            return;
        }
        let (path, shape) = (self.path.join(), tensor.dims());
        let len = shape.iter().product::<usize>();
        let Some((g, rest)) = std::mem::take(&mut self.rest).split_at_mut_checked(len) else {
            return;
        };
        self.rest = rest;
        let Some(gradient) = self.grads.remove::<D>(param.id) else {
            return g.fill(F::zero());
        };
        let copied = host::gradient(&path, gradient, (F::dtype(), &shape)).and_then(|data| {
            g.copy_from_slice(host::slice(&path, &data)?);
            Ok(())
        });
        if let Err(error) = copied {
            self.error.get_or_insert(error);
        }
    }
}
