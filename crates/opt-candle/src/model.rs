use std::fmt;

use candle_core::Tensor;
use opt_core::{Error as CoreError, Method, Objective, ParamMap, Report};

use crate::flat::{Flat, Steps, lengths, number};
use crate::{Element, Error, Vars};

/// A candle model with its loss as an [`Objective`]: a function from a batch to a loss, a mean over the
/// batch. So whatever picks its own points trains it: L-BFGS, SCG, look-ahead NAG, iRprop+, line searches.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::{Module, VarBuilder, VarMap, loss::mse};
/// use opt_candle::{Model, Vars, firstorder::IRpropPlus};
///
/// let map = VarMap::new();
/// let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
/// let net = candle_nn::linear(2, 1, vb)?;
/// # for var in map.all_vars() { var.set(&var.zeros_like()?)?; } // the same start in every run
/// let mut model = Model::new(Vars::from_varmap(&map)?, |(x, y): &(Tensor, Tensor)| {
///     mse(&net.forward(x)?, y)
/// })?;
/// let mut method = IRpropPlus::default().method(model.params())?;
/// let x = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[[3.0_f32], [7.0]], &Device::Cpu)?;
/// model.load((x, y));
/// for _ in 0..100 {
///     model.step(&mut method)?;
/// }
/// assert!(model.loss()? < 1e-3);
/// # Ok::<(), opt_candle::Error>(())
/// ```
///
/// [`step`](Self::step) takes the parameters from the variables, and leaves there what the method makes of
/// them, so that the model can be used, saved and loaded as candle has it between any two steps. A method
/// that tries several points moves the variables through them: what the closure reads of them is where it is evaluated.
/// A copy of the parameters is made for every evaluation, which costs little beside a pass.
///
/// All evaluations of a step must see the same function: a dropout of candle's own draws anew in each, and is
/// for stochastic methods only. What the closure itself changes (running statistics) it changes in every
/// evaluation; statistics are no parameters, so leave them out by [`Vars::filter`].
///
/// A variable without a gradient has one of 0 here, as the method's vector is one: a decay of weights reaches
/// it.
pub struct Model<B, L, F = f32> {
    flat: Flat<F>,
    loss: L,
    batch: Option<B>,
}

impl<B, L: FnMut(&B) -> candle_core::Result<Tensor>> Model<B, L, f32> {
    /// A model whose methods compute in `f32`, with variables of `f32`, `bf16` or `f16`.
    ///
    /// # Errors
    /// [`Error::VarDType`].
    pub fn new(vars: Vars, loss: L) -> Result<Self, Error> {
        Self::typed(vars, loss)
    }
}

impl<B, L: FnMut(&B) -> candle_core::Result<Tensor>> Model<B, L, f64> {
    /// A model of `f64`.
    ///
    /// # Errors
    /// [`Error::VarDType`].
    pub fn double(vars: Vars, loss: L) -> Result<Self, Error> {
        Self::typed(vars, loss)
    }
}

impl<F: Element, B, L: FnMut(&B) -> candle_core::Result<Tensor>> Model<B, L, F> {
    fn typed(vars: Vars, loss: L) -> Result<Self, Error> {
        let kernels = vec![None; vars.vars().len()];
        Ok(Self {
            flat: Flat::new(vars, kernels)?,
            loss,
            batch: None,
        })
    }

    /// The batch of all evaluations until the next.
    pub fn load(&mut self, batch: B) {
        self.batch = Some(batch);
    }

    /// One iteration of a method, from the variables to the variables.
    ///
    /// # Errors
    /// Inside of [`Error::Method`], what the method refuses, [`Error::NotLoaded`] and what candle refuses
    /// while it is evaluated among it. Then the variables are as before.
    pub fn step<M: Method<F, Self>>(&mut self, method: &mut M) -> Result<Report<F>, Error> {
        self.step_by(method)
    }

    /// The loss of the batch where the variables are.
    ///
    /// # Errors
    /// [`Error::NotLoaded`]; [`Error::LossShape`]; what the closure refuses.
    pub fn loss(&mut self) -> Result<f64, Error> {
        number::<f64>(&self.evaluate()?)
    }

    /// Names and places in a method's vector.
    pub fn params(&self) -> &ParamMap {
        &self.flat.params
    }

    fn evaluate(&mut self) -> Result<Tensor, Error> {
        let batch = self.batch.as_ref().ok_or(Error::NotLoaded)?;
        Ok((self.loss)(batch)?)
    }

    fn differentiate(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        self.flat.push(x)?;
        let loss = self.evaluate()?;
        let value = number(&loss)?;
        match self.flat.gradient(&loss.backward()?, g)? {
            true => Ok(value),
            false => Err(Error::NoGradient),
        }
    }
}

impl<F: Element, B, L: FnMut(&B) -> candle_core::Result<Tensor>> Steps<F> for Model<B, L, F> {
    fn flat(&mut self) -> &mut Flat<F> {
        &mut self.flat
    }
}

/// Evaluating moves the variables to `x`; [`Model::step`] puts them where the method does.
impl<F: Element, B, L: FnMut(&B) -> candle_core::Result<Tensor>> Objective<F> for Model<B, L, F> {
    fn params(&self) -> &ParamMap {
        &self.flat.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, CoreError> {
        self.flat.push(x)?;
        Ok(number(&self.evaluate()?)?)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, CoreError> {
        lengths(&self.flat.params, x, g)?;
        Ok(self.differentiate(x, g)?)
    }
}

impl<B, L, F: fmt::Debug> fmt::Debug for Model<B, L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("params", &self.flat.params)
            .field("loaded", &self.batch.is_some())
            .finish_non_exhaustive()
    }
}
