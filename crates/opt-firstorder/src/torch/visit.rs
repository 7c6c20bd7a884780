//! An update's state, from a file's tensors and to them.

use std::collections::{BTreeMap, HashMap};

use opt_core::{Scalar, Visit};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Buffer;

fn dtype<F: Scalar>() -> Dtype {
    match F::DTYPE {
        "F32" => Dtype::F32,
        _ => Dtype::F64,
    }
}

/// Numbers of either type, in double precision.
fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    Some(match dtype {
        Dtype::F32 => {
            let values = bytes.as_chunks::<4>().0.iter();
            values.map(|v| f64::from(f32::from_le_bytes(*v))).collect()
        }
        Dtype::F64 => {
            let values = bytes.as_chunks::<8>().0.iter();
            values.map(|v| f64::from_le_bytes(*v)).collect()
        }
        _ => return None,
    })
}

/// A shown name is that of a buffer, a slash, and that of a segment.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("", name))
}

/// Writes a file's tensors into a new update.
pub(super) struct Give<'a> {
    pub(super) tensors: BTreeMap<&'a str, TensorView<'a>>,
    pub(super) buffers: Vec<Buffer>,
    pub(super) decays: [f64; 2],
    pub(super) counts: bool,
    pub(super) problems: Vec<String>,
    pub(super) used: Vec<String>,
}

impl Give<'_> {
    pub(super) fn used(&self, name: &str) -> bool {
        self.used.iter().any(|used| used == name)
    }

    /// The steps of a segment: 0 where the file has nothing of it.
    fn steps(&mut self, segment: &str) -> u64 {
        if !self.counts {
            let has = |b: &Buffer| {
                self.tensors
                    .contains_key(&*format!("{segment}.{}", b.theirs))
            };
            return u64::from(self.buffers.iter().any(has));
        }
        let name = format!("{segment}.step");
        let Some(view) = self.tensors.get(&*name) else {
            return 0;
        };
        let whole = |v: &f64| v.fract() == 0.0 && (0.0..=2_f64.powi(53)).contains(v);
        let values = decode(view.dtype(), view.data());
        let steps = match values.as_deref() {
            Some([steps]) if whole(steps) => *steps as u64,
            _ => {
                self.problems.push(format!("`{name}` is no count of steps"));
                0
            }
        };
        self.used.push(name);
        steps
    }
}

impl<F: Scalar> Visit<F> for Give<'_> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let (slot, segment) = split(name);
        let Some(buffer) = self.buffers.iter().find(|b| b.ours == slot).copied() else {
            return self.problems.push(format!("`{name}` is not in PyTorch"));
        };
        let theirs = format!("{segment}.{}", buffer.theirs);
        let step = format!("{segment}.step");
        let missing = |name: &str| format!("`{name}` is missing");
        let counted = !self.counts || self.tensors.contains_key(&*step);
        let Some(view) = self.tensors.get(&*theirs) else {
            if self.counts && counted {
                self.problems.push(missing(&theirs));
            }
            return;
        };
        if !counted {
            self.problems.push(missing(&step));
        }
        let (found, wanted) = ((view.dtype(), view.shape()), (dtype::<F>(), shape));
        match decode(found.0, view.data()).filter(|_| found == wanted) {
            Some(values) => {
                let pairs = data.iter_mut().zip(values);
                pairs.for_each(|(to, value)| *to = F::of(value * buffer.factor));
            }
            None => {
                let text = format!("`{theirs}` is {found:?}, must be {wanted:?}");
                self.problems.push(text);
            }
        }
        self.used.push(theirs);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        *value = self.steps(split(name).1);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        let (product, segment) = split(name);
        let decay = self.decays[usize::from(product == "decayed2")];
        *value = decay.powf(self.steps(segment) as f64);
    }

    fn packed(&mut self, name: &str, _: &[usize], _: opt_core::Bits<'_>) {
        self.problems.push(format!("`{name}` is in fewer bits"));
    }
}

/// Collects an update's state as PyTorch has it.
pub(super) struct Take {
    pub(super) tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    pub(super) buffers: Vec<Buffer>,
    pub(super) counts: bool,
    /// Segments with fewer steps have no state there.
    pub(super) from: u64,
    pub(super) steps: HashMap<String, u64>,
    pub(super) problems: Vec<String>,
}

impl<F: Scalar> Visit<F> for Take {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let (slot, segment) = split(name);
        if self.steps.get(segment).is_none_or(|t| *t < self.from) {
            return;
        }
        let Some(buffer) = self.buffers.iter().find(|b| b.ours == slot) else {
            return self.problems.push(format!("`{name}` is not in PyTorch"));
        };
        let theirs = |v: &F| *v / F::of(buffer.factor);
        let dtype = dtype::<F>();
        let bytes = data.iter().map(theirs).flat_map(|v| match dtype {
            Dtype::F32 => (v.f64() as f32).to_le_bytes().to_vec(),
            _ => v.f64().to_le_bytes().to_vec(),
        });
        let tensor = (dtype, shape.to_vec(), bytes.collect());
        self.tensors
            .insert(format!("{segment}.{}", buffer.theirs), tensor);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        let segment = split(name).1;
        self.steps.insert(segment.to_owned(), *value);
        if *value > 1 << 24 {
            let text = format!("`{segment}` has made {value} steps, which an f32 can't count");
            self.problems.push(text);
        }
        if self.counts && *value >= self.from {
            let bytes = (*value as f32).to_le_bytes().to_vec();
            let tensor = (Dtype::F32, Vec::new(), bytes);
            self.tensors.insert(format!("{segment}.step"), tensor);
        }
    }

    /// PyTorch has powers of its rates: with a schedule of them, it corrects otherwise.
    fn number(&mut self, _: &str, _: &mut f64) {}

    fn packed(&mut self, name: &str, _: &[usize], _: opt_core::Bits<'_>) {
        self.problems.push(format!("`{name}` is in fewer bits"));
    }
}
