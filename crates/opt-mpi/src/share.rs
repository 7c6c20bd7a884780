//! What methods do over all ranks: sums, and state that one rank has and all are to have.

use opt_core::{Bits, Error, Processes, State, Visit};

use crate::meet::{Call, Place};
use crate::ranks::{Element, Ranks};

impl Ranks {
    /// Overwrites `state` on all ranks by that of rank `from`, if no rank has an error: else gives the first
    /// one, on all. For what one rank has computed for all, such as running statistics of a model.
    ///
    /// # Errors
    /// That of the first rank that has one; [`Error::Differs`](crate::Error::Differs) if the states have
    /// not the same names and lengths, and [`Error::Argument`] if there is no rank `from`: then nothing has
    /// changed.
    pub fn share<F: Element>(
        &self,
        from: usize,
        mine: Result<(), Error>,
        state: &mut dyn State<F>,
    ) -> Result<(), Error> {
        if from >= self.size() {
            let (name, value) = ("from", from as f64);
            return Err(Error::Argument { name, value });
        }
        let mut names = Names(0xcbf2_9ce4_8422_2325);
        state.visit(&mut names);
        let (call, print) = (Call::Share, names.0);
        let place = Place {
            call,
            len: from,
            print,
        };
        self.meet(place, mine.map(|()| []))?;
        let mut send = Send {
            ranks: self,
            from,
            result: Ok(()),
        };
        state.visit(&mut send);
        Ok(send.result?)
    }
}

impl<F: Element> Processes<F> for Ranks {
    fn size(&self) -> usize {
        self.size()
    }

    fn rank(&self) -> usize {
        self.rank()
    }

    fn sum(&self, mine: Result<(), Error>, sums: &mut [F]) -> Result<(), Error> {
        self.summed(mine, sums)
    }

    fn sum_numbers(&self, mine: Result<(), Error>, sums: &mut [f64]) -> Result<(), Error> {
        self.summed(mine, sums)
    }

    fn share(
        &self,
        from: usize,
        mine: Result<(), Error>,
        state: &mut dyn State<F>,
    ) -> Result<(), Error> {
        self.share(from, mine, state)
    }
}

impl Ranks {
    fn summed<F: Element>(&self, mine: Result<(), Error>, sums: &mut [F]) -> Result<(), Error> {
        self.meet(Place::new(Call::Sum, sums.len()), mine.map(|()| []))?;
        Ok(self.mean(sums, &vec![1.0; self.size()], &mut Vec::new())?)
    }
}

/// A hash of names and lengths (FNV-1a).
struct Names(u64);

impl Names {
    fn add(&mut self, name: &str, len: usize) {
        for byte in name.bytes().chain(len.to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl<F: Element> Visit<F> for Names {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        self.add(name, data.len());
    }

    fn count(&mut self, name: &str, _: &mut u64) {
        self.add(name, 1);
    }

    fn number(&mut self, name: &str, _: &mut f64) {
        self.add(name, 2);
    }

    fn packed(&mut self, name: &str, _: &[usize], data: Bits<'_>) {
        let len = match &data {
            Bits::Bf16(data) => data.len(),
            Bits::U8(data) => data.len(),
            Bits::I16(data) => data.len(),
            _ => 0,
        };
        self.add(name, len);
    }
}

struct Send<'a> {
    ranks: &'a Ranks,
    from: usize,
    result: Result<(), crate::Error>,
}

impl Send<'_> {
    fn data<T: mpi::traits::Equivalence>(&mut self, data: &mut [T]) {
        if self.result.is_ok() {
            self.result = self.ranks.broadcast_from(self.from, data);
        }
    }
}

impl<F: Element> Visit<F> for Send<'_> {
    fn buffer(&mut self, _: &str, _: &[usize], data: &mut [F]) {
        self.data(data);
    }

    fn count(&mut self, _: &str, value: &mut u64) {
        self.data(std::slice::from_mut(value));
    }

    fn number(&mut self, _: &str, value: &mut f64) {
        self.data(std::slice::from_mut(value));
    }

    fn packed(&mut self, name: &str, _: &[usize], data: Bits<'_>) {
        match data {
            Bits::Bf16(data) => self.data(data),
            Bits::U8(data) => self.data(data),
            Bits::I16(data) => self.data(data),
            // A kind that opt-core has learned since.
            _ => self.result = Err(crate::Error::State(name.to_owned())),
        }
    }
}
