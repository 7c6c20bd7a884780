//! State in burn's format, under the names of its tensors, which are the parameters' paths.

use std::collections::{BTreeMap, BTreeSet};

use burn_core::tensor::{Bytes, DType, Element, TensorData};
use burn_pack::{Reader, Tensor, Writer};
use opt_core::{Bits, Scalar, State, Visit};

use crate::{Error, host};

pub(crate) fn to_bytes<F: Scalar + Element>(state: &mut impl State<F>) -> Result<Bytes, Error> {
    let mut put = Put::default();
    state.visit(&mut put);
    let tensors = put.tensors.into_iter().map(|(name, data)| {
        let (bytes, shape, dtype) = data.into_parts();
        Tensor::new(name, dtype, shape, None, bytes)
    });
    let mut writer = Writer::new(tensors.collect());
    for (name, value) in &put.scalars {
        writer = writer.with_scalar(name, *value);
    }
    Ok(writer.into_bytes()?)
}

pub(crate) fn load_bytes<F: Scalar + Element>(
    state: &mut impl State<F>,
    bytes: Bytes,
) -> Result<(), Error> {
    load_reader(state, Reader::from_bytes(bytes)?)
}

/// All or nothing: everything is compared before anything is written.
pub(crate) fn load_reader<F: Scalar + Element>(
    state: &mut impl State<F>,
    reader: Reader,
) -> Result<(), Error> {
    let scalars = reader.scalars().clone();
    let tensors = reader.into_tensors()?.into_iter();
    let tensors = tensors.map(|tensor| Ok((tensor.name.clone(), tensor.into_parts()?)));
    let tensors: BTreeMap<_, _> = tensors.collect::<Result<_, burn_pack::Error>>()?;
    let tensors = tensors
        .into_iter()
        .map(|(name, (_, dtype, shape, _, bytes))| {
            let found = Found {
                dtype,
                shape: shape.to_vec(),
                bytes,
            };
            (name, found)
        });
    let mut get = Get {
        tensors: tensors.collect(),
        scalars,
        write: false,
        problems: Vec::new(),
        seen: BTreeSet::new(),
    };
    state.visit(&mut get);
    let names = get.tensors.keys().chain(get.scalars.keys());
    let unknown = names.filter(|name| !get.seen.contains(*name));
    let unknown = unknown.map(|name| format!("`{name}` is unknown"));
    get.problems.extend(unknown.collect::<Vec<_>>());
    if !get.problems.is_empty() {
        return Err(Error::Record(get.problems.join("; ")));
    }
    get.write = true;
    state.visit(&mut get);
    Ok(())
}

#[derive(Default)]
struct Put {
    tensors: Vec<(String, TensorData)>,
    scalars: BTreeMap<String, burn_pack::Scalar>,
}

impl<F: Element> Visit<F> for Put {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let data = TensorData::new(data.to_vec(), shape.to_vec());
        self.tensors.push((name.to_owned(), data));
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.scalars.insert(name.to_owned(), (*value).into());
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.scalars.insert(name.to_owned(), (*value).into());
    }

    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>) {
        // Of 16 bits as whole numbers: they are copied, and not looked at.
        let data = match data {
            Bits::Bf16(data) => TensorData::new(data.to_vec(), shape.to_vec()),
            Bits::U8(data) => TensorData::new(data.to_vec(), shape.to_vec()),
            Bits::I16(data) => TensorData::new(data.to_vec(), shape.to_vec()),
            _ => return,
        };
        self.tensors.push((name.to_owned(), data));
    }
}

struct Found {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Bytes,
}

/// Compares, and then writes.
struct Get {
    tensors: BTreeMap<String, Found>,
    scalars: BTreeMap<String, burn_pack::Scalar>,
    write: bool,
    problems: Vec<String>,
    seen: BTreeSet<String>,
}

impl Get {
    fn tensor<T: Element>(
        &mut self,
        name: &str,
        shape: &[usize],
        data: &mut [T],
        decode: impl Fn(&[u8]) -> T,
    ) {
        self.seen.insert(name.to_owned());
        let (dtype, bytes) = (T::dtype(), size_of_val(data));
        match self.tensors.get(name) {
            None => self.problems.push(format!("`{name}` is missing")),
            Some(found) if found.dtype != dtype || found.shape != shape => {
                let text = format!("is {:?} {:?}", found.dtype, found.shape);
                let text = format!("`{name}` {text}, must be {dtype:?} {shape:?}");
                self.problems.push(text);
            }
            Some(found) if found.bytes.len() != bytes => {
                let text = format!("`{name}` has {} bytes", found.bytes.len());
                self.problems.push(format!("{text}, must have {bytes}"));
            }
            Some(found) if self.write => {
                let values = found.bytes.chunks_exact(size_of::<T>()).map(decode);
                data.iter_mut()
                    .zip(values)
                    .for_each(|(to, value)| *to = value);
            }
            Some(_) => {}
        }
    }

    fn scalar<T: TryFrom<burn_pack::Scalar>>(&mut self, name: &str, to: &mut T) {
        self.seen.insert(name.to_owned());
        match self.scalars.get(name).map(|scalar| T::try_from(*scalar)) {
            None => self.problems.push(format!("`{name}` is missing")),
            Some(Err(_)) => self.problems.push(format!("`{name}` is no such number")),
            Some(Ok(value)) if self.write => *to = value,
            Some(Ok(_)) => {}
        }
    }
}

impl<F: Scalar + Element> Visit<F> for Get {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        self.tensor(name, shape, data, host::decode);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.scalar(name, value);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.scalar(name, value);
    }

    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>) {
        let u16 = |b: &[u8]| b.try_into().map_or(0, u16::from_le_bytes);
        let i16 = |b: &[u8]| b.try_into().map_or(0, i16::from_le_bytes);
        match data {
            Bits::Bf16(data) => self.tensor(name, shape, data, u16),
            Bits::U8(data) => self.tensor(name, shape, data, |b| b[0]),
            Bits::I16(data) => self.tensor(name, shape, data, i16),
            _ => self.problems.push(format!("`{name}` is of a new kind")),
        }
    }
}
