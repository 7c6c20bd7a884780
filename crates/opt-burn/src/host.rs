//! Values of tensors on the host: moved there and back, not copied, where nobody else holds them.

use burn_core::module::ParamId;
use burn_core::tensor::{
    DType, Device, Element, GradientCheckpointingStrategy, Tensor, TensorData,
};
use opt_core::Scalar;

use crate::Error;

/// A parameter's values without it, and what it takes to make it of values again.
pub(crate) struct Place {
    device: Device,
    dtype: DType,
    shape: Vec<usize>,
    autodiff: bool,
    require_grad: bool,
    distributed: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

impl Place {
    pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        let autodiff = tensor.is_autodiff();
        Self {
            // The values are made without autodiff, which is put back with its own settings.
            device: tensor.device().without_autodiff(),
            dtype: tensor.dtype(),
            shape: tensor.dims().to_vec(),
            autodiff,
            require_grad: autodiff && tensor.is_require_grad(),
            distributed: autodiff && tensor.is_distributed(),
            checkpointing: tensor.gradient_checkpointing_strategy(),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What a gradient must be.
    pub(crate) fn kind(&self) -> (DType, &[usize]) {
        (self.dtype, &self.shape)
    }

    /// A tensor of these values.
    pub(crate) fn tensor<const D: usize>(&self, data: TensorData, id: ParamId) -> Tensor<D> {
        self.dress(Tensor::from_data(data, (&self.device, self.dtype)), id)
    }

    /// In place of values that the device could not give.
    pub(crate) fn lost<const D: usize>(&self, id: ParamId) -> Tensor<D> {
        let shape: [usize; D] = std::array::from_fn(|axis| self.shape[axis]);
        let options = (&self.device, self.dtype);
        self.dress(Tensor::full(shape, f32::NAN, options), id)
    }

    /// In place of values that are elsewhere for a while.
    pub(crate) fn hole<const D: usize>(&self) -> Tensor<D> {
        Tensor::empty([0; D], (&self.device, self.dtype))
    }

    fn dress<const D: usize>(&self, tensor: Tensor<D>, id: ParamId) -> Tensor<D> {
        if !self.autodiff {
            return tensor;
        }
        let mut tensor = Tensor::from_inner(tensor);
        if let Some(strategy) = self.checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        if self.require_grad {
            tensor = tensor.require_grad();
        }
        if self.distributed {
            tensor = tensor.set_distributed(id);
        }
        tensor
    }
}

/// A tensor's values. Not a copy, if they are on the host in one piece and nobody else holds them.
pub(crate) fn take<const D: usize>(what: &str, tensor: Tensor<D>) -> Result<TensorData, Error> {
    tensor
        .inner()
        .try_into_data()
        .map_err(|source| Error::Read {
            what: what.to_owned(),
            source,
        })
}

/// As a slice.
pub(crate) fn slice<'a, F: Element>(what: &str, data: &'a TensorData) -> Result<&'a [F], Error> {
    data.as_slice().map_err(|source| Error::Data {
        what: what.to_owned(),
        source,
    })
}

/// As a slice to write to.
pub(crate) fn slice_mut<'a, F: Element>(
    what: &str,
    data: &'a mut TensorData,
) -> Result<&'a mut [F], Error> {
    data.as_mut_slice().map_err(|source| Error::Data {
        what: what.to_owned(),
        source,
    })
}

/// A gradient's values, if it fits the parameter.
pub(crate) fn gradient<const D: usize>(
    what: &str,
    gradient: Tensor<D>,
    (dtype, shape): (DType, &[usize]),
) -> Result<TensorData, Error> {
    same(|| format!("gradient of {what}"), gradient.dtype(), dtype)?;
    if gradient.dims() != shape {
        return Err(Error::Shape {
            what: what.to_owned(),
            expected: shape.to_vec(),
            found: gradient.dims().to_vec(),
        });
    }
    take(&format!("gradient of {what}"), gradient)
}

pub(crate) fn typed<F: Element>(what: &str, found: DType) -> Result<(), Error> {
    same(|| what.to_owned(), found, F::dtype())
}

fn same(what: impl Fn() -> String, found: DType, expected: DType) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::DType {
        what: what(),
        found,
        expected: format!("{expected:?}"),
    })
}

/// A little-endian number of the type that `F` is.
pub(crate) fn decode<F: Scalar + Element>(bytes: &[u8]) -> F {
    let single = || bytes.try_into().ok().map(f32::from_le_bytes);
    let double = || bytes.try_into().ok().map(f64::from_le_bytes);
    let value = match F::dtype() {
        DType::F32 => single().map(f64::from),
        _ => double(),
    };
    F::of(value.unwrap_or(f64::NAN))
}

/// Writes the values there, from wherever they are in memory: records are not aligned.
pub(crate) fn copy<F: Scalar + Element>(data: &TensorData, to: &mut [F]) -> bool {
    let bytes = data.as_bytes();
    let fits = data.dtype() == F::dtype() && bytes.len() == size_of_val(to);
    if fits {
        let values = bytes.chunks_exact(size_of::<F>()).map(decode);
        to.iter_mut()
            .zip(values)
            .for_each(|(to, value)| *to = value);
    }
    fits
}
