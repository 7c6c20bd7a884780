//! A run's state to the last bit.

use std::hash::{DefaultHasher, Hash, Hasher};

use opt_core::{Bits as Packed, State, Visit};

/// All by name, so that −0 is not 0 and a NaN is itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bits(Vec<(String, Vec<u8>)>);

impl Bits {
    /// Of these states.
    pub(crate) fn of(states: &mut [(&str, &mut dyn State<f32>)]) -> Self {
        let mut collect = Collect::default();
        for (prefix, state) in states {
            (*prefix).clone_into(&mut collect.prefix);
            state.visit(&mut collect);
        }
        Self(collect.all)
    }

    /// Names the first entry that is not the same.
    pub(crate) fn same(&self, other: &Self) -> Result<(), String> {
        let mut pairs = self.0.iter().zip(&other.0);
        if let Some((a, b)) = pairs.find(|(a, b)| a != b) {
            return Err(match a.0 == b.0 {
                true => format!("{} is not the same", a.0),
                false => format!("{} is where {} was", a.0, b.0),
            });
        }
        match self.0.len() == other.0.len() {
            true => Ok(()),
            false => Err("there are not as many entries".to_owned()),
        }
    }

    /// One number for all of it.
    pub(crate) fn digest(&self) -> u128 {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, &self.0).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(1) << 64 | half(2)
    }
}

/// The first buffer that has a value which is not finite.
pub(crate) fn not_finite(states: &mut [(&str, &mut dyn State<f32>)]) -> Option<String> {
    let mut collect = Collect::default();
    for (_, state) in states {
        state.visit(&mut collect);
    }
    collect.bad
}

#[derive(Default)]
struct Collect {
    prefix: String,
    all: Vec<(String, Vec<u8>)>,
    bad: Option<String>,
}

impl Collect {
    fn put(&mut self, name: &str, bytes: impl Iterator<Item = u8>) {
        let name = format!("{}/{name}", self.prefix);
        self.all.push((name, bytes.collect()));
    }
}

impl Visit<f32> for Collect {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [f32]) {
        self.put(name, data.iter().flat_map(|v| v.to_le_bytes()));
        if self.bad.is_none() && data.iter().any(|v| !v.is_finite()) {
            self.bad = Some(name.to_owned());
        }
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.put(name, value.to_le_bytes().into_iter());
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.put(name, value.to_le_bytes().into_iter());
    }

    fn packed(&mut self, name: &str, _: &[usize], data: Packed<'_>) {
        match data {
            Packed::Bf16(data) => self.put(name, data.iter().flat_map(|v| v.to_le_bytes())),
            Packed::U8(data) => self.put(name, data.iter().copied()),
            Packed::I16(data) => self.put(name, data.iter().flat_map(|v| v.to_le_bytes())),
            other => self.put(name, format!("{other:?}").into_bytes().into_iter()),
        }
    }
}
