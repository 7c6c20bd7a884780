use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use opt_core::{
    Error as CoreError, FirstOrder, ParamMap, Part, Rule, Run, Scalar, State, Update, Value, Visit,
};

use rayon::prelude::*;

use crate::element::{lend, pull, push, read};
use crate::{Element, Error, Vars};

/// Parameters below which a second thread is not worth waking.
const WAKE: usize = 1 << 16;

/// Any [`Update`] on the variables of a candle model, in their own memory: a rule, groups of rules,
/// frozen parts, state in 8 or 16 bits.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::{Module, VarBuilder, VarMap};
/// use opt_candle::{Optimizer, Vars, firstorder::AdamW};
///
/// let map = VarMap::new();
/// let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
/// let net = candle_nn::linear(2, 1, vb)?;
/// # for var in map.all_vars() { var.set(&var.zeros_like()?)?; } // the same start in every run
/// let mut adamw = Optimizer::new(Vars::from_varmap(&map)?, AdamW { lr: 0.1, ..AdamW::default() })?;
/// let x = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[[3.0_f32], [7.0]], &Device::Cpu)?;
/// for _ in 0..100 {
///     adamw.backward_step(&candle_nn::loss::mse(&net.forward(&x)?, &y)?)?;
/// }
/// assert!(candle_nn::loss::mse(&net.forward(&x)?, &y)?.to_scalar::<f32>()? < 0.1);
/// # Ok::<(), opt_candle::Error>(())
/// ```
///
/// A variable without a gradient stays as it is, with its state and its count of steps. A gradient that
/// is not contiguous is copied first. Variables of `bf16` and `f16` follow a copy of theirs in `f32`,
/// which takes the steps, and are it rounded to nearest: 4 bytes more for each of their parameters. One
/// that somebody else has set meanwhile is taken from there.
///
/// It is a [`candle_nn::Optimizer`] too: see its implementation.
#[derive(Debug)]
pub struct Optimizer<U, F: Element = f32> {
    vars: Vars,
    update: U,
    /// Of every variable in 16 bits a copy; empty for others.
    masters: Vec<Vec<F>>,
    /// The gradients of a step, while it lasts.
    gradients: Vec<Option<Tensor>>,
    /// Why a learning rate was refused, as the next step tells.
    refused: Option<CoreError>,
}

impl<R: Rule<f32, N>, const N: usize> Optimizer<FirstOrder<f32, R, N>, f32> {
    /// One rule for all variables, with state in `f32`.
    ///
    /// # Errors
    /// As [`FirstOrder::new`] and [`along`](Self::along).
    pub fn new(vars: Vars, rule: R) -> Result<Self, Error> {
        let update = FirstOrder::new(rule, vars.params())?;
        Self::along(vars, update)
    }
}

impl<F: Element, U: Update<F>> Optimizer<U, F> {
    /// Any update, made for [`Vars::params`] of these variables.
    ///
    /// # Errors
    /// [`Error::OtherParams`]; [`Error::VarDType`] for a variable that does not go with state in `F`.
    pub fn along(vars: Vars, update: U) -> Result<Self, Error> {
        vars.check::<F>()?;
        if vars.params() != update.params() {
            return Err(Error::OtherParams);
        }
        let mut masters = Vec::with_capacity(vars.vars().len());
        for (index, var) in vars.vars().iter().enumerate() {
            let mut master = Vec::new();
            if vars.is_half::<F>(index) {
                // NaN is no number of any variable: all are taken.
                master.resize(var.elem_count(), F::nan());
                pull(var, &mut master)?;
            }
            masters.push(master);
        }
        Ok(Self {
            vars,
            update,
            masters,
            gradients: Vec::new(),
            refused: None,
        })
    }

    /// Moves every variable that has a gradient.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if none has; [`Error::Device`], [`Error::GradientShape`],
    /// [`Error::GradientDType`]; inside of [`Error::Method`] what [`Update::check`] refuses, with the
    /// variable's name. Then nothing has changed. [`opt_core::Error::Diverged`] comes after the move.
    pub fn step(&mut self, grads: &GradStore) -> Result<(), Error> {
        if let Some(error) = self.refused.take() {
            return Err(error.into());
        }
        let large = self.vars.params().len() > WAKE;
        let mut whole = || self.check(grads).and_then(|()| self.advance());
        // Inside of the pool: else every large variable would wake it from outside.
        let result = match large {
            true => rayon::join(whole, || ()).0,
            false => whole(),
        };
        self.gradients.clear();
        result
    }

