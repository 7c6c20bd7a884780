use std::iter::Peekable;
use std::marker::PhantomData;
use std::path::Path as File;
use std::vec;

use burn_core::module::{Module, ModuleMapper, Param, ParamId};
use burn_core::tensor::{Bytes, Element, Tensor, TensorData};
use burn_optim::GradientsParams;
use opt_core::{ParamMap, Part, Scalar, Update};

use crate::host::Place;
use crate::walk::Path;
use crate::{Error, host, pack};

/// Any update over a module's parameters: they move all or not at all, in one pass over all of them,
/// and its state is theirs by path.
///
/// What [`ModuleOptimizer`](burn_optim::ModuleOptimizer) makes tensor by tensor, in the order of the
/// module, is one step here: everything is checked before anything moves, small tensors are stepped
/// together, and the groups are those of [`Groups`](opt_core::Groups), by path. Rates are the
/// update's, so a scheduler of burn's speaks to [`Tune`](opt_core::Tune):
///
/// ```
/// # use burn_core as burn;
/// use burn_core::module::{Module, Param};
/// use burn_core::tensor::{Device, Tensor};
/// use burn_optim::GradientsParams;
/// use burn_optim::lr_scheduler::linear::LinearLrSchedulerConfig;
/// use opt_burn::{ModuleUpdate, params};
/// use opt_firstorder::{AdamW, FirstOrder, Tune};
///
/// #[derive(Module, Debug)]
/// struct Line {
///     slope: Param<Tensor<1>>,
/// }
///
/// let device = Device::flex().autodiff();
/// let mut line = Line { slope: Param::from_tensor(Tensor::ones([1], &device)) };
/// let adamw = FirstOrder::new(AdamW::default(), &params::<f32, _>(&line)?)?;
/// let mut adamw = ModuleUpdate::<f32, _>::new(adamw);
/// let mut rates = LinearLrSchedulerConfig::new(0.1, 0.01, 20).init()?;
/// for _ in 0..50 {
///     adamw.update_mut().set("lr", rates.step().base().into())?;
///     let loss = (line.slope.val() - 3.0).square().sum();
///     let grads = GradientsParams::from_grads(loss.backward(), &line);
///     line = adamw.try_step(line, grads).map_err(|refused| refused.error)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A parameter without a gradient stays, with its state and its count of steps.
///
/// On burn's flex backend a tensor that nobody else holds, which parameters and gradients are unless a
/// clone of the module is alive, is stepped where it is; otherwise there is one copy each way.
#[derive(Debug)]
pub struct ModuleUpdate<F, U> {
    update: U,
    error: Option<Error>,
    of: PhantomData<F>,
}

/// A step that was not made, and the module as it was. Only after
/// [`Diverged`](opt_core::Error::Diverged) it has moved.
#[derive(Debug)]
pub struct Refused<M> {
    /// The module.
    pub module: M,
    /// Why not.
    pub error: Error,
}

impl<F: Scalar + Element, U: Update<F>> ModuleUpdate<F, U> {
    /// By this update, which was made for the module's [`params`](crate::params).
    pub fn new(update: U) -> Self {
        Self {
            update,
            error: None,
            of: PhantomData,
        }
    }

    /// The update.
    pub fn update(&self) -> &U {
        &self.update
    }

    /// The update, whose hyper-parameters can be set.
    pub fn update_mut(&mut self) -> &mut U {
        &mut self.update
    }

    /// Moves the parameters by their gradients.
    ///
    /// # Errors
    /// The module, as it was, with the reason: [`Error::Update`], [`Error::Shape`],
    /// [`Error::DType`]; [`Error::Module`] if a parameter that the update was made for is missing.
    pub fn try_step<M: Module>(
        &mut self,
        module: M,
        grads: GradientsParams,
    ) -> Result<M, Refused<M>> {
        let (module, mut taken, result) = Take::<F>::all(self.update.params(), module, grads);
        let result = result.and_then(|()| self.advance(&mut taken));
        let module = Give::all(taken, module);
        match result {
            Ok(()) => Ok(module),
            Err(error) => Err(Refused { module, error }),
        }
    }

    /// As [`try_step`](Self::try_step), for a loop that can't fail: the reason why a step was not made
    /// is kept until [`take_error`](Self::take_error), and until then no further step is made.
    pub fn step<M: Module>(&mut self, module: M, grads: GradientsParams) -> M {
        if self.error.is_some() {
            return module;
        }
        match self.try_step(module, grads) {
            Ok(module) => module,
            Err(Refused { module, error }) => {
                self.error = Some(error);
                module
            }
        }
    }

