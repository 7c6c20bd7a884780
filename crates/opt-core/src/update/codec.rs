//! Numbers of state in 16 or 8 bits: how a piece is decoded into cache and encoded again.
//!
//! Both formats are the leading bits of the `f32`, and rounding is stochastic: up with the
//! probability that makes the mean right. The noise is a hash of the seed, the step, the slot and
//! the place, so that it is the same for any number of threads.

use super::shard::{BLOCK, Piece};
use crate::kernel::{greatest, prefetch, vectorized};
use crate::scalar::Scalar;

/// A stored piece of one slot, borrowed for a pass.
pub(super) trait Codec<F>: Piece {
    /// Has the block brought into cache, if there is one.
    fn prefetch(&self, block: usize);

    /// Block number `block` of the piece.
    fn decode(&self, block: usize, values: &mut [F]);

    /// Gives whether the values are finite as they were stored.
    fn encode(&mut self, block: usize, values: &[F], noise: Noise) -> bool;
}

/// What the rounding of one slot in one step goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    key: u32,
}

impl Noise {
    pub(super) fn new(seed: u64, t: u64, slot: usize) -> Self {
        // The finalizer of SplitMix64 (Steele, Lea & Flood 2014).
        let mut z = seed ^ t.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (slot as u64) << 56;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let key = (z ^ z >> 31) as u32;
        Self { key }
    }

    /// Of the piece that begins at a place.
    pub(super) fn first(self, place: usize) -> u32 {
        hash(self.key, place)
    }
}

/// 32 bits for a block, by the place of its first element.
fn hash(key: u32, place: usize) -> u32 {
    // The finalizer of MurmurHash3.
    let mut h = (place as u32).wrapping_mul(0x9e37_79b1) ^ key;
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

/// 32 bits for element `i` of a block: the block's, and multiples of the golden ratio. Of every element
/// uniform over the steps, which is what makes its mean right; and within a block spread more evenly
/// than at random. One addition, where a hash of its own would cost as much as all the rest.
#[inline(always)]
fn noise_at(first: u32, i: usize) -> u32 {
    first.wrapping_add((i as u32).wrapping_mul(0x9e37_79b9))
}

const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITE: u32 = 0x7f80_0000;

#[inline(always)]
fn single<F: Scalar>(value: F) -> f32 {
    value.f64() as f32
}

/// bf16: the leading half of an `f32`.
pub(super) struct Halves<'a> {
    codes: &'a mut [u16],
    /// Place of the first.
    start: usize,
}

impl<'a> Halves<'a> {
    pub(super) fn new(codes: &'a mut [u16]) -> Self {
        Self { codes, start: 0 }
    }
}

vectorized! {
    pub(super) fn decode_halves<F>(codes: &[u16], values: &mut [F]) {
        for (value, code) in values.iter_mut().zip(codes) {
            *value = F::of(f64::from(f32::from_bits(u32::from(*code) << 16)));
        }
    }
}

vectorized! {
    pub(super) fn encode_halves<F>(values: &[F], codes: &mut [u16], first: u32) -> bool {
        let mut greatest = 0;
        for (i, (value, code)) in values.iter().zip(codes).enumerate() {
            let bits = single(*value).to_bits();
            let noise = noise_at(first, i) >> 16;
            greatest = greatest.max((bits & MAGNITUDE) as i32);
            // Not on to infinity: the greatest finite one stays.
            let magnitude = (((bits & MAGNITUDE) + noise) >> 16).min((INFINITE >> 16) - 1);
            *code = (magnitude | (bits & !MAGNITUDE) >> 16) as u16;
        }
        greatest < INFINITE as i32
    }
}

vectorized! {
    /// Rounded to nearest, ties to even. Gives whether all are finite.
    pub(super) fn nearest_halves<F>(values: &[F], codes: &mut [u16]) -> bool {
        let mut greatest = 0;
        for (value, code) in values.iter().zip(codes) {
            let bits = single(*value).to_bits();
            greatest = greatest.max((bits & MAGNITUDE) as i32);
            let magnitude = bits & MAGNITUDE;
            let rounded = (magnitude + 0x7fff + (magnitude >> 16 & 1)) >> 16;
            let magnitude = rounded.min((INFINITE >> 16) - 1);
            *code = (magnitude | (bits & !MAGNITUDE) >> 16) as u16;
        }
        greatest < INFINITE as i32
    }
}

impl Piece for Halves<'_> {
    fn split_off(&mut self, middle: usize) -> Self {
        let start = self.start + middle;
        Self {
            codes: self.codes.split_off(middle),
            start,
        }
    }
}

impl<F: Scalar> Codec<F> for Halves<'_> {
    fn prefetch(&self, block: usize) {
        prefetch(next(self.codes, block));
    }

    fn decode(&self, block: usize, values: &mut [F]) {
        decode_halves(&self.codes[block * BLOCK..], values);
    }

    fn encode(&mut self, block: usize, values: &[F], noise: Noise) -> bool {
        let first = noise.first(self.start + block * BLOCK);
        encode_halves(values, &mut self.codes[block * BLOCK..], first)
    }
}

