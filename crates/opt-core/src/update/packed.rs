//! State in fewer bits than the parameters have.

use super::codec::{Blocks, Codec, Halves, Noise, coded};
use super::rule::{Packing, Rule, Slot, Step};
use super::shard::{BLOCK, halve};
use super::storage::Storage;
use crate::flush::flushing;
use crate::scalar::Scalar;
use crate::state::visit::{Bits, Visit};

/// The slots of one segment.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    codes: Codes,
    seed: u64,
    len: usize,
    /// Whether a number left the range in the last step.
    pub(super) overflowed: bool,
}

#[derive(Clone, Debug)]
enum Codes {
    Halves(Vec<u16>),
    Blocks { codes: Vec<u8>, bases: Vec<i16> },
}

impl Packed {
    /// `None` where state is stored as it is, or memory does not suffice.
    pub(super) fn new(storage: Storage, slots: &[Slot], len: usize) -> Option<Self> {
        let (seed, all) = match storage {
            Storage::Full => return None,
            Storage::Bf16 { seed } | Storage::Bits8 { seed } => {
                (seed, slots.len().checked_mul(len)?)
            }
        };
        let (mut halves, mut bytes, mut bases) = (Vec::new(), Vec::new(), Vec::new());
        let codes = if matches!(storage, Storage::Bf16 { .. }) {
            halves.try_reserve_exact(all).ok()?;
            halves.resize(all, 0);
            Codes::Halves(halves)
        } else {
            bytes.try_reserve_exact(all).ok()?;
            bytes.resize(all, 0);
            bases.resize(slots.len() * len.div_ceil(BLOCK), 0);
            Codes::Blocks {
                codes: bytes,
                bases,
            }
        };
        let overflowed = false;
        let mut packed = Self {
            codes,
            seed,
            len,
            overflowed,
        };
        packed.fill(slots);
        Some(packed)
    }

    /// Every slot as it starts.
    fn fill(&mut self, slots: &[Slot]) {
        for (k, slot) in slots.iter().enumerate() {
            let (values, len) = ([slot.init; BLOCK], self.len);
            let positive = slot.packing == Packing::Positive;
            let noise = Noise::new(self.seed, 0, k);
            for (block, start) in (0..len).step_by(BLOCK).enumerate() {
                let values = &values[..BLOCK.min(len - start)];
                match &mut self.codes {
                    Codes::Halves(all) => {
                        Halves::new(&mut all[k * len..][..len]).encode(block, values, noise)
                    }
                    Codes::Blocks { codes, bases } => {
                        let blocks = len.div_ceil(BLOCK);
                        let bases = &mut bases[k * blocks..][..blocks];
                        let codes = &mut codes[k * len..][..len];
                        Blocks::new(codes, bases, positive).encode(block, values, noise)
                    }
                };
            }
        }
    }

    /// One step of the segment.
    pub(super) fn advance<F: Scalar, R: Rule<F, N>, const N: usize>(
        &mut self,
        rule: &R,
        step: &Step,
        x: &mut [F],
        d: &[F],
    ) -> bool {
        let (slots, len, seed) = (rule.slots(), self.len, self.seed);
        let noise = std::array::from_fn(|k| Noise::new(seed, step.t, k));
        let update = |x: &mut [F], g: &[F], slots: [&mut [F]; N]| rule.update(step, x, g, slots);
        let finite = match &mut self.codes {
            Codes::Halves(all) => {
                let mut all = all.chunks_exact_mut(len);
                let slots = [(); N].map(|()| Halves::new(all.next().unwrap_or_default()));
                halve(step, x, d, slots, &|_, x, g, slots| {
                    flushing(|| coded(x, g, slots, noise, update))
                })
            }
            Codes::Blocks { codes, bases } => {
                let (mut codes, mut bases) = (
                    codes.chunks_exact_mut(len),
                    bases.chunks_exact_mut(len.div_ceil(BLOCK)),
                );
                let slots = slots.map(|slot| {
                    let (codes, bases) = (codes.next(), bases.next());
                    let positive = slot.packing == Packing::Positive;
                    Blocks::new(
                        codes.unwrap_or_default(),
                        bases.unwrap_or_default(),
                        positive,
                    )
                });
                halve(step, x, d, slots, &|_, x, g, slots| {
                    flushing(|| coded(x, g, slots, noise, update))
                })
            }
        };
        self.overflowed = !finite;
        finite
    }

    /// Shows the slots under `name/segment`, and of blocks what their codes add to.
    pub(super) fn visit<F>(
        &mut self,
        slots: &[Slot],
        (segment, shape): (&str, &[usize]),
        visitor: &mut dyn Visit<F>,
    ) {
        let (len, blocks) = (self.len, self.len.div_ceil(BLOCK));
        for (k, slot) in slots.iter().enumerate() {
            let name = format!("{}/{segment}", slot.name);
            match &mut self.codes {
                Codes::Halves(all) => {
                    let codes = &mut all[k * len..][..len];
                    visitor.packed(&name, shape, Bits::Bf16(codes));
                }
                Codes::Blocks { codes, bases } => {
                    visitor.packed(&name, shape, Bits::U8(&mut codes[k * len..][..len]));
                    let bases = &mut bases[k * blocks..][..blocks];
                    visitor.packed(&format!("{name}/bases"), &[blocks], Bits::I16(bases));
                }
            }
        }
    }

    /// Numbers in it.
    pub(super) fn numbers(&self) -> usize {
        match &self.codes {
            Codes::Halves(all) => all.len(),
            Codes::Blocks { codes, .. } => codes.len(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.codes {
            Codes::Halves(all) => 2 * all.len(),
            Codes::Blocks { codes, bases } => codes.len() + 2 * bases.len(),
        }
    }
}
