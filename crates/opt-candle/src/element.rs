//! Numbers in candle's storage.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp1, Layout, Storage, Tensor, WithDType};
use opt_core::Scalar;
use rayon::prelude::*;

use crate::Error;

/// Elements that one thread converts at a time.
const GRAIN: usize = 1 << 15;

/// A type that a method computes in: `f32`, for variables of `f32`, `bf16` and `f16`, or `f64`, for
/// those of `f64`. Sealed.
pub trait Element: Scalar + WithDType + sealed::InStorage {}

impl Element for f32 {}
impl Element for f64 {}

mod sealed {
    use candle_core::{CpuStorage, DType};

    #[allow(unnameable_types)] // not to be named outside: that seals `Element`
    pub trait InStorage: Sized {
        const OWN: DType;
        /// Types that are moved by a copy in this one.
        const HALVES: &'static [DType];
        const TAKES: &'static str;
        fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
    }

    impl InStorage for f32 {
        const OWN: DType = DType::F32;
        const HALVES: &'static [DType] = &[DType::BF16, DType::F16];
        const TAKES: &'static str = "f32, bf16 and f16";
        fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
            match storage {
                CpuStorage::F32(data) => Some(data),
                _ => None,
            }
        }
    }

    impl InStorage for f64 {
        const OWN: DType = DType::F64;
        const HALVES: &'static [DType] = &[];
        const TAKES: &'static str = "f64";
        fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
            match storage {
                CpuStorage::F64(data) => Some(data),
                _ => None,
            }
        }
    }
}

/// What is done to a storage, and the variable's place in it.
type Change<'a> = dyn FnMut(&mut CpuStorage, Range<usize>) -> candle_core::Result<()> + 'a;

/// candle's way to lend a variable's own memory.
struct InPlace<'a>(RefCell<&'a mut Change<'a>>);

impl InplaceOp1 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "opt-candle"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        match (layout.contiguous_offsets(), self.0.try_borrow_mut()) {
            (Some((start, end)), Ok(mut change)) => (**change)(storage, start..end),
            _ => candle_core::bail!("a variable must be contiguous"),
        }
    }
}

/// Lends the numbers of a variable that is of type `F`.
pub(crate) fn lend<F: Element, R>(
    variable: &Tensor,
    f: impl FnOnce(&mut [F]) -> R,
) -> Result<R, Error> {
    let (mut f, mut result) = (Some(f), None);
    let mut change = |storage: &mut CpuStorage, at: Range<usize>| {
        let slice = F::slice_mut(storage).and_then(|data| data.get_mut(at));
        match (slice, f.take()) {
            (Some(slice), Some(f)) => result = Some(f(slice)),
            _ => candle_core::bail!("a variable has another type than before"),
        }
        Ok(())
    };
    variable.inplace_op1(&InPlace(RefCell::new(&mut change)))?;
    result.ok_or_else(|| candle_core::Error::msg("a variable was not lent").into())
}

/// The numbers of a contiguous tensor.
fn numbers<T: WithDType, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R, Error> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(candle_core::Error::msg("a tensor is not on the CPU").into());
    };
    let data = T::cpu_storage_as_slice(storage)?;
    let at = layout.contiguous_offsets();
    match at.and_then(|(start, end)| data.get(start..end)) {
        Some(data) => Ok(f(data)),
        None => Err(candle_core::Error::msg("a tensor is not contiguous").into()),
    }
}

/// The numbers of a contiguous tensor of type `F`.
pub(crate) fn read<F: Element, R>(tensor: &Tensor, f: impl FnOnce(&[F]) -> R) -> Result<R, Error> {
    numbers(tensor, f)
}

/// Copies a variable to `x`. Of one in 16 bits, `x` is a wider copy, and stays where it rounds to what the
/// variable is: only what somebody else has set is taken.
pub(crate) fn pull<F: Element>(variable: &Tensor, x: &mut [F]) -> Result<(), Error> {
    fn follow<F: Element, T: WithDType>(from: &[T], x: &mut [F]) {
        let pieces = x.par_chunks_mut(GRAIN).zip(from.par_chunks(GRAIN));
        pieces.for_each(|(x, from)| {
            for (x, &from) in x.iter_mut().zip(from) {
                if T::from_f64(Scalar::f64(*x)) != from {
                    *x = F::of(WithDType::to_f64(from));
                }
            }
        });
    }
    let (storage, layout) = variable.storage_and_layout();
    let whole = layout.contiguous_offsets();
    let (start, end) = whole.ok_or_else(|| candle_core::Error::msg("a variable has strides"))?;
    match &*storage {
        Storage::Cpu(CpuStorage::BF16(data)) => follow(&data[start..end], x),
        Storage::Cpu(CpuStorage::F16(data)) => follow(&data[start..end], x),
        _ => {
            drop(storage);
            read(variable, |from: &[F]| x.copy_from_slice(from))?;
        }
    }
    Ok(())
}

/// Copies `x` to a variable, rounded to nearest. Gives the first number that is not finite after it, if the
/// variable has fewer bits than `x`.
pub(crate) fn push<F: Element>(variable: &Tensor, x: &[F]) -> Result<Option<(usize, f64)>, Error> {
    fn round<F: Element, T: WithDType>(x: &[F], to: &mut [T]) -> Option<(usize, f64)> {
        let pieces = to
            .par_chunks_mut(GRAIN)
            .zip(x.par_chunks(GRAIN))
            .enumerate();
        let beyond = pieces.filter_map(|(piece, (to, x))| {
            let mut first = None;
            for (at, (to, &x)) in to.iter_mut().zip(x).enumerate() {
                *to = T::from_f64(Scalar::f64(x));
                let value = WithDType::to_f64(*to);
                if first.is_none() && !value.is_finite() {
                    first = Some((piece * GRAIN + at, value));
                }
            }
            first
        });
        beyond.min_by_key(|(at, _)| *at)
    }
    let mut beyond = None;
    let mut change = |storage: &mut CpuStorage, at: Range<usize>| {
        match storage {
            CpuStorage::BF16(data) => beyond = round(x, &mut data[at]),
            CpuStorage::F16(data) => beyond = round(x, &mut data[at]),
            other => match F::slice_mut(other).and_then(|data| data.get_mut(at)) {
                Some(to) if to.len() == x.len() => to.copy_from_slice(x),
                _ => candle_core::bail!("a variable has another type than before"),
            },
        }
        Ok(())
    };
    variable.inplace_op1(&InPlace(RefCell::new(&mut change)))?;
    Ok(beyond)
}
