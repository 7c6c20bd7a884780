use std::collections::BTreeMap;

use crate::{Error, Scalar, State, Visit};

/// A copy of one or more states, by name; in memory, or in a safetensors file with the feature
/// `safetensors`.
///
/// ```
/// use opt_core::{ParamMap, Parameters, Snapshot};
///
/// let map = ParamMap::new([("w", vec![2])])?;
/// let mut x = [1.0_f64, 2.0];
/// let saved = Snapshot::take(&mut [("x", &mut Parameters { map: &map, x: &mut x })]);
/// x[0] = 9.0;
/// saved.restore(&mut [("x", &mut Parameters { map: &map, x: &mut x })])?;
/// assert_eq!(x, [1.0, 2.0]);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<F> {
    pub(crate) buffers: BTreeMap<String, (Vec<usize>, Vec<F>)>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) numbers: BTreeMap<String, f64>,
}

/// States with the names that set them apart within one snapshot.
pub type Named<'a, 'b, F> = [(&'a str, &'b mut dyn State<F>)];

impl<F: Scalar> Snapshot<F> {
    /// Copies all states.
    pub fn take(states: &mut Named<'_, '_, F>) -> Self {
        let mut snapshot = Self {
            buffers: BTreeMap::new(),
            counts: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for (prefix, state) in states {
            state.visit(&mut Take(prefix, &mut snapshot));
        }
        snapshot
    }

    /// Writes the copy back into states of the same names and shapes.
    ///
    /// # Errors
    /// [`Error::Snapshot`] that lists everything that is missing, unknown, of another shape, or
    /// the second of its name; then nothing has been written.
    pub fn restore(&self, states: &mut Named<'_, '_, F>) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut seen = Vec::new();
        for (prefix, state) in states.iter_mut() {
            state.visit(&mut Compare {
                prefix,
                snapshot: self,
                seen: &mut seen,
                problems: &mut problems,
            });
        }
        let names = (self.buffers.keys())
            .chain(self.counts.keys())
            .chain(self.numbers.keys());
        for name in names.filter(|name| !seen.contains(*name)) {
            problems.push(format!("`{name}` is unknown"));
        }
        if !problems.is_empty() {
            return Err(Error::Snapshot(problems.join("; ")));
        }
        for (prefix, state) in states {
            state.visit(&mut Give(prefix, self));
        }
        Ok(())
    }
}

struct Take<'a, F>(&'a str, &'a mut Snapshot<F>);

impl<F: Scalar> Visit<F> for Take<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let value = (shape.to_vec(), data.to_vec());
        self.1.buffers.insert(join(self.0, name), value);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.1.counts.insert(join(self.0, name), *value);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.1.numbers.insert(join(self.0, name), *value);
    }
}

struct Compare<'a, F> {
    prefix: &'a str,
    snapshot: &'a Snapshot<F>,
    seen: &'a mut Vec<String>,
    problems: &'a mut Vec<String>,
}

impl<F> Compare<'_, F> {
    fn saw(&mut self, name: &str, found: impl FnOnce(&str, &Snapshot<F>) -> bool) {
        let name = join(self.prefix, name);
        if self.seen.contains(&name) {
            self.problems
                .push(format!("`{name}` is there twice: names must differ"));
        } else if !found(&name, self.snapshot) {
            self.problems.push(format!("`{name}` is missing"));
        }
        self.seen.push(name);
    }
}

impl<F: Scalar> Visit<F> for Compare<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let mut other = None;
        self.saw(name, |name, snapshot| {
            let Some((saved, values)) = snapshot.buffers.get(name) else {
                return false;
            };
            if saved != shape || values.len() != data.len() {
                other = Some(format!("`{name}` has shape {saved:?}, must be {shape:?}"));
            }
            true
        });
        self.problems.extend(other);
    }

    fn count(&mut self, name: &str, _: &mut u64) {
        self.saw(name, |name, snapshot| snapshot.counts.contains_key(name));
    }

    fn number(&mut self, name: &str, _: &mut f64) {
        self.saw(name, |name, snapshot| snapshot.numbers.contains_key(name));
    }
}

struct Give<'a, F>(&'a str, &'a Snapshot<F>);

impl<F: Scalar> Visit<F> for Give<'_, F> {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        if let Some((_, saved)) = self.1.buffers.get(&join(self.0, name)) {
            data.copy_from_slice(saved);
        }
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        *value = *self.1.counts.get(&join(self.0, name)).unwrap_or(value);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        *value = *self.1.numbers.get(&join(self.0, name)).unwrap_or(value);
    }
}

fn join(prefix: &str, name: &str) -> String {
    format!("{prefix}/{name}")
}
