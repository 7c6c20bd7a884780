use std::collections::{BTreeMap, HashSet};

use crate::error::Error;
use crate::scalar::Scalar;
use crate::state::visit::{Bits, State, Visit};

/// A copy of one or more states, by name; in memory, or in a safetensors file with the feature
/// `safetensors`.
///
/// ```
/// use opt_core::{ParamMap, Parameters, Snapshot};
///
/// let map = ParamMap::new([("w", vec![2])])?;
/// let mut x = [1.0_f64, 2.0];
/// let saved = Snapshot::take(&mut [("x", &mut Parameters::new(&map, &mut x)?)])?;
/// x[0] = 9.0;
/// saved.restore(&mut [("x", &mut Parameters::new(&map, &mut x)?)])?;
/// assert_eq!(x, [1.0, 2.0]);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<F> {
    pub(crate) values: BTreeMap<String, Value<F>>,
    /// Of the run, as texts: to compare, not to restore.
    pub(crate) settings: BTreeMap<String, String>,
}

/// One entry, as the visitor has shown it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<F> {
    Buffer(Vec<usize>, Vec<F>),
    Count(u64),
    Number(f64),
    Packed(Vec<usize>, Stored),
}

const BF16: &str = "a tensor of bf16";
const U8: &str = "a tensor of 8-bit codes";
const I16: &str = "a tensor of 16-bit integers";

/// A copy of [`Bits`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    Bf16(Vec<u16>),
    U8(Vec<u8>),
    I16(Vec<i16>),
}

impl Stored {
    fn of(data: &Bits<'_>) -> Self {
        match data {
            Bits::Bf16(data) => Self::Bf16(data.to_vec()),
            Bits::U8(data) => Self::U8(data.to_vec()),
            Bits::I16(data) => Self::I16(data.to_vec()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Bf16(_) => BF16,
            Self::U8(_) => U8,
            Self::I16(_) => I16,
        }
    }

    /// Whether it is of the type and length of `data`; then copies it there, if `write` says so.
    fn fits(&self, data: Bits<'_>, write: bool) -> bool {
        fn copy<T: Copy>(from: &[T], to: &mut [T], write: bool) -> bool {
            let same = from.len() == to.len();
            if same && write {
                to.copy_from_slice(from);
            }
            same
        }
        match (self, data) {
            (Self::Bf16(from), Bits::Bf16(to)) => copy(from, to, write),
            (Self::U8(from), Bits::U8(to)) => copy(from, to, write),
            (Self::I16(from), Bits::I16(to)) => copy(from, to, write),
            _ => false,
        }
    }
}

impl<F> Value<F> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Buffer(..) => "a tensor",
            Self::Count(_) => "a count",
            Self::Number(_) => "a number",
            Self::Packed(_, stored) => stored.kind(),
        }
    }
}

/// States with the names that set them apart within one snapshot.
pub type Named<'a, 'b, F> = [(&'a str, &'b mut dyn State<F>)];

/// What a partial restore has left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// In the states and not in the snapshot, in the order of the states: still at its start.
    pub missing: Vec<String>,
    /// In the snapshot and not in the states, sorted: not used.
    pub unknown: Vec<String>,
}

impl<F: Scalar> Snapshot<F> {
    /// Copies all states.
    ///
    /// # Errors
    /// [`Error::Snapshot`] that lists every name that is there twice, and every tensor that has
    /// not as many values as its shape.
    pub fn take(states: &mut Named<'_, '_, F>) -> Result<Self, Error> {
        let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
        for (prefix, state) in states {
            state.visit(&mut Take {
                prefix,
                values: &mut values,
                problems: &mut problems,
            });
        }
        refuse(problems)?;
        Ok(Self {
            values,
            settings: BTreeMap::new(),
        })
    }

    /// Writes the copy back into states of the same names and shapes.
    ///
    /// # Errors
    /// [`Error::Snapshot`] that lists everything that is missing, unknown, of another shape or
    /// kind, or the second of its name; then nothing has been written.
    pub fn restore(&self, states: &mut Named<'_, '_, F>) -> Result<(), Error> {
        let (found, mut problems) = self.compare(states);
        let missing = found.missing.iter();
        problems.extend(missing.map(|name| format!("`{name}` is missing")));
        let unknown = found.unknown.iter();
        problems.extend(unknown.map(|name| format!("`{name}` is unknown")));
        refuse(problems)?;
        self.give(states);
        Ok(())
    }

    /// Writes back what the states and the copy both have, for a model that has grown or lost a
    /// part: what is new is named, and left at its start.
    ///
    /// A method's count of steps is restored with the rest, so a new tensor may miss the bias
    /// correction of its first steps.
    ///
    /// # Errors
    /// [`Error::Snapshot`] that lists what is of another shape or kind, or the second of its
    /// name; then nothing has been written.
    pub fn restore_partial(&self, states: &mut Named<'_, '_, F>) -> Result<Restored, Error> {
        let (found, problems) = self.compare(states);
        refuse(problems)?;
        self.give(states);
        Ok(found)
    }

