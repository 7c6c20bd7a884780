/// How an update stores its state.
///
/// A step reads and writes every number of the state once, and memory is what limits it: state in
/// half or a quarter of the bits makes the step faster and larger models fit. Pieces are decoded into
/// cache, moved by the rule in the parameters' type, and encoded again, so that every rule has it.
/// Rounding is stochastic, so that averages of many small changes stay right: up with the probability
/// that makes the mean right, drawn from `seed`, the step and the place, and so the same for any number
/// of threads.
///
/// Segments of fewer than 4,096 elements stay in the parameters' type, as do those that a predicate
/// names. What can't be rounded ([`Packing::Exact`](crate::Packing::Exact)) is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// In the type of the parameters.
    #[default]
    Full,
    /// bf16: the range of `f32`, and 8 bits of precision.
    Bf16 {
        /// Of the rounding.
        seed: u64,
    },
    /// 8 bits, in blocks of 256 elements of the flattened segment, each with the greatest magnitude of
    /// the block at the top, as Dettmers et al. (8-bit Optimizers via Block-wise Quantization, 2022)
    /// have them. Their code is another one: ours are the leading bits of an `f32`, 3 of mantissa, with
    /// 2⁻¹⁵ of the greatest magnitude as the least one of signed numbers, and 2⁻³¹ of positive ones:
    /// what is divided by needs the range, and is never rounded to 0.
    Bits8 {
        /// Of the rounding.
        seed: u64,
    },
}

impl Storage {
    /// Segments below this stay as they are.
    pub(super) const LEAST: usize = 4096;

    /// By the name that it has in settings: `full`, `bf16` or `8bit`.
    pub fn named(name: &str, seed: u64) -> Option<Self> {
        Some(match name {
            "full" => Self::Full,
            "bf16" => Self::Bf16 { seed },
            "8bit" => Self::Bits8 { seed },
            _ => return None,
        })
    }
}
