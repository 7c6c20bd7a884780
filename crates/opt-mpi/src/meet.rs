//! Where ranks meet: before anything is summed or moved they tell each other what they call, whether
//! it went well, and that they stand at the same place.

use opt_core::Error;

use crate::ranks::{Element, Ranks};
use crate::wire::{pack, unpack};

/// What the ranks have come together for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Call {
    Value,
    Gradient,
    Diagonal,
    HessianProduct,
    GaussNewton,
    Moments,
    Samples,
    Deltas,
    Layer,
    Observe,
    Sample,
    Factor,
    Whiten,
    Check,
    Advance,
    Visit,
    Broadcast,
    Agree,
    Share,
    Sum,
    End,
}

/// Call, length, fingerprint and length of an error; and what is brought.
const WORDS: usize = 7;

const NAMES: [&str; 21] = [
    "Objective::value",
    "Objective::grad",
    "HessianDiag::hessian_diag",
    "HessianProduct::hessian_product",
    "GaussNewton::gauss_newton_product",
    "PerSample::grad_moments",
    "PerSample::samples",
    "Layered::deltas",
    "Layered::layer",
    "Layered::observe",
    "SampledFisher::sample",
    "Fisher::factor",
    "Reparametrized::set_whitening",
    "Update::check",
    "Update::advance",
    "State::visit",
    "Ranks::broadcast",
    "Ranks::agree",
    "Ranks::share",
    "Processes::sum",
    "the end of its run",
];

/// What must be the same on all ranks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) call: Call,
    /// A length, or a number of what the call is about.
    pub(crate) len: usize,
    /// A [`fingerprint`] of the vectors that the call goes by, if any.
    pub(crate) print: u64,
}

impl Place {
    pub(crate) fn new(call: Call, len: usize) -> Self {
        Self {
            call,
            len,
            print: 0,
        }
    }
}

fn named(call: u64, len: u64) -> String {
    let name = usize::try_from(call).ok().and_then(|call| NAMES.get(call));
    let name = name.unwrap_or(&"?");
    match call == Call::End as u64 {
        true => (*name).to_owned(),
        false => format!("{name} ({len})"),
    }
}

impl Ranks {
    /// Gives the three words or fewer that every rank has brought; or, on all ranks, the error of the first
    /// that failed. It takes one message, of as many words whatever the call: whoever comes for another
    /// must understand it.
    pub(crate) fn meet<const N: usize>(
        &self,
        place: Place,
        mine: Result<[u64; N], Error>,
    ) -> Result<Vec<[u64; N]>, Error> {
        let mut failed = match &mine {
            Ok(_) => Vec::new(),
            Err(error) => pack(error),
        };
        let Place { call, len, print } = place;
        let mut words = [call as u64, len as u64, print, failed.len() as u64, 0, 0, 0];
        let brought = mine.unwrap_or([0; N]);
        words[4..]
            .iter_mut()
            .zip(brought)
            .for_each(|(to, word)| *to = word);
        let words = self.gather_words(words)?;
        let Some(&[call, len, print, ..]) = words.first() else {
            return Err(crate::Error::Ended.into()); // not reached: there is at least this rank
        };
        if let Some(error) = self.parted(&words, &mut failed)? {
            return Err(error);
        }
        let (first, there) = (named(call, len), [call, len]);
        if let Some(rank) = words.iter().position(|w| w[..2] != there) {
            let other = named(words[rank][0], words[rank][1]);
            return Err(crate::Error::OutOfStep { first, rank, other }.into());
        }
        if let Some(rank) = words.iter().position(|w| w[3] > 0) {
            failed.resize(usize::try_from(words[rank][3]).unwrap_or_default(), 0);
            self.broadcast_from(rank, &mut failed)?;
            return Err(unpack(&failed, rank));
        }
        if let Some(rank) = words.iter().position(|w| w[2] != print) {
            let call = NAMES[place.call as usize].to_owned();
            return Err(crate::Error::Differs { call, rank }.into());
        }
        let brought = |w: &[u64; WORDS]| std::array::from_fn(|at| *w[4..].get(at).unwrap_or(&0));
        Ok(words.iter().map(brought).collect())
    }