    fn compare(&self, states: &mut Named<'_, '_, F>) -> (Restored, Vec<String>) {
        let mut compare = Compare {
            prefix: "",
            values: &self.values,
            seen: HashSet::new(),
            missing: Vec::new(),
            problems: Vec::new(),
        };
        for (prefix, state) in states {
            compare.prefix = prefix;
            state.visit(&mut compare);
        }
        let Compare {
            seen,
            missing,
            problems,
            ..
        } = compare;
        let unknown = self.values.keys().filter(|name| !seen.contains(*name));
        let unknown = unknown.cloned().collect();
        (Restored { missing, unknown }, problems)
    }

    fn give(&self, states: &mut Named<'_, '_, F>) {
        for (prefix, state) in states {
            state.visit(&mut Give(prefix, &self.values));
        }
    }
}

fn refuse(problems: Vec<String>) -> Result<(), Error> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Snapshot(problems.join("; ")))
}

/// Why a tensor is none.
fn misshapen<F>(shape: &[usize], data: &[F]) -> Option<String> {
    let size = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
    // A product may be too large before a 0 makes it nothing.
    let size = size.or(shape.contains(&0).then_some(0));
    (size != Some(data.len())).then(|| format!("has {} values for shape {shape:?}", data.len()))
}

struct Take<'a, F> {
    prefix: &'a str,
    values: &'a mut BTreeMap<String, Value<F>>,
    problems: &'a mut Vec<String>,
}

impl<F> Take<'_, F> {
    fn put(&mut self, name: &str, value: Value<F>) {
        let name = join(self.prefix, name);
        if self.values.insert(name.clone(), value).is_some() {
            self.problems.push(twice(&name));
        }
    }
}

impl<F: Scalar> Visit<F> for Take<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        if let Some(what) = misshapen(shape, data) {
            let name = join(self.prefix, name);
            self.problems.push(format!("`{name}` {what}"));
        }
        self.put(name, Value::Buffer(shape.to_vec(), data.to_vec()));
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.put(name, Value::Count(*value));
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.put(name, Value::Number(*value));
    }

    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>) {
        self.put(name, Value::Packed(shape.to_vec(), Stored::of(&data)));
    }
}

struct Compare<'a, F> {
    prefix: &'a str,
    values: &'a BTreeMap<String, Value<F>>,
    seen: HashSet<String>,
    missing: Vec<String>,
    problems: Vec<String>,
}

impl<F> Compare<'_, F> {
    /// `wrong` says what is wrong with the saved value, if anything.
    fn saw(&mut self, name: &str, wrong: impl FnOnce(&Value<F>) -> Option<String>) {
        let name = join(self.prefix, name);
        if self.seen.contains(&name) {
            return self.problems.push(twice(&name));
        }
        match self.values.get(&name) {
            None => self.missing.push(name.clone()),
            Some(value) => {
                let wrong = wrong(value).map(|what| format!("`{name}` {what}"));
                self.problems.extend(wrong);
            }
        }
        self.seen.insert(name);
    }
}

fn other_kind<F>(saved: &Value<F>, wanted: &str) -> Option<String> {
    Some(format!("is {}, must be {wanted}", saved.kind()))
}

impl<F: Scalar> Visit<F> for Compare<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let misshapen = misshapen(shape, data);
        self.saw(name, |value| match value {
            _ if misshapen.is_some() => misshapen,
            Value::Buffer(saved, _) if saved == shape => None,
            Value::Buffer(saved, _) => Some(format!("has shape {saved:?}, must be {shape:?}")),
            value => other_kind(value, "a tensor"),
        });
    }

    fn count(&mut self, name: &str, _: &mut u64) {
        self.saw(name, |value| match value {
            Value::Count(_) => None,
            value => other_kind(value, "a count"),
        });
    }

    fn number(&mut self, name: &str, _: &mut f64) {
        self.saw(name, |value| match value {
            Value::Number(_) => None,
            value => other_kind(value, "a number"),
        });
    }

    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>) {
        self.saw(name, |value| {
            let wanted = match &data {
                Bits::Bf16(_) => BF16,
                Bits::U8(_) => U8,
                Bits::I16(_) => I16,
            };
            match value {
                Value::Packed(saved, stored) if value.kind() == wanted => (saved != shape
                    || !stored.fits(data, false))
                .then(|| format!("has shape {saved:?}, must be {shape:?}")),
                value => other_kind(value, wanted),
            }
        });
    }
}

/// Writes what fits; what must fit has been compared before.
struct Give<'a, F>(&'a str, &'a BTreeMap<String, Value<F>>);

impl<F: Scalar> Visit<F> for Give<'_, F> {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        if let Some(Value::Buffer(_, saved)) = self.1.get(&join(self.0, name))
            && saved.len() == data.len()
        {
            data.copy_from_slice(saved);
        }
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        if let Some(Value::Count(saved)) = self.1.get(&join(self.0, name)) {
            *value = *saved;
        }
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        if let Some(Value::Number(saved)) = self.1.get(&join(self.0, name)) {
            *value = *saved;
        }
    }

    fn packed(&mut self, name: &str, _: &[usize], data: Bits<'_>) {
        if let Some(Value::Packed(_, saved)) = self.1.get(&join(self.0, name)) {
            saved.fits(data, true);
        }
    }
}

pub(crate) fn twice(name: &str) -> String {
    format!("`{name}` is there twice: names must differ")
}

/// A state that is one value has no name of its own.
fn join(prefix: &str, name: &str) -> String {
    match name {
        "" => prefix.to_owned(),
        name => format!("{prefix}/{name}"),
    }
}
