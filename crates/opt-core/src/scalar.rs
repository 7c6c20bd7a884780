use std::fmt::{Debug, Display};

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::{Float, NumAssign};

/// A floating-point type that parameters are stored in: `f32` or `f64`.
///
/// Hyper-parameters and step sizes are `f64` everywhere and are converted once per call, above
/// the loop. The trait is sealed: kernels rely on IEEE 754 arithmetic, and a snapshot names the
/// type in its file.
pub trait Scalar:
    Float
    + NumAssign
    + LinalgScalar
    + ScalarOperand
    + Debug
    + Display
    + Default
    + Send
    + Sync
    + sealed::Bytes
    + sealed::Bits
{
    /// The type's name as numpy and safetensors spell it: `"F32"` or `"F64"`.
    const DTYPE: &'static str;

    /// The nearest value of this type.
    fn of(value: f64) -> Self;

    /// The same value in double precision.
    fn f64(self) -> f64;
}

pub(crate) mod sealed {
    /// Little-endian storage of one value. Not to be named outside: that seals `Scalar`.
    #[allow(unnameable_types)]
    pub trait Bytes: Sized {
        const SIZE: usize;
        fn put(self, out: &mut Vec<u8>);
        /// `None` unless `bytes` has exactly `SIZE` of them.
        fn take(bytes: &[u8]) -> Option<Self>;
    }

    /// Magnitudes as integers, of which a vectorized loop can take the maximum.
    #[allow(unnameable_types)]
    pub trait Bits: Sized {
        type Bits: Ord + Copy + Default + Send + Sync;
        /// |self|, in the order of magnitudes; NaN is above infinity.
        fn magnitude(self) -> Self::Bits;
        fn from_magnitude(bits: Self::Bits) -> Self;
    }
}

macro_rules! scalar {
    ($t:ty, $bits:ty, $name:literal) => {
        impl Scalar for $t {
            const DTYPE: &'static str = $name;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $t
            }

            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }
        }

        impl sealed::Bits for $t {
            /// Signed, which older instruction sets compare at less cost.
            type Bits = $bits;

            #[inline(always)]
            fn magnitude(self) -> $bits {
                self.abs().to_bits() as $bits
            }

            #[inline(always)]
            fn from_magnitude(bits: $bits) -> Self {
                <$t>::from_bits(bits as _)
            }
        }

        impl sealed::Bytes for $t {
            const SIZE: usize = size_of::<$t>();

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &[u8]) -> Option<Self> {
                Some(<$t>::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    };
}

scalar!(f32, i32, "F32");
scalar!(f64, i64, "F64");