    /// The error of the first rank that has returned with one, if there is any.
    fn parted(&self, words: &[[u64; WORDS]], error: &mut Vec<u8>) -> Result<Option<Error>, Error> {
        let ended = |words: &[u64; WORDS]| words[0] == Call::End as u64 && words[3] > 0;
        let Some(rank) = words.iter().position(ended) else {
            return Ok(None);
        };
        error.resize(usize::try_from(words[rank][3]).unwrap_or_default(), 0);
        self.broadcast_from(rank, error)?;
        Ok(Some(unpack(error, rank)))
    }

    /// Waits until all ranks have come to their end, as this one; until then whoever calls anything else
    /// hears of it, and of the error that this one has.
    pub(crate) fn part_with(&self, error: Option<String>) -> Result<(), Error> {
        let own = error.map(|error| pack(&Error::objective(error)));
        let own = own.unwrap_or_default();
        loop {
            let words = [Call::End as u64, 0, 0, own.len() as u64, 0, 0, 0];
            let words = self.gather_words(words)?;
            if words.iter().all(|words| words[0] == Call::End as u64) {
                return Ok(());
            }
            self.parted(&words, &mut own.clone())?;
        }
    }

    /// The result of this rank, if no rank has an error: else the first one, on all of them. For what
    /// one rank may fail at alone, such as to read its part of the data.
    ///
    /// # Errors
    /// That of the first rank that has one. What has no type in opt-core comes as
    /// [`Error::OnRank`](crate::Error::OnRank).
    pub fn agree<T>(&self, mine: Result<T, Error>) -> Result<T, Error> {
        let mut result = None;
        let mine = mine.map(|value| {
            result = Some(value);
            []
        });
        self.meet(Place::new(Call::Agree, 0), mine)?;
        // There is one, or the error was found above.
        result.ok_or_else(|| crate::Error::Ended.into())
    }

    /// Overwrites `x` on all ranks by that of rank 0, from which they then start.
    ///
    /// # Errors
    /// [`Error::OutOfStep`](crate::Error::OutOfStep) if the lengths differ; then nothing has changed.
    pub fn broadcast<F: Element>(&self, x: &mut [F]) -> Result<(), Error> {
        self.meet(Place::new(Call::Broadcast, x.len()), Ok([]))?;
        Ok(self.broadcast_from(0, x)?)
    }
}

/// Lanes of a fingerprint, so that one multiplication need not wait for another.
const LANES: usize = 8;

/// A number that two vectors share only by chance, unless they are the same bit by bit.
pub(crate) fn fingerprint<F: Element>(vectors: &[&[F]]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes = [1_u64; LANES];
    for vector in vectors {
        let (whole, rest) = vector.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = lane.wrapping_mul(ODD) ^ v.f64().to_bits();
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane = lane.wrapping_mul(ODD) ^ v.f64().to_bits();
        }
    }
    lanes.iter().fold(0, |all: u64, lane| {
        (all ^ lane ^ (lane >> 29)).wrapping_mul(ODD)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bit_changes_the_fingerprint() {
        let x: Vec<f32> = (0..1003).map(|i| (i as f32).sin()).collect();
        let print = fingerprint(&[&x]);
        for at in [0, 7, 500, 1002] {
            let mut y = x.clone();
            y[at] = f32::from_bits(y[at].to_bits() ^ 1);
            assert_ne!(fingerprint(&[&y]), print, "{at}");
        }
        let mut swapped = x.clone();
        swapped.swap(3, 11);
        assert_ne!(fingerprint(&[&swapped]), print);
        assert_eq!(fingerprint(&[&x.clone()]), print);
    }

    #[test]
    fn every_call_has_a_name() {
        assert_eq!(Call::End as usize + 1, NAMES.len());
        assert_eq!(named(Call::Advance as u64, 5), "Update::advance (5)");
        assert_eq!(named(99, 5), "? (5)");
    }
}
