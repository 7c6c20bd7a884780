use std::sync::{Arc, Mutex, PoisonError};

use burn_core::module::ParamId;
use burn_core::tensor::{DType, Device, Tensor, TensorData};
use burn_optim::{LearningRate, Optimizer};
use opt_core::{Rule, list_hyper};

use crate::host::Place;
use crate::state::{Inner, Kept, RuleState};
use crate::{Error, host};

/// A rule as burn's [`Optimizer`]: for one tensor at a time, by one pass over all threads.
///
/// [`ModuleOptimizer`](burn_optim::ModuleOptimizer) makes of it what it makes of burn's own, with
/// groups of parameters, schedulers, clipping, accumulation and records:
///
/// ```
/// use burn_core::tensor::{Device, Tensor};
/// use burn_optim::Optimizer;
/// use opt_burn::RuleOptimizer;
/// use opt_firstorder::AdamW;
///
/// let adamw = RuleOptimizer::new(AdamW::default())?;
/// let device = Device::flex();
/// let (x, g) = (Tensor::<1>::ones([2], &device), Tensor::ones([2], &device));
/// let (x, state) = adamw.step(0.1, x, g, None);
/// assert!(adamw.take_error().is_none() && state.is_some());
/// assert!((x.into_data().as_slice::<f32>()?[0] - 0.899).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Burn's learning rate is the rule's field `lr`, whatever that was configured to. A rule without
/// one, such as Rprop, takes only a rate of 1, so that no scheduler is ignored in silence.
///
/// # Errors
/// Burn's trait can't fail. A tensor that can't be stepped stays as it was, with its state, and the
/// reason is kept until [`take_error`](Self::take_error); until then no tensor is stepped any more,
/// so that a run stands still where it went wrong. Tensors before that one have moved in that step: a
/// step of all or none is [`ModuleUpdate`](crate::ModuleUpdate)'s. Clones share the error, so keep
/// one when a `ModuleOptimizer` is made of it.
///
/// # Cost
/// State is on the host, and of the parameter's type, `f32` or `f64`. Tensors that nobody else holds
/// are stepped where they are on burn's flex backend; a clone of the module that is still alive costs a
/// copy. From and to other devices there is one copy each way.
#[derive(Clone, Debug)]
pub struct RuleOptimizer<R, const N: usize> {
    rule: R,
    has_rate: bool,
    error: Arc<Mutex<Option<Error>>>,
}

impl<R: Rule<f32, N> + Rule<f64, N>, const N: usize> RuleOptimizer<R, N> {
    /// An optimizer by this rule.
    ///
    /// # Errors
    /// As [`Hyper::check`](opt_core::Hyper::check) in double precision. What `f32` can't hold is refused by the first step
    /// of such a tensor.
    pub fn new(rule: R) -> Result<Self, Error> {
        rule.check::<f64>()?;
        let has_rate = list_hyper(&rule).iter().any(|field| field.name == "lr");
        Ok(Self {
            rule,
            has_rate,
            error: Arc::default(),
        })
    }
}

impl<R, const N: usize> RuleOptimizer<R, N> {
    /// The rule, as it was configured.
    pub fn rule(&self) -> &R {
        &self.rule
    }

    /// Why a tensor was not stepped, the first since the last call. From now on tensors are stepped
    /// again.
    pub fn take_error(&self) -> Option<Error> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }

    fn failed(&self) -> bool {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.is_some()
    }

    /// The first that there is.
    fn keep(&self, new: Error) {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.get_or_insert(new);
    }
}

impl<R: Rule<f32, N> + Rule<f64, N>, const N: usize> RuleOptimizer<R, N> {
    fn configured(&self, lr: f64) -> Result<R, Error> {
        let mut rule = self.rule.clone();
        if self.has_rate {
            rule.set("lr", lr)?;
        } else if lr != 1.0 {
            return Err(Error::Rate {
                rule: format!("{rule:?}"),
                lr,
            });
        }
        Ok(rule)
    }

    fn ready(&self, lr: f64, place: &Place, state: &mut Inner<R, N>) -> Result<(), Error> {
        let (dtype, shape) = place.kind();
        match dtype {
            DType::F32 => state.ready::<f32>(lr, shape, || self.configured(lr)),
            _ => state.ready::<f64>(lr, shape, || self.configured(lr)),
        }
    }
}

/// Moves `x`, for which the state is ready.
fn apply<F: Kept<R, N>, R: Rule<F, N>, const N: usize>(
    x: &mut TensorData,
    g: &TensorData,
    shape: &[usize],
    state: &mut Inner<R, N>,
) -> Result<(), Error> {
    let what = "a tensor";
    let (_, update) = state.update::<F>(shape)?;
    Ok(update.apply(host::slice_mut(what, x)?, host::slice(what, g)?)?)
}

/// Whether a tensor can be stepped at all.
fn check(place: &Place) -> Result<(), Error> {
    match place.kind() {
        (DType::F32 | DType::F64, _) => Ok(()),
        (found, shape) => Err(Error::DType {
            what: format!("x{shape:?}"),
            found,
            expected: "F32 or F64".to_owned(),
        }),
    }
}

impl<R: Rule<f32, N> + Rule<f64, N>, const N: usize> Optimizer for RuleOptimizer<R, N> {
    type State<const D: usize> = RuleState<R, N, D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let place = Place::of(&tensor);
        // Only what depends on D, of which there are nine, is here.
        if self.failed() || place.shape().contains(&0) {
            return (tensor, state);
        }
        let mut state = state.unwrap_or_default();
        let inner = state.get_mut();
        let ready = check(&place)
            .and_then(|()| {
                let what = format!("x{:?}", place.shape());
                host::gradient(&what, grad, place.kind())
            })
            .and_then(|g| self.ready(lr, &place, inner).map(|()| g));
        let g = match ready {
            Ok(g) => g,
            Err(error) => {
                self.keep(error);
                return (tensor, Some(state));
            }
        };
        // The id is for parameters that are distributed, which burn does not step as such.
        let id = ParamId::from(0_u64);
        let tensor = match host::take("a tensor", tensor) {
            Ok(mut x) => {
                let shape = place.shape();
                let result = match place.kind().0 {
                    DType::F32 => apply::<f32, R, N>(&mut x, &g, shape, inner),
                    _ => apply::<f64, R, N>(&mut x, &g, shape, inner),
                };
                result.unwrap_or_else(|error| self.keep(error));
                place.tensor(x, id)
            }
            Err(error) => {
                self.keep(error);
                place.lost(id)
            }
        };
        (tensor, Some(state))
    }

    /// State is on the host.
    fn to_device<const D: usize>(state: Self::State<D>, _: &Device) -> Self::State<D> {
        state
    }
}