    /// Why [`step`](Self::step) stands still.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn advance(&mut self, taken: &mut [Taken]) -> Result<(), Error> {
        let mut parts = Vec::with_capacity(taken.len());
        for Taken {
            path, x, gradient, ..
        } in taken
        {
            let Some(x) = x else {
                continue; // A failed read has been an error before.
            };
            parts.push(Part {
                x: host::slice_mut(path, x)?,
                d: match gradient {
                    Some(gradient) => Some(host::slice(path, gradient)?),
                    None => None,
                },
            });
        }
        Ok(self.update.apply_parts(&mut parts)?)
    }

    /// The state as bytes of burn's format, burnpack, under the parameters' paths. Hyper-parameters
    /// are not state.
    ///
    /// # Errors
    /// [`Error::Record`], [`Error::Store`].
    pub fn to_bytes(&mut self) -> Result<Bytes, Error> {
        pack::to_bytes(&mut self.update)
    }

    /// Restores what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`Error::Record`] that lists everything that is missing, unknown, or of another shape or type;
    /// then nothing has changed. [`Error::Store`].
    pub fn load_bytes(&mut self, bytes: Bytes) -> Result<(), Error> {
        pack::load_bytes(&mut self.update, bytes)
    }

    /// As [`to_bytes`](Self::to_bytes), into a file, which is whole or not there.
    ///
    /// # Errors
    /// As there; [`opt_core::Error::Io`] within [`Error::Update`].
    pub fn save(&mut self, path: impl AsRef<File>) -> Result<(), Error> {
        Ok(opt_core::write_whole(path, &self.to_bytes()?)?)
    }

    /// As [`load_bytes`](Self::load_bytes), from a file.
    ///
    /// # Errors
    /// As there.
    pub fn load(&mut self, path: impl AsRef<File>) -> Result<(), Error> {
        pack::load_reader(&mut self.update, burn_pack::Reader::from_file(path)?)
    }
}

/// A parameter that has been taken out of the module.
struct Taken {
    path: String,
    place: Place,
    /// `None` if the device could not give it.
    x: Option<TensorData>,
    gradient: Option<TensorData>,
}

/// Takes the parameters of an update out of the module, so that one pass has all of them.
struct Take<'a, F> {
    path: Path,
    params: &'a ParamMap,
    grads: GradientsParams,
    taken: Vec<Taken>,
    /// The first.
    error: Option<Error>,
    of: PhantomData<F>,
}

impl<'a, F: Scalar + Element> Take<'a, F> {
    fn all<M: Module>(
        params: &'a ParamMap,
        module: M,
        grads: GradientsParams,
    ) -> (M, Vec<Taken>, Result<(), Error>) {
        let mut take = Self {
            path: Path::default(),
            params,
            grads,
            taken: Vec::with_capacity(params.segments().len()),
            error: None,
            of: PhantomData,
        };
        let module = module.map(&mut take);
        if let Some(missing) = params.segments().get(take.taken.len()) {
            let text = format!(
                "has no parameter `{}` where the update has it",
                missing.name
            );
            take.error.get_or_insert(Error::Module(text));
        }
        (module, take.taken, take.error.map_or(Ok(()), Err))
    }

    /// Whether the parameter is the update's next one.
    fn next<const D: usize>(&self, path: &str, x: &Tensor<D>) -> Result<bool, Error> {
        match self.params.segments().get(self.taken.len()) {
            Some(next) if next.name == path && next.shape == x.dims() => {
                host::typed::<F>(path, x.dtype())?;
                Ok(true)
            }
            _ if x.is_require_grad() => Err(Error::Module(format!(
                "has `{path}` of shape {:?}, and the update not, or not there",
                x.dims()
            ))),
            _ => Ok(false),
        }
    }

    fn take<const D: usize>(&mut self, path: String, id: ParamId, x: Tensor<D>) -> Tensor<D> {
        let place = Place::of(&x);
        let gradient = self.grads.remove::<D>(id);
        let gradient = gradient.map(|g| host::gradient(&path, g, place.kind()));
        let gradient = self.sort(gradient.transpose()).flatten();
        let x = self.sort(host::take(&path, x));
        let hole = place.hole();
        self.taken.push(Taken {
            path,
            place,
            x,
            gradient,
        });
        hole
    }

    /// Keeps the first error.
    fn sort<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }
}

impl<F: Scalar + Element> ModuleMapper for Take<'_, F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join();
        let (id, x, mapper) = param.consume();
        let next = self.next(&path, &x);
        let x = match self.sort(next) {
            Some(true) => self.take(path, id, x),
            _ => x,
        };
        Param::from_mapped_value(id, x, mapper)
    }
}

/// Puts the parameters back.
struct Give {
    path: Path,
    taken: Peekable<vec::IntoIter<Taken>>,
}

impl Give {
    fn all<M: Module>(taken: Vec<Taken>, module: M) -> M {
        module.map(&mut Self {
            path: Path::default(),
            taken: taken.into_iter().peekable(),
        })
    }
}

impl ModuleMapper for Give {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join();
        match self.taken.next_if(|taken| taken.path == path) {
            Some(Taken { place, x, .. }) => {
                let (id, _, mapper) = param.consume();
                let x = match x {
                    Some(x) => place.tensor(x, id),
                    None => place.lost(id),
                };
                Param::from_mapped_value(id, x, mapper)
            }
            None => param,
        }
    }
}
