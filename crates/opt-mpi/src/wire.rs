//! Errors as bytes, so that what one rank refuses is refused with the same type on all.

use opt_core::Error;

/// The error as bytes.
pub(crate) fn pack(error: &Error) -> Vec<u8> {
    let mut out = Packer(Vec::new());
    match error {
        Error::Length {
            what,
            expected,
            found,
        } => {
            out.tag(1).text(what);
            out.word(*expected as u64).word(*found as u64);
        }
        Error::NonFiniteLoss(loss) => {
            out.tag(2).word(loss.to_bits());
        }
        Error::NonFiniteNorm(norm) => {
            out.tag(7).word(norm.to_bits());
        }
        Error::Snapshot(what) => {
            out.tag(8).text(what);
        }
        Error::Layer { index, name, why } => {
            out.tag(9).word(*index as u64).text(name).text(why);
        }
        // Named by its text alone: its type is the caller's own.
        Error::Objective(source) => {
            out.tag(0).text(&source.to_string());
        }
        other => pack_element(other, &mut out),
    }
    out.0
}

/// An error about an element of a segment.
fn pack_element(error: &Error, out: &mut Packer) {
    match error {
        Error::NonFiniteGradient {
            segment,
            index,
            value,
        } => {
            out.tag(3).place(segment, *index, *value);
        }
        Error::GradientRange {
            segment,
            index,
            value,
            least,
            most,
            dtype,
        } => {
            out.tag(4).place(segment, *index, *value);
            out.word(least.to_bits()).word(most.to_bits()).text(dtype);
        }
        Error::Diverged {
            segment,
            what,
            index,
            value,
            dtype,
        } => {
            out.tag(5).place(segment, *index, *value);
            out.text(what).text(dtype);
        }
        Error::NonFiniteParameter {
            segment,
            index,
            value,
        } => {
            out.tag(6).place(segment, *index, *value);
        }
        other => {
            out.tag(0).text(&other.to_string());
        }
    }
}

/// What [`pack`] made on `rank`.
pub(crate) fn unpack(bytes: &[u8], rank: usize) -> Error {
    let unknown = || {
        let message = String::from_utf8_lossy(bytes).into_owned();
        crate::Error::OnRank { rank, message }.into()
    };
    read(&mut Unpacker(bytes), rank).unwrap_or_else(unknown)
}

fn read(from: &mut Unpacker<'_>, rank: usize) -> Option<Error> {
    Some(match from.byte()? {
        0 => {
            let message = from.text()?;
            crate::Error::OnRank { rank, message }.into()
        }
        1 => Error::Length {
            what: from.text()?,
            expected: from.index()?,
            found: from.index()?,
        },
        2 => Error::NonFiniteLoss(from.number()?),
        3 => Error::NonFiniteGradient {
            segment: from.text()?,
            index: from.index()?,
            value: from.number()?,
        },
        4 => Error::GradientRange {
            segment: from.text()?,
            index: from.index()?,
            value: from.number()?,
            least: from.number()?,
            most: from.number()?,
            dtype: dtype(&from.text()?),
        },
        5 => Error::Diverged {
            segment: from.text()?,
            index: from.index()?,
            value: from.number()?,
            what: if from.text()? == "x" { "x" } else { "state" },
            dtype: dtype(&from.text()?),
        },
        6 => Error::NonFiniteParameter {
            segment: from.text()?,
            index: from.index()?,
            value: from.number()?,
        },
        7 => Error::NonFiniteNorm(from.number()?),
        8 => Error::Snapshot(from.text()?),
        9 => Error::Layer {
            index: from.index()?,
            name: from.text()?,
            why: from.text()?,
        },
        _ => return None,
    })
}

fn dtype(name: &str) -> &'static str {
    ["F32", "F64"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("8 or 16 bits")
}

struct Packer(Vec<u8>);

impl Packer {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    fn word(&mut self, word: u64) -> &mut Self {
        self.0.extend_from_slice(&word.to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.word(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn place(&mut self, segment: &str, index: usize, value: f64) -> &mut Self {
        self.text(segment).word(index as u64).word(value.to_bits())
    }
}

struct Unpacker<'a>(&'a [u8]);

impl Unpacker<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    fn index(&mut self) -> Option<usize> {
        usize::try_from(self.word()?).ok()
    }

    fn number(&mut self) -> Option<f64> {
        self.word().map(f64::from_bits)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.index()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_as_it_was() {
        let (segment, index, value) = ("w".to_owned(), 3, f64::NAN);
        let all = [
            Error::Length {
                what: "x".to_owned(),
                expected: 3,
                found: 4,
            },
            Error::NonFiniteLoss(f64::INFINITY),
            Error::NonFiniteGradient {
                segment: segment.clone(),
                index,
                value,
            },
            Error::GradientRange {
                segment: segment.clone(),
                index,
                value: 1e30,
                least: 0.0,
                most: 1e19,
                dtype: "F32",
            },
            Error::Diverged {
                segment: segment.clone(),
                what: "x",
                index,
                value,
                dtype: "F64",
            },
            Error::NonFiniteParameter {
                segment,
                index,
                value,
            },
            Error::NonFiniteNorm(f64::NAN),
            Error::Snapshot("`m/w` is missing".to_owned()),
            Error::Layer {
                index: 1,
                name: "w1".to_owned(),
                why: "no".to_owned(),
            },
        ];
        for error in all {
            let back = unpack(&pack(&error), 2);
            assert_eq!(format!("{back:?}"), format!("{error:?}"));
        }
    }

    #[test]
    fn what_has_no_type_here_keeps_its_text_and_its_rank() {
        let error = Error::objective("the disk is full");
        let back = unpack(&pack(&error), 2).to_string();
        assert_eq!(back, "objective: on rank 2: the disk is full");
        // Damaged, as it can't be.
        assert!(unpack(&[9, 1], 2).to_string().contains("on rank 2"));
    }
}
