use std::collections::{HashMap, HashSet};

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use opt_core::{ParamMap, Segment};

use crate::{Element, Error};

/// The variables of a candle model by name, as the segments of a [`ParamMap`].
///
/// Sorted by name: the order of a `VarMap` is that of a `HashMap`, another one in every process. The
/// variables themselves stay where they are; a clone is a second handle on them. A variable under two
/// names (tied weights) is one segment, by the first of them. Variables of integers are left out, as
/// candle's own optimizers do.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::{VarBuilder, VarMap};
/// use opt_candle::Vars;
///
/// let map = VarMap::new();
/// let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
/// let head = candle_nn::linear(3, 2, vb.pp("head"))?;
/// let vars = Vars::from_varmap(&map)?;
/// let names: Vec<_> = vars.params().segments().iter().map(|s| s.name.as_str()).collect();
/// assert_eq!(names, ["head.bias", "head.weight"]);
/// # Ok::<(), opt_candle::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vars {
    vars: Vec<Var>,
    params: ParamMap,
    /// Where their numbers are: a gradient in one of these would be locked twice.
    storages: HashSet<usize>,
}

fn address(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}

impl Vars {
    /// Of all variables in a map.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_varmap(map: &VarMap) -> Result<Self, Error> {
        Self::chosen(map, |_| true)
    }

    /// Of the variables under the builder's prefix: `vb.pp("decoder")` for all of the decoder.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_builder(map: &VarMap, builder: &VarBuilder<'_>) -> Result<Self, Error> {
        let prefix = builder.prefix();
        let under = format!("{prefix}.");
        Self::chosen(map, |name| {
            prefix.is_empty() || name == prefix || name.starts_with(&under)
        })
    }

    fn chosen(map: &VarMap, chooses: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let data = map.data().lock();
        let data = data.unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = data.iter().filter(|(name, _)| chooses(name));
        let mut all: Vec<_> = all.map(|(name, var)| (name.clone(), var.clone())).collect();
        drop(data);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Self::new(all)
    }

    /// Of named variables, in the order given.
    ///
    /// # Errors
    /// [`Error::Device`] unless all are on the CPU; [`Error::Strided`]; inside of [`Error::Method`] two
    /// variables of one name, or none at all.
    pub fn new<N: Into<String>>(vars: impl IntoIterator<Item = (N, Var)>) -> Result<Self, Error> {
        let (mut kept, mut shapes, mut known) = (Vec::new(), Vec::new(), HashMap::new());
        for (name, var) in vars {
            let name = name.into();
            if !matches!(var.device(), Device::Cpu) {
                return Err(Error::Device {
                    name,
                    found: var.device().location(),
                });
            }
            if !var.is_contiguous() {
                return Err(Error::Strided(name));
            }
            if !var.dtype().is_float() || known.insert(var.id(), ()).is_some() {
                continue;
            }
            shapes.push((name, var.dims().to_vec()));
            kept.push(var);
        }
        let storages = kept.iter().map(|var| address(var)).collect();
        Ok(Self {
            params: ParamMap::new(shapes)?,
            vars: kept,
            storages,
        })
    }

    /// Only those that `chooses` says yes to: without the running statistics of a normalization, say,
    /// which are variables too.
    ///
    /// # Errors
    /// Inside of [`Error::Method`] that none is left.
    pub fn filter(&self, chooses: impl Fn(&Segment) -> bool) -> Result<Self, Error> {
        let all = self.params.segments().iter().zip(&self.vars);
        let chosen = all.filter(|(segment, _)| chooses(segment));
        Self::new(chosen.map(|(segment, var)| (segment.name.clone(), var.clone())))
    }

    /// Names and shapes.
    pub fn params(&self) -> &ParamMap {
        &self.params
    }

    /// The variables, in the order of [`params`](Self::params).
    pub fn vars(&self) -> &[Var] {
        &self.vars
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        self.params.segments().get(index).map_or("", |s| &s.name)
    }

    /// The number of the variable that is this tensor.
    pub(crate) fn position(&self, tensor: &Tensor) -> Option<usize> {
        self.vars.iter().position(|var| var.id() == tensor.id())
    }

    /// Refuses variables that do not go with state in `F`.
    pub(crate) fn check<F: Element>(&self) -> Result<(), Error> {
        let taken = |var: &Var| var.dtype() == F::OWN || F::HALVES.contains(&var.dtype());
        match self.vars.iter().position(|var| !taken(var)) {
            None => Ok(()),
            Some(index) => Err(Error::VarDType {
                name: self.name(index).to_owned(),
                found: self.vars[index].dtype(),
                state: <F as opt_core::Scalar>::DTYPE,
                takes: F::TAKES,
            }),
        }
    }

    /// Whether a variable is moved by way of a copy in `F`.
    pub(crate) fn is_half<F: Element>(&self, index: usize) -> bool {
        F::HALVES.contains(&self.vars[index].dtype())
    }

    /// The gradient of a variable in type `F`, contiguous and in memory of its own; none if the store has
    /// none.
    pub(crate) fn gradient<F: Element>(
        &self,
        index: usize,
        grads: &GradStore,
    ) -> Result<Option<Tensor>, Error> {
        let var = &self.vars[index];
        let Some(gradient) = grads.get(var) else {
            return Ok(None);
        };
        let name = || self.name(index).to_owned();
        if !matches!(gradient.device(), Device::Cpu) {
            let found = gradient.device().location();
            return Err(Error::Device {
                name: name(),
                found,
            });
        }
        if gradient.dims() != var.dims() {
            return Err(Error::GradientShape {
                name: name(),
                expected: var.dims().to_vec(),
                found: gradient.dims().to_vec(),
            });
        }
        if gradient.dtype() != var.dtype() {
            return Err(Error::GradientDType {
                name: name(),
                expected: var.dtype(),
                found: gradient.dtype(),
            });
        }
        let gradient = match gradient.dtype() == F::OWN {
            true => gradient.contiguous()?,
            false => gradient.to_dtype(F::OWN)?.contiguous()?,
        };
        Ok(Some(match self.storages.contains(&address(&gradient)) {
            true => gradient.copy()?,
            false => gradient,
        }))
    }
}