    /// [`step`](Self::step) by the gradients of `loss`.
    ///
    /// # Errors
    /// As there, or what candle refuses.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), Error> {
        self.step(&loss.backward()?)
    }

    fn check(&mut self, grads: &GradStore) -> Result<(), Error> {
        self.gradients.clear();
        for index in 0..self.vars.vars().len() {
            let gradient = self.vars.gradient::<F>(index, grads)?;
            self.gradients.push(gradient);
        }
        let update = &self.update;
        let check = |(index, gradient): (usize, &Option<Tensor>)| match gradient {
            Some(gradient) => Ok(read(gradient, |d| update.check(index, d))??),
            None => Ok::<_, Error>(()),
        };
        let all = self.gradients.par_iter().enumerate();
        let fine = self.vars.params().len() > WAKE && all.map(check).all(|checked| checked.is_ok());
        if !fine {
            // In order: the first that is bad, in every run.
            self.gradients.iter().enumerate().try_for_each(check)?;
        }
        match self.gradients.iter().any(Option::is_some) {
            true => Ok(()),
            false => Err(Error::NoGradient),
        }
    }

    /// All of them, also if one has diverged: so it is as one step of all.
    fn advance(&mut self) -> Result<(), Error> {
        let mut first = Ok(());
        for index in 0..self.vars.vars().len() {
            let Some(d) = self.gradients.get(index).and_then(Clone::clone) else {
                continue;
            };
            if d.elem_count() == 0 {
                continue;
            }
            let moved = self.advance_one(index, &d);
            first = first.and(moved);
        }
        first
    }

    fn advance_one(&mut self, index: usize, d: &Tensor) -> Result<(), Error> {
        let (var, update) = (&self.vars.vars()[index], &mut self.update);
        let Some(master) = self.masters.get_mut(index).filter(|m| !m.is_empty()) else {
            return Ok(read(d, |d| {
                lend(var, |x| update.advance(index, &mut [Part::new(x, d)]))
            })???);
        };
        pull(var, master)?;
        let moved = read(d, |d| update.advance(index, &mut [Part::new(master, d)]))?;
        let beyond = push(var, master)?;
        moved?;
        match beyond {
            None => Ok(()),
            Some((at, value)) => Err(Error::Method(CoreError::Diverged {
                segment: self.vars.name(index).to_owned(),
                what: "x",
                index: at,
                value,
                dtype: "16 bits",
            })),
        }
    }

    /// The variables.
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// How they move.
    pub fn update(&self) -> &U {
        &self.update
    }

    /// How they move, mutable: for schedules, [`scale`](opt_core::Tune::scale).
    pub fn update_mut(&mut self) -> &mut U {
        &mut self.update
    }

    /// Writes the state to a safetensors file, by the names of the variables: the other half of what
    /// `VarMap::save` writes.
    ///
    /// # Errors
    /// Inside of [`Error::Method`], as [`Run::save`].
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(Run::new().with("update", self).save(path)?)
    }

    /// Goes on with the state of a file, after `VarMap::load` of the variables: the next steps are bit by
    /// bit those of a run that was never stopped.
    ///
    /// # Errors
    /// Inside of [`Error::Method`], as [`opt_core::Snapshot::load`] and [`opt_core::Snapshot::restore`]; then nothing has
    /// changed.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let saved = opt_core::Snapshot::load(path)?;
        Ok(Run::new().with("update", self).restore(&saved)?)
    }
}

impl<F: Element, U: Update<F>> State<F> for Optimizer<U, F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.update.visit(visitor);
        let segments = self.vars.params().segments().iter();
        for (segment, master) in segments.zip(&mut self.masters) {
            if !master.is_empty() {
                visitor.buffer(&format!("master/{}", segment.name), &segment.shape, master);
            }
        }
    }
}

/// How a [`candle_nn::Optimizer`] is made of variables without names: the update, for a map that names
/// them `0`, `1` and so on.
#[allow(missing_debug_implementations)] // a closure
pub struct Make<U>(Box<Making<U>>);

type Making<U> = dyn FnOnce(&ParamMap) -> Result<U, CoreError>;

impl<U> Make<U> {
    /// By a function of the map.
    pub fn new(make: impl FnOnce(&ParamMap) -> Result<U, CoreError> + 'static) -> Self {
        Self(Box::new(make))
    }
}

impl<R: Rule<F, N>, F: Scalar, const N: usize> From<R> for Make<FirstOrder<F, R, N>> {
    fn from(rule: R) -> Self {
        Self::new(move |params| FirstOrder::new(rule, params))
    }
}

/// So that it stands wherever a candle program has one of candle's.
///
/// The learning rate is the update's `lr`; where groups have rates of their own it is that of the first, and
/// setting it keeps their ratios ([`set`](opt_core::Tune::set)). NaN where a method has none. As candle's `set_learning_rate` can't
/// refuse, a rate that the method does not take is the error of the next step.
impl<F: Element, U: Update<F>> candle_nn::Optimizer for Optimizer<U, F> {
    type Config = Make<U>;

    fn new(vars: Vec<Var>, config: Make<U>) -> candle_core::Result<Self> {
        let named = vars.into_iter().enumerate();
        let vars = Vars::new(named.map(|(index, var)| (index.to_string(), var)))?;
        let update = config.0(vars.params()).map_err(Error::from)?;
        Ok(Self::along(vars, update)?)
    }

    fn step(&mut self, grads: &GradStore) -> candle_core::Result<()> {
        Ok(Self::step(self, grads)?)
    }

    fn learning_rate(&self) -> f64 {
        match self.update.get("lr") {
            Ok(Value::Real(lr)) => lr,
            _ => f64::NAN,
        }
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.refused = self.update.set("lr", lr.into()).err();
    }
}