/// 8 bits: of a signed number a sign, 4 bits of exponent and 3 of mantissa; of a positive one 5 and
/// 3. A block has its greatest magnitude at the top.
pub(super) struct Blocks<'a> {
    codes: &'a mut [u8],
    /// Of each block what is added to a code: exponent and mantissa, as one number, of code 0.
    bases: &'a mut [i16],
    start: usize,
    /// Never negative, and where it is not 0, never stored as 0: what is divided by.
    positive: bool,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(codes: &'a mut [u8], bases: &'a mut [i16], positive: bool) -> Self {
        let start = 0;
        Self {
            codes,
            bases,
            start,
            positive,
        }
    }
}

/// Bits of an `f32` below its exponent and the 3 bits of mantissa.
const REST: u32 = 20;

/// The greatest code of a magnitude.
const fn top(positive: bool) -> i32 {
    if positive { 255 } else { 127 }
}

vectorized! {
    fn decode_block<F>(codes: &[u8], values: &mut [F], base: i32, positive: bool) {
        let signs = if positive { 0 } else { 0x80 };
        for (value, code) in values.iter_mut().zip(codes) {
            let (sign, magnitude) = (u32::from(*code) & signs, i32::from(*code) & !(signs as i32));
            let bits = ((magnitude + base).max(0) as u32) << REST;
            let bits = if magnitude == 0 { 0 } else { bits | sign << 24 };
            *value = F::of(f64::from(f32::from_bits(bits)));
        }
    }
}

vectorized! {
    /// `least` is the magnitude of code 1; below it the chance is of 1 against 0.
    fn encode_block<F>(values: &[F], codes: &mut [u8], first: u32, base: i32, least: f32, positive: bool) {
        let (top, floor) = (top(positive), i32::from(positive));
        let odds = 16_777_216.0 / least;
        for (i, (value, code)) in values.iter().zip(codes).enumerate() {
            let bits = single(*value).to_bits();
            let (magnitude, noise) = (bits & MAGNITUDE, noise_at(first, i));
            let rounded = (magnitude + (noise >> (32 - REST))) >> REST;
            let usual = (rounded as i32 - base).min(top);
            // 24 bits of the noise are exact in an `f32`.
            let chance = (noise >> 8) as i32 as f32;
            let few = i32::from(f32::from_bits(magnitude) * odds > chance);
            let few = few.max(if magnitude == 0 { 0 } else { floor });
            let magnitude = if f32::from_bits(magnitude) < least { few } else { usual };
            let sign = if positive { 0 } else { bits >> 24 & 0x80 };
            *code = (magnitude as u32 | sign) as u8;
        }
    }
}

impl Piece for Blocks<'_> {
    fn split_off(&mut self, middle: usize) -> Self {
        Self {
            codes: self.codes.split_off(middle),
            bases: self.bases.split_off(middle / BLOCK),
            start: self.start + middle,
            positive: self.positive,
        }
    }
}

impl<F: Scalar> Codec<F> for Blocks<'_> {
    fn prefetch(&self, block: usize) {
        prefetch(next(self.codes, block));
    }

    fn decode(&self, block: usize, values: &mut [F]) {
        let codes = &self.codes[block * BLOCK..];
        decode_block(codes, values, self.bases[block].into(), self.positive);
    }

    fn encode(&mut self, block: usize, values: &[F], noise: Noise) -> bool {
        let greatest = single(greatest(values)).to_bits();
        if greatest >= INFINITE {
            return false;
        }
        // Rounded up it is at the top, unless that would be infinite.
        let up = (greatest >> REST) as i32 + 1;
        let base = up.min((INFINITE >> REST) as i32 - 1) - top(self.positive);
        self.bases[block] = base as i16;
        // Normal also where the whole block is next to nothing.
        let least = f32::from_bits((base.max(7) as u32 + 1) << REST);
        let (codes, start) = (&mut self.codes[block * BLOCK..], self.start + block * BLOCK);
        let first = noise.first(start);
        encode_block(values, codes, first, base, least, self.positive);
        true
    }
}

/// A block, as far as there is one.
fn next<T>(a: &[T], block: usize) -> &[T] {
    let start = a.len().min(block * BLOCK);
    &a[start..a.len().min(start + BLOCK)]
}

/// Blocks between what is moved and what is asked for: one array before, between and after the
/// calculations, as a core that is asked for all at once waits for memory first and calculates then.
const AHEAD: usize = 2;

/// A step of one stretch by pieces that are decoded, moved and encoded in cache.
pub(super) fn coded<F: Scalar, S: Codec<F>, const N: usize>(
    x: &mut [F],
    g: &[F],
    mut slots: [S; N],
    noise: [Noise; N],
    update: impl Fn(&mut [F], &[F], [&mut [F]; N]) -> bool,
) -> bool {
    let mut buffers = [[F::zero(); BLOCK]; N];
    let mut finite = true;
    let blocks = x.len().div_ceil(BLOCK);
    for block in 0..blocks {
        let start = block * BLOCK;
        let len = BLOCK.min(x.len() - start);
        for (slot, buffer) in slots.iter().zip(&mut buffers) {
            slot.decode(block, &mut buffer[..len]);
            slot.prefetch(block + AHEAD);
        }
        prefetch(next(x, block + AHEAD));
        let (x, d) = (&mut x[start..start + len], &g[start..start + len]);
        finite &= update(x, d, buffers.each_mut().map(|buffer| &mut buffer[..len]));
        prefetch(next(g, block + AHEAD));
        for ((slot, buffer), noise) in slots.iter_mut().zip(&buffers).zip(noise) {
            finite &= slot.encode(block, &buffer[..len], noise);
        }
    }
    finite
}

#[cfg(test)]
mod tests;
