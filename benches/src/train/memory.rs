//! What a run keeps in memory.

use opt_core::{Bits, State, Visit};

use crate::results::Memory;
use crate::train::session::Session;

/// Counts the bytes of a state.
#[derive(Default)]
struct Count(u64);

impl Visit<f32> for Count {
    fn buffer(&mut self, _: &str, _: &[usize], data: &mut [f32]) {
        self.0 += size_of_val(data) as u64;
    }

    fn count(&mut self, _: &str, _: &mut u64) {
        self.0 += 8;
    }

    fn number(&mut self, _: &str, _: &mut f64) {
        self.0 += 8;
    }

    fn packed(&mut self, _: &str, _: &[usize], data: Bits<'_>) {
        self.0 += match data {
            Bits::Bf16(data) => size_of_val(data),
            Bits::U8(data) => size_of_val(data),
            Bits::I16(data) => size_of_val(data),
            _ => 0,
        } as u64;
    }
}

impl Session<'_> {
    /// After a step, so that every buffer has its size.
    pub(super) fn memory(&mut self) -> Memory {
        let mut state = Count::default();
        self.method.visit(&mut state);
        let parameters = size_of_val(&*self.x) as u64;
        Memory {
            parameters,
            // The update's own buffer.
            gradient: parameters,
            state: state.0,
            activations: self.network.inner.bytes() as u64,
        }
    }
}
