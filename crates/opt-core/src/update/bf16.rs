use super::Update;
use super::codec::{Noise, decode_halves, encode_halves, nearest_halves};
use crate::error::Error;
use crate::kernel::{GRAIN, join};
use crate::state::visit::{State, Visit};
use crate::tune::{Change, Field, Tune, Value};

/// How parameters in bf16 follow a step that is made in `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rounding {
    /// A copy of the parameters in `f32` takes the steps, and x is it, rounded to nearest: 4 bytes more
    /// for each parameter, and the path of `f32`.
    Master,
    /// No copy: a step is added to x in `f32`, and the sum is rounded up or down with the probability
    /// that makes the mean right, drawn from `seed`, the step and the place.
    Stochastic {
        /// Of the rounding.
        seed: u64,
    },
}

/// Parameters in bf16, given as the bits, moved by an update in `f32`.
///
/// bf16 has 8 bits of precision: lr = 1e-3 times a step of the size of x, or a decay of 1e-5 of x, is
/// nothing when it is subtracted in bf16. Here both are subtracted in `f32`, before x is rounded.
///
/// ```
/// # use opt_core::{*, Hyper};
/// # #[derive(Clone, Debug)] struct Sgd { lr: f64 }
/// # impl Hyper for Sgd {
/// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
/// #         visit.real("lr", &mut self.lr, Bound::NonNegative);
/// #     }
/// # }
/// # impl<F: Scalar> Rule<F, 0> for Sgd {
/// #     fn slots(&self) -> [Slot; 0] { [] }
/// #     fn update(&self, _: &Step, x: &mut [F], g: &[F], s: [&mut [F]; 0]) -> bool {
/// #         let lr = F::of(self.lr);
/// #         each(x, g, s, move |x, g, []| (x - lr * g, []))
/// #     }
/// # }
/// let one = 0x3f80_u16; // the leading half of the bits of 1.0
/// let mut x = [one; 4];
/// let params = ParamMap::flat(4)?;
/// let update = FirstOrder::new(Sgd { lr: 1e-3 }, &params)?;
/// let mut half = Bf16::new(update, &x, Rounding::Master)?;
/// for _ in 0..100 {
///     half.apply(&mut x, &[1.0; 4])?;
/// }
/// // 0.9: in bf16 alone, 1 − 0.001 is 1.
/// assert_eq!(x, [0x3f66; 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bf16<U> {
    update: U,
    rounding: Rounding,
    /// x in `f32`; without a master copy, room for the largest segment.
    wide: Vec<f32>,
    /// Steps so far.
    t: u64,
}

/// A piece of all threads' work: bits, values, and whether to the bits.
fn convert(bits: &mut [u16], wide: &mut [f32], how: How, start: usize) -> bool {
    let len = bits.len().min(wide.len());
    if len > GRAIN {
        let middle = len / 2;
        let (bits_lo, bits_hi) = bits.split_at_mut(middle);
        let (wide_lo, wide_hi) = wide.split_at_mut(middle);
        let (lo, hi) = join(
            len,
            || convert(bits_lo, wide_lo, how, start),
            || convert(bits_hi, wide_hi, how, start + middle),
        );
        return lo & hi;
    }
    match how {
        How::Widen => decode_halves(bits, wide),
        How::Nearest => return nearest_halves(wide, bits),
        How::Stochastic(noise) => return encode_halves(wide, bits, noise.first(start)),
    }
    true
}

#[derive(Clone, Copy)]
enum How {
    Widen,
    Nearest,
    Stochastic(Noise),
}

impl<U: Update<f32>> Bf16<U> {
    /// For parameters that are `x` now.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Diverged`] if x is not finite.
    pub fn new(update: U, x: &[u16], rounding: Rounding) -> Result<Self, Error> {
        update.params().check_len("x", x.len())?;
        let lengths = update.params().segments().iter().map(|s| s.range.len());
        let room = match rounding {
            Rounding::Master => x.len(),
            Rounding::Stochastic { .. } => lengths.max().unwrap_or(0),
        };
        let mut half = Self {
            update,
            rounding,
            wide: vec![0.0; room],
            t: 0,
        };
        half.reset(x)?;
        Ok(half)
    }

    /// Takes x as it is now for the master copy: after somebody else has moved it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reset(&mut self, x: &[u16]) -> Result<(), Error> {
        self.update.params().check_len("x", x.len())?;
        // Infinity, and above it NaN.
        if let Some(at) = x.iter().position(|bits| bits & 0x7fff >= 0x7f80) {
            let place = self.update.params().locate(at);
            return Err(Error::Diverged {
                segment: place.map_or_else(String::new, |(segment, _)| segment.name.clone()),
                what: "x",
                index: place.map_or(at, |(_, index)| index),
                value: f32::from_bits(u32::from(x[at]) << 16).into(),
                dtype: "BF16",
            });
        }
        if self.rounding == Rounding::Master {
            decode_halves(x, &mut self.wide);
        }
        Ok(())
    }

    /// One step of all parameters by the direction `d`.
    ///
    /// # Errors
    /// As [`Update::apply`]; then nothing has changed, but for [`Error::Diverged`].
    pub fn apply(&mut self, x: &mut [u16], d: &[f32]) -> Result<(), Error> {
        self.update.params().check_len("x", x.len())?;
        self.update.check_whole(d)?;
        let (t, rounding) = (self.t.saturating_add(1), self.rounding);
        match rounding {
            Rounding::Master => {
                self.update.advance_whole(&mut self.wide, d)?;
                convert(x, &mut self.wide, How::Nearest, 0);
            }
            Rounding::Stochastic { seed } => {
                let noise = Noise::new(seed, t, 0);
                for index in 0..self.update.params().segments().len() {
                    let range = self.update.params().segment(index)?.range.clone();
                    let (bits, wide) = (&mut x[range.clone()], &mut self.wide[..range.len()]);
                    convert(bits, wide, How::Widen, 0);
                    let moved = (self.update)
                        .advance(index, &mut [super::Part::new(wide, &d[range.clone()])]);
                    convert(bits, wide, How::Stochastic(noise), range.start);
                    moved?;
                }
            }
        }
        self.t = t;
        Ok(())
    }

    /// How x moves, in `f32`.
    pub fn update(&self) -> &U {
        &self.update
    }

    /// How x moves, mutable.
    pub fn update_mut(&mut self) -> &mut U {
        &mut self.update
    }
}

impl<U: Update<f32>> State<f32> for Bf16<U> {
    fn visit(&mut self, visitor: &mut dyn Visit<f32>) {
        self.update.visit(visitor);
        visitor.count("t", &mut self.t);
        if self.rounding == Rounding::Master {
            for segment in self.update.params().segments() {
                let name = format!("master/{}", segment.name);
                visitor.buffer(&name, &segment.shape, &mut self.wide[segment.range.clone()]);
            }
        }
    }
}

impl<U: Tune> Tune for Bf16<U> {
    fn list(&self) -> Vec<Field> {
        self.update.list()
    }

    fn get(&self, name: &str) -> Result<Value, Error> {
        self.update.get(name)
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.update.change(name, change)
    }
}
